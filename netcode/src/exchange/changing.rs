//! Matches that go on without some of their machines: what is final although a machine may be gone,
//! and what a machine holds back, gives and takes while the machines agree on a new roster.
//!
//! Where machines may be lost, a frame is *exposed* once more than half of the machines are known
//! to have the inputs of every seat for it. Whichever machines are lost then, one of those that
//! decide what comes next has all of these inputs, so nobody ever takes an exposed frame back.
//!
//! The session may have simulated frames beyond that with inputs, or with a roster, that turn out
//! not to count. From the first of these frames on it begins again, and nothing is exposed until it
//! has done so.

use signaling::protocol::PeerId;

use super::{
    Exchange, MAX_INPUT_FRAMES, SeatInputs, Stream,
    guard::{Room, check},
    sending::cut,
};
use crate::packed_input::PackedInput;

/// The inputs of this many returns that were given up are kept, for each of our seats.
const MAX_EARLY: usize = 4;
/// At most this many bytes of inputs in the last message of a machine.
const MAX_GOODBYE_BYTES: usize = 8 * 1024;

/// What becomes of a seat when the roster changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeatUse {
    /// Its machine gives inputs.
    Played,
    /// Nobody does. Its machine may take the seat again, and gets the inputs of the other seats.
    Kept,
    /// Nobody does.
    Unused,
}

/// How far a match that goes on without some of its machines is final.
#[derive(Debug, Default)]
pub(super) struct Changing {
    /// Whether the machines agree on changes of the roster at all.
    goes_on: bool,
    /// Whether the match may go on without a machine that others do not hear.
    loses_machines: bool,
    /// The number of times that the roster has changed.
    pub(super) epoch: u32,
    /// The first frame that is not exposed.
    exposed: u32,
    /// No frame from this one on is exposed for now.
    held_from: Option<u32>,
    /// The first frame that the session may have simulated with what does not count.
    replaced_from: Option<u32>,
    /// If we are away: the frame from which we give inputs again, as the others are about to give
    /// us our seats back.
    returns_at: Option<u32>,
    /// Inputs that we gave early for returns that we gave up. Other machines may have them, and may
    /// have decided on the return all the same.
    early: Vec<EarlyInputs>,
}

#[derive(Debug)]
struct EarlyInputs {
    seat: usize,
    /// The frame of the return.
    first: u32,
    inputs: Vec<PackedInput>,
}

/// What is final.
impl Exchange {
    /// From now on, the machines agree on changes of the roster. `loses_machines` says that the
    /// match may go on without a machine that others do not hear.
    pub(crate) fn go_on(&mut self, loses_machines: bool) {
        (self.changing.goes_on, self.changing.loses_machines) = (true, loses_machines);
    }

    pub(crate) fn goes_on(&self) -> bool {
        self.changing.goes_on
    }

    /// The first frame that may still be taken back. Without changes of the roster, that is the
    /// first one whose inputs are not all known.
    pub(crate) fn exposed(&self) -> u32 {
        if self.changing.goes_on { self.changing.exposed } else { self.confirmed() }
    }

    /// Exposes the frames that can be. To be called whenever inputs or acknowledgements have come.
    pub(crate) fn expose(&mut self) {
        if !self.changing.goes_on {
            return;
        }
        let Changing { replaced_from, returns_at, .. } = self.changing;
        let open = replaced_from.into_iter().chain(returns_at).min().unwrap_or(u32::MAX);
        // Where no machine is lost, all that take part in a change say what they have exposed.
        let known = if self.changing.loses_machines { self.known_to_most() } else { u32::MAX };
        let end = known.min(self.unheld_end()).min(open);
        self.changing.exposed = self.changing.exposed.max(end);
    }

    /// The first frame whose inputs are not all known here, or which we hold back.
    pub(super) fn unheld_end(&self) -> u32 {
        self.confirmed().min(self.changing.held_from.unwrap_or(u32::MAX))
    }

    /// The first frame that more than half of the machines are not known to have all inputs for.
    fn known_to_most(&self) -> u32 {
        let players = || (0..self.peers.len()).filter(|&index| !self.has_given_all(index));
        let mut ends = Vec::with_capacity(self.peers.len() + 1);
        let mut end_for_most = |ends_of_peers: &mut dyn Iterator<Item = u32>, ours: Option<u32>| {
            ends.clear();
            ends.extend(ends_of_peers.chain(ours));
            ends.sort_unstable_by(|one, other| other.cmp(one));
            ends.get(ends.len() / 2).copied().unwrap_or(0)
        };
        let do_we_play = !self.is_away();
        let mut end = u32::MAX;
        for (number, seat) in self.seats.iter().enumerate().filter(|(_, it)| !it.is_given_up()) {
            let known = |index: usize| match seat.holder {
                // What a machine has that knows of no change proves nothing.
                _ if self.peers[index].epoch != self.changing.epoch => 0,
                // It has what it gave.
                Some(holder) if holder == index => seat.stream.end(),
                _ => self.peers[index].has[number],
            };
            let ours = do_we_play.then(|| seat.stream.end());
            end = end.min(end_for_most(&mut players().map(known), ours));
        }
        if do_we_play {
            return end;
        }
        // We take no part in what they decide, so we go by what is final for most of them.
        let confirmed = |index: usize| self.peers[index].confirmed;
        end.min(end_for_most(&mut players().map(confirmed), None))
    }

    /// The frame before which the session takes the roster for known. While the machines agree on a
    /// change it may turn out to be another: then the session begins again with the last world that
    /// is exposed, which is `ahead` frames back at most.
    pub(crate) fn roster_end(&self, ahead: u32) -> u32 {
        if !self.changing.goes_on {
            return self.confirmed();
        }
        self.confirmed().min(self.changing.exposed.saturating_add(ahead))
    }

    /// If the session has to begin again: the first frame that it may have simulated with what does
    /// not count. To be called just before it does so.
    pub(crate) fn take_replaced(&mut self) -> Option<u32> {
        self.changing.replaced_from.take()
    }

    fn note_replaced(&mut self, from: u32) {
        let earliest = self.changing.replaced_from.map_or(from, |earliest| earliest.min(from));
        self.changing.replaced_from = Some(earliest);
    }
}

/// Changes of the roster.
impl Exchange {
    /// We have left: we acknowledge nothing more, as the others may go on without what we have.
    pub(crate) fn hold_all(&mut self) {
        let peers = Vec::from_iter(self.peers.iter().map(|peer| peer.id));
        self.hold(Some(self.exposed()), &peers);
    }

    /// Holds back what is not final yet: no frame from `from` on becomes exposed, and no inputs of
    /// these machines are taken or acknowledged. `None` ends the hold.
    pub(crate) fn hold(&mut self, from: Option<u32>, machines: &[PeerId]) {
        self.changing.held_from = from;
        for peer in &mut self.peers {
            peer.is_held = machines.contains(&peer.id);
        }
        for seat in &mut self.seats {
            let is_held = seat.holder.is_some_and(|holder| self.peers[holder].is_held);
            seat.held_end = is_held.then(|| seat.held_end.unwrap_or(seat.stream.end()));
        }
    }

    /// The roster changes at the frame `first`, for the `epoch`-th time: what becomes of each seat.
    /// All inputs before that frame are here.
    pub(crate) fn change_roster(
        &mut self,
        epoch: u32,
        first: u32,
        uses: impl Iterator<Item = SeatUse>,
    ) {
        self.changing.epoch = epoch;
        // The session may have the old roster, and neutral inputs of seats that nobody played, up
        // to there.
        if self.confirmed() > first {
            self.note_replaced(first);
        }
        for (seat, seat_use) in uses.enumerate().take(self.seats.len()) {
            self.seats[seat].is_kept = seat_use == SeatUse::Kept;
            match (seat_use, self.seats[seat].given_up) {
                (SeatUse::Played, None) | (SeatUse::Kept | SeatUse::Unused, Some(_)) => {}
                (SeatUse::Played, Some(_)) => {
                    self.return_at(seat, first);
                    self.seats[seat].given_up = None;
                    self.seats[seat].since_epoch = epoch;
                }
                (SeatUse::Kept | SeatUse::Unused, None) => {
                    self.cut_from(seat, first);
                    self.seats[seat].given_up = Some(first);
                }
            }
        }
        if !self.is_away() {
            self.changing.returns_at = None;
        } else {
            self.give_up_return();
        }
        for peer in &mut self.peers {
            peer.delivered = Default::default();
        }
    }

    /// The others are about to give us our seats back at the frame `first`. So that our inputs are
    /// there in time, we give them from then on, although it is not decided yet. Nothing happens if
    /// that frame is too far ahead, or too late.
    pub(crate) fn prepare_return(&mut self, first: u32) {
        let possible = self.changing.exposed..=self.room_end();
        if self.changing.returns_at == Some(first) || !possible.contains(&first) || !self.is_away()
        {
            return;
        }
        for seat in 0..self.seats.len() {
            if self.seats[seat].holder.is_none() {
                self.return_at(seat, first);
            }
        }
        self.changing.returns_at = Some(first);
    }

    /// The frame from which we give inputs early, as the others are about to give us our seats
    /// back.
    pub(crate) fn returns_at(&self) -> Option<u32> {
        self.changing.returns_at
    }

    /// We do not return at the frame that we prepared for.
    pub(crate) fn give_up_return(&mut self) {
        let Some(returns_at) = self.changing.returns_at.take() else { return };
        for (number, seat) in self.seats.iter_mut().enumerate() {
            if let SeatInputs { holder: None, given_up: Some(given_up), stream, .. } = seat {
                let inputs = Vec::from_iter(stream.inputs_from(returns_at));
                let early = &mut self.changing.early;
                let is_older = |it: &EarlyInputs| it.seat == number;
                if early.iter().filter(|it| is_older(it)).count() >= MAX_EARLY
                    && let Some(oldest) = early.iter().position(is_older)
                {
                    early.remove(oldest);
                }
                early.push(EarlyInputs { seat: number, first: returns_at, inputs });
                stream.replace_from(*given_up, std::iter::empty());
            }
        }
        self.note_replaced(returns_at);
    }

    /// The inputs that we gave early for a return of our seat at this frame.
    fn take_early(&mut self, seat: usize, first: u32) -> Vec<PackedInput> {
        let mut early = self.changing.early.iter();
        let index = early.rposition(|it| (it.seat, it.first) == (seat, first));
        index.map(|index| self.changing.early.swap_remove(index).inputs).unwrap_or_default()
    }

    /// A seat that nobody played is played again from the frame `first` on: its inputs before that
    /// are neutral, and known to all; whatever the others said of later frames meant neutral ones,
    /// too. Inputs of later frames that were given early stay as they are, since another machine
    /// may have them.
    fn return_at(&mut self, seat: usize, first: u32) {
        let kept = self.take_early(seat, first);
        let returns_at = self.changing.returns_at;
        let SeatInputs { stream, given_up, .. } = &mut self.seats[seat];
        if let Some(given_up) = *given_up
            && (!kept.is_empty() || (stream.end() > given_up && returns_at != Some(first)))
        {
            let early = Vec::from_iter(stream.inputs_from(first));
            let early = if kept.is_empty() { early } else { kept };
            stream.replace_from(given_up, std::iter::empty());
            while stream.end() < first {
                stream.push(PackedInput::default());
            }
            early.into_iter().for_each(|input| stream.push(input));
            self.note_replaced(first.min(returns_at.unwrap_or(first)));
        }
        let SeatInputs { holder, stream, .. } = &mut self.seats[seat];
        // The frames whose inputs we were asked for already, as an away machine, had neutral ones.
        let asked = self.frame.saturating_add(1 + u32::from(self.delays.of(seat)));
        let end = if holder.is_none() { first.max(asked) } else { first };
        while stream.end() < end {
            stream.push(PackedInput::default());
        }
        for peer in &mut self.peers {
            peer.has[seat] = first;
            peer.sent_end[seat] = first;
        }
    }

    /// The inputs of a seat from the frame `first` on do not count.
    fn cut_from(&mut self, seat: usize, first: u32) {
        if self.seats[seat].stream.end() <= first {
            return;
        }
        self.seats[seat].stream.replace_from(first, std::iter::empty());
        for peer in &mut self.peers {
            peer.has[seat] = peer.has[seat].min(first);
            peer.sent_end[seat] = peer.sent_end[seat].min(first);
        }
        self.note_replaced(first);
    }

    /// Whether the others play on without us.
    pub(crate) fn is_away(&self) -> bool {
        let mut ours = self.seats.iter().filter(|seat| seat.holder.is_none());
        self.changing.goes_on && ours.all(SeatInputs::is_given_up)
    }

    /// The frames by which we lag behind what is known, if we are away: then we need not wait for
    /// anything.
    pub(crate) fn lag(&self) -> Option<u32> {
        self.is_away().then(|| self.confirmed().saturating_sub(self.frame))
    }

    /// Whether we give the inputs of a seat.
    pub(super) fn is_ours(&self, seat: usize) -> bool {
        let SeatInputs { holder, given_up, .. } = self.seats[seat];
        holder.is_none() && (given_up.is_none() || self.changing.returns_at.is_some())
    }

    /// Whether a peer that is away has come as far as we have, but for `frames`.
    pub(crate) fn has_caught_up(&self, peer: PeerId, frames: u32) -> bool {
        let newest = self.index(peer).map(|index| self.peers[index].newest_frame);
        newest.is_some_and(|newest| newest.saturating_add(frames) >= self.frame)
    }
}

/// What the agreement needs to know of the inputs.
impl Exchange {
    /// Nobody gives inputs from this frame on, as the session would have no room for them. A
    /// machine that is away may have to catch up with any frame.
    pub(crate) fn limit(&self) -> u32 {
        if self.is_away() { u32::MAX } else { self.room_end() }
    }

    fn room_end(&self) -> u32 {
        let (window, max_delay) = (self.rules.window, self.rules.max_delay);
        Room { frame: self.frame, acked: u32::MAX, window, max_delay }.limit()
    }

    /// The first frame for which the input of a seat is missing here.
    pub(crate) fn seat_end(&self, seat: usize) -> u32 {
        self.seats.get(seat).map_or(0, |seat| seat.stream.end())
    }

    /// The hash of all inputs of a seat before `end`.
    pub(crate) fn seat_hash(&self, seat: usize, end: u32) -> u64 {
        self.seats.get(seat).map_or(0, |seat| seat.stream.hash_before(end))
    }

    /// The inputs of each seat from the given frame on, as far as a message has room for them.
    pub(crate) fn streams_from(&self, ends: &[u32]) -> Vec<Stream> {
        let stream = |(number, (seat, &first)): (u8, (&SeatInputs, &u32))| {
            let runs = seat.stream.wire_runs(first, MAX_INPUT_FRAMES);
            (!runs.is_empty()).then_some(Stream { seat: number, first, runs })
        };
        let mut streams: Vec<Stream> =
            (0..).zip(self.seats.iter().zip(ends)).filter_map(stream).collect();
        cut(&mut streams, MAX_GOODBYE_BYTES);
        streams
    }

    /// Takes inputs of another machine's seat, up to the frame `before`. Any machine may have sent
    /// them. A stream that does not fit is ignored.
    pub(crate) fn take_filled(&mut self, given: &Stream, before: u32) {
        if !self.may_fill(given) {
            return;
        }
        let before = before.min(self.limit());
        let Some(seat) = self.seats.get_mut(usize::from(given.seat)) else { return };
        for (frame, input) in (given.first..before).zip(given.inputs()) {
            if frame == seat.stream.end() {
                seat.stream.push(input);
            }
        }
    }

    /// Takes inputs in place of those that are known from the first of them on, if all inputs of
    /// the seat before `before` have this hash then, and no exposed frame changes.
    pub(crate) fn replace_filled(&mut self, given: &Stream, before: u32, hash: u64) {
        if !self.may_fill(given) || given.first < self.exposed() || before > self.limit() {
            return;
        }
        let stream = &mut self.seats[usize::from(given.seat)].stream;
        let old = Vec::from_iter(stream.inputs_from(given.first));
        let frames = before.saturating_sub(given.first) as usize;
        stream.replace_from(given.first, given.inputs().take(frames));
        if stream.end() >= before && stream.hash_before(before) == hash {
            self.note_replaced(given.first);
        } else {
            stream.replace_from(given.first, old.into_iter());
        }
    }

    /// Whether these can be inputs of a seat of another machine.
    fn may_fill(&self, given: &Stream) -> bool {
        let known_end = |number: u8| {
            let seat = self.seats.get(usize::from(number))?;
            (seat.holder.is_some() && !seat.is_given_up()).then(|| seat.stream.end())
        };
        check(std::slice::from_ref(given), known_end, self.rules.read_input).is_ok()
    }
}

impl SeatInputs {
    /// Whether the machines have agreed that nobody gives the inputs.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.is_some()
    }
}
