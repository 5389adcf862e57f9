//! Who is here: hello, lobby, line-up, leaving. The states say *that*, the reasons say *why*.
//!
//! Signaling introduces the peers; from then on they agree among themselves. The rules are pure
//! (`control`, `lineup`, `link`); `connection` holds the state, `systems` wires it into Bevy.

mod conduct;
mod connection;
pub(crate) mod control;
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
#[cfg(all(test, not(target_arch = "wasm32")))]
mod properties;
mod reasons;
mod requests;
pub(crate) mod mirroring;
mod roster;
mod state;
pub(crate) mod systems;

pub use conduct::Misconduct;
pub(crate) use connection::Connection;
pub(crate) use lineup::MatchPlan;
pub use lobby::{Lobby, LobbyPeer};
pub(crate) use reasons::GoodbyeCause;
pub use reasons::{EndReason, Refusal, StartBlocker, StartRefusal};
pub use requests::{
    FinishMatch, JoinRoom, LeaveRoom, Rename, SetConditions, SetInputDelay, SetReady,
    SetSpectating, StartLocal,
};
pub use roster::{Roster, RosterSeat};
pub(crate) use state::StateChange;
pub use state::{PeerFinished, SessionChanged, SessionState, in_match};
