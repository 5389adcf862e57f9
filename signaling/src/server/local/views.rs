//! The newest state of each room, for the peers that have not seen it yet. Pure.
//!
//! Each change of a room is shown to everybody in it, and a stranger that joins and leaves changes
//! it twice. So the state of a room is sent at a bounded rate: at once after a pause, and otherwise
//! the newest state as soon as the rate allows it.

use std::collections::HashMap;

use tokio::time::Instant;
use tungstenite::Utf8Bytes;

use crate::{
    protocol::PeerId,
    server::{
        limits::{Bucket, Rate},
        room::RoomId,
    },
};

/// How often the peers of a room are sent its state. The number at once covers everything that
/// happens within a moment in a lobby of friends. After that, a state waits for at most 200 ms,
/// which nobody notices.
const RATE: Rate = Rate { per_second: 5, at_once: 8 };

/// The rooms that changed a moment ago.
#[derive(Debug, Default)]
pub(super) struct Views {
    rooms: HashMap<RoomId, Recent>,
}

#[derive(Debug)]
struct Recent {
    shown: Bucket,
    waiting: Option<View>,
}

/// A state of a room, as a complete message, for these peers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) to: Vec<PeerId>,
    pub(super) state: Utf8Bytes,
}

impl Views {
    /// Returns whether no state is waiting and the limit of every room is unused again.
    pub(super) fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// Takes a new state, which replaces one that is waiting. Returns the state if it is to be sent
    /// at once.
    pub(super) fn add(&mut self, room: &RoomId, mut view: View, now: Instant) -> Option<View> {
        let fresh = || Recent { shown: Bucket::new(now), waiting: None };
        let recent = self.rooms.entry(room.clone()).or_insert_with(fresh);
        // These peers have not seen the earlier state either.
        let before = recent.waiting.take().map(|before| before.to).unwrap_or_default();
        let others = before.into_iter().filter(|peer| !view.to.contains(peer)).collect::<Vec<_>>();
        view.to.extend(others);
        if recent.shown.try_use(RATE, now) {
            return Some(view);
        }
        recent.waiting = Some(view);
        None
    }

    /// Notes that these peers have been sent a newer state of the room, so they no longer wait for
    /// one.
    pub(super) fn forget(&mut self, room: &RoomId, peers: &[PeerId]) {
        let Some(recent) = self.rooms.get_mut(room) else { return };
        if let Some(waiting) = &mut recent.waiting {
            waiting.to.retain(|peer| !peers.contains(peer));
        }
        recent.waiting.take_if(|waiting| waiting.to.is_empty());
    }

    /// Takes the states that are due.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(RoomId, View)> {
        let mut due = Vec::new();
        self.rooms.retain(|room, Recent { shown, waiting }| {
            if waiting.is_some() && shown.try_use(RATE, now) {
                due.extend(waiting.take().map(|view| (room.clone(), view)));
            }
            waiting.is_some() || !shown.is_empty(now)
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ANN: PeerId = PeerId::from_u128(1);
    const BOB: PeerId = PeerId::from_u128(2);

    fn room(name: &str) -> RoomId {
        RoomId(name.into())
    }

    fn view(to: &[PeerId], state: &str) -> View {
        View { to: to.to_vec(), state: Utf8Bytes::from(state) }
    }

    /// Uses up the number that is shown at once.
    fn tire(views: &mut Views, now: Instant) {
        for number in 0..RATE.at_once {
            let state = number.to_string();
            assert_eq!(
                views.add(&room("den"), view(&[ANN], &state), now),
                Some(view(&[ANN], &state))
            );
        }
    }

    #[test]
    fn a_waiting_state_is_not_for_peers_that_were_shown_a_newer_one() {
        let (mut views, start) = (Views::default(), Instant::now());
        tire(&mut views, start);
        assert_eq!(views.add(&room("den"), view(&[ANN, BOB], "a"), start), None);
        views.forget(&room("den"), &[BOB]);
        let later = start + Duration::from_millis(200);
        assert_eq!(views.take_due(later), [(room("den"), view(&[ANN], "a"))]);
        assert_eq!(views.add(&room("den"), view(&[ANN], "b"), later), None);
        views.forget(&room("den"), &[ANN]);
        let end = later + Duration::from_secs(60);
        assert_eq!(views.take_due(end), []);
        assert!(views.is_empty());
    }

    #[test]
    fn only_the_newest_of_many_states_is_shown_when_it_is_due() {
        let (mut views, start) = (Views::default(), Instant::now());
        tire(&mut views, start);
        for state in ["a", "b", "c"] {
            assert_eq!(views.add(&room("den"), view(&[ANN], state), start), None);
        }
        assert_eq!(views.take_due(start), []);
        let later = start + RATE.time_for(1);
        assert_eq!(views.take_due(later), [(room("den"), view(&[ANN], "c"))]);
        assert_eq!(views.take_due(later + Duration::from_secs(1)), [], "once");
    }

    #[test]
    fn each_room_has_its_own_rate() {
        let (mut views, start) = (Views::default(), Instant::now());
        tire(&mut views, start);
        assert_eq!(views.add(&room("other"), view(&[BOB], "b"), start), Some(view(&[BOB], "b")));
    }

    #[test]
    fn a_peer_that_waits_for_a_state_also_gets_the_next_one() {
        let (mut views, start) = (Views::default(), Instant::now());
        tire(&mut views, start);
        assert_eq!(views.add(&room("den"), view(&[ANN], "a"), start), None);
        assert_eq!(views.add(&room("den"), view(&[BOB], "b"), start), None);
        let later = start + RATE.time_for(1);
        let shown = views.add(&room("den"), view(&[BOB], "c"), later);
        assert_eq!(shown, Some(view(&[BOB, ANN], "c")));
    }

    #[test]
    fn nothing_is_kept_for_an_unchanging_room() {
        let (mut views, start) = (Views::default(), Instant::now());
        tire(&mut views, start);
        views.add(&room("den"), view(&[ANN], "a"), start);
        assert!(!views.is_empty());
        views.take_due(start + RATE.time_for(1));
        views.take_due(start + Duration::from_secs(3));
        assert!(views.is_empty());
    }
}
