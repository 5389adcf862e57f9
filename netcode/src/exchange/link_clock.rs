//! What the datagram headers of one peer show: round-trip time, jitter, and which side is ahead.
//! Pure.

use std::time::Duration;

use super::datagram::{DatagramHeader, Millis};

/// The weights of a new sample, as in TCP (RFC 6298): the mean follows within some ten samples, the
/// spread faster.
const RTT_GAIN: f32 = 1.0 / 8.0;
const JITTER_GAIN: f32 = 1.0 / 4.0;
/// The lead jumps by whole frames from sample to sample; a quarter of a second of samples smooths
/// that.
const LEAD_GAIN: f32 = 1.0 / 16.0;
/// After a silence of this length any datagram counts as the newest: nothing is under way for that
/// long, and it is less than half of the time after which the header's clock wraps.
const ORDER_KNOWN_FOR: Duration = Duration::from_secs(30);
/// A link as slow as this is no link: a header that shows it is false, or was under way while one
/// side stood still.
const MAX_RTT_MS: u16 = 5000;
/// How much two clocks may disagree on a time that both measured: by their resolution, and by their
/// drift meanwhile.
const CLOCK_ERROR_MS: u16 = 100;
/// Leads beyond this mean no more than "far": it is what fits the header's quarter frames.
const MAX_LEAD_FRAMES: f32 = 31.0;

/// How our clock and frame relate to those of one peer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkClock {
    /// The newest `sent_ms` of the peer, and when it arrived here.
    heard: Option<(Millis, Duration)>,
    rtt_ms: Option<f32>,
    jitter_ms: f32,
    lead_frames: f32,
    /// When the last sample of the lead was taken, and what the lead was before.
    lead_sampled: Option<(Duration, f32)>,
    their_lead_frames: f32,
}

impl LinkClock {
    /// Takes the header of a datagram that just arrived. `our_frame` is compared only inside a
    /// common match. Returns false if the header echoes what we cannot have sent.
    pub(crate) fn receive(
        &mut self,
        now: Duration,
        header: &DatagramHeader,
        our_frame: Option<f32>,
        fps: u16,
    ) -> bool {
        // Reordered datagrams must not turn the clock back.
        let is_newer = self.heard.is_none_or(|(newest, at)| {
            // After a long silence the 16 bits have wrapped, and no longer show the order.
            header.sent_ms.since(newest) < u16::MAX / 2 || now.saturating_sub(at) > ORDER_KNOWN_FOR
        });
        if !is_newer {
            return true;
        }
        self.heard = Some((header.sent_ms, now));
        let mut is_sound = true;
        if header.held_ms != DatagramHeader::NOTHING_HEARD {
            let sample = millis(now).since(header.echo_ms).wrapping_sub(header.held_ms);
            is_sound = self.sample_rtt(sample);
        }
        if let (Some(ours), Some(rtt)) = (our_frame, self.rtt_ms) {
            let theirs = header.frame as f32 + rtt / 2000.0 * f32::from(fps);
            let lead = (ours - theirs).clamp(-MAX_LEAD_FRAMES, MAX_LEAD_FRAMES);
            // Datagrams of one update have waited for it; only the newest shows where the peer is
            // now.
            let before = match self.lead_sampled {
                Some((at, before)) if at == now => before,
                _ => self.lead_frames,
            };
            self.lead_sampled = Some((now, before));
            self.lead_frames = before + (lead - before) * LEAD_GAIN;
            self.their_lead_frames = f32::from(header.lead_quarters) / 4.0;
        }
        is_sound
    }

    fn sample_rtt(&mut self, sample: u16) -> bool {
        // The peer held the echo for a little less than it thinks: the true value is about zero.
        let sample = if sample > u16::MAX - CLOCK_ERROR_MS { 0 } else { sample };
        if sample > MAX_RTT_MS {
            return false;
        }
        let sample = f32::from(sample);
        if let Some(mean) = &mut self.rtt_ms {
            self.jitter_ms += ((sample - *mean).abs() - self.jitter_ms) * JITTER_GAIN;
            *mean += (sample - *mean) * RTT_GAIN;
        } else {
            self.rtt_ms = Some(sample);
        }
        true
    }

    /// The header of a datagram that leaves now.
    pub(crate) fn header(&self, now: Duration, match_number: u32, frame: u32) -> DatagramHeader {
        let (echo_ms, held_ms) =
            self.heard.map_or((Millis::default(), DatagramHeader::NOTHING_HEARD), |(sent, at)| {
                let held = now.saturating_sub(at).as_millis();
                // An echo that was held too long for its field is as good as none.
                (sent, u16::try_from(held).unwrap_or(DatagramHeader::NOTHING_HEARD))
            });
        let lead_quarters = (self.lead_frames * 4.0).round() as i8;
        let sent_ms = millis(now);
        DatagramHeader { match_number, epoch: 0, frame, sent_ms, echo_ms, held_ms, lead_quarters }
    }

    /// Begins a new match: the leads of the old one no longer mean anything.
    pub(crate) fn restart(&mut self) {
        (self.lead_frames, self.their_lead_frames) = (0.0, 0.0);
        self.lead_sampled = None;
    }

    /// How far we are ahead of the peer, in frames: the mean of what both sides see, so that both
    /// correct by the same.
    ///
    /// A link that is slower in one direction looks like a lead. Correcting it is fair all the
    /// same: at a lead of zero the inputs of both sides arrive equally late.
    pub(crate) fn lead_frames(&self) -> f32 {
        (self.lead_frames - self.their_lead_frames) / 2.0
    }

    pub(crate) fn rtt(&self) -> Option<Duration> {
        self.rtt_ms.map(|ms| Duration::from_secs_f32(ms.max(0.0) / 1000.0))
    }

    pub(crate) fn jitter(&self) -> Duration {
        Duration::from_secs_f32(self.jitter_ms.max(0.0) / 1000.0)
    }
}

/// The clock as headers carry it.
fn millis(now: Duration) -> Millis {
    Millis::new((now.as_millis() & u128::from(u16::MAX)) as u16)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const FPS: u16 = 60;

    /// Two clocks that exchange headers 60 times a second, `there` and `back` ms apart; a simulates
    /// `frames_apart` frames ahead of b, and b's clock shows `offset` ms more.
    fn exchange(there: u64, back: u64, frames_apart: u32, offset: u64) -> (LinkClock, LinkClock) {
        let (mut a, mut b) = (LinkClock::default(), LinkClock::default());
        let (mut to_a, mut to_b) = (VecDeque::new(), VecDeque::new());
        for ms in 0..10_000 {
            let frame = (ms * 60 / 1000) as u32;
            let (a_now, b_now) = (Duration::from_millis(ms), Duration::from_millis(ms + offset));
            while to_b.front().is_some_and(|&(due, _)| due <= ms) {
                let (_, header) = to_b.pop_front().expect("it was just seen");
                b.receive(b_now, &header, Some(frame as f32), FPS);
            }
            while to_a.front().is_some_and(|&(due, _)| due <= ms) {
                let (_, header) = to_a.pop_front().expect("it was just seen");
                a.receive(a_now, &header, Some((frame + frames_apart) as f32), FPS);
            }
            if ms % 16 == 0 {
                to_b.push_back((ms + there, a.header(a_now, 1, frame + frames_apart)));
                to_a.push_back((ms + back, b.header(b_now, 1, frame)));
            }
        }
        (a, b)
    }

    #[test]
    fn the_round_trip_time_is_the_sum_of_both_ways_whatever_the_clocks_say() {
        let (a, b) = exchange(40, 40, 0, 12_345);
        for clock in [a, b] {
            let rtt = clock.rtt().expect("600 headers were exchanged").as_millis();
            assert!((78..=82).contains(&rtt), "{rtt} ms");
        }
    }

    #[test]
    fn the_lead_is_the_difference_of_frames() {
        let (a, b) = exchange(40, 40, 4, 0);
        assert!((a.lead_frames() - 4.0).abs() < 0.6, "a leads by {}", a.lead_frames());
        assert!((b.lead_frames() + 4.0).abs() < 0.6, "b leads by {}", b.lead_frames());
    }

    #[test]
    fn both_sides_see_the_same_lead_even_on_a_lopsided_link() {
        let (a, b) = exchange(80, 10, 4, 0);
        let sum = a.lead_frames() + b.lead_frames();
        assert!(sum.abs() < 0.3, "{} and {}", a.lead_frames(), b.lead_frames());
    }

    #[test]
    fn the_newest_of_the_datagrams_in_one_update_sets_the_lead() {
        let lead = |frames: &[u32]| {
            let mut clock = LinkClock { rtt_ms: Some(0.0), ..LinkClock::default() };
            for ms in 0..5000u16 {
                let now = Duration::from_millis(u64::from(ms));
                for (index, frame) in frames.iter().enumerate() {
                    let sent_ms = Millis::new(ms * 4 + index as u16);
                    let header = DatagramHeader {
                        sent_ms,
                        frame: *frame,
                        held_ms: DatagramHeader::NOTHING_HEARD,
                        ..DatagramHeader::default()
                    };
                    clock.receive(now, &header, Some(100.0), FPS);
                }
            }
            clock.lead_frames
        };
        assert!((lead(&[100]) - lead(&[96, 98, 100])).abs() < 0.01);
        assert!((lead(&[98]) - 2.0).abs() < 0.01);
    }

    #[test]
    fn after_a_long_silence_any_datagram_is_the_newest() {
        let mut clock = LinkClock::default();
        let header = |sent_ms| DatagramHeader {
            sent_ms: Millis::new(sent_ms),
            held_ms: 0,
            ..Default::default()
        };
        clock.receive(Duration::ZERO, &header(0), None, FPS);
        let later = Duration::from_secs(40);
        clock.receive(later, &header(40_000), None, FPS);
        assert_eq!(clock.header(later, 0, 0).echo_ms, Millis::new(40_000));
    }

    #[test]
    fn an_old_datagram_changes_nothing() {
        let mut clock = LinkClock::default();
        let header = |sent_ms| DatagramHeader {
            sent_ms: Millis::new(sent_ms),
            held_ms: 0,
            ..Default::default()
        };
        clock.receive(Duration::from_millis(100), &header(65_530), None, FPS);
        let rtt = clock.rtt();
        clock.receive(Duration::from_millis(900), &header(65_000), None, FPS);
        assert_eq!(clock.rtt(), rtt);
        // 5 is newer than 65,530: the clock wrapped.
        clock.receive(Duration::from_millis(900), &header(5), None, FPS);
        assert_ne!(clock.rtt(), rtt);
    }
}
