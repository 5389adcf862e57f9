//! Claims that follow all rules and are false all the same: a test that damages packets has to know
//! whether it made one.

use signaling::protocol::PeerId;

use super::{Exchange, Inputs, MAX_INPUT_FRAMES, Stream};

impl Exchange {
    /// Whether inputs of `from` follow all rules and yet make a false claim to us; `theirs` is the
    /// exchange of `from`, and `us` is our id there. The rules are repeated here, so that tests do
    /// not rely on the guard for them; only the check of a single input is shared.
    pub(crate) fn believes_false_claim(
        &self,
        from: PeerId,
        inputs: &Inputs,
        theirs: &Self,
        us: PeerId,
    ) -> bool {
        let (Some(index), Some(_)) = (self.index(from), theirs.index(us)) else { return false };
        let listed: Vec<usize> = self.seats_not_of(index).collect();
        let acknowledged: Vec<(usize, u32)> = listed
            .iter()
            .zip(&inputs.has)
            .map(|(&seat, &has)| (seat, has))
            .filter(|&(seat, _)| self.seats[seat].holder.is_none())
            .collect();
        let is_possible = |&(seat, has): &(usize, u32)| has <= self.seats[seat].stream.end();
        let follows_rules = inputs.has.len() == listed.len()
            && acknowledged.iter().all(is_possible)
            && inputs.streams.is_sorted_by(|one, next| one.seat < next.seat)
            && inputs.streams.iter().all(|stream| self.follows_rules(index, stream, theirs));
        let is_false = |&(seat, has): &(usize, u32)| has > theirs.seats[seat].stream.end();
        follows_rules
            && (acknowledged.iter().any(is_false)
                || inputs.streams.iter().any(|stream| self.is_false(stream, theirs)))
    }

    fn follows_rules(&self, index: usize, stream: &Stream, theirs: &Self) -> bool {
        let seat = usize::from(stream.seat);
        let (Some(here), Some(there)) = (self.seats.get(seat), theirs.seats.get(seat)) else {
            return false;
        };
        let read = self.rules.read_input;
        here.holder == Some(index)
            // Inputs that the sender gave may arrive before this datagram is read.
            && stream.first <= here.stream.end().max(there.stream.end())
            && stream.frames() <= usize::from(MAX_INPUT_FRAMES)
            && stream.runs.iter().all(|run| run.frames > 0 && run.input.is_input(read))
    }

    /// Whether the stream has inputs that are news here, and that its sender did not give.
    fn is_false(&self, stream: &Stream, theirs: &Self) -> bool {
        let seat = usize::from(stream.seat);
        let (Some(here), Some(there)) = (self.seats.get(seat), theirs.seats.get(seat)) else {
            return false;
        };
        (stream.first..).zip(stream.inputs()).any(|(frame, input)| {
            frame >= here.stream.end() && there.stream.get(frame) != Some(input)
        })
    }
}
