//! Who is here: hello, lobby, line-up, leaving. The states say *that*, the reasons say *why*.
//!
//! Signaling introduces the peers; from then on they agree among themselves. The rules are pure
//! (`control`, `lineup`, `link`); `connection` holds the state, `systems` wires it into Bevy.

mod conduct;
mod connection;
pub(crate) mod control;
mod departures;
mod finishing;
mod incoming;
mod left_rooms;
#[cfg(any(test, feature = "testing"))]
mod lies;
pub(crate) mod lineup;
mod link;
mod lobby;
mod measures;
mod meeting;
mod outgoing;
mod patience;
mod player_name;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod properties;
pub(crate) mod reasons;
mod requests;
mod mirroring;
mod roster;
mod state;
pub(crate) mod systems;

use bevy::prelude::{App, IntoScheduleConfigs, PreUpdate};

use self::{
    mirroring::mirror_room,
    systems::{Page, leave_at_exit, send},
};
use crate::{
    config::NetcodeConfig,
    schedules::{LeaveAtExit, NetcodeSystems},
};

pub use conduct::Misconduct;
pub(crate) use connection::Connection;
pub(crate) use lineup::MatchPlan;
pub use lobby::{Lobby, LobbyPeer};
pub use reasons::{EndReason, Refusal, StartBlocker, StartRefusal};
pub use requests::{
    FinishMatch, JoinRoom, LeaveRoom, Rename, SetConditions, SetInputDelay, SetReady,
    SetSpectating, StartLocal,
};
pub use roster::{Roster, RosterSeat};
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
    app.add_systems(PreUpdate, systems::attend_page.after(take_requests).before(receive));
}
