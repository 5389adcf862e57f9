//! Players who leave, drop out and come back: the sentences about that during a match, and the
//! marks after it.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use netcode::RosterSeat;
use netcode::prelude::*;

use super::widgets::{listed, shortened};
use crate::sim::tuning::FPS;
use crate::sim::{SeatTime, SeatTimes};

/// Frames for which a sentence is shown: four seconds.
const SHOWN: u32 = 4 * FPS as u32;
/// Length of the longest name in a sentence.
const NAME_SHOWN: usize = 16;

/// What happened to the player of a seat, in the order in which it is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum SeatEvent {
    /// A player on this machine is back after this number of frames.
    WeReturned(u32),
    Lost,
    Left,
    GivenUp,
    Returned,
}

impl SeatEvent {
    /// The last event in a seat, as far as it is told.
    fn of(seat: &RosterSeat, time: SeatTime) -> Option<Self> {
        match (time.before?, time.state) {
            ((SeatState::Away, since), SeatState::Peer) if seat.is_local => {
                Some(Self::WeReturned(time.since - since))
            }
            ((SeatState::Away | SeatState::Empty, _), SeatState::Peer) => Some(Self::Returned),
            // Of our own absence we learn only once we are back.
            _ if seat.is_local => None,
            ((SeatState::Peer, _), SeatState::Away) => Some(Self::Lost),
            ((SeatState::Peer, _), SeatState::Empty) => Some(Self::Left),
            ((SeatState::Away, _), SeatState::Empty) => Some(Self::GivenUp),
            _ => None,
        }
    }

    /// Says that it happened to these players, of whom there is at least one.
    fn sentence(self, names: &[String]) -> String {
        let all = listed(names);
        let is_one = names.len() == 1;
        let bots = if is_one { "A bot flies on." } else { "Bots fly on." };
        match self {
            Self::WeReturned(frames) => {
                format!("You were away for {:.1} s.", frames as f32 / f32::from(FPS))
            }
            Self::Lost => format!("{all} lost the connection. {bots}"),
            Self::Left => format!("{all} left. {bots}"),
            Self::GivenUp => format!("{all} did not come back."),
            Self::Returned => format!("{all} {} back.", if is_one { "is" } else { "are" }),
        }
    }
}

/// What to say about the players in the frame that is drawn.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct SeatNews {
    /// One line for each kind of event.
    pub(super) lines: String,
    /// Whether nobody was lost.
    pub(super) is_good: bool,
}

impl SeatNews {
    /// The news in `frame`, if there are any.
    pub(super) fn of(seats: &[RosterSeat], times: &SeatTimes, frame: u32) -> Option<Self> {
        let ours = seats.iter().filter(|seat| seat.is_local).map(|seat| times.of(seat.seat));
        let mut ours = ours.filter(|time| time.state == SeatState::Peer);
        let our_absence = ours.find_map(|time| Some(time.before?.1..time.since));
        let is_news = |since: u32| {
            // What happened while we were away passed too fast to be read.
            let missed = our_absence.as_ref().filter(|absence| absence.contains(&since));
            frame.saturating_sub(missed.map_or(since, |absence| absence.end)) < SHOWN
        };
        let mut events = BTreeMap::<SeatEvent, Vec<String>>::new();
        for seat in seats {
            let time = times.of(seat.seat);
            if let Some(event) = SeatEvent::of(seat, time).filter(|_| is_news(time.since)) {
                events.entry(event).or_default().push(shortened(&seat.name, NAME_SHOWN));
            }
        }
        let lines: Vec<_> = events.iter().map(|(event, names)| event.sentence(names)).collect();
        let is_good = events.keys().all(|&event| event == SeatEvent::Returned);
        (!lines.is_empty()).then(|| Self { lines: lines.join("\n"), is_good })
    }
}

/// The seconds for which a seat that is kept for its player will still be kept.
pub(super) fn kept_for(time: SeatTime, frame: u32, config: &NetcodeConfig) -> u64 {
    let passed = u64::from(frame.saturating_sub(time.since)) / u64::from(FPS);
    config.seat_hold.as_secs().saturating_sub(passed)
}

/// How a player was missing when the match ended, and from which frame on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Absence {
    /// The player left.
    Left(u32),
    /// The player lost the connection, and did not come back in time.
    Gone(u32),
    /// The player lost the connection, and could have come back.
    Away(u32),
}

impl Absence {
    /// The absence of a seat's player, if there is one.
    pub(super) fn of(time: SeatTime) -> Option<Self> {
        match (time.state, time.before) {
            (SeatState::Away, _) => Some(Self::Away(time.since)),
            (SeatState::Empty, Some((SeatState::Away, since))) => Some(Self::Gone(since)),
            (SeatState::Empty, _) => Some(Self::Left(time.since)),
            _ => None,
        }
    }

    /// The mark behind a name.
    pub(super) const fn mark(self) -> &'static str {
        match self {
            Self::Left(_) | Self::Gone(_) => "(left)",
            Self::Away(_) => "(away)",
        }
    }
}

/// "left at 1:23", by the time since the first frame of the match.
impl Display for Absence {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (words, frame) = match *self {
            Self::Left(frame) => ("left at", frame),
            Self::Gone(frame) => ("gone since", frame),
            Self::Away(frame) => ("away since", frame),
        };
        let seconds = frame / u32::from(FPS);
        write!(f, "{words} {}:{:02}", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use SeatState::{Away, Empty, Peer};

    use super::*;

    /// The seats of a match whose players are named like this. The first one is ours.
    fn seats() -> Vec<RosterSeat> {
        let seat = |(number, name): (u8, &str)| RosterSeat {
            seat: Seat(number),
            state: Peer,
            name: name.into(),
            peer: None,
            is_local: number == 0,
        };
        (0..).zip(["Ann", "Bartholomew Longname", "Cleo", "Dan"]).map(seat).collect()
    }

    /// A match whose seats have these states from these frames on.
    fn times(changes: &[(u32, [SeatState; 4])]) -> SeatTimes {
        let start = SeatTimes::at_start([Peer; 4]);
        changes.iter().fold(start, |times, &(frame, states)| times.changed_at(frame, states))
    }

    /// The lines in `frame`; empty if there are none.
    fn lines(changes: &[(u32, [SeatState; 4])], frame: u32) -> String {
        SeatNews::of(&seats(), &times(changes), frame).map_or_else(String::new, |news| news.lines)
    }

    const FIRST: [SeatState; 4] = [Peer, Away, Peer, Peer];

    #[test]
    fn each_event_has_its_sentence() {
        let lost = (100, FIRST);
        let all = (292, [Peer; 4]);
        for (changes, words) in [
            (vec![lost], "Bartholomew Lo.. lost the connection. A bot flies on."),
            (vec![(100, [Peer, Peer, Empty, Peer])], "Cleo left. A bot flies on."),
            (vec![lost, (160, [Peer, Empty, Peer, Peer])], "Bartholomew Lo.. did not come back."),
            (vec![lost, all], "Bartholomew Lo.. is back."),
            (vec![(100, [Away, Peer, Peer, Peer])], ""),
            (vec![(100, [Away, Peer, Peer, Peer]), all], "You were away for 3.2 s."),
            (vec![(100, [Away, Peer, Peer, Peer]), (160, [Empty, Peer, Peer, Peer])], ""),
            (vec![], ""),
        ] {
            let frame = changes.last().map_or(0, |&(frame, _)| frame + 1);
            assert_eq!(lines(&changes, frame), words, "{changes:?}");
        }
    }

    #[test]
    fn everybody_who_was_lost_at_once_is_named() {
        let lost = [Peer, Away, Peer, Away];
        assert_eq!(
            lines(&[(100, lost)], 101),
            "Bartholomew Lo.. and Dan lost the connection. Bots fly on."
        );
        assert_eq!(
            lines(&[(100, lost), (200, [Peer, Empty, Peer, Empty])], 201),
            "Bartholomew Lo.. and Dan did not come back."
        );
        assert_eq!(
            lines(&[(100, lost), (200, [Peer; 4])], 201),
            "Bartholomew Lo.. and Dan are back."
        );
        assert_eq!(
            lines(&[(100, [Peer, Empty, Empty, Empty])], 101),
            "Bartholomew Lo.., Cleo and Dan left. Bots fly on."
        );
    }

    #[test]
    fn different_events_at_once_have_a_line_each() {
        let changes = [(100, FIRST), (150, [Peer, Peer, Empty, Away])];
        assert_eq!(
            lines(&changes, 151),
            "Dan lost the connection. A bot flies on.\n\
             Cleo left. A bot flies on.\n\
             Bartholomew Lo.. is back."
        );
    }

    #[test]
    fn news_is_shown_for_four_seconds_from_its_own_frame_on() {
        let changes = [(100, FIRST)];
        assert_ne!(lines(&changes, 109), "", "a machine that catches up draws later frames");
        assert_ne!(lines(&changes, 339), "");
        assert_eq!(lines(&changes, 340), "");
        let later = [(100, FIRST), (200, [Peer, Away, Empty, Peer])];
        assert_eq!(lines(&later, 339).lines().count(), 2);
        assert_eq!(lines(&later, 340), "Cleo left. A bot flies on.");
        assert_eq!(lines(&later, 440), "");
    }

    #[test]
    fn a_player_who_was_away_learns_what_happened_meanwhile() {
        let changes = [
            (100, [Away, Peer, Peer, Peer]),
            (160, [Away, Peer, Empty, Peer]),
            (1000, [Peer, Peer, Empty, Peer]),
        ];
        let words = "You were away for 15.0 s.\nCleo left. A bot flies on.";
        assert_eq!(lines(&changes, 1001), words);
        assert_eq!(lines(&changes, 1239), words);
        assert_eq!(lines(&changes, 1240), "");
        let before = [(90, [Peer, Peer, Empty, Peer]), changes[1], changes[2]];
        assert_eq!(lines(&before, 1001), "You were away for 14.0 s.", "that was seen before");
    }

    #[test]
    fn only_a_return_is_good_news() {
        let is_good = |changes: &[(u32, [SeatState; 4])], frame| {
            SeatNews::of(&seats(), &times(changes), frame).map(|news| news.is_good)
        };
        assert_eq!(is_good(&[(100, FIRST)], 101), Some(false));
        assert_eq!(is_good(&[(100, FIRST), (110, [Peer; 4])], 111), Some(true));
        assert_eq!(is_good(&[(100, FIRST), (110, [Peer, Peer, Empty, Peer])], 111), Some(false));
    }

    #[test]
    fn a_seat_is_kept_for_as_long_as_configured() {
        let config = NetcodeConfig::default();
        let time = times(&[(100, FIRST)]).of(Seat(1));
        let left = |frame| kept_for(time, frame, &config);
        assert_eq!([100, 159, 160, 1899, 1900, 9999].map(left), [30, 30, 29, 1, 0, 0]);
    }

    #[test]
    fn an_absence_has_a_mark_and_the_time_of_its_beginning() {
        let shown = |changes: &[(u32, [SeatState; 4])]| {
            let absence = Absence::of(times(changes).of(Seat(1)));
            absence.map(|absence| (absence.mark(), absence.to_string()))
        };
        let away = (48 * 60 + 59, FIRST);
        assert_eq!(shown(&[]), None);
        assert_eq!(shown(&[(9, [Peer, Peer, Empty, Away])]), None);
        assert_eq!(shown(&[away]), Some(("(away)", "away since 0:48".into())));
        assert_eq!(shown(&[away, (9_000, [Peer; 4])]), None, "it came back");
        let left = (83 * 60, [Peer, Empty, Peer, Peer]);
        assert_eq!(shown(&[left]), Some(("(left)", "left at 1:23".into())));
        assert_eq!(shown(&[away, left]), Some(("(left)", "gone since 0:48".into())));
        let late = (60 * (10 * 60 + 5), [Peer, Empty, Peer, Peer]);
        assert_eq!(shown(&[late]), Some(("(left)", "left at 10:05".into())));
    }
}
