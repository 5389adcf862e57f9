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
    is_ready: bool,
    /// We take no part in matches.
    is_spectator: bool,
    /// Our page is hidden.
    is_hidden: bool,
    /// The member that owns the room, as the server says.
    owner: Option<PeerId>,
    /// The number of the last match that we took part in; 0 if none.
    last_match_number: u32,
    /// The peers that we could play with.
    reaches: Vec<PeerId>,
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
            is_ready: false,
            is_spectator: false,
            is_hidden: false,
            owner: None,
            last_match_number: 0,
            reaches: Vec::new(),
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

    pub(super) fn owner(&self) -> Option<PeerId> {
        self.owner
    }

    pub(super) fn set_owner(&mut self, owner: Option<PeerId>) {
        self.owner = owner;
    }

    /// Returns to the initial state. Only the count of matches goes on, and the page stays hidden
    /// if it is.
    pub(super) fn leave(&mut self) {
        (self.id, self.owner) = (None, None);
        (self.is_server_lost, self.is_server_gone) = (false, false);
        (self.is_ready, self.is_spectator) = (false, false);
        self.reaches.clear();
    }

    /// The signaling server is out of reach, or back again.
    pub(super) fn set_server_lost(&mut self, is_lost: bool) {
        self.is_server_lost = is_lost;
    }

    /// The signaling server is out of reach for good.
    pub(super) fn lose_server_for_good(&mut self) {
        (self.is_server_lost, self.is_server_gone) = (true, true);
    }

    /// We take part in the match of this number, and have to get ready again for the next one.
    pub(super) fn begin_match(&mut self, match_number: u32) {
        self.is_ready = false;
        self.last_match_number = match_number;
    }

    /// Returns whether that changed anything, as do the next three.
    pub(super) fn set_ready(&mut self, ready: bool) -> bool {
        replace(&mut self.is_ready, ready)
    }

    /// A player that takes part in matches again has to get ready again.
    pub(super) fn set_spectating(&mut self, spectates: bool) -> bool {
        let is_news = replace(&mut self.is_spectator, spectates);
        self.is_ready &= !is_news;
        is_news
    }

    pub(super) fn set_hidden(&mut self, is_hidden: bool) -> bool {
        replace(&mut self.is_hidden, is_hidden)
    }

    pub(super) fn rename(&mut self, name: &str) -> bool {
        replace(&mut self.hello.name, clean_name(name))
    }

    /// Notes the peers that we could play with.
    pub(super) fn set_reach(&mut self, peers: Vec<PeerId>) {
        self.reaches = peers;
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

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    pub(super) fn is_spectator(&self) -> bool {
        self.is_spectator
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.is_hidden
    }

    pub(super) fn last_match_number(&self) -> u32 {
        self.last_match_number
    }

    pub(super) fn reaches(&self) -> &[PeerId] {
        &self.reaches
    }

    /// The message about our status, which is sent whenever it changes. Whether we are in a match
    /// is known to the match alone.
    pub(super) fn status_message(&self, is_in_match: bool) -> Control {
        Control::Status(Status {
            is_ready: self.is_ready,
            is_in_match,
            is_hidden: self.is_hidden,
            is_spectator: self.is_spectator,
            last_match_number: self.last_match_number,
            reaches: self.reaches.clone(),
            name: self.hello.name.clone(),
        })
    }
}

/// Sets `value`. Returns whether it was another one before.
fn replace<T: PartialEq>(value: &mut T, new: T) -> bool {
    let is_news = *value != new;
    *value = new;
    is_news
}
