//! One machine of the match: a real connection with a real exchange, driven as
//! `membership::systems` and `session::drive` drive it, and a game without a world.

use std::time::Duration;

use signaling::protocol::PeerId;

use super::{
    super::{
        change::Change,
        connection::{Connection, ConnectionEvent},
        control::Hello,
        departures::{Consequence, cause_of_goodbye, decide},
        lineup::MatchPlan,
        match_wire::Policies,
        reasons::{EndReason, GoodbyeCause},
    },
    game::{Game, Log},
    network::{Network, peer},
};
use crate::{
    config::{DeparturePolicy, InputDelay, NetcodeConfig},
    exchange::{Delays, Exchange, ExchangeRules, SharedExchange},
    pacing::Pacer,
    packed_input::PackedInput,
    random,
};

/// As in `session::drive`.
const MAX_CATCH_UP_STEPS: u32 = 10;
/// As in `session::start`.
const KEPT: Duration = Duration::from_secs(35);
/// The number of the match.
const MATCH: u32 = 1;

/// The settings of all machines: shorter times than the defaults, so that a seed is soon played.
pub(super) fn config() -> NetcodeConfig {
    NetcodeConfig {
        fps: 30,
        input_delay: InputDelay::Adaptive { min: 1, max: 3 },
        prediction_window: 6,
        outage_timeout: Duration::from_secs(3),
        max_players: 8,
        departure_policy: DeparturePolicy::GoOn,
        seat_hold: Duration::from_secs(4),
        ..NetcodeConfig::default()
    }
}

/// What a machine does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It waits until the sessions of all machines exist.
    Starting,
    Playing,
    /// Its match cannot go on. It has left the room.
    Ended(EndReason),
    /// Its player has left the room.
    Left,
    /// Its player is back in the lobby.
    Finished,
    Crashed,
}

/// A rule that is broken, to see that the trials notice it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fault {
    #[default]
    None,
    /// A machine that promised holds nothing.
    HoldsNothing,
    /// It acknowledges nothing more, but exposes frames.
    Exposes,
    /// The session goes on with what turned out not to count.
    KeepsReplaced,
}

pub(super) struct Machine {
    pub(super) fault: Fault,
    number: usize,
    pub(super) connection: Connection,
    pub(super) game: Game,
    pub(super) exchange: SharedExchange,
    pub(super) status: Status,
    /// When it runs next.
    pub(super) next: Duration,
    pacer: Pacer,
    updated: Duration,
    seed: u64,
    pressed: Option<u32>,
    input: PackedInput,
    steps: u32,
}

impl Machine {
    /// Machines that have met, and that begin a match.
    pub(super) fn begin_all(seed: u64, count: usize, network: &Network) -> Vec<Self> {
        let config = config();
        let mut connections = Vec::from_iter((0..count).map(|it| {
            let mut connection = Connection::new(&config);
            let hello = Hello::new(&config, 0, &format!("player {it}"), 1);
            connection.open(network.transport(it), hello);
            connection
        }));
        // The first time they see each other, and then they hear hello.
        for _ in 0..2 {
            for connection in &mut connections {
                connection.receive(Duration::ZERO, Duration::ZERO, None);
                connection.release(Duration::ZERO);
            }
        }
        let players = (0..count).map(|it| (peer(it), format!("player {it}"), 1));
        let plan = MatchPlan::seated(MATCH, players.collect());
        let connections = connections.into_iter().enumerate();
        let machine = |(it, connection)| Self::begin(seed, it, connection, &plan, &config);
        connections.map(machine).collect()
    }

    fn begin(
        seed: u64,
        number: usize,
        mut connection: Connection,
        plan: &MatchPlan,
        config: &NetcodeConfig,
    ) -> Self {
        connection.enter_match(Duration::ZERO, plan);
        let rules = ExchangeRules {
            window: u32::from(config.prediction_window),
            max_delay: u32::from(config.input_delay.max()),
            kept_frames: KEPT.as_secs() as u32 * u32::from(config.fps),
            read_input: PackedInput::read::<u8>,
        };
        let count = plan.members.len();
        let holders = Vec::from_iter((0..count).map(|it| (it != number).then(|| peer(it))));
        let delays = Delays::new([number].into_iter(), config.input_delay, 1);
        let exchange = Exchange::new(rules.clone(), &holders, delays);
        let policies = Policies { departure: config.departure_policy, pair: config.pair_policy };
        let exchange = connection.begin_exchange(exchange, policies);
        let goes_on = exchange.with(|exchange| exchange.goes_on()).unwrap_or(false);
        let roster = connection.roster().expect("the match has begun");
        let game = Game::new(rules.window, rules.max_delay, roster, goes_on);
        let mut seed = seed ^ ((number as u64 + 1) << 32);
        Self {
            fault: Fault::None,
            number,
            connection,
            game,
            exchange,
            status: Status::Starting,
            next: Duration::from_micros(random::next(&mut seed) % 33_000),
            pacer: Pacer::new(config.step_duration()),
            updated: Duration::ZERO,
            seed,
            pressed: None,
            input: PackedInput::default(),
            steps: 0,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        random::next(&mut self.seed) % below
    }

    pub(super) fn is_playing(&self) -> bool {
        self.status == Status::Playing
    }

    /// The agreement, in a match that goes on without some of its machines.
    pub(super) fn change(&self) -> Option<&Change> {
        self.connection.match_wire.playing.as_ref()?.change.as_ref()
    }

    /// One update.
    pub(super) fn update(&mut self, now: Duration, log: &mut Log) {
        let elapsed = now - std::mem::replace(&mut self.updated, now);
        self.next = now + Duration::from_micros(30_000 + self.random(7_000));
        // As `frame_position` in `membership::systems`.
        let position = self.game.frame as f32 + self.steps.saturating_sub(1) as f32 / 6.0;
        let our_frame = self.is_playing().then_some(position);
        self.connection.receive(now, elapsed, our_frame);
        self.break_rule();
        while let Some(event) = self.connection.poll_event() {
            self.handle(now, event);
        }
        self.check_presence(now);
        let are_all_here = || self.exchange.with(|exchange| exchange.are_all_here());
        if self.status == Status::Starting && are_all_here() == Some(true) {
            self.status = Status::Playing;
            self.pacer.restart();
        }
        let has_stepped = self.is_playing() && self.step(now, elapsed);
        if self.is_playing() {
            self.exchange.with(|exchange| self.game.expose(exchange, log));
        }
        self.connection.send(now, self.game.frame, has_stepped);
        self.break_rule();
    }

    /// Undoes what the rule does that is broken.
    fn break_rule(&mut self) {
        let change = self.connection.match_wire.playing.as_ref();
        let Some(change) = change.and_then(|playing| playing.change.as_ref()) else { return };
        let held = change.held_machines();
        self.exchange.with(|exchange| {
            match self.fault {
                Fault::HoldsNothing => exchange.hold(None, &[]),
                Fault::Exposes => exchange.hold(None, &held),
                Fault::KeepsReplaced => {
                    exchange.take_replaced();
                }
                Fault::None => return,
            }
            exchange.expose();
        });
    }

    fn handle(&mut self, now: Duration, event: ConnectionEvent) {
        match event {
            ConnectionEvent::Closed(peer) => {
                self.end_without(now, peer, GoodbyeCause::PeerLost(peer));
                self.connection.forget(peer);
            }
            ConnectionEvent::Goodbye(peer, said) => {
                self.end_without(now, peer, cause_of_goodbye(peer, said));
                self.connection.forget(peer);
            }
            ConnectionEvent::Misconduct(peer, misconduct) => {
                panic!("{} accuses {peer}: {misconduct}", self.number);
            }
            ConnectionEvent::PutAway => self.end(now, EndReason::PutAway),
            _ => {}
        }
    }

    /// As in `membership::systems`.
    fn check_presence(&mut self, now: Duration) {
        if !self.is_playing() {
            return;
        }
        if let Some(peer) = self.connection.missing(true) {
            self.end_without(now, peer, GoodbyeCause::PeerLost(peer));
        }
        if let Some(reason) = self.connection.dead_end() {
            self.end(now, reason);
        }
        assert_eq!(self.connection.blocker(), None, "{}: a peer does not play", self.number);
    }

    fn end_without(&mut self, now: Duration, gone: PeerId, cause: GoodbyeCause) {
        let is_needed = self.connection.needs(gone);
        let Some(roster) = self.connection.roster() else { return };
        if let Consequence::EndMatch { tell, reason } = decide(cause, is_needed, roster) {
            self.connection.close(now, tell);
            self.status = Status::Ended(reason);
        }
    }

    fn end(&mut self, now: Duration, reason: EndReason) {
        self.connection.close(now, GoodbyeCause::Leaving);
        self.status = Status::Ended(reason);
    }

    /// The player leaves the room.
    pub(super) fn leave(&mut self, now: Duration) {
        self.connection.close(now, GoodbyeCause::Leaving);
        self.status = Status::Left;
    }

    /// The player goes back to the lobby.
    pub(super) fn finish(&mut self, now: Duration) {
        self.connection.finish(now, self.game.frame);
        self.connection.leave_match(now);
        self.status = Status::Finished;
    }

    /// Takes the steps that are due.
    fn step(&mut self, now: Duration, elapsed: Duration) -> bool {
        let mut due = self.pacer.advance(elapsed, self.connection.lead_frames());
        if let Some(lag) = self.connection.lag() {
            due = due.max(lag.min(MAX_CATCH_UP_STEPS));
        }
        self.steps = due;
        if due > 0 {
            self.game.change_rosters(self.connection.take_rosters());
        }
        let mut has_stepped = false;
        for _ in 0..due {
            self.press(now);
            let stepped = self.exchange.with(|exchange| self.game.step(exchange));
            if stepped != Some(true) {
                break;
            }
            has_stepped = true;
        }
        has_stepped
    }

    /// Gives the input of the next frame, once.
    fn press(&mut self, now: Duration) {
        let frame = self.game.frame;
        if self.pressed.replace(frame) == Some(frame) {
            return;
        }
        let before = self.input;
        if self.random(4) == 0 {
            let bytes = [1 + self.random(200) as u8];
            self.input = PackedInput::from_bytes(&bytes).expect("it is short");
        }
        let input = self.input;
        self.exchange.with(|exchange| {
            exchange.adapt_delays(now, input == before);
            exchange.press(frame, &[input]);
        });
    }
}
