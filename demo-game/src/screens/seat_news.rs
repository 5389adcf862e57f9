//! Players who come and go during a match: since when each seat has been nobody's, and the sentence
//! about what happened last.

use bevy::prelude::*;
use netcode::RosterSeat;
use netcode::prelude::*;

use super::widgets::shortened;
use crate::sim::tuning::FPS;

/// Frames for which a sentence is shown: four seconds.
const SHOWN: u32 = 4 * FPS as u32;
/// Length of the longest name in a sentence.
const NAME_SHOWN: usize = 16;

/// What is known of the players of this match.
///
/// It follows the roster of the newest frame rather than the messages about changes, which come
/// again whenever their frame is simulated again.
#[derive(Resource, Default, Debug)]
pub(super) struct SeatNews {
    /// The state of each seat, and the frame in which it was new.
    seats: Vec<(SeatState, u32)>,
    /// The last sentence, and the frame in which it was new.
    sentence: Option<(String, u32)>,
}

impl SeatNews {
    /// Takes the roster of a frame.
    fn follow(&mut self, frame: u32, roster: &Roster) {
        let states = roster.seats().iter().map(|seat| (seat.state, frame));
        let is_other_match = self.seats.len() != roster.seats().len()
            || self.seats.iter().any(|&(_, since)| since > frame);
        if is_other_match {
            *self = Self { seats: states.collect(), sentence: None };
            return;
        }
        for (seat, (state, since)) in roster.seats().iter().zip(&mut self.seats) {
            if *state == seat.state {
                continue;
            }
            let sentence = sentence(seat, *state, frame.saturating_sub(*since));
            self.sentence = sentence.map(|sentence| (sentence, frame)).or(self.sentence.take());
            (*state, *since) = (seat.state, frame);
        }
    }

    /// The seconds for which a seat that is kept for its player will still be kept.
    pub(super) fn kept_for(&self, seat: Seat, frame: u32, config: &NetcodeConfig) -> u64 {
        let since = self.seats.get(seat.index()).map_or(frame, |&(_, since)| since);
        let passed = u64::from(frame.saturating_sub(since)) / u64::from(FPS);
        config.seat_hold.as_secs().saturating_sub(passed)
    }

    /// The sentence about what happened last, while it is news.
    pub(super) fn sentence(&self, frame: u32) -> Option<&str> {
        let (sentence, since) = self.sentence.as_ref()?;
        (frame.saturating_sub(*since) < SHOWN).then_some(sentence)
    }
}

/// What to say of a seat that was in another state for a number of frames.
fn sentence(seat: &RosterSeat, before: SeatState, frames: u32) -> Option<String> {
    let name = shortened(&seat.name, NAME_SHOWN);
    let seconds = frames as f32 / f32::from(FPS);
    match (before, seat.state) {
        (SeatState::Away, SeatState::Peer) if seat.is_local => {
            Some(format!("You were away for {seconds:.1} s."))
        }
        (_, SeatState::Peer) => Some(format!("{name} is back.")),
        (SeatState::Peer, SeatState::Away) if !seat.is_local => {
            Some(format!("{name} lost the connection. A bot flies on."))
        }
        (SeatState::Peer, SeatState::Empty) => Some(format!("{name} left. A bot flies on.")),
        (SeatState::Away, SeatState::Empty) => Some(format!("{name} did not come back.")),
        _ => None,
    }
}

/// Follows the roster while a match is on the screen.
pub(super) fn follow_roster(frame: Res<SimFrame>, roster: Res<Roster>, mut news: ResMut<SeatNews>) {
    news.follow(frame.0, &roster);
}
