//! What the plugin reports to the server about the room, without being asked by the game. Pure.
//!
//! The server lists rooms, so it has to know which players are ready and whether a match is
//! running. The peers agree on that among themselves; the code here passes it on to the server.

use std::time::Duration;

use bevy::prelude::Resource;
use signaling::{
    lobby::{Denial, Place, RoomPhase, RoomRequest, RoomState},
    protocol::PeerId,
};

/// A request is repeated at this interval until the server fulfils it.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// What the plugin last asked for on its own, and when.
#[derive(Resource, Clone, Debug, Default)]
pub(crate) struct Mirror {
    asked: Option<(RoomRequest, Duration)>,
}

impl Mirror {
    /// Returns whether it is time to send this request; if so, notes that it is sent now.
    pub(crate) fn is_due(&mut self, now: Duration, wish: Option<&RoomRequest>) -> bool {
        let Some(wish) = wish else { return false };
        let waits = self
            .asked
            .as_ref()
            .is_some_and(|(asked, at)| asked == wish && now.saturating_sub(*at) < ASK_EVERY);
        if !waits {
            self.asked = Some((wish.clone(), now));
        }
        !waits
    }

    /// Returns whether a denial answers a request that the plugin made on its own. Players need not
    /// see such a denial: the plugin asks again.
    pub(super) fn explains(&self, now: Duration, denial: Denial) -> bool {
        let Some((asked, at)) = &self.asked else { return false };
        let is_of_it = match asked {
            RoomRequest::Start => matches!(denial, Denial::NotReady | Denial::Playing),
            RoomRequest::Finish => denial == Denial::NotPlaying,
            RoomRequest::Rename(_) => denial == Denial::BadName,
            _ => false,
        };
        is_of_it && now.saturating_sub(*at) < ASK_EVERY
    }
}

/// What the peers have agreed on and the server should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed<'a> {
    pub(crate) local: PeerId,
    pub(crate) name: &'a str,
    /// We want to play.
    pub(crate) is_ready: bool,
    /// A match starts or runs.
    pub(crate) is_playing: bool,
    pub(crate) is_running: bool,
    /// The owner of the room has reported that it wants to play, or that it plays.
    pub(crate) is_owner_ready: bool,
    /// Another peer is still in a match.
    pub(crate) do_others_play: bool,
}

/// The next request that brings the server's view of the room up to date, if one is needed.
pub(crate) fn wish(room: &RoomState, agreed: &Agreed) -> Option<RoomRequest> {
    let us = room.member(agreed.local)?;
    // A room of strangers has no owner: each player in it may report how their match is going.
    let has_owner = room.owner.is_some();
    let is_leader = match room.owner {
        Some(owner) => owner == agreed.local,
        None => us.place == Place::Player,
    };
    if us.name != agreed.name {
        return Some(RoomRequest::Rename(agreed.name.to_owned()));
    }
    let owner = room.owner.and_then(|owner| room.member(owner));
    // An owner that spectates starts the match, too.
    let does_owner_look_on = owner.is_some_and(|owner| owner.place == Place::Spectator);
    match room.phase {
        RoomPhase::Lobby if us.place == Place::Player => {
            // A player whose match has begun is not ready for the next one, but the server starts
            // this one only if all are ready. A match is over when the owner has left it; among
            // strangers, when all other peers have.
            let is_ready = if agreed.is_playing {
                let is_of_match = if has_owner { is_leader } else { agreed.do_others_play };
                is_of_match || agreed.is_owner_ready || does_owner_look_on
            } else {
                agreed.is_ready
            };
            if us.is_ready != is_ready {
                return Some(RoomRequest::SetReady(is_ready));
            }
            (is_leader && agreed.is_running && room.is_ready()).then_some(RoomRequest::Start)
        }
        RoomPhase::Lobby if is_leader && agreed.do_others_play && room.is_ready() => {
            Some(RoomRequest::Start)
        }
        RoomPhase::Playing if is_leader && !agreed.is_playing && !agreed.do_others_play => {
            Some(RoomRequest::Finish)
        }
        RoomPhase::Lobby | RoomPhase::Playing => None,
    }
}

#[cfg(test)]
mod tests {
    use signaling::lobby::RoomMember;

    use super::*;

    const ANN: PeerId = PeerId::from_u128(1);
    const BOB: PeerId = PeerId::from_u128(2);

    /// Ann's room, with Bob in it.
    fn room(phase: RoomPhase, ready: [bool; 2]) -> RoomState {
        let member = |(id, is_ready)| RoomMember {
            id,
            name: String::new(),
            place: Place::Player,
            is_ready,
            is_here: true,
        };
        RoomState {
            name: "den".into(),
            game: String::new(),
            version: String::new(),
            is_public: true,
            is_locked: false,
            phase,
            capacity: 4,
            spectators: 0,
            owner: Some(ANN),
            members: [ANN, BOB].into_iter().zip(ready).map(member).collect(),
        }
    }

    fn in_lobby(local: PeerId, is_ready: bool) -> Agreed<'static> {
        Agreed {
            local,
            name: "",
            is_ready,
            is_playing: false,
            is_running: false,
            is_owner_ready: false,
            do_others_play: false,
        }
    }

    fn in_match(local: PeerId) -> Agreed<'static> {
        Agreed {
            is_playing: true,
            is_running: true,
            is_owner_ready: local != ANN,
            do_others_play: true,
            ..in_lobby(local, false)
        }
    }

    #[test]
    fn the_server_learns_which_players_are_ready() {
        use RoomPhase::Lobby;
        use RoomRequest::SetReady;
        let [none, bob] = [[false, false], [false, true]].map(|ready| room(Lobby, ready));
        assert_eq!(wish(&none, &in_lobby(BOB, true)), Some(SetReady(true)));
        assert_eq!(wish(&bob, &in_lobby(BOB, true)), None);
        assert_eq!(wish(&bob, &in_lobby(BOB, false)), Some(SetReady(false)));
        assert_eq!(wish(&none, &in_lobby(PeerId::from_u128(3), true)), None, "a stranger");
        let mut looks_on = none;
        looks_on.members[1].place = Place::Spectator;
        assert_eq!(wish(&looks_on, &in_lobby(BOB, true)), None);
    }

    #[test]
    fn the_owner_starts_once_the_match_runs_and_all_are_ready() {
        use RoomPhase::{Lobby, Playing};
        let ready = room(Lobby, [true, true]);
        assert_eq!(wish(&ready, &in_lobby(ANN, true)), None, "no match runs yet");
        let starting = Agreed { is_running: false, ..in_match(ANN) };
        assert_eq!(wish(&ready, &starting), None);
        assert_eq!(wish(&ready, &in_match(ANN)), Some(RoomRequest::Start));
        assert_eq!(wish(&ready, &in_match(BOB)), None, "only the owner starts the match");
        let late = room(Lobby, [true, false]);
        assert_eq!(wish(&late, &in_match(ANN)), None);
        assert_eq!(wish(&late, &in_match(BOB)), Some(RoomRequest::SetReady(true)));
        assert_eq!(wish(&room(Playing, [true, true]), &in_match(ANN)), None);
    }

    #[test]
    fn a_spectating_owner_starts_once_all_players_are_ready() {
        let mut room = room(RoomPhase::Lobby, [false, true]);
        room.members[0].place = Place::Spectator;
        let looks_on = in_lobby(ANN, false);
        assert_eq!(wish(&room, &looks_on), None);
        let others_play = Agreed { do_others_play: true, ..looks_on };
        assert_eq!(wish(&room, &others_play), Some(RoomRequest::Start));
        let does_not_know = Agreed { is_owner_ready: false, ..in_match(BOB) };
        assert_eq!(wish(&room, &does_not_know), None, "Bob stays ready");
        room.members[1].is_ready = false;
        assert_eq!(wish(&room, &others_play), None);
    }

    #[test]
    fn the_owner_finishes_once_all_have_left_the_match() {
        use RoomPhase::{Lobby, Playing};
        let playing = room(Playing, [true, true]);
        let others_play = Agreed { do_others_play: true, ..in_lobby(ANN, false) };
        assert_eq!(wish(&playing, &others_play), None);
        assert_eq!(wish(&playing, &in_lobby(ANN, false)), Some(RoomRequest::Finish));
        assert_eq!(wish(&playing, &in_lobby(BOB, true)), None);
        let finished = Agreed { is_owner_ready: false, ..in_match(BOB) };
        assert_eq!(wish(&room(Lobby, [false, false]), &finished), None, "Bob is about to leave it");
    }

    #[test]
    fn each_stranger_in_a_match_reports_how_the_match_is_going() {
        use RoomPhase::{Lobby, Playing};
        let among_strangers = |phase, ready| RoomState { owner: None, ..room(phase, ready) };
        let ready = among_strangers(Lobby, [true, true]);
        let playing = among_strangers(Playing, [true, true]);
        for peer in [ANN, BOB] {
            let in_match = Agreed { is_owner_ready: false, ..in_match(peer) };
            assert_eq!(wish(&ready, &in_match), Some(RoomRequest::Start));
            assert_eq!(wish(&playing, &in_match), None);
            let none = among_strangers(Lobby, [false, false]);
            assert_eq!(wish(&none, &in_match), Some(RoomRequest::SetReady(true)));
            let last = Agreed { do_others_play: false, ..in_match };
            assert_eq!(wish(&none, &last), None, "the other peers have left it");
            assert_eq!(wish(&playing, &in_lobby(peer, true)), Some(RoomRequest::Finish));
        }
        let mut looks_on = playing;
        looks_on.members[0].place = Place::Spectator;
        assert_eq!(wish(&looks_on, &in_lobby(ANN, false)), None);
    }

    #[test]
    fn a_new_name_is_reported_to_the_server() {
        let room = room(RoomPhase::Lobby, [false, false]);
        let renamed = Agreed { name: "Ada", ..in_lobby(BOB, false) };
        assert_eq!(wish(&room, &renamed), Some(RoomRequest::Rename("Ada".into())));
    }

    #[test]
    fn an_unfulfilled_request_is_repeated_after_a_while() {
        let mut mirror = Mirror::default();
        let at = Duration::from_millis;
        let start = Some(&RoomRequest::Start);
        assert!(mirror.is_due(at(0), start));
        assert!(!mirror.is_due(at(1900), start));
        assert!(mirror.is_due(at(1950), Some(&RoomRequest::Finish)));
        assert!(mirror.is_due(at(2000), start) && mirror.is_due(at(4000), start));
        assert!(!mirror.is_due(at(9000), None));
        assert!(!mirror.explains(at(5000), Denial::NotPlaying), "that was an earlier request");
        assert!(mirror.explains(at(5000), Denial::NotReady));
        assert!(!mirror.explains(at(5000), Denial::NotOwner), "the game asked for that");
        assert!(!mirror.explains(at(9000), Denial::NotReady));
    }
}
