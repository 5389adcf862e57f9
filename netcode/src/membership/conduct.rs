//! Watches how a peer behaves: whether it sends nothing but junk, or too much. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use signaling::rate::{Bucket, Rate};
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
    bulk: Allowance,
}

/// How much of one limit the peer has used up.
#[derive(Clone, Debug, Default)]
struct Allowance {
    /// The packets that passed, beside those that were saved up.
    passed: Bucket<Duration>,
    /// When the newest packet came.
    newest: Option<Duration>,
    /// The packets that may still come now, and only now, because nothing came for more than
    /// [`BURST`]. This machine may have been frozen: what was sent meanwhile comes all at once.
    saved: u32,
    /// The packets too many, since nothing was used up.
    excess: u32,
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
            Channel::Bulk => self.bulk.count(now, limits.bulk_per_s),
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
        let rate = Rate { per_second: per_s, at_once: allowed_in(BURST, per_s) };
        let pause = self.newest.map_or(BURST, |newest| now.saturating_sub(newest));
        if pause > Duration::ZERO {
            self.newest = Some(now);
            self.saved = allowed_in(pause.saturating_sub(BURST), per_s);
            if self.passed.is_empty(now) {
                self.excess = 0;
            }
        }
        if self.saved > 0 {
            self.saved -= 1;
            return Ok(true);
        }
        if self.passed.try_use(rate, now) {
            return Ok(true);
        }
        self.excess = self.excess.saturating_add(1);
        if self.excess < per_s { Ok(false) } else { Err(Misconduct::Flood) }
    }
}

/// The packets that are allowed in this time.
fn allowed_in(time: Duration, per_s: u32) -> u32 {
    let allowed = time.as_millis() * u128::from(per_s) / 1000;
    u32::try_from(allowed).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FloodLimits =
        FloodLimits { datagrams_per_s: 100, control_per_s: 10, bulk_per_s: 20 };

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
        assert_eq!(passed(&mut conduct, Channel::Bulk), 20);
        // A whole second's worth too many would be misconduct; the others are only cut.
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
