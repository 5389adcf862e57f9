//! Claims that follow all rules and are false all the same: a test that damages packets has to know
//! whether it made one.

use signaling::protocol::PeerId;

use super::{DatagramHeader, Exchange, Inputs, MAX_INPUT_FRAMES};
use crate::packed_input::pack_all;

impl Exchange {
    /// Whether inputs of `from` follow all rules and yet make a false claim to us; `theirs` is the
    /// exchange of `from`, and `us` is our id there. The rules are repeated here, so that tests do
    /// not rely on the guard for them; only the check of a single input is shared.
    pub(crate) fn believes_false_claim(
        &mut self,
        from: PeerId,
        header: &DatagramHeader,
        inputs: &Inputs,
        theirs: &mut Self,
        us: PeerId,
    ) -> bool {
        let (our_end, read) = (self.ours.end(), self.rules.read_input);
        let (Some(said), Some(heard)) = (self.peer(from), theirs.peer(us)) else { return false };
        let (known, has) = (said.inputs.known(), heard.inputs.known());
        let each: Vec<&[u8]> = inputs
            .runs
            .iter()
            .flat_map(|run| std::iter::repeat_n(&run.input[..], usize::from(run.frames)))
            .collect();
        let first = i64::from(header.frame) + i64::from(inputs.first);
        let wanted = i64::from(header.frame) + i64::from(inputs.wanted);
        let seats = theirs.rules.local_seats;
        // Inputs that the sender gave may arrive before this datagram is read.
        let soon_known = known.max(theirs.ours.end());
        let follows_rules = (0..=i64::from(soon_known)).contains(&first)
            && (0..=i64::from(our_end)).contains(&wanted)
            && each.len() <= MAX_INPUT_FRAMES
            && inputs.runs.iter().all(|run| run.frames > 0)
            && each.iter().all(|input| pack_all(input, seats, read).is_some());
        let is_given = |(frame, input): (u32, &[u8])| {
            let given = theirs.ours.get(frame);
            frame < known || (given.is_some() && given == pack_all(input, seats, read).as_deref())
        };
        follows_rules && (wanted > i64::from(has) || !(first as u32..).zip(each).all(is_given))
    }
}
