//! The state of the session, and the messages that report a change of it.

use bevy::{
    ecs::system::SystemParam,
    prelude::{Message, MessageWriter, Res, ResMut, Resource, World},
};
use signaling::protocol::PeerId;

use super::reasons::EndReason;

/// The state of the session.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub enum SessionState {
    /// In no room and in no match.
    #[default]
    Offline,
    /// On the way into a room.
    Connecting,
    /// In a room, with the peers that [`Lobby`](crate::Lobby) lists; the match starts when all are
    /// ready.
    Gathering,
    /// All agreed to play; their sessions are finding each other.
    Starting,
    /// The match is being simulated.
    Running,
    /// The session is over, and no peer is connected any more; [`JoinRoom`](crate::JoinRoom) begins
    /// a new one.
    Ended(EndReason),
}

impl SessionState {
    /// Whether the simulation runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        *self == Self::Running
    }

    /// Goes to the state `to`. Returns the message about it, unless that was the state already.
    pub(crate) fn change(&mut self, to: Self) -> Option<SessionChanged> {
        if *self == to {
            return None;
        }
        let from = std::mem::replace(self, to.clone());
        Some(SessionChanged { from, to })
    }

    /// Goes to another state in `world`, and writes the message about it.
    pub(crate) fn enter(world: &mut World, to: Self) {
        if let Some(changed) = world.resource_mut::<Self>().change(to) {
            world.write_message(changed);
        }
    }
}

/// Run condition: a match is being simulated.
pub fn in_match(state: Res<SessionState>) -> bool {
    state.is_running()
}

/// The session went from one state to another.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct SessionChanged {
    /// Where it was.
    pub from: SessionState,
    /// Where it is now.
    pub to: SessionState,
}

/// Changes the state, and writes the message about it.
#[derive(SystemParam)]
pub(crate) struct StateChange<'w> {
    state: ResMut<'w, SessionState>,
    changed: MessageWriter<'w, SessionChanged>,
}

impl StateChange<'_> {
    pub(crate) fn go(&mut self, to: SessionState) {
        if let Some(changed) = self.state.change(to) {
            self.changed.write(changed);
        }
    }

    pub(crate) fn now(&self) -> &SessionState {
        &self.state
    }
}

/// A peer has left the match by finishing it, while this machine plays on. It stays in the room;
/// its seats get default inputs from now on.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct PeerFinished {
    /// The peer.
    pub peer: PeerId,
    /// The name of its player.
    pub name: String,
    /// The frame at which the match was over for it.
    pub frame: u32,
}
