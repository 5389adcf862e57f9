//! Inputs that a machine lacks to accept or install a value, and the last ones of a machine that
//! says goodbye.

use signaling::protocol::PeerId;

use super::{
    agreement::{Agreement, Step},
    inputs::MatchInputs,
    message::{Ballot, Body, Goodbye, Message},
    value::Value,
};
use crate::exchange::{Stream, cut};

/// At most this many bytes of inputs in one answer: it is a datagram.
const MAX_FILL_BYTES: usize = 800;

impl Agreement {
    pub(super) fn take_goodbye(
        &mut self,
        sender: usize,
        goodbye: &Goodbye,
        inputs: &mut impl MatchInputs,
    ) {
        let ballot = goodbye.promise.ballot;
        let is_near = ballot == Ballot::default() || self.is_near(ballot);
        if !is_near || !self.is_sound(&goodbye.promise, inputs) {
            return;
        }
        // It only counts in higher ballots, so we need one.
        self.decision.highest_round = self.decision.highest_round.max(ballot.round);
        if self.views[sender].goodbye.is_none() {
            self.views[sender].goodbye = Some(goodbye.clone());
        }
        self.take_last(sender, inputs);
    }

    /// Takes the last inputs that a machine sent with its goodbye. Those of other machines count
    /// only once these are gone, too: until then they speak for themselves.
    pub(super) fn take_last(&self, voter: usize, inputs: &mut impl MatchInputs) {
        let Some(goodbye) = &self.views[voter].goodbye else { return };
        let limit = inputs.limit();
        for stream in &goodbye.last {
            if self.may_speak_for(voter, stream.seat) {
                inputs.take(stream, limit);
            }
        }
    }

    /// Whether a machine may give the inputs of a seat: its own, or one whose machine is gone.
    pub(super) fn may_speak_for(&self, voter: usize, seat: u8) -> bool {
        let mut seats = self.installed().peer_seats();
        let holder = seats.find(|(held, _)| *held == seat).and_then(|it| self.voters.index(it.1));
        holder.is_some_and(|holder| holder == voter || self.may_leave(holder))
    }

    /// The frame before which we need all inputs, if we need any.
    pub(super) fn wanted_before(&self) -> Option<u32> {
        let decision = &self.decision;
        let lacks = decision.attempt.as_ref().and_then(|attempt| attempt.lacks);
        self.wanted().map(|value| value.first).or(lacks)
    }

    pub(super) fn lack(&self, inputs: &impl MatchInputs) -> Message {
        let mut ends = self.ends(inputs);
        for seat in self.differing(inputs) {
            ends[usize::from(seat)] = inputs.exposed();
        }
        self.message(Body::Lack { ends })
    }

    /// The inputs that a machine lacks and we have. After a cut there are none beyond it.
    pub(super) fn fill(
        &self,
        to: PeerId,
        ends: &[u32],
        epoch: u32,
        inputs: &impl MatchInputs,
    ) -> Option<Step> {
        let lacks = |(seat, &end): (u8, &u32)| end < inputs.end(seat);
        if ends.len() != self.installed().seats.len() || !(0..).zip(ends).any(lacks) {
            return None;
        }
        let mut streams = inputs.streams(ends);
        cut(&mut streams, MAX_FILL_BYTES);
        Some(Step::Send(to, Message { epoch, body: Body::Fill { streams } }))
    }

    /// Takes inputs that we lack, from a machine that promised, proposed, accepted or installed
    /// what we need them for.
    pub(super) fn take_fill(
        &self,
        sender: usize,
        streams: &[Stream],
        inputs: &mut impl MatchInputs,
    ) {
        let Some(before) = self.wanted_before() else { return };
        let view = &self.views[sender];
        let leads = usize::from(self.decision.promised.leader) == sender;
        if leads || view.vote.is_some() || view.installed.is_some() || view.promised.round > 0 {
            let streams = streams.iter().filter(|it| self.may_speak_for(sender, it.seat));
            let differing = self.differing(inputs);
            for stream in streams {
                let ended = self.wanted().map(|value| value.ended.as_slice()).unwrap_or_default();
                let hash = ended.iter().find(|(seat, _)| *seat == stream.seat);
                match hash.filter(|(seat, _)| differing.contains(seat)) {
                    Some(&(_, hash)) => inputs.replace(stream, before, hash),
                    None => inputs.take(stream, before),
                }
            }
        }
    }

    /// Names a seat whose inputs differ, once.
    pub(super) fn name_differing(&mut self, seat: u8, steps: &mut Vec<Step>) {
        if self.decision.differing >> seat & 1 == 0 {
            self.decision.differing |= 1 << seat;
            steps.push(Step::Differs { seat });
        }
    }

    /// The value for which we need inputs.
    pub(super) fn wanted(&self) -> Option<&Value> {
        let decision = &self.decision;
        decision.decided.as_ref().or(decision.pending.as_ref()).map(|(_, value)| value)
    }

    /// The seats of which we have other inputs than those that the wanted value names.
    pub(super) fn differing(&self, inputs: &impl MatchInputs) -> Vec<u8> {
        let Some(Value { first, ended, .. }) = self.wanted() else { return Vec::new() };
        let differs = |&&(seat, hash): &&(u8, u64)| {
            inputs.end(seat) >= *first && inputs.hash(seat, *first) != hash
        };
        ended.iter().filter(differs).map(|(seat, _)| *seat).collect()
    }
}

/// Whether all inputs before the first frame of the next epoch are here, those of the seats that
/// are given up as they were agreed on.
pub(super) fn is_complete(installed: &Value, next: &Value, inputs: &impl MatchInputs) -> bool {
    let mut seats = installed.peer_seats();
    seats.all(|(seat, _)| inputs.end(seat) >= next.first)
        && next.ended.iter().all(|&(seat, hash)| inputs.hash(seat, next.first) == hash)
}
