//! How a match ends on this machine, and what is left of it then.
//!
//! A match that the game finishes stays at its last frame until the peers have compared that frame,
//! for two seconds at most. Its world stays for [`FinishedMatch`] to read, until another match
//! begins or the room is left.

use std::time::Duration;

use bevy::prelude::{Real, Resource, Time, World};
use signaling::protocol::PeerId;

use super::Session;
use crate::{
    checksum::ChecksumLog,
    config::NetcodeConfig,
    frame::SimFrame,
    input::GameInput,
    membership::{Connection, EndReason, Roster, SessionState},
    pacing::DueSteps,
    rollback::RollbackStore,
    schedules::FinishedMatch,
    scoped::Scoped,
};

/// A peer that is gone, or sends no hashes, holds up the end of the match for no longer than this.
const COMPARED_WITHIN: Duration = Duration::from_secs(2);
/// The part of that time in which to reach a frame that all peers compare; longer if they compare
/// one less often than every half second.
const REACHED_WITHIN: Duration = Duration::from_secs(1);

/// The time to reach a frame that all peers compare: twice what it takes if nothing stalls.
fn reached_within(config: &NetcodeConfig) -> Duration {
    let interval = config.step_duration() * u32::from(config.checksum_interval);
    REACHED_WITHIN.max(2 * interval)
}

/// The longest time from the wish to end the match to its end.
fn compared_within(config: &NetcodeConfig) -> Duration {
    reached_within(config) + (COMPARED_WITHIN - REACHED_WITHIN)
}

/// Ends the match by its own rules; see [`finish_when_confirmed`](Self::finish_when_confirmed).
#[derive(Resource, Clone, Debug, Default)]
pub struct MatchEnd {
    /// The frame that is being simulated.
    simulating: Option<u32>,
    /// What the simulation asked for: the frame in which it asked, and the frame at which the match
    /// is to end. Each end is earlier than the one before.
    simulated: Vec<(u32, u32)>,
    /// The end that was asked for outside of the simulation.
    outside: Option<u32>,
    /// The game wants the match to be over.
    is_wanted: bool,
    /// It does not want to wait for the peers.
    is_urgent: bool,
}

impl MatchEnd {
    /// Finishes the match after `frame`, as soon as all inputs up to that frame are known.
    ///
    /// Call it from [`Simulate`](crate::Simulate) in the frame in which the rules decide the match,
    /// or in each frame from then on: then all peers finish at the same frame. If a wrong
    /// prediction asked for an end, the rollback takes that back. A frame before the one that is
    /// being simulated counts as that one, and of several frames the earliest counts. Outside of
    /// `Simulate`, a frame that is already confirmed ends the match at once. A sync test goes on
    /// all the same.
    pub fn finish_when_confirmed(&mut self, frame: u32) {
        let end = frame.saturating_add(1);
        match self.simulating {
            Some(simulating) => {
                let end = end.max(simulating + 1);
                if self.simulated.last().is_none_or(|&(_, earliest)| end < earliest) {
                    self.simulated.push((simulating, end));
                }
            }
            None => self.outside = Some(self.outside.map_or(end, |earliest| earliest.min(end))),
        }
    }

    /// Finishes the match as soon as there is a frame that the peers can compare.
    pub(super) fn want(&mut self) {
        self.is_wanted = true;
    }

    /// Ends the match for this machine, without a frame that the peers compare.
    pub(super) fn want_at_once(&mut self) {
        (self.is_wanted, self.is_urgent) = (true, true);
    }

    /// `frame` is about to be simulated: an end that it or a later frame asked for before is void.
    pub(super) fn begin(&mut self, frame: u32) {
        self.simulating = Some(frame);
        self.simulated.retain(|&(asked_in, _)| asked_in < frame);
    }

    /// The frame is simulated.
    pub(super) fn pause(&mut self) {
        self.simulating = None;
    }

    /// The frame at which the match is to end, if any; at `confirmed` at the earliest if it was
    /// asked for outside of the simulation.
    fn end(&self, confirmed: u32) -> Option<u32> {
        let simulated = self.simulated.last().map(|&(_, end)| end);
        let outside = self.outside.map(|end| end.max(confirmed));
        simulated.into_iter().chain(outside).min()
    }
}

/// How the last match ended on this machine. Stays until the next match begins, as its world and
/// its [`Roster`] do.
#[derive(Resource, Clone, Debug, Default, PartialEq, Eq)]
pub struct MatchResult {
    /// The frames of the match. The world is as it was after the last of them, and final.
    pub frames: u32,
    /// Why the match ended before the game finished it; `None` if the game did, even if the session
    /// ended while the peers compared its last frame.
    pub ended: Option<EndReason>,
    /// The results of the other machines, if the game finished the match.
    pub peers: Vec<PeerResult>,
}

/// The result of another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerResult {
    /// The machine.
    pub peer: PeerId,
    /// The name of its player.
    pub name: String,
    /// The frames that the match had there, as the machine said when the match ended for it; `None`
    /// if it has not said so: it plays on, it was lost, or it named an impossible frame.
    pub frames: Option<u32>,
    /// Whether it computed the same.
    pub agreement: Agreement,
}

/// Whether another machine computed the same match. What is compared is the world of the last frame
/// that both played, and all inputs before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// It did.
    Same,
    /// It did not: a [`DesyncDetected`](crate::DesyncDetected) says where they differ.
    Different,
    /// It was gone, sent no hash within two seconds, or named an impossible frame as its end.
    Unknown,
}

/// Where the match stands between its last frame and its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Finish {
    #[default]
    Playing,
    /// The game has wanted the match to end since `since`, and it is to end at the frame `end`.
    Wanted { end: u32, since: Duration },
    /// The match stays at the frame `end`, which the peers compare.
    Comparing { end: u32, deadline: Duration },
}

/// Whether the world of a finished match is still there.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FinishedWorld {
    #[default]
    None,
    Kept,
    /// It is to be cleared, and so is a world in which no match has been.
    Unwanted {
        is_of_match: bool,
    },
}

impl FinishedWorld {
    /// The room is left: the world of the match is to be cleared.
    pub(crate) fn discard(&mut self) {
        *self = Self::Unwanted { is_of_match: self.is_of_match() };
    }

    /// Whether a match has left its world.
    pub(super) fn is_of_match(self) -> bool {
        matches!(self, Self::Kept | Self::Unwanted { is_of_match: true })
    }

    pub(super) fn is_unwanted(self) -> bool {
        matches!(self, Self::Unwanted { .. })
    }
}

impl<I: GameInput> Session<I> {
    /// Whether the match has reached its last frame.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.finish, Finish::Comparing { .. })
    }

    /// Checks whether the game wants the match to end, and whether the peers have compared its last
    /// frame. To be called once per update; returns true once the match is over.
    pub(super) fn check_end(&mut self, world: &mut World) -> bool {
        let now = world.resource::<Time<Real>>().elapsed();
        let confirmed = self.oldest_open_frame();
        let MatchEnd { is_wanted, is_urgent, .. } = *world.resource::<MatchEnd>();
        match self.finish {
            Finish::Playing if is_wanted && self.source.is_sync_test() => return true,
            Finish::Playing | Finish::Wanted { .. } if is_urgent => {
                self.stop(world, confirmed, now);
            }
            Finish::Comparing { .. } if is_urgent => return true,
            Finish::Playing if is_wanted => {
                let end = self.wanted_end(world, confirmed);
                self.finish = Finish::Wanted { end, since: now };
            }
            Finish::Playing | Finish::Wanted { .. } | Finish::Comparing { .. } => {}
        }
        self.stop_at_end(world);
        let config = world.resource::<NetcodeConfig>();
        if let Finish::Wanted { since, .. } = self.finish
            && now >= since + reached_within(config)
        {
            // Some peer has stopped giving inputs.
            let deadline = since + compared_within(config);
            self.stop(world, confirmed, deadline);
        }
        match self.finish {
            Finish::Comparing { end, deadline } => now >= deadline || self.is_compared(world, end),
            Finish::Playing | Finish::Wanted { .. } => false,
        }
    }

    /// The next frame at which the match can end: one that all peers compare anyway.
    fn wanted_end(&self, world: &World, confirmed: u32) -> u32 {
        if !self.game.is_online() {
            return confirmed;
        }
        let interval = u32::from(world.resource::<NetcodeConfig>().checksum_interval);
        confirmed.next_multiple_of(interval)
    }

    /// The frame at which the match is to end, as far as that is known.
    pub(super) fn end_in_sight(&self, world: &World) -> Option<u32> {
        let asked = world.resource::<MatchEnd>().end(self.game.settled());
        let asked = asked.filter(|_| !self.source.is_sync_test());
        let wanted = match self.finish {
            Finish::Wanted { end, .. } => Some(end),
            Finish::Playing | Finish::Comparing { .. } => None,
        };
        asked.into_iter().chain(wanted).min()
    }

    /// Stops at the end of the match, if that is reached and final.
    pub(super) fn stop_at_end(&mut self, world: &mut World) {
        if let Some(end) = self.end_in_sight(world)
            && !self.is_over()
            && self.oldest_open_frame() >= end
        {
            let now = world.resource::<Time<Real>>().elapsed();
            let deadline = match self.finish {
                Finish::Wanted { since, .. } => {
                    since + compared_within(world.resource::<NetcodeConfig>())
                }
                Finish::Playing | Finish::Comparing { .. } => now + COMPARED_WITHIN,
            };
            self.stop(world, end, deadline);
        }
    }

    /// Brings back the world as it is before `end`, which is final, and tells the other peers that
    /// the match is over for us.
    fn stop(&mut self, world: &mut World, end: u32, deadline: Duration) {
        self.finish = Finish::Comparing { end, deadline };
        self.game.rest_at(world, end);
        self.game.record_checksum(world, end);
        let now = world.resource::<Time<Real>>().elapsed();
        world.resource_mut::<Connection>().finish(now, end);
    }

    /// Something other than the game ended the match: brings back its last final frame.
    pub(super) fn break_off(&mut self, world: &mut World) {
        if !self.source.is_sync_test() && !self.is_over() {
            self.game.rest_at(world, self.oldest_open_frame());
        }
    }

    /// Whether every peer of the match that is still there has sent its hashes of our last frame,
    /// or of its own last frame if that is earlier.
    fn is_compared(&self, world: &World, end: u32) -> bool {
        let log = world.resource::<ChecksumLog>();
        let connection = world.resource::<Connection>();
        self.source.ends().into_iter().all(|(peer, theirs)| {
            log.is_compared(peer, end.min(theirs)) || !connection.is_reachable(peer)
        })
    }

    /// How the match ended, if it ends now. An end of the session while the peers compare the last
    /// frame comes too late to end the match.
    pub(super) fn outcome(&self, ended: Option<EndReason>) -> Outcome {
        let ended = ended.filter(|_| !self.is_over());
        let others = if ended.is_none() { self.source.ends() } else { Vec::new() };
        Outcome { ended, others }
    }
}

/// How a match ended.
pub(super) struct Outcome {
    /// Why it was broken off, if it was.
    ended: Option<EndReason>,
    /// The peers that our result is compared with, and the frame at which the match ended for each.
    others: Vec<(PeerId, u32)>,
}

/// Despawns for good the entities that left the simulation before its last frame.
fn despawn_for_good(world: &mut World, end: u32) {
    Scoped::scope(world, |world, store: &mut RollbackStore| store.confirm(world, end));
}

/// Leaves a match that is over and whose session is gone, and lets the game read its result.
pub(super) fn conclude(world: &mut World, outcome: Outcome) {
    let Outcome { ended, others } = outcome;
    let end = world.resource::<SimFrame>().0;
    let now = world.resource::<Time<Real>>().elapsed();
    despawn_for_good(world, end);
    let peers = peer_results(world, end, &others);
    if world.resource::<SessionState>().is_running() {
        let mut connection = world.resource_mut::<Connection>();
        connection.leave_match(now);
        let is_open = connection.is_open();
        let next = if is_open { SessionState::Gathering } else { SessionState::Offline };
        SessionState::enter(world, next);
    }
    world.insert_resource(MatchResult { frames: end, ended, peers });
    world.insert_resource(FinishedWorld::Kept);
    world.insert_resource(DueSteps::default());
    world.run_schedule(FinishedMatch);
}

/// The members of the match, those that have lost their seats as well.
pub(super) fn members(world: &World) -> &Roster {
    let agreed = world.resource::<Connection>().agreed_match();
    agreed.map_or_else(|| world.resource::<Roster>(), |agreed| agreed.roster)
}

fn peer_results(world: &World, end: u32, others: &[(PeerId, u32)]) -> Vec<PeerResult> {
    let log = world.resource::<ChecksumLog>();
    let roster = members(world);
    let result = |&(peer, theirs): &(PeerId, u32)| {
        let agreement = if !log.is_compared(peer, end.min(theirs)) {
            Agreement::Unknown
        } else if log.is_same(peer) {
            Agreement::Same
        } else {
            Agreement::Different
        };
        let name = roster.name_of(peer).unwrap_or_default().to_owned();
        let frames = (theirs < u32::MAX).then_some(theirs);
        PeerResult { peer, name, frames, agreement }
    };
    others.iter().map(result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_all_peers_compare_is_reached_at_any_interval() {
        for (fps, checksum_interval, at_most_s) in [(60, 30, 2), (30, 30, 3), (60, 600, 21)] {
            let config = NetcodeConfig { fps, checksum_interval, ..NetcodeConfig::default() };
            let interval = config.step_duration() * u32::from(checksum_interval);
            assert!(reached_within(&config) >= 2 * interval.min(Duration::from_secs(10)));
            let at_most = Duration::from_secs(at_most_s) + Duration::from_millis(1);
            assert!(compared_within(&config) <= at_most, "{:?}", compared_within(&config));
        }
    }

    #[test]
    fn an_end_that_a_wrong_prediction_asked_for_is_taken_back() {
        let mut end = MatchEnd::default();
        end.begin(7);
        end.finish_when_confirmed(7);
        end.pause();
        assert_eq!(end.end(0), Some(8));
        end.begin(7);
        end.pause();
        assert_eq!(end.end(0), None);
    }

    #[test]
    fn the_earliest_end_that_stands_counts() {
        let mut end = MatchEnd::default();
        for frame in 5..9 {
            end.begin(frame);
            end.finish_when_confirmed(10);
        }
        assert_eq!((end.end(0), end.simulated.len()), (Some(11), 1));
        end.begin(9);
        end.finish_when_confirmed(3);
        assert_eq!(end.end(0), Some(10), "not before the frame that asks for it");
        end.begin(8);
        assert_eq!(end.end(0), Some(11));
        end.pause();
        end.finish_when_confirmed(2);
        assert_eq!([0, 6, 20].map(|confirmed| end.end(confirmed)), [Some(3), Some(6), Some(11)]);
    }
}
