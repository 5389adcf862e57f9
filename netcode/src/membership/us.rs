//! This machine in the room: what it is, and what it says of itself.

use signaling::protocol::PeerId;

use super::{
    control::{Control, Hello, Status},
    player_name::clean_name,
};
use crate::config::NetcodeConfig;

/// This machine, as other peers see it.
pub(super) struct Us {
    /// Our id, once we are in the room.
    id: Option<PeerId>,
    hello: Hello,
    status: Status,
    /// The signaling server is out of reach: no new peer can come.
    is_server_lost: bool,
    /// The signaling server is out of reach for good.
    is_server_gone: bool,
}

impl Us {
    pub(super) fn new(config: &NetcodeConfig) -> Self {
        Self {
            id: None,
            hello: Hello::new(config, 0, "", 1),
            status: Status::default(),
            is_server_lost: false,
            is_server_gone: false,
        }
    }

    /// We are on the way into a room, in which we introduce ourselves by `hello`.
    pub(super) fn introduce(&mut self, hello: Hello) {
        self.hello = hello;
    }

    /// We are in the room, under this id.
    pub(super) fn enter(&mut self, id: PeerId) {
        self.id = Some(id);
    }

    /// Returns to the initial state. Only the count of matches goes on, and the page stays hidden
    /// if it is.
    pub(super) fn leave(&mut self) {
        self.id = None;
        (self.is_server_lost, self.is_server_gone) = (false, false);
        let Status { last_match_number, is_hidden, .. } = self.status;
        self.status = Status { last_match_number, is_hidden, ..Status::default() };
    }

    /// The signaling server is out of reach, or back again.
    pub(super) fn set_server_lost(&mut self, is_lost: bool) {
        self.is_server_lost = is_lost;
    }

    /// The signaling server is out of reach for good.
    pub(super) fn lose_server_for_good(&mut self) {
        (self.is_server_lost, self.is_server_gone) = (true, true);
    }

    /// We play the match of this number now.
    pub(super) fn begin_match(&mut self, match_number: u32) {
        self.status.is_ready = false;
        self.status.is_in_match = true;
        self.status.last_match_number = match_number;
    }

    /// We are back in the lobby.
    pub(super) fn leave_match(&mut self) {
        self.status.is_in_match = false;
    }

    /// Returns whether that changed anything, as do the next three.
    pub(super) fn set_ready(&mut self, ready: bool) -> bool {
        replace(&mut self.status.is_ready, ready)
    }

    /// A player that takes part in matches again has to get ready again.
    pub(super) fn set_spectating(&mut self, spectates: bool) -> bool {
        let is_news = replace(&mut self.status.is_spectator, spectates);
        self.status.is_ready &= !is_news;
        is_news
    }

    pub(super) fn set_hidden(&mut self, is_hidden: bool) -> bool {
        replace(&mut self.status.is_hidden, is_hidden)
    }

    pub(super) fn rename(&mut self, name: &str) -> bool {
        replace(&mut self.hello.name, clean_name(name))
    }

    /// Notes the peers that we could play with.
    pub(super) fn set_reach(&mut self, peers: Vec<PeerId>) {
        self.status.reaches = peers;
    }

    pub(super) fn id(&self) -> Option<PeerId> {
        self.id
    }

    pub(super) fn is_server_lost(&self) -> bool {
        self.is_server_lost
    }

    pub(super) fn is_server_gone(&self) -> bool {
        self.is_server_gone
    }

    pub(super) fn hello(&self) -> &Hello {
        &self.hello
    }

    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    pub(super) fn is_in_match(&self) -> bool {
        self.status.is_in_match
    }

    /// The message about our status, which is sent whenever it changes.
    pub(super) fn status_message(&self) -> Control {
        Control::Status(Status { name: self.hello.name.clone(), ..self.status.clone() })
    }
}

/// Sets `value`. Returns whether it was another one before.
fn replace<T: PartialEq>(value: &mut T, new: T) -> bool {
    let is_news = *value != new;
    *value = new;
    is_news
}
