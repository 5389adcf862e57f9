//! Which peers are in the room, which of them play, and what each of them says: hello, lobby,
//! line-up, leaving. The states say *that*, the reasons say *why*.
//!
//! Signaling introduces the peers; from then on they agree among themselves. In reading order: what
//! a game asks for and sees; what peers say, and the rules about one peer (pure); the agreement on
//! a match (`lineup`, pure); the four parts of a [`Connection`], and its methods, a file for each
//! kind; what becomes of a match when a peer is gone (`departures`, pure); the systems that wire
//! all of it into Bevy.

mod requests;
mod state;
pub(crate) mod reasons;
mod roster;
mod lobby;

pub(crate) mod control;
mod player_name;
mod conduct;
mod patience;
mod link;

pub(crate) mod lineup;

mod peers;
mod wire;
mod left_rooms;
mod us;
mod match_wire;
mod connection;
mod incoming;
mod meeting;
mod finishing;
mod outgoing;
mod showing;

mod departures;
pub(crate) mod change;
mod absences;
mod clock;
mod changing;
mod asking;
mod mirroring;
pub(crate) mod systems;

#[cfg(any(test, feature = "testing"))]
mod false_claims;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod properties;
#[cfg(test)]
mod simulated;

use bevy::prelude::{App, IntoScheduleConfigs, PreUpdate};

use self::systems::{Page, leave_at_exit, send};
use crate::{
    config::NetcodeConfig,
    schedules::{LeaveAtExit, NetcodeSystems},
};

pub use conduct::Misconduct;
pub(crate) use connection::Connection;
pub use lobby::{Lobby, LobbyPeer};
pub(crate) use match_wire::Policies;
pub(crate) use mirroring::mirror_room;
pub use reasons::{EndReason, Refusal, StartBlocker, StartRefusal};
pub use requests::{
    FinishMatch, JoinRoom, LeaveMatch, LeaveRoom, PauseMatch, Rename, SetConditions, SetInputDelay,
    SetReady, SetSpectating, StartLocal,
};
pub use roster::{Pause, Roster, RosterSeat, SeatChanged, SeatState};
pub(crate) use state::StateChange;
pub use state::{PeerFinished, SessionChanged, SessionState, in_match};
pub(crate) use systems::{PendingStart, end_session, receive, take_requests};

/// Adds the connection to the room, what a game asks for and sees of it, and the systems that drive
/// it.
pub(crate) fn plugin(app: &mut App) {
    let config = app.world().resource::<NetcodeConfig>();
    let lobby = Lobby::for_seats(config.min_players, config.max_players);
    let connection = Connection::new(config);
    app.insert_resource(lobby)
        .insert_resource(connection)
        .init_resource::<SessionState>()
        .init_resource::<Roster>()
        .init_resource::<PendingStart>()
        .init_resource::<Page>()
        .add_message::<JoinRoom>()
        .add_message::<StartLocal>()
        .add_message::<SetReady>()
        .add_message::<SetSpectating>()
        .add_message::<Rename>()
        .add_message::<LeaveRoom>()
        .add_message::<FinishMatch>()
        .add_message::<LeaveMatch>()
        .add_message::<PauseMatch>()
        .add_message::<SetConditions>()
        .add_message::<SetInputDelay>()
        .add_message::<SessionChanged>()
        .add_message::<PeerFinished>()
        .add_systems(
            PreUpdate,
            (
                (take_requests, receive, mirror_room).chain().in_set(NetcodeSystems::Receive),
                send.in_set(NetcodeSystems::Send),
            ),
        )
        .add_systems(LeaveAtExit, leave_at_exit);
    #[cfg(all(feature = "webrtc", target_arch = "wasm32"))]
    crate::transport::webrtc::page::call_at_the_end();
    #[cfg(all(feature = "webrtc", target_arch = "wasm32"))]
    app.add_systems(PreUpdate, systems::attend_page.after(take_requests).before(receive));
}
