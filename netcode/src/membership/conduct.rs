//! Watches how a peer behaves: whether it sends nothing but junk, or too much. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{config::FloodLimits, transport::Channel};

/// A peer that has sent nothing but junk for this long is broken or hostile. Bits do flip, but not
/// in every packet.
const JUNK_ONLY_FOR: Duration = Duration::from_secs(2);
/// The packets that are allowed in this time may come all at once.
const BURST: Duration = Duration::from_secs(1);

/// What a peer did that makes it impossible to play on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Misconduct {
    /// For two seconds it sent nothing that could be understood.
    #[error("it sent nothing but junk")]
    Junk,
    /// It sent more than [`FloodLimits`] allow, and did not stop.
    #[error("it flooded the connection")]
    Flood,
    /// It gave no inputs for several seconds, without being silent.
    #[error("it stopped playing")]
    Stuck,
}

/// The recent conduct of one peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conduct {
    /// The time since which nothing but junk has come.
    junk_since: Option<Duration>,
    datagrams: Allowance,
    control: Allowance,
}

/// A bucket of packets: time fills it, and each packet empties it by one.
#[derive(Clone, Debug, Default)]
struct Allowance {
    filled: Option<Duration>,
    left: f32,
    /// Packets that found it empty since it was last full.
    excess: f32,
}

impl Conduct {
    /// Counts a packet before it is looked at. Returns false if it is one too many. It is
    /// misconduct once the packets too many are as many as are allowed in a second.
    pub(crate) fn allows(
        &mut self,
        now: Duration,
        channel: Channel,
        limits: &FloodLimits,
    ) -> Result<bool, Misconduct> {
        match channel {
            Channel::Datagrams => self.datagrams.count(now, limits.datagrams_per_s),
            Channel::Control => self.control.count(now, limits.control_per_s),
        }
    }

    /// A packet made sense.
    pub(crate) fn made_sense(&mut self) {
        self.junk_since = None;
    }

    /// A packet made no sense.
    pub(crate) fn made_no_sense(&mut self, now: Duration) -> Result<(), Misconduct> {
        let since = *self.junk_since.get_or_insert(now);
        if now.saturating_sub(since) < JUNK_ONLY_FOR { Ok(()) } else { Err(Misconduct::Junk) }
    }
}

impl Allowance {
    fn count(&mut self, now: Duration, per_s: u32) -> Result<bool, Misconduct> {
        let per_s = per_s as f32;
        let since = self.filled.map_or(BURST, |filled| now.saturating_sub(filled));
        if since > Duration::ZERO {
            // This machine may have been frozen: what was sent meanwhile comes all at once.
            let most = per_s * since.max(BURST).as_secs_f32();
            self.left += per_s * since.as_secs_f32();
            if self.left >= most {
                (self.left, self.excess) = (most, 0.0);
            }
            self.filled = Some(now);
        }
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(true);
        }
        self.excess += 1.0;
        if self.excess < per_s { Ok(false) } else { Err(Misconduct::Flood) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FloodLimits = FloodLimits { datagrams_per_s: 100, control_per_s: 10 };

    /// The number of packets that pass if a peer sends `per_s` of them a second for `seconds`, or
    /// the misconduct that they amount to.
    fn send(per_s: u64, seconds: u64) -> Result<u64, Misconduct> {
        let mut conduct = Conduct::default();
        let mut passed = 0;
        for packet in 0..per_s * seconds {
            let now = Duration::from_millis(packet * 1000 / per_s);
            passed += u64::from(conduct.allows(now, Channel::Datagrams, &LIMITS)?);
        }
        Ok(passed)
    }

    #[test]
    fn a_peer_within_the_limit_is_never_refused() {
        assert_eq!(send(100, 60), Ok(6000));
    }

    #[test]
    fn a_burst_is_cut_and_a_flood_is_misconduct() {
        assert!((195..=200).contains(&send(250, 1).unwrap_or_default()));
        assert_eq!(send(250, 2), Err(Misconduct::Flood));
        assert!((490..=500).contains(&send(125, 4).unwrap_or_default()));
    }

    #[test]
    fn packets_that_waited_while_we_were_frozen_are_no_flood() {
        let mut conduct = Conduct::default();
        let mut allows =
            |seconds| conduct.allows(Duration::from_secs(seconds), Channel::Control, &LIMITS);
        assert_eq!(allows(1), Ok(true));
        assert!((0..600).all(|_| allows(61) == Ok(true)));
        // What a long silence saved up is gone a moment later.
        assert!((0..11).any(|_| allows(62) == Ok(false)));
    }

    #[test]
    fn the_channels_have_their_own_limits() {
        let mut conduct = Conduct::default();
        let now = Duration::from_secs(1);
        let passed = |conduct: &mut Conduct, channel| {
            (0..50).filter(|_| conduct.allows(now, channel, &LIMITS) == Ok(true)).count()
        };
        assert_eq!(passed(&mut conduct, Channel::Datagrams), 50);
        // The tenth packet too many would be misconduct; the others are only cut.
        assert_eq!(passed(&mut conduct, Channel::Control), 10);
    }

    #[test]
    fn junk_is_misconduct_only_if_nothing_else_comes() {
        let mut conduct = Conduct::default();
        let at = Duration::from_millis;
        assert_eq!(conduct.made_no_sense(at(0)), Ok(()));
        assert_eq!(conduct.made_no_sense(at(1900)), Ok(()));
        conduct.made_sense();
        assert_eq!(conduct.made_no_sense(at(2100)), Ok(()));
        assert_eq!(conduct.made_no_sense(at(4100)), Err(Misconduct::Junk));
    }
}
