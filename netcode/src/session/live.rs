//! A match that is played: its inputs come from this machine and its peers, ggrs predicts those
//! that are missing, and says what to roll back.
//!
//! ggrs's own disconnect logic is never used (its timeout is set out of reach): `membership`
//! decides which peers are in the match.

use std::time::Duration;

use bevy::prelude::{Real, Time, World};
use ggrs::{
    Config, GgrsError, GgrsRequest, InputStatus, P2PSession, PlayerType, PredictRepeatLast,
    SessionBuilder, SessionState as GgrsState,
};
use signaling::protocol::PeerId;

use super::game::Match;
use crate::{
    config::{InputDelay, NetcodeConfig},
    diagnostics::SessionStats,
    exchange::{Delays, Exchange, SharedExchange},
    input::{GameInput, LocalInputs, Seat},
    membership::{Roster, StartRefusal},
    packed_input::PackedInput,
};

/// ggrs must never decide that a peer is gone: its logic for that can panic, and ours knows more.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);
/// Rounds of questions that ggrs wants answered before it takes a peer for connected. They are
/// answered on this machine, once the peer has begun the same match.
const SYNC_ROUNDS: u32 = 6;

/// How ggrs is parameterised: inputs are bytes, states stay in our own store, peers are named by
/// their id.
#[derive(Debug)]
struct GgrsConfig;

impl Config for GgrsConfig {
    type Input = PackedInput;
    type InputPredictor = PredictRepeatLast;
    type State = ();
    type Address = PeerId;
}

/// What drives a match that is played.
pub(super) struct Live {
    session: Box<P2PSession<GgrsConfig>>,
    exchange: SharedExchange,
    delays: Delays,
}

impl Live {
    /// A session for the seats of `roster`, whose inputs travel through `exchange`.
    pub(super) fn new(
        config: &NetcodeConfig,
        roster: &Roster,
        delays: Delays,
        exchange: SharedExchange,
    ) -> Result<Self, StartRefusal> {
        let mut builder = SessionBuilder::<GgrsConfig>::new()
            .with_num_players(roster.seats().len())?
            .with_fps(usize::from(config.fps))?
            .with_max_prediction_window(usize::from(config.prediction_window))
            .with_input_delay(usize::from(delays.longest()))
            .with_disconnect_timeout(NEVER)
            .with_disconnect_notify_delay(NEVER);
        for seat in roster.seats() {
            let player = match seat.peer.filter(|_| !seat.is_local) {
                Some(peer) => PlayerType::Remote(peer),
                None => PlayerType::Local,
            };
            builder = builder.add_player(player, seat.seat.index())?;
        }
        let session = Box::new(builder.start_p2p_session(exchange.clone())?);
        Ok(Self { session, exchange, delays })
    }

    /// Lets the sessions of all peers find each other. Returns whether they have; from then on
    /// inputs are taken.
    pub(super) fn synchronize(&mut self) -> bool {
        for _ in 0..SYNC_ROUNDS {
            self.session.poll_remote_clients();
            self.session.events().for_each(drop);
        }
        let is_done = self.session.current_state() == GgrsState::Running;
        if is_done {
            self.exchange.with(Exchange::open);
        }
        is_done
    }

    /// Delays the inputs of a seat of this machine by `delay` from now on.
    pub(super) fn set_delay(&mut self, now: Duration, seat: Seat, delay: InputDelay) {
        self.delays.set(now, seat.index(), delay);
    }

    /// Changes the input delay if that is due. To be called just before inputs are added: those of
    /// this frame are the first with the new delay. `are_held` says that no input differs from that
    /// of the frame before.
    pub(super) fn adapt_delay(&mut self, world: &mut World, frame: u32, are_held: bool) {
        // Before the first input, ggrs has none to fill a longer delay with, and sends none to
        // other machines.
        if frame == 0 {
            return;
        }
        let now = world.resource::<Time<Real>>().elapsed();
        if let Some(predicted) = self.exchange.with(Exchange::take_predicted) {
            self.delays.observe(now, &predicted);
        }
        for seat in self.delays.change(now, are_held) {
            // It fails only for seats that are not ours, and these are.
            let _ = self.session.set_input_delay(seat.handle, usize::from(seat.frames));
        }
        world.resource_mut::<SessionStats>().input_delay = self.delays.longest();
    }

    /// Simulates one new frame with these inputs of this machine, and before it every frame that
    /// must be corrected. Returns false if the prediction window is full.
    pub(super) fn step<I: GameInput>(
        &mut self,
        game: &mut Match<I>,
        pressed: &[PackedInput],
        world: &mut World,
    ) -> bool {
        let seats = world.resource::<LocalInputs<I>>().seats();
        // An error means that the session is not synchronised: the same step is tried again later.
        let Ok(requests) = self.advance(seats, pressed) else { return false };
        let before = game.newest();
        for request in requests {
            fulfil(request, game, world);
        }
        game.newest() > before
    }

    fn advance(
        &mut self,
        seats: &[Seat],
        inputs: &[PackedInput],
    ) -> Result<Vec<GgrsRequest<GgrsConfig>>, GgrsError> {
        for (seat, &input) in seats.iter().zip(inputs) {
            self.session.add_local_input(seat.index(), input)?;
        }
        let requests = self.session.advance_frame();
        self.session.events().for_each(drop);
        requests
    }

    /// The oldest frame whose inputs are not all known.
    pub(super) fn oldest_open_frame(&self) -> u32 {
        let confirmed = self.session.confirmed_frame() + 1;
        u32::try_from(confirmed.max(0)).expect("the number is not negative")
    }

    /// The other peers of the match, and where it ended for those that finished it; `u32::MAX` for
    /// those that did not. Still known after the room is left.
    pub(super) fn ends(&self) -> Vec<(PeerId, u32)> {
        self.exchange.with(|exchange| exchange.ends()).unwrap_or_default()
    }

    /// The longest delay of a seat of this machine, in frames.
    pub(super) fn input_delay(&self) -> u8 {
        self.delays.longest()
    }
}

fn fulfil<I: GameInput>(request: GgrsRequest<GgrsConfig>, game: &mut Match<I>, world: &mut World) {
    match request {
        GgrsRequest::SaveGameState { cell, frame } => {
            game.save(world);
            cell.save(frame, Some(()), None);
        }
        GgrsRequest::LoadGameState { frame, .. } => {
            let frame =
                u32::try_from(frame).expect("ggrs loads only frames that it saved, from 0 up");
            game.load(world, frame);
        }
        GgrsRequest::AdvanceFrame { inputs } => {
            let is_known = |status| status == InputStatus::Confirmed;
            let inputs = inputs.iter().map(|&(input, status)| (input, is_known(status)));
            game.simulate(world, inputs);
        }
    }
}

impl From<GgrsError> for StartRefusal {
    fn from(_: GgrsError) -> Self {
        Self::Settings
    }
}
