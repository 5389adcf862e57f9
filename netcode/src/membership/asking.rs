//! What a player asks of a match that runs: to pause it, to go on with it, or to remove another
//! one. The machines agree on it (`changing`), as far as each has heard it itself. Part of
//! [`Connection`].

use std::time::Duration;

use signaling::{lobby::RoomRequest, protocol::PeerId};

use super::{
    connection::Connection, control::Control, match_wire::MatchPosition, roster::SeatState,
};

impl Connection {
    /// Asks the server for something in the room.
    pub(crate) fn ask(&mut self, now: Duration, request: RoomRequest) {
        if let RoomRequest::Kick(peer) = request
            && !self.kick(now, peer)
        {
            tracing::warn!("nobody is removed from a running match: owner_may_kick is false");
            return;
        }
        self.wire.ask(request);
    }

    /// Our player pauses the match, or goes on with it.
    pub(crate) fn pause(&mut self, now: Duration, pauses: bool) {
        let MatchPosition { match_number, .. } = self.match_wire.position();
        let Some(playing) = self.match_wire.playing.as_mut() else { return };
        let (local, present) = (playing.local, playing.present.clock());
        if !pauses {
            playing.clock.vote(present);
        }
        self.note_pause(now, local, pauses);
        let message = Control::Pause { match_number, pauses };
        self.for_machines(|connection, peer| connection.wire.send_control(now, peer, &message));
    }

    /// The player on a machine of the match pauses it, or goes on with it.
    pub(super) fn note_pause(&mut self, now: Duration, from: PeerId, pauses: bool) {
        let may_pause = self.limits().may_pause;
        let Some(playing) = self.match_wire.playing.as_mut().filter(|_| may_pause || !pauses)
        else {
            return;
        };
        let mut seats = playing.present.seats().iter();
        let held = seats.find(|it| it.peer == Some(from) && it.state == SeatState::Peer);
        if let Some(seat) = held.map(|seat| seat.seat.0) {
            playing.clock.note(now, playing.present.clock(), seat, pauses);
        }
    }

    /// The owner of the room removes a machine from it. If it plays our match, all machines hear
    /// that from us as well. Returns whether the owner may.
    fn kick(&mut self, now: Duration, peer: PeerId) -> bool {
        let is_ours = self.us.id().is_some() && self.us.owner() == self.us.id();
        let is_playing = self.match_wire.holds_seat(peer) || self.match_wire.is_away(peer);
        if !is_ours || !is_playing || Some(peer) == self.us.id() {
            return true;
        }
        if !self.limits().may_kick {
            return false;
        }
        if self.match_wire.goes_on_without_some() {
            let MatchPosition { match_number, .. } = self.match_wire.position();
            self.note_kick(peer);
            let message = Control::Kick { match_number, peer };
            self.for_machines(|connection, peer| connection.wire.send_control(now, peer, &message));
        }
        true
    }

    /// The owner of the room wants a machine to lose its seats.
    pub(super) fn note_kick(&mut self, peer: PeerId) {
        let is_member = self.match_wire.has(peer);
        if let Some(playing) = self.match_wire.playing.as_mut()
            && is_member
            && !playing.kicked.contains(&peer)
        {
            playing.kicked.push(peer);
        }
    }
}
