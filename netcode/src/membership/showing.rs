//! What a [`Connection`] shows: where peers stand, the lobby, and the measurements of peers and
//! traffic.

use std::time::Duration;

use signaling::protocol::PeerId;

use super::{
    connection::{Connection, Limits},
    link::Link,
    lobby::{Lobby, LobbyPeer},
    outgoing::lateness,
    reasons::Refusal,
};
use crate::diagnostics::SessionStats;

/// A room counts as deserted once all other peers have been silent for this long: a phone freezes
/// the page of a player who may come back.
const DESERTED_AFTER: Duration = Duration::from_secs(15);

/// A lead or lag beyond this counts as this much: the claim of one peer must not outweigh those of
/// the others.
const MOST_LEAD_FRAMES: f32 = 1.0;

impl Connection {
    /// The peers that we could play with.
    pub(super) fn players(&self) -> impl Iterator<Item = &Link> {
        self.peers.iter().filter(|link| self.is_present(link) && link.is_player())
    }

    /// Whether the channels to the peer are open.
    pub(super) fn is_linked(&self, peer: PeerId) -> bool {
        self.peers.get(peer).is_some()
    }

    /// Whether the peer has been silent for too long. It is forgotten only when its channel closes:
    /// in the lobby it may come back.
    pub(super) fn is_absent(&self, peer: PeerId) -> bool {
        self.peers.get(peer).is_some_and(|link| !self.is_present(link))
    }

    /// Whether the peer is connected, and the signaling server has it, as far as we know.
    pub(super) fn is_at_server(&self, peer: PeerId) -> bool {
        self.peers.get(peer).is_some_and(|link| link.is_at_server)
    }

    /// Whether the peer may still be there. The server notices at once that a machine has crashed;
    /// a machine that it still has may only be out of reach for a while.
    pub(super) fn is_present(&self, link: &Link) -> bool {
        let Limits { peer_timeout, outage_timeout, .. } = self.limits();
        link.silence() < if link.is_at_server { outage_timeout } else { peer_timeout }
    }

    /// Whether we are in a match with the peer.
    pub(super) fn plays_with(&self, link: &Link) -> bool {
        self.match_wire.plays_with(link.peer)
    }

    /// The mean of our leads over the peers of the match; 0 without a match. The means of all peers
    /// add up to zero, so the match as a whole becomes neither slower nor faster.
    ///
    /// A machine whose inputs are delayed more counts as ahead by half of the difference: then both
    /// predict each other equally far.
    pub(crate) fn lead_frames(&self) -> f32 {
        let lead = |link: &Link| {
            let extra = self.match_wire.extra_delay(link.peer);
            let lead = link.clock.lead_frames() + extra / 2.0;
            lead.clamp(-MOST_LEAD_FRAMES, MOST_LEAD_FRAMES)
        };
        // A peer that has finished the match stays at its last frame, and one that does not say yet
        // that it is in a match has not begun it.
        let plays = |link: &&Link| {
            let plays_now = self.match_wire.holds_seat(link.peer);
            link.claims.is_in_match && plays_now && !self.match_wire.is_leaving(link.peer)
        };
        let leads = self.peers.iter().filter(plays).map(lead);
        let (count, sum) = leads.fold((0.0, 0.0), |(count, sum), lead| (count + 1.0, sum + lead));
        sum / f32::max(count, 1.0)
    }

    /// Frames that inputs take to the farthest peer that we play with; outside of a match, to the
    /// farthest peer that we could play with.
    pub(crate) fn one_way_frames(&self) -> f32 {
        let counts = |link: &&Link| {
            if self.is_in_match() { self.plays_with(link) } else { link.is_player() }
        };
        let frames = |link: &Link| lateness(link, self.limits().fps).round_trip / 2.0;
        let links = self.peers.iter().filter(|link| self.is_present(link)).filter(counts);
        links.map(frames).reduce(f32::max).unwrap_or(0.0)
    }

    /// Writes rates and counters into `stats`.
    pub(crate) fn report(&mut self, now: Duration, stats: &mut SessionStats) {
        self.wire.report(now, stats);
        stats.dropped = self.dropped;
        stats.lead_frames = self.lead_frames();
    }

    /// Why a peer that does not agree to any match cannot play.
    fn no_answer(&self, link: &Link) -> Option<Refusal> {
        self.lineup.has_counted_out(link.peer).then(|| Refusal::NoAnswer { name: link.name() })
    }

    /// Writes the present state of the room into `lobby`.
    pub(crate) fn show(&self, lobby: &mut Lobby) {
        lobby.local_id = self.us.id();
        lobby.name.clone_from(&self.us.hello().name);
        lobby.local_seats = self.us.hello().seats;
        lobby.is_ready = self.us.is_ready();
        lobby.is_spectator = self.us.is_spectator();
        lobby.is_hidden = self.us.is_hidden();
        lobby.is_signaling_lost = self.us.is_server_lost();
        lobby.unreachable = self.peers.unreachable() as u32;
        lobby.is_deserted = self.peers.is_deserted(DESERTED_AFTER);
        lobby.peers.clear();
        lobby.awaited.clear();
        let is_awaited = |link: &&Link| {
            self.lineup.is_waiting_for(link.peer) && !self.lineup.has_counted_out(link.peer)
        };
        let awaited = self.players().filter(is_awaited);
        lobby.awaited.extend(awaited.map(Link::name));
        lobby.is_out_of_connections = self.wire.is_out_of_connections();
        let is_shown =
            |link: &&Link| self.is_present(link) && (link.is_expected() || self.plays_with(link));
        lobby.peers.extend(self.peers.iter().filter(is_shown).map(|link| LobbyPeer {
            id: link.peer,
            name: link.name(),
            is_ready: link.claims.is_ready,
            seats: link.hello.as_ref().map_or(0, |hello| hello.seats),
            is_in_match: link.claims.is_in_match,
            is_spectator: link.is_spectator(),
            is_hidden: link.claims.is_hidden,
            is_quiet: link.silence() >= self.limits().quiet_after,
            refusal: link.refusal.clone().or_else(|| self.no_answer(link)),
            reaches: link.claims.reaches.clone(),
            rtt: link.clock.rtt(),
            jitter: link.clock.jitter(),
            route: self.wire.route(link.peer),
        }));
    }
}
