//! A match that is played: its inputs come from this machine and its peers, and the engine predicts
//! those that are missing. A match without peers needs no engine.

use std::time::Duration;

use bevy::prelude::{Real, Time, World};
use signaling::protocol::PeerId;

use super::{
    engine::{Engine, Step},
    game::Match,
};
use crate::{
    config::{InputDelay, NetcodeConfig},
    diagnostics::SessionStats,
    exchange::{Exchange, SharedExchange},
    input::{GameInput, Seat},
    membership::StartRefusal,
    packed_input::PackedInput,
};

/// Acknowledgements come with the next datagram, which may wait for some frames, on both ways.
const MAX_ACK_FRAMES: u32 = 8;

/// What drives a match that is played.
pub(super) struct Live {
    /// `None` if all seats are on this machine: then no input is ever missing.
    engine: Option<Engine>,
    exchange: SharedExchange,
    seats: usize,
    fps: u16,
    window: u8,
    /// Frames that may be known and not be final yet.
    ahead: u32,
}

impl Live {
    /// The source of a match with `seats` seats, whose inputs come through `exchange`.
    pub(super) fn new(
        config: &NetcodeConfig,
        seats: usize,
        exchange: SharedExchange,
    ) -> Result<Self, StartRefusal> {
        let is_alone = exchange.with(|exchange| exchange.has_no_peers()).unwrap_or(true);
        let engine = || Engine::new(seats, config.fps, config.prediction_window, 0);
        let engine = if is_alone { None } else { Some(engine()?) };
        let NetcodeConfig { fps, prediction_window: window, .. } = *config;
        // Inputs are known here after the time of one way, and their acknowledgements after that
        // of both: where the window and the delay cover one way, they cover the difference.
        let most = u32::from(window) + u32::from(config.input_delay.max()) + MAX_ACK_FRAMES;
        let goes_on = exchange.with(|exchange| exchange.goes_on()).unwrap_or(false);
        let ahead = if goes_on { most } else { 0 };
        Ok(Self { engine, exchange, seats, fps, window, ahead })
    }

    /// Frames that may be known here and not be final yet: their worlds may have to be stored.
    pub(super) fn ahead(&self) -> u32 {
        self.ahead
    }

    /// Whether the sessions of all peers exist: from then on the match runs.
    pub(super) fn can_begin(&self) -> bool {
        self.exchange.with(|exchange| exchange.are_all_here()).unwrap_or(true)
    }

    /// Delays the inputs of a seat of this machine by `delay` from now on.
    pub(super) fn set_delay(&mut self, now: Duration, seat: Seat, delay: InputDelay) {
        self.exchange.with(|exchange| exchange.delays_mut().set(now, seat.index(), delay));
    }

    /// Takes the inputs of this machine for `frame`, once for each frame. `are_held` says that no
    /// input differs from that of the frame before: a good moment to change their delay.
    pub(super) fn press(
        &mut self,
        world: &mut World,
        frame: u32,
        inputs: &[PackedInput],
        are_held: bool,
    ) {
        let now = world.resource::<Time<Real>>().elapsed();
        self.exchange.with(|exchange| {
            exchange.adapt_delays(now, are_held);
            exchange.press(frame, inputs);
        });
        world.resource_mut::<SessionStats>().input_delay = self.input_delay();
    }

    /// Simulates one new frame, and before it every frame that must be corrected. Returns false if
    /// the prediction window is full.
    pub(super) fn step<I: GameInput>(&mut self, game: &mut Match<I>, world: &mut World) -> bool {
        let Self { engine, exchange, seats, fps, window, ahead } = self;
        let Some(engine) = engine else {
            let frame = game.frame();
            game.rosters_mut().make_final(frame + 1);
            let inputs = exchange.with(|exchange| {
                exchange.forget_old(frame);
                exchange.inputs_at(frame)
            });
            game.save(world);
            game.simulate(world, inputs.unwrap_or_default().into_iter().map(|input| (input, true)));
            return true;
        };
        let before = game.newest();
        let replaced = exchange.with(|exchange| {
            exchange.take_replaced().map(|replaced| replaced.max(exchange.exposed()))
        });
        if let Some(replaced) = replaced.flatten() {
            // ggrs never replaces what it was given, so it begins again where nothing was wrong.
            let first = replaced.min(engine.oldest_open_frame()).min(game.frame());
            if let Ok(again) = Engine::new(*seats, *fps, *window, first) {
                *engine = again;
            }
            if first < game.frame() {
                game.load(world, first);
            }
        }
        let feed = |exchange: &mut Exchange| {
            for seat in 0..*seats {
                engine.feed(seat, exchange.inputs_from(seat, engine.end_of(seat)));
            }
            // A change that is news to ggrs corrects the frames from its own on.
            let end = exchange.roster_end(*ahead);
            engine.feed_rosters(end, |frame| game.rosters().number_at(frame));
            game.rosters_mut().make_final(exchange.exposed());
            exchange.forget_old(game.frame());
        };
        exchange.with(feed);
        // More than one new frame only after the engine has begun again.
        loop {
            let frame = game.frame();
            for step in engine.advance() {
                match step {
                    Step::Save => game.save(world),
                    Step::Load(frame) => game.load(world, frame),
                    Step::Simulate(inputs) => game.simulate(world, inputs.into_iter()),
                }
            }
            if game.newest() > before || game.frame() == frame {
                return game.newest() > before;
            }
        }
    }

    /// The oldest frame that may still be taken back; `u32::MAX` if no input is ever missing.
    pub(super) fn oldest_open_frame(&self) -> u32 {
        let Some(engine) = &self.engine else { return u32::MAX };
        let exposed = self.exchange.with(|exchange| exchange.exposed()).unwrap_or(u32::MAX);
        engine.oldest_open_frame().min(exposed)
    }

    /// The oldest frame whose inputs some machine may not have.
    pub(super) fn stable_frame(&self) -> u32 {
        self.exchange.with(|exchange| exchange.stable()).unwrap_or(0)
    }

    /// The other peers of the match, and where it ended for those that finished it; `u32::MAX` for
    /// those that did not. Still known after the room is left.
    pub(super) fn ends(&self) -> Vec<(PeerId, u32)> {
        self.exchange.with(|exchange| exchange.ends()).unwrap_or_default()
    }

    /// The longest delay of a seat of this machine, in frames.
    pub(super) fn input_delay(&self) -> u8 {
        self.exchange.with(|exchange| exchange.delays().longest()).unwrap_or(0)
    }
}
