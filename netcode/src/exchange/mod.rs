//! The inputs of one match on their way between the machines and the session: ours go out, theirs
//! come in, and the session gets those of all seats alike.
//!
//! Each seat has a stream of inputs, from frame 0 on, and one machine that gives them. The exchange
//! delays our own inputs, decides what is repeated, when, and how much, and keeps the newest inputs
//! of all seats. It does so by the clock of the game rather than by timers of its own.
//!
//! Read `datagram` first, which is what travels, then `guard`, which decides what of it may pass.
//! Everything in this folder is pure.

mod datagram;
mod link_clock;
mod input_stream;
mod guard;
mod delivered;
mod peer;
mod sending;
mod leaving;
mod changing;
mod predicted;
mod input_delay;
mod shared;
#[cfg(any(test, feature = "testing"))]
mod false_claims;
#[cfg(all(test, not(target_arch = "wasm32")))]
pub(crate) mod properties;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod tests;

use std::time::Duration;

use signaling::protocol::PeerId;

use self::{
    changing::Changing,
    delivered::ClaimVerdict,
    guard::{Room, check},
    input_stream::InputStream,
    peer::Peer,
};
use crate::packed_input::{PackedInput, ReadInput};

pub(crate) use changing::SeatUse;
pub(crate) use datagram::{
    Datagram, DatagramError, DatagramHeader, Inputs, Stream, control_message, encode_control,
};
#[cfg(test)]
pub(crate) use datagram::{InputRun, Millis};
pub(crate) use guard::{BadInputs, MAX_INPUT_FRAMES};
pub(crate) use input_delay::Delays;
pub(crate) use leaving::{Departure, LastInputs};
pub(crate) use link_clock::LinkClock;
pub(crate) use predicted::Predicted;
pub(crate) use sending::{Lateness, cut};
pub(crate) use shared::SharedExchange;

/// No setting delays inputs by more frames than this.
const MAX_DELAY: u8 = 60;
/// The most memory that the inputs of all seats may take.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// The same in a match that keeps them for machines that are away: enough for half a minute of 16
/// seats whose inputs change in every frame, at 60 frames per second.
const MAX_BYTES_GOING_ON: usize = 8 * 1024 * 1024;
/// Inputs of this many frames are kept in any case. A peer lacks fewer: we take none of its inputs
/// that are further from what it has acknowledged, and so do not run on without it.
const MIN_KEPT_FRAMES: u32 = 192;

/// What the exchange needs to know of the match.
#[derive(Clone, Debug)]
pub(crate) struct ExchangeRules {
    /// Frames that a machine may predict.
    pub(crate) window: u32,
    /// The most frames that our inputs wait.
    pub(crate) max_delay: u32,
    /// Inputs are kept for this many frames.
    pub(crate) kept_frames: u32,
    pub(crate) read_input: ReadInput,
}

/// One seat of the match.
#[derive(Debug)]
struct SeatInputs {
    /// The place in `Exchange::peers` of the machine that holds the seat; `None` if we do.
    holder: Option<usize>,
    stream: InputStream,
    /// The first frame for which nobody gives inputs, once the machines have agreed on that.
    given_up: Option<u32>,
    /// Whether its machine may take the seat again, while nobody plays it.
    is_kept: bool,
    /// The first frame whose input we do not acknowledge for now.
    held_end: Option<u32>,
    /// How often the roster had changed when its machine took the seat. What a machine says of the
    /// seat that knows of fewer changes does not count.
    since_epoch: u32,
}

/// All inputs of one match.
pub(crate) struct Exchange {
    rules: ExchangeRules,
    /// In order of their numbers.
    seats: Vec<SeatInputs>,
    peers: Vec<Peer>,
    delays: Delays,
    /// How far ahead of our inputs the peers were, datagram by datagram.
    predicted: Predicted,
    /// The frame that we simulate next.
    frame: u32,
    changing: Changing,
}

impl Exchange {
    /// The exchange of a match whose seats are held, in order, by these peers, and by us where it
    /// says `None`. `delays` are those of our seats.
    pub(crate) fn new(rules: ExchangeRules, holders: &[Option<PeerId>], delays: Delays) -> Self {
        let mut peers: Vec<Peer> = Vec::new();
        let mut seats = Vec::new();
        for id in holders {
            let holder = id.map(|id| {
                peers.iter().position(|peer| peer.id == id).unwrap_or_else(|| {
                    peers.push(Peer::new(id, holders.len()));
                    peers.len() - 1
                })
            });
            let (stream, given_up, held_end) = (InputStream::default(), None, None);
            let (is_kept, since_epoch) = (false, 0);
            seats.push(SeatInputs { holder, stream, given_up, is_kept, held_end, since_epoch });
        }
        let (predicted, changing) = (Predicted::default(), Changing::default());
        Self { rules, seats, peers, delays, predicted, frame: 0, changing }
    }

    /// Takes our inputs for `frame`, seat by seat; each takes effect after the delay of its seat.
    /// To be called once for each frame.
    pub(crate) fn press(&mut self, frame: u32, inputs: &[PackedInput]) {
        let ours = (0..self.seats.len()).filter(|&seat| self.seats[seat].holder.is_none());
        for (number, &input) in Vec::from_iter(ours).into_iter().zip(inputs) {
            if !self.is_ours(number) {
                continue;
            }
            let stream = &mut self.seats[number].stream;
            let effective = frame + u32::from(self.delays.of(number));
            // A delay that grew leaves frames out, in which the input before is held. After one
            // that shrank, the frame has an input already.
            stream.hold_up_to(effective);
            if stream.end() == effective {
                stream.push(input);
            }
        }
        self.expose();
    }

    /// Changes the delay of our inputs if that is due. To be called just before
    /// [`press`](Self::press): the inputs of that frame are the first with the new delay.
    /// `are_held` says that no input differs from that of the frame before.
    pub(crate) fn adapt_delays(&mut self, now: Duration, are_held: bool) {
        let predicted = std::mem::take(&mut self.predicted);
        self.delays.observe(now, &predicted);
        self.delays.change(now, are_held);
    }

    /// The delays of our seats.
    pub(crate) fn delays(&self) -> &Delays {
        &self.delays
    }

    pub(crate) fn delays_mut(&mut self) -> &mut Delays {
        &mut self.delays
    }

    /// Takes the inputs and the acknowledgements of a datagram of this match: all of them or, if
    /// they are refused, none. `frame` is the one that we simulate next. Returns false if the peer
    /// claims to lack inputs of ours that it has; its own inputs are taken all the same.
    pub(crate) fn receive(
        &mut self,
        from: PeerId,
        header: &DatagramHeader,
        inputs: &Inputs,
        frame: u32,
    ) -> Result<bool, BadInputs> {
        let index = self.index(from).ok_or(BadInputs::NoSeat)?;
        let peer = &mut self.peers[index];
        peer.is_here = true;
        let is_ahead = self.goes_on() && header.epoch > self.changing.epoch;
        if is_ahead || self.has_no_seat(index) {
            self.receive_across_epochs(index, header, inputs, is_ahead);
            return Ok(true);
        }
        self.check_streams(index, &inputs.streams)?;
        let lacking = self.check_acknowledged(index, inputs, header.epoch)?;
        let acked = self.acked(index);
        self.note_acknowledged(index, inputs, header.epoch);
        if header.epoch == self.changing.epoch {
            self.peers[index].epoch = header.epoch;
        }
        if !self.peers[index].is_held {
            self.take(index, &inputs.streams, frame, self.acked(index));
        }
        self.expose();
        let known = self.known(index);
        let peer = &mut self.peers[index];
        // The inputs that the peer gave before its present frame are under way, or here.
        if header.frame >= peer.newest_frame && !inputs.streams.is_empty() {
            peer.newest_frame = header.frame;
            let delay = i64::from(known) - i64::from(header.frame);
            peer.delay = delay.clamp(0, i64::from(MAX_DELAY)) as i32;
        }
        // A peer that leaves no longer predicts anything, and one that says nothing of our seats
        // proves nothing.
        if peer.is_leaving() || lacking == u32::MAX {
            return Ok(true);
        }
        // The peer simulates the frame in the header next, and lacks our inputs from `lacking` on.
        let verdict = peer.delivered.judge(header, lacking, acked, frame);
        // One sample for each frame of ours is enough, and no peer gives more.
        if let ClaimVerdict::Frames(frames) = verdict
            && peer.sampled_at.replace(frame) != Some(frame)
        {
            self.predicted.count(frames);
        }
        Ok(verdict != ClaimVerdict::False)
    }

    /// Takes what fits of a datagram of a machine that is away, or of one that knows of a change of
    /// the roster which we do not know of yet.
    fn receive_across_epochs(
        &mut self,
        index: usize,
        header: &DatagramHeader,
        inputs: &Inputs,
        is_ahead: bool,
    ) {
        // What a machine has after a change may not count before it.
        if !is_ahead && self.seats_not_of(index).count() == inputs.has.len() {
            self.note_acknowledged(index, inputs, header.epoch);
        }
        let mut fitting = inputs.streams.clone();
        fitting.retain(|stream| self.check_streams(index, std::slice::from_ref(stream)).is_ok());
        if !self.peers[index].is_held && !self.has_given_all(index) {
            self.take(index, &fitting, self.frame, self.acked(index));
        }
        let possible = self.frame.saturating_add(self.rules.window);
        self.peers[index].newest_frame = header.frame.min(possible);
        self.expose();
    }

    /// Checks what a peer says that it has, and returns the first frame of our inputs that it says
    /// it lacks.
    fn check_acknowledged(
        &self,
        index: usize,
        inputs: &Inputs,
        epoch: u32,
    ) -> Result<u32, BadInputs> {
        let listed = self.seats_not_of(index);
        if listed.count() != inputs.has.len() {
            return Err(BadInputs::NotInputs);
        }
        let ours = self.seats_not_of(index).zip(&inputs.has);
        let mut lacking = u32::MAX;
        let counts = |seat: usize| self.is_ours(seat) && self.seats[seat].since_epoch <= epoch;
        for (seat, &has) in ours.filter(|&(seat, _)| counts(seat)) {
            if has > self.seats[seat].stream.end() {
                return Err(BadInputs::FalseAck);
            }
            lacking = lacking.min(has);
        }
        Ok(lacking)
    }

    fn check_streams(&self, index: usize, streams: &[Stream]) -> Result<(), BadInputs> {
        let known_end = |seat: u8| {
            let seat = self.seats.get(usize::from(seat))?;
            (seat.holder == Some(index)).then(|| seat.stream.end())
        };
        check(streams, known_end, self.rules.read_input)
    }

    /// Notes what a peer has; an older datagram may come later.
    fn note_acknowledged(&mut self, index: usize, inputs: &Inputs, epoch: u32) {
        let our_end = if self.is_away() { u32::MAX } else { self.our_end() };
        let peer = &mut self.peers[index];
        // It cannot have confirmed a frame for which it has no inputs of ours.
        peer.confirmed = peer.confirmed.max(inputs.confirmed.min(our_end));
        let listed = peer.has.iter_mut().zip(&self.seats);
        let listed = listed.filter(|(_, seat)| seat.holder != Some(index)).zip(&inputs.has);
        for ((noted, seat), &has) in listed.filter(|((_, seat), _)| seat.since_epoch <= epoch) {
            // It cannot have inputs that we did not give; across a change it may say so.
            let given = if seat.holder.is_none() { seat.stream.end() } else { u32::MAX };
            *noted = has.min(given).max(*noted);
        }
    }

    /// Takes inputs that passed the check, as far as there is room for them with a peer that has
    /// our inputs before `acked`.
    fn take(&mut self, index: usize, streams: &[Stream], frame: u32, acked: u32) {
        let ExchangeRules { window, max_delay, .. } = self.rules;
        let limit = Room { frame, acked, window, max_delay }.limit();
        let limit = limit.min(self.peers[index].given.unwrap_or(u32::MAX));
        for given in streams {
            let Some(SeatInputs { stream, .. }) = self.seats.get_mut(usize::from(given.seat))
            else {
                continue;
            };
            for (frame, input) in (given.first..limit).zip(given.inputs()) {
                if frame == stream.end() {
                    stream.push(input);
                }
            }
        }
    }

    /// The inputs of a seat that the session may use, from the frame `from` on. A seat whose
    /// machine has left the match has neutral inputs as far as those of all other seats are known;
    /// beyond that they are predicted.
    pub(crate) fn inputs_from(
        &self,
        seat: usize,
        from: u32,
    ) -> impl Iterator<Item = PackedInput> + '_ {
        let SeatInputs { stream, .. } = &self.seats[seat];
        let neutral_end = if self.is_over(seat) { self.confirmed() } else { 0 };
        let neutral = neutral_end.saturating_sub(from.max(stream.end()));
        let neutral = std::iter::repeat_n(PackedInput::default(), neutral as usize);
        stream.inputs_from(from).chain(neutral)
    }

    /// The inputs of all seats for one frame; the default input where none is known.
    pub(crate) fn inputs_at(&self, frame: u32) -> Vec<PackedInput> {
        let input = |seat: &SeatInputs| seat.stream.get(frame).unwrap_or_default();
        self.seats.iter().map(input).collect()
    }

    /// Whether all seats are ours.
    pub(crate) fn has_no_peers(&self) -> bool {
        self.peers.is_empty()
    }

    /// The first frame whose inputs are not all known here.
    pub(crate) fn confirmed(&self) -> u32 {
        let giving = (0..self.seats.len()).filter(|&seat| !self.is_over(seat));
        giving.map(|seat| self.seats[seat].stream.end()).min().unwrap_or(0)
    }

    /// The first frame whose inputs are not known to be known to all machines.
    pub(crate) fn stable(&self) -> u32 {
        let is_over = |index: usize| self.peers[index].is_leaving() || self.has_no_seat(index);
        let playing = (0..self.peers.len()).filter(|&index| !is_over(index));
        playing.map(|index| self.peers[index].confirmed).fold(self.confirmed(), u32::min)
    }

    /// Forgets inputs that are older than the time for which they are kept, unless a machine may
    /// still lack them. `frame` is the one that we simulate next.
    pub(crate) fn forget_old(&mut self, frame: u32) {
        let wanted = self.stable().min(frame.saturating_sub(self.rules.kept_frames));
        let needed = frame.saturating_sub(MIN_KEPT_FRAMES);
        self.frame = frame;
        self.seats.iter_mut().for_each(|seat| seat.stream.forget_before(wanted));
        let most = if self.goes_on() { MAX_BYTES_GOING_ON } else { MAX_BYTES };
        if self.seats.iter().map(|seat| seat.stream.bytes()).sum::<usize>() > most {
            self.seats.iter_mut().for_each(|seat| seat.stream.forget_before(needed));
        }
    }

    /// Whether the sessions of all peers exist.
    pub(crate) fn are_all_here(&self) -> bool {
        self.peers.iter().all(|peer| peer.is_here)
    }

    /// How many frames longer our inputs are delayed than those of a peer.
    pub(crate) fn extra_delay(&self, peer: PeerId, frame: u32) -> i32 {
        let Some(peer) = self.peers.iter().find(|other| other.id == peer) else { return 0 };
        if self.is_away() {
            return 0;
        }
        self.our_end() as i32 - frame as i32 - peer.delay
    }

    /// The peer of the match whose known inputs end first.
    pub(crate) fn last_known(&self) -> Option<PeerId> {
        let playing = (0..self.peers.len()).filter(|&index| !self.has_given_all(index));
        playing.min_by_key(|&index| self.known(index)).map(|index| self.peers[index].id)
    }

    fn index(&self, id: PeerId) -> Option<usize> {
        self.peers.iter().position(|peer| peer.id == id)
    }

    /// The numbers of the seats that the peer at `index` does not hold.
    fn seats_not_of(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let is_other = move |&seat: &usize| self.seats[seat].holder != Some(index);
        (0..self.seats.len()).filter(is_other)
    }

    /// Whether nobody gives any more inputs of a seat, and those that were given are here.
    fn is_over(&self, seat: usize) -> bool {
        let SeatInputs { holder, given_up, .. } = self.seats[seat];
        if self.goes_on() {
            given_up.is_some()
        } else {
            holder.is_some_and(|holder| self.has_all_of(holder))
        }
    }

    /// Whether all seats of a peer are over.
    fn has_given_all(&self, index: usize) -> bool {
        let mut seats =
            (0..self.seats.len()).filter(|&seat| self.seats[seat].holder == Some(index));
        seats.all(|seat| self.is_over(seat))
    }

    /// Whether the machines have agreed that a peer plays no seat.
    fn has_no_seat(&self, index: usize) -> bool {
        self.goes_on() && self.has_given_all(index)
    }

    /// Whether a peer needs none of our inputs.
    fn is_gone(&self, index: usize) -> bool {
        let is_kept = |seat: &SeatInputs| seat.holder == Some(index) && seat.is_kept;
        self.peers[index].is_leaving()
            || (self.has_given_all(index) && !self.seats.iter().any(is_kept))
    }

    /// The numbers of our seats.
    fn our_seats(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.seats.len()).filter(|&seat| self.is_ours(seat))
    }

    /// The first frame for which one of our seats has no input.
    fn our_end(&self) -> u32 {
        self.our_seats().map(|seat| self.seats[seat].stream.end()).min().unwrap_or(0)
    }

    /// The first frame of our inputs that the peer at `index` lacks, as far as we know.
    fn acked(&self, index: usize) -> u32 {
        let peer = &self.peers[index];
        self.our_seats().map(|seat| peer.has[seat]).min().unwrap_or(u32::MAX)
    }

    /// The first frame for which a seat of the peer at `index` has no input here.
    fn known(&self, index: usize) -> u32 {
        let of_peer = self.seats.iter().filter(|seat| seat.holder == Some(index));
        of_peer.map(|seat| seat.stream.end()).min().unwrap_or(u32::MAX)
    }
}
