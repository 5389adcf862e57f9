//! The inputs of one epoch on their way between the peers and the session: ours go out, theirs come
//! in.
//!
//! For ggrs the exchange is the socket, but ggrs never talks to another ggrs: our own inputs are
//! read from the messages that it sends, and the messages that it receives are made here, from
//! datagrams that passed the guard. So the exchange also decides what is repeated, when, and how
//! much, and it does so by the clock of the game rather than by timers of its own.
//!
//! Read `datagram` first, which is what travels, then `guard`, which decides what of it may pass.
//! Everything in this folder is pure.

mod datagram;
mod link_clock;
mod input_log;
mod guard;
mod delivered;
mod leaving;
mod ggrs_message;
mod socket;
mod predicted;
mod input_delay;
#[cfg(any(test, feature = "testing"))]
mod false_claims;
#[cfg(all(test, not(target_arch = "wasm32")))]
pub(crate) mod properties;

use signaling::protocol::PeerId;

use self::{
    delivered::{ClaimVerdict, Delivered},
    guard::{PeerInputs, Rules},
    input_log::InputLog,
};
use crate::{
    packed_input::{ReadInput, unpack_all},
    transport::MAX_DATAGRAM_BYTES,
};

pub(crate) use datagram::{Datagram, DatagramHeader, Inputs};
#[cfg(test)]
pub(crate) use datagram::{InputRun, Millis};
pub(crate) use guard::{BadInputs, MAX_INPUT_FRAMES};
pub(crate) use input_delay::Delays;
pub(crate) use leaving::Departure;
pub(crate) use link_clock::LinkClock;
pub(crate) use predicted::Predicted;
pub(crate) use socket::SharedExchange;

/// Bytes that a datagram has for inputs, besides its header.
const MAX_RUN_BYTES: usize = MAX_DATAGRAM_BYTES - 64;
/// An input that changed nothing may wait for this many frames before it is sent: every peer
/// predicts that inputs are held, so it is not missed, and half of the datagrams need not be sent.
const HELD_FRAMES: u32 = 2;
/// After a loss, a link counts as lossy for this many frames: at 1 % of 30 datagrams a second,
/// every third loss falls into that time.
const LOSSY_FRAMES: u32 = 60;
/// No setting delays inputs by more frames than this.
const MAX_DELAY: u8 = 60;
/// ggrs asks five times, each time after the previous answer; further questions are not kept.
const MAX_QUESTIONS: usize = 8;

/// A peer as the epoch begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExchangePeer {
    pub(crate) id: PeerId,
    pub(crate) seats: usize,
}

/// What all machines of the match have in common, and what is particular to ours.
#[derive(Clone, Debug)]
pub(crate) struct ExchangeRules {
    /// Seats of the whole match.
    pub(crate) seats: usize,
    pub(crate) local_seats: usize,
    pub(crate) window: u32,
    pub(crate) max_delay: u32,
    /// The default input, as it travels.
    pub(crate) default_input: Vec<u8>,
    pub(crate) read_input: ReadInput,
}

/// How late a datagram reaches a peer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lateness {
    /// Frames of a round trip, jitter included.
    pub(crate) round_trip: f32,
}

#[derive(Debug)]
struct Peer {
    id: PeerId,
    inputs: PeerInputs,
    /// Whether the peer's session exists too: anything said before that would be said in vain.
    is_here: bool,
    questions: Vec<u32>,
    /// The first of our frames that no datagram to the peer has carried yet.
    sent_end: u32,
    delivered: Delivered,
    /// The highest frame that the peer said it was at.
    newest_frame: u32,
    /// How many frames the peer's inputs reached beyond that.
    delay: i32,
    /// Our frame at which the peer last said how far it predicts us.
    sampled_at: Option<u32>,
    /// Until this frame of ours every step is followed by a datagram, because the link lost some.
    lossy_until: u32,
    /// The frame at which the match is over for the peer, once it has left and named one that is
    /// possible.
    end: Option<u32>,
}

/// All inputs of one epoch.
pub(crate) struct Exchange {
    rules: ExchangeRules,
    /// Our inputs, as ggrs writes them.
    ours: InputLog,
    /// The first frame that ggrs gave us: before that, our inputs are the default.
    ours_begin: Option<u32>,
    peers: Vec<Peer>,
    /// Whether the session has found all peers, and takes inputs.
    is_open: bool,
    /// How far ahead of our inputs the peers were, datagram by datagram.
    predicted: Predicted,
}

impl Exchange {
    pub(crate) fn new(rules: ExchangeRules, peers: &[ExchangePeer]) -> Self {
        let peer = |peer: &ExchangePeer| Peer {
            id: peer.id,
            inputs: PeerInputs::new(peer.seats),
            is_here: false,
            questions: Vec::new(),
            sent_end: 0,
            delivered: Delivered::default(),
            newest_frame: 0,
            delay: 0,
            sampled_at: None,
            lossy_until: 0,
            end: None,
        };
        let peers = peers.iter().map(peer).collect();
        Self {
            rules,
            ours: InputLog::default(),
            ours_begin: None,
            peers,
            is_open: false,
            predicted: Predicted::default(),
        }
    }

    /// Notes that the session runs, and takes inputs from now on.
    pub(crate) fn open(&mut self) {
        self.is_open = true;
    }

    /// Takes the inputs and the acknowledgement of a datagram of this epoch. `frame` is the one
    /// that we simulate next. Returns false if the peer claims to lack inputs of ours that it has;
    /// its own inputs are taken all the same.
    pub(crate) fn receive(
        &mut self,
        from: PeerId,
        header: &DatagramHeader,
        inputs: &Inputs,
        frame: u32,
    ) -> Result<bool, BadInputs> {
        let rules = Rules {
            frame,
            our_end: self.ours.end(),
            window: self.rules.window,
            max_delay: self.rules.max_delay,
            read_input: self.rules.read_input,
        };
        let Some(peer) = self.peer(from) else { return Err(BadInputs::NoSeat) };
        peer.is_here = true;
        let acked = peer.inputs.acked();
        peer.inputs.take(header.frame, inputs, &rules)?;
        // The inputs that the peer gave before its present frame are under way, or here.
        if header.frame >= peer.newest_frame && !inputs.runs.is_empty() {
            peer.newest_frame = header.frame;
            let delay = i64::from(peer.inputs.known()) - i64::from(header.frame);
            peer.delay = delay.clamp(0, i64::from(MAX_DELAY)) as i32;
        }
        // A peer that leaves no longer predicts anything.
        if peer.inputs.is_leaving() {
            return Ok(true);
        }
        // The peer simulates the frame in the header next, and lacks our inputs from `wanted` on.
        let lacking = header.frame.saturating_add_signed(i32::from(inputs.wanted));
        let verdict = peer.delivered.judge(header, lacking, acked, frame);
        // One sample for each frame of ours is enough, and no peer gives more.
        if let ClaimVerdict::Frames(frames) = verdict
            && peer.sampled_at.replace(frame) != Some(frame)
        {
            self.predicted.count(frames);
        }
        Ok(verdict != ClaimVerdict::False)
    }

    /// Takes the samples since the last call of how many frames of our inputs the peers predicted.
    pub(crate) fn take_predicted(&mut self) -> Predicted {
        std::mem::take(&mut self.predicted)
    }

    /// Returns the inputs for a datagram with this header to a peer.
    pub(crate) fn inputs_for(&mut self, to: PeerId, header: &DatagramHeader) -> Option<Inputs> {
        let relative = |other: u32| i16::try_from(i64::from(other) - i64::from(header.frame)).ok();
        let Self { ours, peers, rules, .. } = self;
        let peer = peers.iter_mut().find(|peer| peer.id == to)?;
        let first = peer.inputs.acked();
        let needs = if peer.inputs.is_leaving() { 0 } else { MAX_INPUT_FRAMES };
        let wire_form = |packed: &[u8]| unpack_all(packed, &rules.default_input);
        let runs = ours.runs(first, MAX_RUN_BYTES, needs, wire_form);
        let inputs =
            Inputs { first: relative(first)?, wanted: relative(peer.inputs.wanted())?, runs };
        let sent: u32 = inputs.runs.iter().map(|run| u32::from(run.frames)).sum();
        let end = first + sent;
        peer.sent_end = peer.sent_end.max(end);
        if peer.is_here {
            // Before that, the peer may drop the inputs and echo the datagram all the same.
            peer.delivered.note_sent(header.sent_ms, end);
        }
        Some(inputs)
    }

    /// Whether a peer should get a datagram now that we took a step.
    pub(crate) fn is_due(&mut self, to: PeerId, lateness: Lateness) -> bool {
        let Self { ours, peers, rules, .. } = self;
        let Some(peer) = peers.iter_mut().find(|peer| peer.id == to) else { return false };
        if peer.inputs.is_leaving() {
            return false;
        }
        let end = ours.end();
        let unacknowledged = end.saturating_sub(peer.inputs.acked()) as f32;
        // Both sides may have waited, and each polls once a frame. If an input is still not
        // acknowledged then, it is lost, or its acknowledgement is: on such a link every datagram
        // counts.
        if unacknowledged > lateness.round_trip + 2.0 * HELD_FRAMES as f32 + 1.0 {
            peer.lossy_until = end + LOSSY_FRAMES;
        }
        // Where half of a round trip comes close to the window, one frame later may mean a stall.
        let is_far = lateness.round_trip / 2.0 + HELD_FRAMES as f32 > rules.window as f32 / 2.0;
        let has_waited = end.saturating_sub(peer.sent_end) >= HELD_FRAMES;
        has_waited || is_far || end < peer.lossy_until || !ours.is_held(peer.sent_end, end)
    }

    /// The peer of the match whose known inputs end first.
    pub(crate) fn last_known(&self) -> Option<PeerId> {
        let playing = self.peers.iter().filter(|peer| !peer.inputs.has_left());
        playing.min_by_key(|peer| peer.inputs.known()).map(|peer| peer.id)
    }

    /// How many frames longer our inputs are delayed than those of a peer.
    pub(crate) fn extra_delay(&self, peer: PeerId, frame: u32) -> i32 {
        let Some(peer) = self.peers.iter().find(|other| other.id == peer) else { return 0 };
        self.ours.end() as i32 - frame as i32 - peer.delay
    }

    /// Whether a peer still lacks inputs of ours.
    pub(crate) fn is_behind(&self, peer: PeerId) -> bool {
        let end = self.ours.end();
        let lacks = |peer: &Peer| !peer.inputs.is_leaving() && peer.inputs.acked() < end;
        self.peers.iter().any(|other| other.id == peer && lacks(other))
    }

    fn peer(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packed_input::{PackedInput, pack_all};

    const PEER: PeerId = PeerId::from_u128(2);
    const NEAR: Lateness = Lateness { round_trip: 1.0 };

    fn exchange() -> Exchange {
        let rules = ExchangeRules {
            seats: 2,
            local_seats: 1,
            window: 8,
            max_delay: 2,
            default_input: vec![0],
            read_input: PackedInput::read::<u8>,
        };
        Exchange::new(rules, &[ExchangePeer { id: PEER, seats: 1 }])
    }

    /// Our input, as ggrs writes it.
    fn packed(input: u8) -> Vec<u8> {
        pack_all(&[input], 1, PackedInput::read::<u8>).expect("it is an input")
    }

    fn at(frame: u32) -> DatagramHeader {
        DatagramHeader { frame, ..DatagramHeader::default() }
    }

    /// Plays frames in which we press `input`. Returns the frames after which a datagram was due.
    /// The peer acknowledges `lag` frames late.
    fn played(frames: u32, lag: u32, lateness: Lateness, input: fn(u32) -> u8) -> Vec<u32> {
        let mut exchange = exchange();
        let mut due = Vec::new();
        for frame in 0..frames {
            exchange.ours.push(&packed(input(frame)));
            let acked =
                Inputs { wanted: (frame + 1).saturating_sub(lag) as i16, ..Inputs::default() };
            assert_eq!(exchange.receive(PEER, &DatagramHeader::default(), &acked, frame), Ok(true));
            if exchange.is_due(PEER, lateness) {
                due.push(frame);
                exchange.inputs_for(PEER, &at(frame));
            }
        }
        due
    }

    #[test]
    fn an_input_that_every_peer_predicts_may_wait_for_a_frame() {
        assert_eq!(played(10, 2, NEAR, |_| 0), [0, 2, 4, 6, 8]);
    }

    #[test]
    fn an_input_that_no_peer_predicts_goes_at_once() {
        assert_eq!(played(8, 2, NEAR, |frame| u8::from(frame >= 3)), [0, 2, 3, 5, 7]);
    }

    #[test]
    fn every_frame_is_sent_on_a_far_or_lossy_link() {
        let all: Vec<u32> = (0..10).collect();
        assert_eq!(played(10, 5, Lateness { round_trip: 5.0 }, |_| 0), all);
        let lossy = played(200, 7, NEAR, |_| 0);
        assert!(lossy.len() > 190, "{} of 200", lossy.len());
    }

    #[test]
    fn a_match_ends_where_the_inputs_given_for_it_can_end() {
        let leave = |given, end| exchange().leave(PEER, given, end);
        let possible = |end| Some(Departure { end, is_possible: true });
        assert_eq!([leave(0, 0), leave(62, 0)], [possible(0), possible(0)]);
        assert_eq!([leave(100, 38), leave(100, 100)], [possible(38), possible(100)]);
        let given = Some(Departure { end: 100, is_possible: false });
        for end in [0, 37, 101, u32::MAX] {
            assert_eq!(leave(100, end), given, "{end}");
        }
    }

    #[test]
    fn a_leaver_gave_at_least_the_inputs_that_are_here_and_its_first_goodbye_counts() {
        let mut exchange = exchange();
        let runs = vec![InputRun { frames: 100, input: vec![1] }];
        let inputs = Inputs { runs, ..Inputs::default() };
        assert_eq!(exchange.receive(PEER, &at(0), &inputs, 0), Ok(true));
        let false_end = Departure { end: 100, is_possible: false };
        assert_eq!(exchange.leave(PEER, 0, 0), Some(false_end));
        assert_eq!(exchange.leave(PEER, 100, 100), None);
        assert_eq!(exchange.ends(), [(PEER, u32::MAX)]);
        assert!(exchange.reaches(PEER, 1_000));
        assert_eq!(exchange.leave(PeerId::from_u128(9), 0, 0), None);
    }

    #[test]
    fn a_datagram_repeats_only_the_inputs_that_were_not_acknowledged() {
        let mut exchange = exchange();
        for input in [1, 1, 2] {
            exchange.ours.push(&packed(input));
        }
        let inputs = exchange.inputs_for(PEER, &at(1)).expect("the peer is in the match");
        assert_eq!((inputs.first, inputs.wanted, inputs.runs.len()), (-1, -1, 2));
        let acked = Inputs { wanted: 2, ..Inputs::default() };
        assert_eq!(exchange.receive(PEER, &DatagramHeader::default(), &acked, 3), Ok(true));
        assert!(exchange.is_behind(PEER));
        let inputs = exchange.inputs_for(PEER, &at(3)).expect("the peer is in the match");
        assert_eq!((inputs.first, inputs.runs.len()), (-1, 1));
        assert_eq!(exchange.inputs_for(PeerId::from_u128(9), &at(3)), None);
    }
}
