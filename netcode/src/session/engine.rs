//! ggrs: it predicts the inputs that are missing, and says which frames to simulate again. The only
//! file that names it.
//!
//! To ggrs every seat is a player on a machine of its own, ours included, and so its inputs come in
//! one way only: as messages, made here from inputs that passed the exchange. Nothing that a peer
//! sends reaches ggrs's decoder, which aborts or panics on hostile bytes. One player more stands
//! for the roster: its input is the number of the roster of a frame, so a change that arrives late
//! is to ggrs a wrong prediction like any other. ggrs never learns that a machine has left, as its
//! logic for that can panic; its timeout is set out of reach.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ggrs::{
    Config, GgrsError, GgrsRequest, InputStatus, Message, NonBlockingSocket, P2PSession,
    PlayerType, PredictRepeatLast, SessionBuilder, SessionState as GgrsState,
};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{CodecError, decode_own, encode_input, encode_into},
    membership::StartRefusal,
    packed_input::{MAX_INPUT_BYTES, PackedInput},
};

/// A player is never silent for this long.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);
/// ggrs asks each player five questions before it begins; they are answered here.
const SYNC_ROUNDS: usize = 16;
/// The number of ggrs's sender; the same for all players, as none of these messages travels.
const MAGIC: u16 = 1;
/// ggrs keeps 128 inputs of each player, from before the oldest frame that it may roll back to, and
/// panics beyond that. Some are left free, because it counts the frames at both ends differently.
const MAX_FED_FRAMES: u32 = 120;
/// ggrs's number for "no frame".
const NO_FRAME: i32 = -1;
/// The size of an input in a message of ggrs, which requires all inputs to have the same size.
const INPUT_BYTES: usize = size_of::<u8>() + MAX_INPUT_BYTES;

/// How ggrs is parameterised: inputs are bytes, states stay in our own store, and players are named
/// by their number.
#[derive(Debug)]
struct GgrsConfig;

impl Config for GgrsConfig {
    type Input = PackedInput;
    type InputPredictor = PredictRepeatLast;
    type State = ();
    type Address = usize;
}

/// One thing to do next.
pub(super) enum Step {
    /// Save the present frame.
    Save,
    /// Roll back to this frame.
    Load(u32),
    /// Simulate the present frame with the inputs of all seats. The flag says whether an input is
    /// known, and not predicted.
    Simulate(Vec<(PackedInput, bool)>),
}

/// A player, as far as ggrs has its inputs.
#[derive(Clone, Copy, Debug)]
struct Player {
    /// The first frame whose input ggrs does not have.
    end: u32,
    /// The input before that.
    last: PackedInput,
}

/// The prediction of inputs, and the rollbacks that follow from it.
pub(super) struct Engine {
    session: Box<P2PSession<GgrsConfig>>,
    mailbox: Mailbox,
    /// One for each seat, and the roster.
    players: Vec<Player>,
    /// The frame of the match that is ggrs's frame 0. A match that is joined late begins later.
    offset: u32,
    /// Buffers that are reused.
    inputs: Vec<PackedInput>,
}

impl Engine {
    /// An engine for a match with `seats` seats that begins at the frame `offset`, at `fps` frames
    /// a second, and predicts at most `window` frames.
    pub(super) fn new(
        seats: usize,
        fps: u16,
        window: u8,
        offset: u32,
    ) -> Result<Self, StartRefusal> {
        let players = seats + 1;
        let mut builder = SessionBuilder::<GgrsConfig>::new()
            .with_num_players(players)?
            .with_fps(usize::from(fps))?
            .with_max_prediction_window(usize::from(window))
            .with_input_delay(0)
            .with_disconnect_timeout(NEVER)
            .with_disconnect_notify_delay(NEVER);
        for player in 0..players {
            builder = builder.add_player(PlayerType::Remote(player), player)?;
        }
        let mailbox = Mailbox::default();
        mailbox.with(|mail| mail.answers_questions = true);
        let mut session = Box::new(builder.start_p2p_session(mailbox.clone())?);
        for _ in 0..SYNC_ROUNDS {
            session.poll_remote_clients();
            session.events().for_each(drop);
        }
        if session.current_state() != GgrsState::Running {
            return Err(StartRefusal::Settings);
        }
        mailbox.with(|mail| mail.answers_questions = false);
        let players = vec![Player { end: offset, last: PackedInput::default() }; players];
        Ok(Self { session, mailbox, players, offset, inputs: Vec::new() })
    }

    /// The first frame for which ggrs has no input of a seat.
    pub(super) fn end_of(&self, seat: usize) -> u32 {
        self.players[seat].end
    }

    /// Gives ggrs the inputs of a seat from [`end_of`](Self::end_of) on, as far as it has room.
    /// They are final: a frame that ggrs has been given is never replaced.
    pub(super) fn feed(&mut self, seat: usize, inputs: impl Iterator<Item = PackedInput>) {
        let mut buffer = std::mem::take(&mut self.inputs);
        buffer.clear();
        let simulated = self.offset + u32::try_from(self.session.current_frame()).unwrap_or(0);
        let kept_from = self.oldest_open_frame().min(simulated);
        let room = (kept_from + MAX_FED_FRAMES).saturating_sub(self.end_of(seat));
        buffer.extend(inputs.take(room as usize));
        let Player { end, last } = self.players[seat];
        if let Some(&newest) = buffer.last() {
            let first = end - self.offset;
            let message = GgrsBody::inputs(self.players.len(), first, &last, &buffer);
            self.mailbox.post(seat, &message);
            self.players[seat] = Player { end: end + buffer.len() as u32, last: newest };
        }
        self.inputs = buffer;
    }

    /// Gives ggrs the number of the roster of each frame before `end`, which is final from then on.
    /// Beyond that ggrs predicts that the roster stays, even if the inputs of all seats are known.
    /// A frame that has another roster than was predicted is corrected, and all frames after it.
    pub(super) fn feed_rosters(&mut self, end: u32, number_at: impl Fn(u32) -> u32) {
        let roster = self.players.len() - 1;
        let frames = self.end_of(roster)..end;
        self.feed(roster, frames.map(|frame| roster_input(number_at(frame))));
    }

    /// What to do to get one frame further: every frame that must be corrected comes first. No new
    /// frame is simulated while the prediction window is full.
    pub(super) fn advance(&mut self) -> impl Iterator<Item = Step> + use<> {
        // ggrs refuses a step only before it has begun, or where a local player gave no input.
        let requests = self.session.advance_frame().unwrap_or_default();
        self.session.events().for_each(drop);
        let offset = self.offset;
        requests.into_iter().map(move |request| match request {
            GgrsRequest::SaveGameState { cell, frame } => {
                cell.save(frame, Some(()), None);
                Step::Save
            }
            GgrsRequest::LoadGameState { frame, .. } => {
                let frame =
                    u32::try_from(frame).expect("ggrs loads only frames that it saved, from 0 up");
                Step::Load(offset + frame)
            }
            GgrsRequest::AdvanceFrame { mut inputs } => {
                // The roster is the last player, and no seat.
                inputs.pop();
                let is_known = |status| status == InputStatus::Confirmed;
                let inputs = inputs.into_iter();
                Step::Simulate(inputs.map(|(input, status)| (input, is_known(status))).collect())
            }
        })
    }

    /// The oldest frame whose inputs ggrs does not all have. It has corrected all frames before it.
    pub(super) fn oldest_open_frame(&self) -> u32 {
        let open = self.session.confirmed_frame() + 1;
        self.offset + u32::try_from(open).unwrap_or(0)
    }
}

impl From<GgrsError> for StartRefusal {
    fn from(_: GgrsError) -> Self {
        Self::Settings
    }
}

/// The number of a roster as an input. Before it has any, ggrs predicts the default input: that is
/// number 0.
fn roster_input(number: u32) -> PackedInput {
    if number == 0 {
        return PackedInput::default();
    }
    PackedInput::from_bytes(&number.to_le_bytes()).expect("an input may have more than four bytes")
}

/// What ggrs takes for a socket.
#[derive(Clone, Default)]
struct Mailbox(Arc<Mutex<Mail>>);

#[derive(Default)]
struct Mail {
    /// The messages that wait for ggrs.
    waiting: Vec<(usize, Message)>,
    /// Whether ggrs asks the players questions, before it begins. All else that it sends is
    /// acknowledgements, clocks and signs of life, which have no receiver.
    answers_questions: bool,
}

impl Mailbox {
    fn with<T>(&self, work: impl FnOnce(&mut Mail) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn post(&self, from: usize, body: &GgrsBody) {
        let message = body.close().expect("every message of this file has the shape of ggrs's");
        self.with(|mail| mail.waiting.push((from, message)));
    }
}

impl NonBlockingSocket<usize> for Mailbox {
    fn send_to(&mut self, message: &Message, to: &usize) {
        if self.with(|mail| mail.answers_questions)
            && let Ok(GgrsBody::SyncRequest { random }) = GgrsBody::open(message)
        {
            self.post(*to, &GgrsBody::SyncReply { random });
        }
    }

    fn receive_all_messages(&mut self) -> Vec<(usize, Message)> {
        self.with(|mail| std::mem::take(&mut mail.waiting))
    }
}

/// What a message of ggrs 0.13 says, variant by variant: ggrs's own fields are private.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum GgrsBody {
    SyncRequest {
        random: u32,
    },
    SyncReply {
        random: u32,
    },
    Input {
        connected: Vec<ConnectionStatus>,
        disconnect_requested: bool,
        first: i32,
        acked: i32,
        bytes: Vec<u8>,
    },
    InputAck {
        acked: i32,
    },
    QualityReport {
        frame_advantage: i16,
        ping: u128,
    },
    QualityReply {
        pong: u128,
    },
    ChecksumReport {
        checksum: u128,
        frame: i32,
    },
    KeepAlive,
}

/// What one player says about another's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ConnectionStatus {
    disconnected: bool,
    last_frame: i32,
}

impl GgrsBody {
    fn open(message: &Message) -> Result<Self, CodecError> {
        let mut bytes = Vec::new();
        encode_into(message, &mut bytes)?;
        let (_magic, body): (u16, Self) = decode_own(&bytes)?;
        Ok(body)
    }

    fn close(&self) -> Result<Message, CodecError> {
        let mut bytes = Vec::new();
        encode_into(&(MAGIC, self), &mut bytes)?;
        decode_own(&bytes)
    }

    /// A player's inputs from ggrs's frame `first` on, which follow `before`. All of the `players`
    /// players are connected.
    fn inputs(players: usize, first: u32, before: &PackedInput, inputs: &[PackedInput]) -> Self {
        let connected = ConnectionStatus { disconnected: false, last_frame: NO_FRAME };
        Self::Input {
            connected: vec![connected; players],
            disconnect_requested: false,
            // A match of a year has fewer frames than an `i32` can count.
            first: first as i32,
            acked: NO_FRAME,
            bytes: bitfield_rle::encode(differences(before, inputs)),
        }
    }
}

/// Each input as its difference from the one before it, after its length in two bytes.
fn differences(before: &PackedInput, inputs: &[PackedInput]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(inputs.len() * (2 + INPUT_BYTES));
    let mut before = ggrs_bytes(before);
    for input in inputs {
        let input = ggrs_bytes(input);
        bytes.extend_from_slice(&(INPUT_BYTES as u16).to_le_bytes());
        bytes.extend(input.iter().zip(before).map(|(now, before)| now ^ before));
        before = input;
    }
    bytes
}

/// An input as ggrs writes it.
fn ggrs_bytes(input: &PackedInput) -> [u8; INPUT_BYTES] {
    let mut bytes = [0; INPUT_BYTES];
    encode_input(input, &mut bytes).expect("it is a number of plain numbers");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(number: u8) -> PackedInput {
        PackedInput::from_bytes(&[number]).expect("it is short")
    }

    #[test]
    fn every_message_of_ggrs_has_its_shape_here() {
        let bodies = [
            GgrsBody::SyncRequest { random: 7 },
            GgrsBody::SyncReply { random: 7 },
            GgrsBody::inputs(3, 30, &input(1), &[input(1), input(2)]),
            GgrsBody::InputAck { acked: 12 },
            GgrsBody::QualityReport { frame_advantage: -3, ping: 1 << 90 },
            GgrsBody::QualityReply { pong: 0 },
            GgrsBody::ChecksumReport { checksum: 1, frame: 2 },
            GgrsBody::KeepAlive,
        ];
        let names = "SyncRequest SyncReply Input InputAck QualityReport QualityReply ChecksumReport \
                     KeepAlive";
        for (body, name) in bodies.into_iter().zip(names.split(' ')) {
            let message = body.close().expect("ggrs reads what has its shape");
            // ggrs names what it read.
            let shown = format!("{message:?}");
            assert!(shown.contains(&format!("body: {name}")), "{shown}");
            assert_eq!(GgrsBody::open(&message), Ok(body));
        }
    }

    /// What an engine did: the inputs of each frame that it simulated, the frames in the order in
    /// which it simulated them, and those to which it rolled back.
    #[derive(Default)]
    struct Played {
        frame: u32,
        simulated: Vec<u32>,
        inputs: Vec<Vec<u8>>,
        known: Vec<Vec<bool>>,
        loads: Vec<u32>,
    }

    impl Played {
        fn from(offset: u32) -> Self {
            Self { frame: offset, ..Self::default() }
        }

        fn advance(&mut self, engine: &mut Engine, offset: u32) {
            for step in engine.advance() {
                match step {
                    Step::Save => {}
                    Step::Load(frame) => {
                        self.loads.push(frame);
                        self.frame = frame;
                    }
                    Step::Simulate(inputs) => {
                        let index = (self.frame - offset) as usize;
                        self.inputs.truncate(index);
                        self.known.truncate(index);
                        let number = |input: &PackedInput| {
                            let mut bytes = Vec::new();
                            input.write(&mut bytes);
                            bytes.first().copied().unwrap_or(0)
                        };
                        self.inputs.push(inputs.iter().map(|(input, _)| number(input)).collect());
                        self.known.push(inputs.iter().map(|&(_, is_known)| is_known).collect());
                        self.simulated.push(self.frame);
                        self.frame += 1;
                    }
                }
            }
        }
    }

    #[test]
    fn inputs_come_out_as_they_went_in_whatever_was_predicted() {
        for offset in [0, 1_000] {
            let mut engine = Engine::new(2, 60, 8, offset).expect("the settings are possible");
            let mut played = Played::from(offset);
            let number = |seat: u32, frame: u32| (frame / (3 + seat) % 5) as u8;
            for tick in offset..offset + 300 {
                // Seat 0 is ours; the inputs of seat 1 come five frames late, and in lumps.
                engine.feed(0, [input(number(0, tick))].into_iter());
                if tick.is_multiple_of(3) {
                    let news = engine.end_of(1)..(tick + 1).saturating_sub(5).max(offset);
                    engine.feed(1, news.map(|frame| input(number(1, frame))));
                }
                engine.feed_rosters(engine.end_of(1), |_| 0);
                played.advance(&mut engine, offset);
                assert_eq!(engine.oldest_open_frame(), engine.end_of(1));
            }
            assert_eq!(played.frame, offset + 300, "the window never filled");
            assert!(played.loads.len() > 50, "{} rollbacks", played.loads.len());
            let known = (engine.oldest_open_frame() - offset) as usize;
            assert!(known > 290);
            for (frame, inputs) in (offset..).zip(&played.inputs[..known]) {
                assert_eq!(inputs, &[number(0, frame), number(1, frame)], "frame {frame}");
            }
        }
    }

    #[test]
    fn the_roster_holds_frames_open_whose_inputs_are_known() {
        let mut engine = Engine::new(1, 60, 8, 0).expect("the settings are possible");
        let mut played = Played::from(0);
        for tick in 0..30 {
            engine.feed(0, [input(1)].into_iter());
            engine.feed_rosters(tick.min(10), |_| 0);
            played.advance(&mut engine, 0);
        }
        assert_eq!((engine.oldest_open_frame(), engine.end_of(0)), (10, 30));
        assert_eq!(played.frame, 10 + 8 - 1, "no further than the window");
        assert!(played.loads.is_empty(), "nothing was predicted wrongly");
        engine.feed_rosters(30, |_| 0);
        played.advance(&mut engine, 0);
        assert!(played.loads.is_empty() && played.frame > 17);
    }

    #[test]
    fn a_change_of_the_roster_rolls_back_to_its_frame_though_no_button_changed() {
        for offset in [0, 1_000] {
            let mut engine = Engine::new(2, 60, 8, offset).expect("the settings are possible");
            let mut played = Played::from(offset);
            let changes = [offset + 20, offset + 30, offset + 31];
            let number_at = |frame| changes.iter().filter(|&&first| first <= frame).count() as u32;
            for tick in offset..offset + 60 {
                (0..2).for_each(|seat| engine.feed(seat, [input(7)].into_iter()));
                // The rosters are known four frames late, except that the last two changes are
                // news at the same time.
                let is_held = (offset + 34..offset + 36).contains(&tick);
                if !is_held {
                    engine.feed_rosters(tick.saturating_sub(4).max(offset), number_at);
                }
                played.advance(&mut engine, offset);
            }
            assert_eq!(played.loads, changes[..2]);
            let times = |frame| played.simulated.iter().filter(|&&it| it == frame).count();
            assert_eq!(times(offset + 19), 1, "before the change, nothing is simulated again");
            assert_eq!((times(offset + 20), times(offset + 24), times(offset + 25)), (2, 2, 1));
            assert_eq!((times(offset + 29), times(offset + 30), times(offset + 35)), (1, 2, 2));
            assert_eq!(times(offset + 36), 1);
            assert!(played.inputs.iter().all(|inputs| *inputs == [7, 7]), "the roster is no seat");
        }
    }

    #[test]
    fn rosters_that_are_known_in_time_and_stay_roll_nothing_back() {
        for offset in [0, 1_000] {
            let mut engine = Engine::new(1, 60, 8, offset).expect("the settings are possible");
            let mut played = Played::from(offset);
            for tick in offset..offset + 40 {
                engine.feed(0, [input(7)].into_iter());
                let known_before = if tick < offset + 20 { tick } else { tick + 1 };
                engine.feed_rosters(known_before, |frame| u32::from(frame >= offset + 25));
                played.advance(&mut engine, offset);
            }
            assert_eq!((played.loads.len(), played.frame), (0, offset + 40));
        }
    }

    #[test]
    fn ggrs_keeps_the_inputs_of_the_whole_room_that_the_exchange_fills() {
        // A seat as far ahead of another one, which has given nothing, as the exchange lets it be.
        let mut engine = Engine::new(2, 60, 8, 0).expect("the settings are possible");
        let mut played = Played::from(0);
        engine.feed(0, (0..120).map(|number| input(number as u8)));
        (0..20).for_each(|_| played.advance(&mut engine, 0));
        assert_eq!(played.frame, 8);
        engine.feed(1, std::iter::repeat_n(input(9), 120));
        engine.feed_rosters(120, |_| 0);
        (0..130).for_each(|_| played.advance(&mut engine, 0));
        assert_eq!(played.inputs[..120].iter().map(|it| it[1]).collect::<Vec<_>>(), [9; 120]);
    }
}
