//! Which of our inputs a peer must have, judged by its own datagrams. Pure.
//!
//! Each of our datagrams carries all inputs that the receiver is not known to have, so a peer that
//! echoes one of them has everything in it, whatever else the peer claims. Our input delay is
//! chosen by what peers lack, so a claim alone must not steer it.

use std::collections::VecDeque;

use super::datagram::{DatagramHeader, Millis};

/// This many datagrams to one peer are remembered: those of the last second, or of the last two
/// where inputs are held. A round trip takes less.
const REMEMBERED: usize = 64;
/// A peer's claim to be ahead of us counts for at most this many frames: as many as a peer that
/// draws at 20 to 30 frames a second simulates at once. If it really is further ahead, pacing
/// brings us together; a longer delay of ours would not.
const MOST_AHEAD_FRAMES: u32 = 2;

/// What a peer's claim to lack inputs of ours proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimVerdict {
    /// Nothing: the datagram is an older one, or echoes none that we remember.
    Unknown,
    /// The peer predicted as many frames of our inputs as it claims, or at most as many as it can
    /// have.
    Frames(u32),
    /// The peer has the inputs that it claims to lack.
    False,
}

/// What was sent to one peer, and what it is shown to have.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    /// When each datagram was sent, and our first frame that it did not carry.
    sent: VecDeque<(Millis, u32)>,
    /// Our first frame that the peer is not shown to have by its echoes.
    shown: u32,
    /// When the peer's newest datagram was sent, by its clock.
    newest: Option<Millis>,
}

impl Delivered {
    /// Notes that a datagram leaves which carries our inputs before the frame `end`.
    pub(super) fn note_sent(&mut self, sent_ms: Millis, end: u32) {
        // If two leave in one millisecond, an echo may mean the first.
        if self.sent.back().is_some_and(|&(last, _)| last == sent_ms) {
            return;
        }
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back((sent_ms, end));
    }

    /// Takes a datagram that claims that the peer lacks our inputs from the frame `lacking` on,
    /// where earlier ones acknowledged those before `acked`. `frame` is the one that we simulate
    /// next.
    pub(super) fn judge(
        &mut self,
        header: &DatagramHeader,
        lacking: u32,
        acked: u32,
        frame: u32,
    ) -> ClaimVerdict {
        let is_newest = self.newest.is_none_or(|newest| {
            let since = header.sent_ms.since(newest);
            since != 0 && since < u16::MAX / 2
        });
        if !is_newest {
            return ClaimVerdict::Unknown;
        }
        self.newest = Some(header.sent_ms);
        let has_heard = header.held_ms != DatagramHeader::NOTHING_HEARD;
        let echoed = self.sent.iter().find(|(sent, _)| has_heard && *sent == header.echo_ms);
        let is_shown = echoed.is_some();
        self.shown = self.shown.max(echoed.map_or(0, |&(_, end)| end));
        if lacking < self.shown.max(acked) {
            return ClaimVerdict::False;
        }
        let theirs = header.frame.min(frame.saturating_add(MOST_AHEAD_FRAMES));
        if is_shown {
            ClaimVerdict::Frames(theirs.saturating_sub(lacking))
        } else {
            ClaimVerdict::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of a peer's datagram: when it was sent, what it echoes, and the peer's frame.
    fn header(sent: u16, echo: u16, frame: u32) -> DatagramHeader {
        let (sent_ms, echo_ms) = (Millis::new(sent), Millis::new(echo));
        DatagramHeader { sent_ms, echo_ms, frame, ..DatagramHeader::default() }
    }

    /// We sent a datagram every 16 ms, each with one frame more; the first one, at 0 ms, carried
    /// frame 0.
    fn delivered() -> Delivered {
        let mut delivered = Delivered::default();
        (0..40)
            .for_each(|frame| delivered.note_sent(Millis::new(frame * 16), u32::from(frame) + 1));
        delivered
    }

    #[test]
    fn an_honest_peer_is_believed() {
        let mut delivered = delivered();
        assert_eq!(delivered.judge(&header(1, 160, 14), 11, 0, 14), ClaimVerdict::Frames(3));
        // Out of order, twice, and after a datagram that was lost.
        assert_eq!(delivered.judge(&header(0, 144, 13), 10, 0, 14), ClaimVerdict::Unknown);
        assert_eq!(delivered.judge(&header(1, 160, 14), 11, 0, 14), ClaimVerdict::Unknown);
        assert_eq!(delivered.judge(&header(3, 160, 16), 11, 0, 16), ClaimVerdict::Frames(5));
        // More inputs arrived after the datagram that is echoed.
        assert_eq!(delivered.judge(&header(4, 160, 17), 13, 0, 17), ClaimVerdict::Frames(4));
    }

    #[test]
    fn a_peer_has_the_inputs_of_the_datagram_that_it_echoes() {
        let mut delivered = delivered();
        assert_eq!(delivered.judge(&header(1, 160, 14), 6, 0, 14), ClaimVerdict::False);
        // Nor does the peer lose inputs that it had.
        assert_eq!(delivered.judge(&header(2, 0, 14), 10, 0, 14), ClaimVerdict::False);
        let nothing = DatagramHeader { held_ms: DatagramHeader::NOTHING_HEARD, ..header(3, 0, 14) };
        assert_eq!(delivered.judge(&nothing, 11, 12, 14), ClaimVerdict::False);
        assert_eq!(delivered.judge(&header(4, 160, 14), 11, 0, 14), ClaimVerdict::Frames(3));
    }

    #[test]
    fn a_claim_without_an_echo_steers_nothing() {
        let mut delivered = delivered();
        let nothing = DatagramHeader { held_ms: DatagramHeader::NOTHING_HEARD, ..header(1, 0, 14) };
        assert_eq!(delivered.judge(&nothing, 6, 0, 14), ClaimVerdict::Unknown);
        assert_eq!(delivered.judge(&header(2, 7, 14), 6, 0, 14), ClaimVerdict::Unknown);
    }

    #[test]
    fn a_claim_to_be_far_ahead_counts_only_as_far_as_possible() {
        let mut delivered = delivered();
        assert_eq!(delivered.judge(&header(1, 160, 1_000_000), 11, 0, 12), ClaimVerdict::Frames(3));
        assert_eq!(
            delivered.judge(&header(2, 160, u32::MAX), 11, 0, u32::MAX),
            ClaimVerdict::Frames(u32::MAX - 11)
        );
    }

    #[test]
    fn an_echo_of_two_datagrams_in_one_millisecond_may_mean_the_first() {
        let mut delivered = Delivered::default();
        delivered.note_sent(Millis::new(5), 3);
        delivered.note_sent(Millis::new(5), 4);
        assert_eq!(delivered.judge(&header(1, 5, 4), 3, 0, 4), ClaimVerdict::Frames(1));
    }
}
