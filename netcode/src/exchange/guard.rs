//! Which of a peer's inputs the session may see. Pure.
//!
//! ggrs takes everything that passes here without a panic: frames come without a gap, each once,
//! never further ahead than ggrs has room for, and each with the input of every seat of that
//! machine. All bounds lie far outside of what our own peers send.

use super::{datagram::Inputs, ggrs_message::GgrsBody};
use crate::packed_input::{PackedInput, ReadInput, pack_all};

/// At most this many frames in one datagram: ggrs keeps as many that are not acknowledged.
pub(crate) const MAX_INPUT_FRAMES: usize = 128;
/// ggrs keeps 128 inputs of each seat, from before the oldest frame that it may roll back to, and
/// panics beyond that. Some are left free, because ggrs counts the frames at both ends differently.
const INPUT_ROOM: u32 = 120;

/// Why inputs were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadInputs {
    /// They cover more frames than any peer has to send, or a run of them has no frames.
    TooMany,
    /// They do not follow the inputs that are known.
    Gap,
    /// They acknowledge inputs that were never sent.
    FalseAck,
    /// Their sender is in the room, but not in the match.
    NoSeat,
    /// They are not inputs of this game for as many seats as the peer has.
    NotInputs,
}

/// What the session can take at this moment, and what its inputs look like.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// The frame that we simulate next.
    pub(super) frame: u32,
    /// The first frame for which we sent no inputs.
    pub(super) our_end: u32,
    /// Frames that we may predict.
    pub(super) window: u32,
    /// The most frames that our inputs wait.
    pub(super) max_delay: u32,
    pub(super) read_input: ReadInput,
}

/// The inputs of one peer, and how far the session was given them.
#[derive(Debug)]
pub(super) struct PeerInputs {
    seats: usize,
    /// The first frame whose input is not known.
    known: u32,
    /// The first of our frames that the peer lacks.
    acked: u32,
    /// The newest input that the session was given: the next ones are written as differences from
    /// it.
    base: Vec<u8>,
    /// Inputs that the session was not given yet, up to `known`, as ggrs writes them.
    fresh: Vec<Vec<u8>>,
    /// The value of `acked` that the session was last given.
    reported_acked: u32,
    /// The first frame for which the peer gives no inputs, once it has left the match.
    end: Option<u32>,
    /// The first of our frames that a peer which has left the match does not need.
    unneeded: u32,
}

impl PeerInputs {
    /// A peer with `seats` seats.
    pub(super) fn new(seats: usize) -> Self {
        // What ggrs takes for the input before the first one.
        let base = vec![0; seats * PackedInput::SIZE];
        Self {
            seats,
            known: 0,
            acked: 0,
            base,
            fresh: Vec::new(),
            reported_acked: 0,
            end: None,
            unneeded: 0,
        }
    }

    pub(super) fn seats(&self) -> usize {
        self.seats
    }

    pub(super) fn known(&self) -> u32 {
        self.known
    }

    pub(super) fn acked(&self) -> u32 {
        self.acked
    }

    /// The first frame of the peer's own inputs that is missing here.
    pub(super) fn wanted(&self) -> u32 {
        self.end.map_or(self.known, |end| end.min(self.known))
    }

    /// Notes that the peer leaves the match, and gives no inputs from `end` on. Inputs that it gave
    /// before count, whatever it says now, and so does its first goodbye. Returns the first frame
    /// for which it gives none.
    pub(super) fn leave(&mut self, end: u32) -> u32 {
        *self.end.get_or_insert(end.max(self.known))
    }

    /// Whether the peer leaves the match: it needs none of our inputs.
    pub(super) fn is_leaving(&self) -> bool {
        self.end.is_some()
    }

    /// Whether the peer has left the match, and all of its inputs are here.
    pub(super) fn has_left(&self) -> bool {
        self.end.is_some_and(|end| self.known >= end)
    }

    /// Plays on for a peer that has left, with `neutral` inputs up to the frame `until`. Our inputs
    /// before `our_end` count as acknowledged, as the peer no longer acknowledges them.
    pub(super) fn play_on(&mut self, until: u32, our_end: u32, neutral: &[u8]) {
        if self.is_leaving() {
            self.unneeded = our_end;
        }
        while self.has_left() && self.known < until {
            self.fresh.push(neutral.to_vec());
            self.known += 1;
        }
    }

    /// Takes the inputs of a datagram with `frame` in its header: all of them or, if they are
    /// refused, none.
    pub(super) fn take(
        &mut self,
        frame: u32,
        inputs: &Inputs,
        rules: &Rules,
    ) -> Result<(), BadInputs> {
        let frames: usize = inputs.runs.iter().map(|run| usize::from(run.frames)).sum();
        if frames > MAX_INPUT_FRAMES || inputs.runs.iter().any(|run| run.frames == 0) {
            return Err(BadInputs::TooMany);
        }
        let absolute = |relative: i16| frame.checked_add_signed(i32::from(relative));
        let first =
            absolute(inputs.first).filter(|&first| first <= self.known).ok_or(BadInputs::Gap)?;
        let acked = absolute(inputs.wanted)
            .filter(|&acked| acked <= rules.our_end)
            .ok_or(BadInputs::FalseAck)?;
        let pack = |input: &[u8]| pack_all(input, self.seats, rules.read_input);
        let packed: Option<Vec<_>> = inputs.runs.iter().map(|run| pack(&run.input)).collect();
        let packed = packed.ok_or(BadInputs::NotInputs)?;
        // An older datagram may come later.
        self.acked = self.acked.max(acked);
        let limit = self.limit(rules);
        let each = inputs
            .runs
            .iter()
            .zip(&packed)
            .flat_map(|(run, input)| std::iter::repeat_n(input, usize::from(run.frames)));
        let known = self.known;
        for (_, input) in (first..limit).zip(each).filter(|&(frame, _)| frame >= known) {
            self.fresh.push(input.clone());
            self.known += 1;
        }
        Ok(())
    }

    /// Inputs before this frame are taken now; the peer repeats those that come too early.
    fn limit(&self, rules: &Rules) -> u32 {
        let room = INPUT_ROOM.saturating_sub(rules.window);
        // Our own inputs reach beyond those of a peer by as much as the window plus the delay. A
        // peer that acknowledges none of ours must not fill ggrs with them.
        let unacknowledged = room.saturating_sub(rules.max_delay);
        let limit = (rules.frame + room).min(self.acked + unacknowledged);
        self.end.map_or(limit, |end| limit.min(end))
    }

    /// Makes a message of what the session does not know yet, in a match with `seats` seats.
    pub(super) fn news(&mut self, seats: usize) -> Option<GgrsBody> {
        let acked = self.acked.max(self.unneeded);
        let is_acked = std::mem::replace(&mut self.reported_acked, acked) != acked;
        let Some(newest) = self.fresh.last().cloned() else {
            return is_acked.then(|| GgrsBody::ack(acked));
        };
        let first = self.known - self.fresh.len() as u32;
        let inputs = self.fresh.iter().map(|input| &input[..]);
        let body = GgrsBody::inputs(seats, first, acked, &self.base, inputs);
        self.base = newest;
        self.fresh.clear();
        Some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::datagram::InputRun;

    const RULES: Rules = Rules {
        frame: 10,
        our_end: 12,
        window: 8,
        max_delay: 2,
        read_input: PackedInput::read::<bool>,
    };

    /// An input of one seat, as ggrs writes it.
    fn packed(input: u8) -> Vec<u8> {
        pack_all(&[input], 1, RULES.read_input).expect("it is an input")
    }

    fn run(frames: u8, input: u8) -> InputRun {
        InputRun { frames, input: vec![input] }
    }

    /// Inputs from the frame `first` on, of a peer that has ours before `acked`, in a datagram of
    /// frame 10.
    fn inputs(first: i16, acked: i16, runs: Vec<InputRun>) -> Inputs {
        Inputs { first: first - 10, wanted: acked - 10, runs }
    }

    fn peer() -> PeerInputs {
        PeerInputs::new(1)
    }

    fn known(peer: &PeerInputs) -> (u32, u32) {
        (peer.known(), peer.acked())
    }

    #[test]
    fn inputs_reach_the_session_once_whatever_is_repeated() {
        let mut peer = peer();
        assert_eq!(peer.take(10, &inputs(0, 3, vec![run(3, 1)]), &RULES), Ok(()));
        let first = GgrsBody::inputs(2, 0, 3, &packed(0), [&packed(1)[..]; 3].into_iter());
        assert_eq!(peer.news(2), Some(first));
        assert_eq!(peer.take(10, &inputs(1, 3, vec![run(2, 1), run(1, 0)]), &RULES), Ok(()));
        let then = GgrsBody::inputs(2, 3, 3, &packed(1), [&packed(0)[..]].into_iter());
        assert_eq!(peer.news(2), Some(then));
        // An old datagram changes nothing; an acknowledgement alone is passed on alone.
        assert_eq!(peer.take(10, &inputs(0, 2, vec![run(2, 1)]), &RULES), Ok(()));
        assert_eq!(peer.news(2), None);
        assert_eq!(peer.take(10, &inputs(0, 5, vec![]), &RULES), Ok(()));
        assert_eq!(peer.news(2), Some(GgrsBody::ack(5)));
        assert_eq!(known(&peer), (4, 5));
    }

    #[test]
    fn inputs_that_no_peer_of_ours_sends_are_refused_whole() {
        let long = vec![run(128, 1), run(1, 1)];
        let cases = [
            (inputs(0, 0, long), BadInputs::TooMany),
            (inputs(0, 0, vec![run(0, 1)]), BadInputs::TooMany),
            (inputs(1, 0, vec![run(1, 1)]), BadInputs::Gap),
            (inputs(-1, 0, vec![run(1, 1)]), BadInputs::Gap),
            (inputs(1, 0, vec![]), BadInputs::Gap),
            (inputs(0, 13, vec![run(1, 1)]), BadInputs::FalseAck),
            (inputs(0, -1, vec![run(1, 1)]), BadInputs::FalseAck),
            (inputs(0, 0, vec![run(1, 2)]), BadInputs::NotInputs),
            (inputs(0, 0, vec![InputRun { frames: 1, input: vec![1, 1] }]), BadInputs::NotInputs),
            (inputs(0, 0, vec![InputRun { frames: 1, input: vec![] }]), BadInputs::NotInputs),
        ];
        for (inputs, reason) in cases {
            let mut peer = peer();
            assert_eq!(peer.take(10, &inputs, &RULES), Err(reason), "{inputs:?}");
            assert_eq!((known(&peer), peer.news(2)), ((0, 0), None), "{inputs:?}");
        }
    }

    #[test]
    fn any_frame_in_the_header_is_safe() {
        for frame in [0, 1, 200, u32::MAX] {
            for relative in [i16::MIN, -1, 0, 1, i16::MAX] {
                let _ = peer().take(
                    frame,
                    &Inputs { first: relative, wanted: relative, runs: vec![run(128, 1)] },
                    &RULES,
                );
            }
        }
    }

    #[test]
    fn inputs_far_ahead_are_taken_as_far_as_there_is_room() {
        let mut peer = peer();
        assert_eq!(peer.take(10, &inputs(0, 12, vec![run(128, 1)]), &RULES), Ok(()));
        assert_eq!(known(&peer), (10 + 120 - 8, 12));
        // The rest follows when we are further on.
        let later = Rules { frame: 30, our_end: 32, ..RULES };
        assert_eq!(peer.take(10, &inputs(122, 32, vec![run(9, 1)]), &later), Ok(()));
        assert_eq!(known(&peer), (131, 32));
    }

    #[test]
    fn a_peer_that_acknowledges_nothing_is_not_followed_for_ever() {
        let mut peer = peer();
        for frame in 0..1000 {
            let rules = Rules { frame, our_end: frame + 2, ..RULES };
            let wanted = -(frame as i16);
            let _ = peer.take(frame, &Inputs { first: 0, wanted, runs: vec![run(1, 1)] }, &rules);
        }
        assert!(peer.known() + RULES.window + RULES.max_delay <= 128, "{}", peer.known());
    }

    #[test]
    fn a_peer_that_left_gets_only_neutral_inputs_from_its_end_on() {
        let mut peer = peer();
        assert_eq!(peer.take(10, &inputs(0, 3, vec![run(3, 1)]), &RULES), Ok(()));
        peer.leave(5);
        let neutral = packed(0);
        peer.play_on(9, 12, &neutral);
        assert_eq!((known(&peer), peer.wanted(), peer.has_left()), ((3, 3), 3, false));
        // Only its inputs before the end count, and only the first end that it named.
        peer.leave(8);
        let rest = inputs(3, 3, vec![run(1, 0), run(3, 1)]);
        assert_eq!(peer.take(10, &rest, &RULES), Ok(()));
        assert_eq!((known(&peer), peer.wanted(), peer.has_left()), ((5, 3), 5, true));
        peer.play_on(7, 12, &neutral);
        let all = [1, 1, 1, 0, 1, 0, 0].map(packed);
        let told = GgrsBody::inputs(2, 0, 12, &packed(0), all.iter().map(|input| &input[..]));
        assert_eq!((peer.news(2), peer.wanted()), (Some(told), 5));
        assert_eq!(peer.take(10, &inputs(5, 3, vec![run(4, 1)]), &RULES), Ok(()));
        assert_eq!((known(&peer), peer.news(2)), ((7, 3), None));
    }

    #[test]
    fn a_peer_cannot_take_back_inputs_by_leaving_before_them() {
        let mut peer = peer();
        assert_eq!(peer.take(10, &inputs(0, 3, vec![run(3, 1)]), &RULES), Ok(()));
        peer.leave(1);
        assert_eq!((known(&peer), peer.wanted(), peer.has_left()), ((3, 3), 3, true));
    }

    #[test]
    fn a_machine_with_two_seats_sends_two_inputs_at_a_time() {
        let both = |input: &[u8]| {
            let runs = vec![InputRun { frames: 1, input: input.to_vec() }];
            PeerInputs::new(2).take(10, &inputs(0, 0, runs), &RULES)
        };
        assert_eq!(both(&[1, 0]), Ok(()));
        for bad in [&[1][..], &[1, 2], &[1, 0, 1], &[1, 0, 1, 0]] {
            assert_eq!(both(bad), Err(BadInputs::NotInputs));
        }
    }
}
