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
/// A link as slow as this is no link: a header that shows it was under way while one side stood
/// still, and measures nothing.
const MAX_RTT_MS: u16 = 5000;
/// How much two clocks may disagree on a time that both measured: by their resolution, and by their
/// drift meanwhile. A slow machine may be further off, as Bevy's clock shows when the frame before
/// was drawn: then the header measures nothing.
const CLOCK_ERROR_MS: u16 = 100;
/// Half of the range of the header's clock: a time that is ahead by less is later.
const HALF_RANGE_MS: u16 = u16::MAX / 2;
/// Leads beyond this mean no more than "far": it is what fits the header's quarter frames.
const MAX_LEAD_FRAMES: f32 = 31.0;

/// How our clock and frame relate to those of one peer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkClock {
    /// The newest `sent_ms` of the peer, and when it arrived here.
    heard: Option<(Millis, Duration)>,
    /// When our first datagram to the peer left, in milliseconds.
    began_ms: Option<u64>,
    /// The newest echo of the peer.
    echo: Option<Echo>,
    rtt_ms: Option<f32>,
    jitter_ms: f32,
    lead_frames: f32,
    /// When the last sample of the lead was taken, and what the lead was before.
    lead_sampled: Option<(Duration, f32)>,
    their_lead_frames: f32,
}

/// Which of our datagrams a peer had received, and when. It hears the newest one only, so neither
/// time ever goes back: a header in which one does is false.
#[derive(Clone, Copy, Debug)]
struct Echo {
    /// When our datagram left, by our clock.
    sent_ms: u64,
    /// When it arrived, by the clock of the peer.
    arrived: Millis,
    /// When the echo came.
    noted: Duration,
}

impl LinkClock {
    /// Takes the header of a datagram that just arrived. `our_frame` is compared only inside a
    /// common match. Returns false if its echo cannot be true, however slow the machines are.
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
            header.sent_ms.since(newest) < HALF_RANGE_MS || now.saturating_sub(at) > ORDER_KNOWN_FOR
        });
        if !is_newer {
            return true;
        }
        self.heard = Some((header.sent_ms, now));
        let mut is_sound = true;
        if header.held_ms != DatagramHeader::NOTHING_HEARD {
            let echo = self.place_echo(now, header);
            is_sound = echo.is_some();
            if let Some(echo) = echo {
                self.echo = Some(echo);
                self.sample_rtt(millis(now).since(header.echo_ms).wrapping_sub(header.held_ms));
            }
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

    /// Returns the echo in a header; `None` if it is false: of a time before our first datagram,
    /// or earlier than the echo before it.
    fn place_echo(&self, now: Duration, header: &DatagramHeader) -> Option<Echo> {
        let age_ms = u64::from(millis(now).since(header.echo_ms));
        let sent_ms = (now.as_millis() as u64).checked_sub(age_ms)?;
        let arrived = header.sent_ms.before(header.held_ms);
        let is_possible = match self.echo {
            None => self.began_ms.is_some_and(|began| began <= sent_ms),
            Some(last) => {
                let is_order_known = now.saturating_sub(last.noted) <= ORDER_KNOWN_FOR;
                // Both times are rounded down, so the same arrival may differ by a millisecond.
                let later_by = arrived.since(last.arrived.before(1));
                last.sent_ms <= sent_ms && (later_by < HALF_RANGE_MS || !is_order_known)
            }
        };
        is_possible.then_some(Echo { sent_ms, arrived, noted: now })
    }

    fn sample_rtt(&mut self, sample: u16) {
        // The peer held the echo for a little less than it thinks: the true value is about zero.
        let sample = if sample > u16::MAX - CLOCK_ERROR_MS { 0 } else { sample };
        if sample > MAX_RTT_MS {
            return;
        }
        let sample = f32::from(sample);
        if let Some(mean) = &mut self.rtt_ms {
            self.jitter_ms += ((sample - *mean).abs() - self.jitter_ms) * JITTER_GAIN;
            *mean += (sample - *mean) * RTT_GAIN;
        } else {
            self.rtt_ms = Some(sample);
        }
    }

    /// The header of a datagram that leaves now.
    pub(crate) fn header(
        &mut self,
        now: Duration,
        match_number: u32,
        frame: u32,
    ) -> DatagramHeader {
        self.began_ms.get_or_insert(now.as_millis() as u64);
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
        clock.header(Duration::ZERO, 0, 0);
        clock.receive(Duration::from_millis(100), &header(65_530), None, FPS);
        let rtt = clock.rtt();
        clock.receive(Duration::from_millis(900), &header(65_000), None, FPS);
        assert_eq!(clock.rtt(), rtt);
        // 5 is newer than 65,530: the clock wrapped.
        clock.receive(Duration::from_millis(900), &header(5), None, FPS);
        assert_ne!(clock.rtt(), rtt);
    }

    /// A fast machine and a page that draws about four times a second, as Bevy times it: an update
    /// begins with the time at which the update before was drawn, up to half a second earlier.
    /// Returns how many headers each side takes for false.
    fn exchange_with_a_slow_page(mut pauses: impl Iterator<Item = u64>) -> (u32, u32) {
        let (mut fast, mut page) = (LinkClock::default(), LinkClock::default());
        let (mut to_fast, mut to_page) = (Vec::new(), Vec::new());
        let (mut false_here, mut false_there) = (0, 0);
        let (mut drawn, mut next_update) = (0, 0);
        for ms in 0..120_000 {
            let now = Duration::from_millis(ms);
            if ms % 16 == 0 {
                for header in to_fast.drain(..) {
                    false_here += u32::from(!fast.receive(now, &header, None, FPS));
                }
                to_page.push(fast.header(now, 1, 0));
            }
            if ms == next_update {
                let page_now = Duration::from_millis(drawn);
                for header in to_page.drain(..) {
                    false_there += u32::from(!page.receive(page_now, &header, None, FPS));
                }
                to_fast.push(page.header(page_now, 1, 0));
                (drawn, next_update) = (ms + 5, ms + 5 + pauses.next().expect("it never ends"));
            }
        }
        (false_here, false_there)
    }

    #[test]
    fn the_echoes_of_a_slow_page_are_not_false() {
        let irregular = [250, 480, 240, 300, 260, 700];
        assert_eq!(exchange_with_a_slow_page(irregular.into_iter().cycle()), (0, 0));
        // It stands still for ten seconds now and then.
        let frozen = [250, 250, 250, 10_000];
        assert_eq!(exchange_with_a_slow_page(frozen.into_iter().cycle()), (0, 0));
    }

    /// What a clock says of headers, each with when it was sent and how long it was held, by the
    /// peer's clock, and what it echoes. We sent a datagram every 16 ms from `began` on, and it is
    /// two seconds later.
    fn judged(began: u64, headers: &[(u16, u16, u16)]) -> Vec<bool> {
        let mut clock = LinkClock::default();
        let at = |ms| Duration::from_millis(began + ms);
        for ms in (0..2000).step_by(16) {
            clock.header(at(ms), 1, 0);
        }
        let judge = |&(sent, held_ms, echo): &(u16, u16, u16)| {
            let (sent_ms, echo_ms) = (Millis::new(sent), Millis::new(echo));
            let header = DatagramHeader { sent_ms, held_ms, echo_ms, ..Default::default() };
            clock.receive(at(2000), &header, None, FPS)
        };
        headers.iter().map(judge).collect()
    }

    #[test]
    fn an_echo_is_false_if_it_is_older_than_the_one_before_or_than_our_first_datagram() {
        assert_eq!(judged(10_000, &[(0, 0, 11_600), (16, 0, 11_616)]), [true, true]);
        assert_eq!(judged(10_000, &[(0, 0, 11_616), (16, 0, 11_600)]), [true, false]);
        assert_eq!(judged(10_000, &[(0, 0, 10_000), (16, 0, 9_984)]), [true, false]);
        // A false echo counts for nothing: the next one is compared with the one before.
        assert_eq!(judged(10_000, &[(0, 0, 9_984), (16, 0, 10_000)]), [false, true]);
        // That is not a time at all yet.
        assert_eq!(judged(0, &[(0, 0, 40_000)]), [false]);
    }

    #[test]
    fn an_echo_is_false_if_it_arrived_at_the_peer_before_an_older_one() {
        assert_eq!(judged(10_000, &[(500, 20, 11_600), (516, 36, 11_600)]), [true, true]);
        assert_eq!(judged(10_000, &[(500, 20, 11_600), (516, 400, 11_616)]), [true, false]);
        assert_eq!(judged(10_000, &[(500, 20, 11_600), (516, 5_000, 11_616)]), [true, false]);
    }

    #[test]
    fn nothing_that_was_not_sent_can_be_echoed() {
        let mut clock = LinkClock::default();
        let header = DatagramHeader { held_ms: 0, ..DatagramHeader::default() };
        assert!(!clock.receive(Duration::from_millis(100), &header, None, FPS));
        assert_eq!(clock.rtt(), None);
    }
}
