//! Peer-to-peer rollback netcode for Bevy: peers exchange inputs, not state, over WebRTC data
//! channels, and each of them simulates the same world.
//!
//! Add [`NetcodePlugin`], register what rolls back, put the simulation into [`Simulate`], and join
//! a room:
//!
//! ```no_run
//! use bevy::prelude::*;
//! use netcode::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
//! struct Input { thrust: bool }
//!
//! #[derive(Component, Clone, Serialize, Deserialize)]
//! struct Height { seat: Seat, metres: f32 }
//!
//! fn main() {
//!     App::new()
//!         .add_plugins((MinimalPlugins, NetcodePlugin::<Input>::default()))
//!         .rollback_component::<Height>()
//!         .add_systems(SetupMatch, |mut commands: Commands, roster: Res<Roster>| {
//!             for seat in roster.seats() {
//!                 commands.spawn((Rollback, Height { seat: seat.seat, metres: 0.0 }));
//!             }
//!         })
//!         .add_systems(ReadInputs, |mut inputs: ResMut<LocalInputs<Input>>| {
//!             for seat in inputs.seats().to_vec() {
//!                 inputs.set(seat, Input { thrust: true }); // read a keyboard here
//!             }
//!         })
//!         .add_systems(Simulate, |inputs: Res<PlayerInputs<Input>>, mut all: Query<&mut Height>| {
//!             for mut ship in &mut all {
//!                 ship.metres += if inputs.get(ship.seat).thrust { 1.0 } else { -1.0 };
//!             }
//!         })
//!         .add_systems(Startup, |mut commands: Commands| {
//!             commands.write_message(JoinRoom::new("ws://127.0.0.1:3536/my-room"));
//!             commands.write_message(SetReady(true));
//!         })
//!         .run();
//! }
//! ```
//!
//! The modules are listed in the order in which data flows.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadmeExamples;

#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../README.md")]
struct CrateReadmeExamples;

mod schedules;

mod codec;
mod config;
mod frame;
mod random;
mod scoped;
mod transport;

mod exchange;
mod match_maker;

mod membership;
mod session;

mod input;
mod latch;
mod packed_input;

mod rollback;

mod checksum;

mod pacing;

mod audit;
mod spawn_order;

mod effects;

mod diagnostics;
mod plugin;
#[cfg(test)]
mod protocol_examples;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use audit::{AuditFinding, AuditProblem, AuditReport, UnregisteredRead};
pub use checksum::{ChecksumLog, DesyncDetected, DesyncReport};
pub use codec::SerializeFault;
pub use config::{
    ConfigError, DeparturePolicy, FinishPolicy, FloodLimits, InputDelay, NetcodeConfig, PairPolicy,
    PausePolicy, StandIn, SyncTest,
};
#[cfg(feature = "overlay")]
pub use diagnostics::overlay::{NetcodeOverlayPlugin, OverlayState};
pub use diagnostics::{DroppedPackets, LOG_FILTER, SessionStats};
pub use effects::{AppEffectsExt, EffectStarted, Effects};
pub use frame::{MatchSeed, SimFrame};
pub use input::{GameInput, LocalInputs, PlayerInputs, Seat};
pub use latch::AppLatchExt;
pub use match_maker::{AskRoom, ListRooms, Room, RoomDenied, RoomList};
pub use membership::{
    EndReason, FinishMatch, JoinRoom, LeaveMatch, LeaveRoom, Lobby, LobbyPeer, Misconduct, Pause,
    PauseMatch, PeerFinished, Refusal, Rename, Roster, RosterSeat, SeatChanged, SeatState,
    SessionChanged, SessionState, SetConditions, SetInputDelay, SetReady, SetSpectating,
    StartBlocker, StartLocal, StartRefusal, in_match,
};
pub use pacing::StepPhase;
pub use packed_input::{InputProblem, UnfitInput};
pub use plugin::NetcodePlugin;
pub use rollback::{
    AppRollbackExt, OpaqueProblem, OpaqueValue, Ordered, Restorable, Rollback, RollbackCommandsExt,
    RollbackId,
};
pub use schedules::{FinishedMatch, NetcodeSystems, PlayBots, ReadInputs, SetupMatch, Simulate};
pub use session::{
    Agreement, BotInputs, ConfirmationChange, Divergence, DivergenceCause, MatchEnd, MatchResult,
    PeerResult, SyncTestFailed, SyncTestFailure,
};
pub use signaling::{
    ice_servers::IceServer,
    lobby::{Denial, Place, RoomListing, RoomMember, RoomPhase, RoomRequest, RoomState},
    protocol::PeerId,
};
pub use transport::{AddressFault, LinkConditions, Outage, Route, TransportError};

/// The names that every game uses: `use netcode::prelude::*;`.
pub mod prelude {
    pub use crate::{
        AppEffectsExt, AppLatchExt, AppRollbackExt, AskRoom, ChecksumLog, DesyncDetected,
        EffectStarted, Effects, EndReason, FinishMatch, FinishedMatch, JoinRoom, LeaveMatch,
        LeaveRoom, LinkConditions, ListRooms, Lobby, LobbyPeer, LocalInputs, MatchEnd, MatchResult,
        MatchSeed, NetcodeConfig, NetcodePlugin, NetcodeSystems, Ordered, Pause, PauseMatch,
        PeerFinished, PlayerInputs, ReadInputs, Rollback, RollbackCommandsExt, RollbackId, Room,
        RoomDenied, RoomList, RoomRequest, Roster, Seat, SeatChanged, SeatState, SessionChanged,
        SessionState, SessionStats, SetConditions, SetReady, SetSpectating, SetupMatch, SimFrame,
        Simulate, StartLocal, StepPhase, SyncTest, SyncTestFailed, in_match,
    };
}
