//! The room as a game shows it.

use std::time::Duration;

use bevy::prelude::Resource;
use signaling::protocol::PeerId;

use super::reasons::{Refusal, StartBlocker};
use crate::transport::Route;

/// The room that we are in, and its peers. Kept up to date as long as we are in a room, during a
/// match too.
#[derive(Resource, Clone, Debug, Default, PartialEq)]
pub struct Lobby {
    /// Our own id, once we are in the room.
    pub local_id: Option<PeerId>,
    /// Our own name.
    pub name: String,
    /// The number of seats on this machine.
    pub local_seats: u8,
    /// Whether we said that we are ready.
    pub is_ready: bool,
    /// Whether we take no part in matches: see [`SetSpectating`](crate::SetSpectating).
    pub is_spectator: bool,
    /// Whether we play a match, or are starting one: in this room, or on this machine alone.
    pub is_in_match: bool,
    /// Whether our own page is hidden: the match goes on, but nothing needs to be drawn.
    pub is_hidden: bool,
    /// The other peers that we are connected to, in the order of their ids.
    pub peers: Vec<LobbyPeer>,
    /// Whether the signaling server is out of reach while we try to reach it again: the peers that
    /// are here can play, but until then no new peer can come.
    pub is_signaling_lost: bool,
    /// The number of peers in the room to which no connection could be made within 10 s: a firewall
    /// is in the way, or their machine does not respond. A TURN server helps against the former.
    pub unreachable: u32,
    /// Whether peers wait for a connection and this page has none left: browsers allow a few
    /// hundred, and free closed ones whenever they like. Never true natively.
    pub is_out_of_connections: bool,
    /// Whether other peers were here and have all left, or have all been silent for 15 s.
    pub is_deserted: bool,
    /// The names of players that have kept the match from starting for some seconds although
    /// nothing else is in the way.
    pub(super) awaited: Vec<String>,
    pub(super) min_players: u8,
    pub(super) max_players: u8,
}

/// Another peer in the room.
#[derive(Clone, Debug, PartialEq)]
pub struct LobbyPeer {
    /// Its id.
    pub id: PeerId,
    /// Its name; a placeholder until it has said hello.
    pub name: String,
    /// Whether it is ready to play.
    pub is_ready: bool,
    /// The number of seats on its machine.
    pub seats: u8,
    /// Whether it is still playing a match, as it says itself.
    pub is_in_match: bool,
    /// Whether it takes no part in matches.
    pub is_spectator: bool,
    /// Whether its page is hidden, so its player looks elsewhere. It plays on, but its player
    /// presses nothing.
    pub is_hidden: bool,
    /// Whether nothing has been heard from it for a moment.
    pub is_quiet: bool,
    /// Why it cannot play with us, if it cannot.
    pub refusal: Option<Refusal>,
    /// The peers that it says it could play with. All players of a match must reach each other.
    pub reaches: Vec<PeerId>,
    /// Round-trip time, once measured.
    pub rtt: Option<Duration>,
    /// Mean deviation of the round-trip time.
    pub jitter: Duration,
    /// The route that packets to it take.
    pub route: Route,
}

impl Lobby {
    /// An empty room, for matches of `min_players` to `max_players` seats.
    pub(crate) fn for_seats(min_players: u8, max_players: u8) -> Self {
        Self { min_players, max_players, ..Self::default() }
    }

    /// The other peers that play or want to, and can.
    fn players(&self) -> impl Iterator<Item = &LobbyPeer> {
        self.peers.iter().filter(|peer| peer.refusal.is_none() && !peer.is_spectator)
    }

    /// The seats of all peers that play or want to, ours included. A spectator has none.
    #[must_use]
    pub fn seats(&self) -> u32 {
        let own = if self.is_spectator { 0 } else { self.local_seats };
        self.players().map(|peer| u32::from(peer.seats)).sum::<u32>() + u32::from(own)
    }

    /// The mean round-trip time to the other peers; `None` until one is measured.
    #[must_use]
    pub fn mean_rtt(&self) -> Option<Duration> {
        let rtts: Vec<Duration> = self.peers.iter().filter_map(|peer| peer.rtt).collect();
        let count = u32::try_from(rtts.len()).ok().filter(|&count| count > 0)?;
        Some(rtts.iter().sum::<Duration>() / count)
    }

    /// Why the match does not start yet. `None` when it is about to, while we play it, and outside
    /// of a room.
    #[must_use]
    pub fn blocker(&self) -> Option<StartBlocker> {
        if self.is_in_match || self.local_id.is_none() {
            return None;
        }
        let is_silent = |peer: &&LobbyPeer| matches!(peer.refusal, Some(Refusal::NoAnswer { .. }));
        let silent = self.peers.iter().filter(is_silent).map(|peer| peer.name.clone());
        match self.obstacle() {
            None if self.awaited.is_empty() => None,
            None => Some(StartBlocker::NoAnswer { names: self.awaited.clone() }),
            Some(StartBlocker::TooFew { .. }) if self.peers.iter().any(|peer| is_silent(&peer)) => {
                Some(StartBlocker::NoAnswer { names: silent.collect() })
            }
            obstacle => obstacle,
        }
    }

    /// What all peers can see to be in the way of a match, however they answer proposals.
    pub(super) fn obstacle(&self) -> Option<StartBlocker> {
        if self.is_spectator {
            return Some(StartBlocker::Spectating);
        }
        let seats = self.seats();
        let names = |matching: fn(&&LobbyPeer) -> bool| -> Vec<String> {
            self.players().filter(matching).map(|peer| peer.name.clone()).collect()
        };
        let unready = names(|peer| !peer.is_ready && !peer.is_in_match);
        let playing = names(|peer| peer.is_in_match);
        if seats > u32::from(self.max_players) {
            Some(StartBlocker::TooMany { max: self.max_players })
        } else if seats < u32::from(self.min_players) && self.unreachable > 0 {
            Some(StartBlocker::Unreachable { players: self.unreachable })
        } else if seats < u32::from(self.min_players) && self.is_out_of_connections {
            Some(StartBlocker::OutOfConnections)
        } else if seats < u32::from(self.min_players) {
            Some(StartBlocker::TooFew { missing: self.min_players - seats as u8 })
        } else if !playing.is_empty() {
            Some(StartBlocker::OthersInMatch { names: playing })
        } else if !self.is_ready {
            Some(StartBlocker::NotReady)
        } else if !unready.is_empty() {
            Some(StartBlocker::OthersNotReady { names: unready })
        } else {
            self.missing_link().map(|names| StartBlocker::OutOfReach { names })
        }
    }

    /// Two players that have no connection to each other, if there are any: a match needs one
    /// between every two of its players.
    fn missing_link(&self) -> Option<[String; 2]> {
        for peer in self.players() {
            // It cannot see us, or it sees a peer that we do not.
            let is_stranger = |&id: &PeerId| {
                Some(id) != self.local_id && self.peers.iter().all(|known| known.id != id)
            };
            if self.local_id.is_some_and(|local| !peer.reaches.contains(&local)) {
                return Some(["you".into(), peer.name.clone()]);
            }
            if peer.reaches.iter().any(is_stranger) {
                return Some(["you".into(), format!("a player connected to {}", peer.name)]);
            }
            for other in self.players().filter(|other| other.id != peer.id) {
                if !peer.reaches.contains(&other.id) {
                    return Some([peer.name.clone(), other.name.clone()]);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: PeerId = PeerId::from_u128(1);

    fn peer(is_ready: bool, seats: u8) -> LobbyPeer {
        LobbyPeer {
            id: PeerId::from_u128(9),
            name: "Bo".into(),
            is_ready,
            seats,
            is_in_match: false,
            is_spectator: false,
            is_hidden: false,
            is_quiet: false,
            refusal: None,
            reaches: vec![LOCAL],
            rtt: None,
            jitter: Duration::ZERO,
            route: Route::Unknown,
        }
    }

    fn lobby(is_ready: bool, peers: Vec<LobbyPeer>) -> Lobby {
        let local_id = Some(LOCAL);
        Lobby { local_id, local_seats: 1, is_ready, peers, ..Lobby::for_seats(2, 4) }
    }

    #[test]
    fn players_that_cannot_reach_each_other_are_named() {
        let (bo, cy) = (PeerId::from_u128(9), PeerId::from_u128(10));
        let all = |of_bo: &[PeerId], of_cy: &[PeerId]| {
            let bo = LobbyPeer { id: bo, reaches: of_bo.to_vec(), ..peer(true, 1) };
            let cy = LobbyPeer { id: cy, name: "Cy".into(), reaches: of_cy.to_vec(), ..bo.clone() };
            lobby(true, vec![bo, cy])
        };
        let names = |lobby: Lobby| match lobby.blocker() {
            Some(StartBlocker::OutOfReach { names }) => names,
            other => panic!("{other:?}"),
        };
        assert_eq!(all(&[LOCAL, cy], &[LOCAL, bo]).blocker(), None);
        assert_eq!(names(all(&[LOCAL], &[LOCAL])), ["Bo", "Cy"]);
        assert_eq!(names(all(&[LOCAL, cy], &[bo])), ["you", "Cy"]);
        let mut without_cy = all(&[LOCAL, cy], &[bo]);
        without_cy.peers.pop();
        assert_eq!(names(without_cy), ["you", "a player connected to Bo"]);
    }

    #[test]
    fn the_blocker_is_what_is_missing() {
        assert_eq!(
            lobby(true, vec![]).blocker().map(|blocker| blocker.to_string()),
            Some("waiting for 1 more player".into())
        );
        let lonely = Lobby { is_out_of_connections: true, ..lobby(true, vec![]) };
        assert_eq!(lonely.blocker(), Some(StartBlocker::OutOfConnections));
        assert_eq!(
            lobby(true, vec![peer(true, 4)]).blocker(),
            Some(StartBlocker::TooMany { max: 4 })
        );
        assert_eq!(lobby(false, vec![peer(true, 1)]).blocker(), Some(StartBlocker::NotReady));
        assert_eq!(
            lobby(true, vec![peer(false, 1)]).blocker().map(|blocker| blocker.to_string()),
            Some("waiting for Bo to get ready".into())
        );
        assert_eq!(lobby(true, vec![peer(true, 3)]).blocker(), None);
    }

    #[test]
    fn a_player_that_does_not_answer_is_named() {
        let names = vec!["Bo".to_owned()];
        let silent = Some(StartBlocker::NoAnswer { names: names.clone() });
        let awaited = Lobby { awaited: names, ..lobby(true, vec![peer(true, 1)]) };
        assert_eq!((awaited.obstacle(), awaited.blocker()), (None, silent.clone()));
        let refusal = Some(Refusal::NoAnswer { name: "Bo".into() });
        let counted_out = LobbyPeer { refusal, ..peer(true, 1) };
        assert_eq!(lobby(true, vec![counted_out.clone()]).blocker(), silent);
        let another = LobbyPeer { id: PeerId::from_u128(10), ..peer(true, 1) };
        assert_eq!(lobby(true, vec![counted_out, another]).blocker(), None, "it starts without");
    }

    #[test]
    fn a_spectator_is_not_waited_for_and_has_no_seat() {
        let spectator = LobbyPeer { is_spectator: true, reaches: Vec::new(), ..peer(false, 4) };
        let player = LobbyPeer { id: PeerId::from_u128(10), ..peer(true, 1) };
        let room = lobby(true, vec![spectator.clone(), player]);
        assert_eq!((room.seats(), room.blocker()), (2, None));
        let missing = Some(StartBlocker::TooFew { missing: 1 });
        assert_eq!(lobby(true, vec![spectator]).blocker(), missing);
        let looks_on = Lobby { is_spectator: true, ..room };
        assert_eq!((looks_on.seats(), looks_on.blocker()), (1, Some(StartBlocker::Spectating)));
    }

    #[test]
    fn the_mean_round_trip_time_is_that_of_the_peers_measured_so_far() {
        let measured = |ms| LobbyPeer { rtt: Some(Duration::from_millis(ms)), ..peer(true, 1) };
        assert_eq!(lobby(true, vec![peer(true, 1)]).mean_rtt(), None);
        let some = lobby(true, vec![measured(10), peer(true, 1), measured(30)]);
        assert_eq!(some.mean_rtt(), Some(Duration::from_millis(20)));
    }

    #[test]
    fn a_peer_that_does_not_fit_does_not_count() {
        let refused = LobbyPeer { refusal: Some(Refusal::OtherProtocol), ..peer(true, 1) };
        assert_eq!(lobby(true, vec![refused]).blocker(), Some(StartBlocker::TooFew { missing: 1 }));
    }
}
