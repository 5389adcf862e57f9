//! How a match begins and ends: the world is cleared, set up again from the seed, and driven by a
//! source.

use std::time::Duration;

use bevy::prelude::{Local, Real, Time, World};

use super::{
    Session,
    finish::{Finish, FinishedWorld, MatchEnd, MatchResult, conclude},
    game::Match,
    inputs::{Pressed, check_size},
    live::Live,
    source::Source,
    sync_test::Run,
};
use crate::{
    checksum::ChecksumLog,
    config::{InputDelay, MAX_SEATS, NetcodeConfig, SyncTest},
    diagnostics::SessionStats,
    effects::{EffectFrames, EffectTypes},
    exchange::{Delays, Exchange, ExchangeRules, SharedExchange},
    frame::{MatchSeed, SimFrame, time_of_frame},
    input::{GameInput, LocalInputs, PlayerInputs, Seat},
    membership::{
        Connection, EndReason, PendingStart, Policies, Roster, RosterSeat, SessionState,
        StartLocal, StartRefusal, end_session,
    },
    pacing::Pacer,
    packed_input::PackedInput,
    rollback::RollbackStore,
    schedules::SetupMatch,
    scoped::Scoped,
};

/// Frames kept beyond the prediction window: the present one, and the one before the oldest
/// prediction.
const EXTRA_FRAMES: usize = 2;
/// Inputs of all seats are kept for this long, unless a machine may still lack them; and for as
/// long as a seat is kept for a machine that is away, and this long beyond.
const KEPT: Duration = Duration::from_secs(30);
const KEPT_BEYOND_HOLD: Duration = Duration::from_secs(5);

/// Begins matches that were agreed on, ends matches that are over, and clears the world of a match
/// that is no longer wanted.
pub(super) fn manage_match<I: GameInput>(world: &mut World, mut has_warned: Local<bool>) {
    let pending = std::mem::take(&mut *world.resource_mut::<PendingStart>());
    let is_unwanted = world.resource::<FinishedWorld>().is_unwanted();
    if is_unwanted || !matches!(pending, PendingStart::None) {
        *has_warned = *has_warned || warn_of_early_entities::<I>(world);
        world.remove_resource::<Scoped<Session<I>>>();
        clear_match::<I>(world);
    }
    match pending {
        PendingStart::None => {}
        PendingStart::Online => start_online::<I>(world),
        PendingStart::Local(request) => start_local::<I>(world, &request),
    }
    if !world.contains_resource::<Scoped<Session<I>>>() {
        return;
    }
    match world.resource::<SessionState>().clone() {
        SessionState::Running => {
            let outcome = Scoped::scope(world, |world, session: &mut Session<I>| {
                session.check_end(world).then(|| session.outcome(None))
            });
            if let Some(outcome) = outcome {
                world.remove_resource::<Scoped<Session<I>>>();
                conclude(world, outcome);
            }
        }
        SessionState::Starting => {
            Scoped::scope(world, |world, session: &mut Session<I>| await_start(world, session));
        }
        SessionState::Ended(reason) if world.resource::<Scoped<Session<I>>>().game.newest() > 0 => {
            let outcome = Scoped::scope(world, |world, session: &mut Session<I>| {
                session.break_off(world);
                session.outcome(Some(reason))
            });
            world.remove_resource::<Scoped<Session<I>>>();
            conclude(world, outcome);
        }
        _ => {
            world.remove_resource::<Scoped<Session<I>>>();
            clear_match::<I>(world);
        }
    }
}

/// Warns of entities that are about to be despawned although no match has spawned them. Returns
/// whether there are any.
fn warn_of_early_entities<I: GameInput>(world: &World) -> bool {
    let is_of_match = world.contains_resource::<Scoped<Session<I>>>()
        || world.resource::<FinishedWorld>().is_of_match();
    let store = world.resource::<Scoped<RollbackStore>>();
    let early = if is_of_match { None } else { store.early_entities(world) };
    if let Some(early) = &early {
        tracing::warn!("{early}");
    }
    early.is_some()
}

/// Waits until the sessions of all peers exist.
fn await_start<I: GameInput>(world: &mut World, session: &mut Session<I>) {
    let Source::Live(live) = &session.source else { return };
    let now = world.resource::<Time<Real>>().elapsed();
    let patience = world.resource::<NetcodeConfig>().start_timeout;
    if live.can_begin() {
        world.resource_mut::<Pacer>().restart();
        SessionState::enter(world, SessionState::Running);
    } else if now.saturating_sub(session.began_at) > patience {
        end_session(world, EndReason::StartTimedOut);
    }
}

fn start_online<I: GameInput>(world: &mut World) {
    let Some(agreed) = world.resource::<Connection>().agreed_match() else {
        // The session ended in the update in which the match was agreed on.
        return;
    };
    let (number, seed, roster) = (agreed.number, agreed.seed, agreed.roster.clone());
    let config = world.resource::<NetcodeConfig>().clone();
    if let Err(unfit) = check_size::<I>(roster.local_seats().count()) {
        return end_session(world, unfit.into());
    }
    let guess = Delays::guess(world.resource::<Connection>().one_way_frames());
    let exchange = build_exchange::<I>(&config, &roster, config.input_delay, guess);
    let policies = Policies { departure: config.departure_policy, pair: config.pair_policy };
    let exchange = world.resource_mut::<Connection>().begin_exchange(exchange, policies);
    match build_live(&config, &roster, exchange) {
        Ok(source) => begin::<I>(world, source, roster, seed, number),
        Err(refusal) => end_session(world, refusal.into()),
    }
}

/// Builds the exchange of inputs: which machine gives those of which seat, and what they look like.
fn build_exchange<I: GameInput>(
    config: &NetcodeConfig,
    roster: &Roster,
    delay: InputDelay,
    guess: u32,
) -> Exchange {
    // A machine that was away catches up with what it missed.
    let kept = KEPT.max(config.seat_hold + KEPT_BEYOND_HOLD);
    let rules = ExchangeRules {
        window: u32::from(config.prediction_window),
        max_delay: u32::from(config.input_delay.max()),
        kept_frames: kept.as_secs() as u32 * u32::from(config.fps),
        read_input: PackedInput::read::<I>,
    };
    let holder = |seat: &RosterSeat| seat.peer.filter(|_| !seat.is_local);
    let holders: Vec<_> = roster.seats().iter().map(holder).collect();
    let delays = Delays::new(roster.local_seats().map(Seat::index), delay, guess);
    Exchange::new(rules, &holders, delays)
}

fn start_local<I: GameInput>(world: &mut World, request: &StartLocal) {
    let config = world.resource::<NetcodeConfig>().clone();
    let roster = Roster::local(&request.seats);
    let source = match request.sync_test {
        // No peer is waited for, so no input needs to be delayed.
        None => {
            let exchange = build_exchange::<I>(&config, &roster, InputDelay::Fixed(0), 0);
            build_live(&config, &roster, SharedExchange::new(exchange))
        }
        Some(test) => build_sync_test(&config, &roster, test, request.seed),
    };
    match source {
        Ok(source) => {
            begin::<I>(world, source, roster, request.seed, 0);
            SessionState::enter(world, SessionState::Running);
        }
        Err(refusal) => end_session(world, refusal.into()),
    }
}

fn build_live(
    config: &NetcodeConfig,
    roster: &Roster,
    exchange: SharedExchange,
) -> Result<Source, StartRefusal> {
    check_seats(roster)?;
    Ok(Source::Live(Live::new(config, roster.seats().len(), exchange)?))
}

fn build_sync_test(
    config: &NetcodeConfig,
    roster: &Roster,
    test: SyncTest,
    seed: u64,
) -> Result<Source, StartRefusal> {
    check_seats(roster)?;
    // At depth 0 nothing would be simulated again, and every check would pass.
    let max = config.prediction_window;
    match test.depth {
        Some(depth) if depth == 0 || depth > max => Err(StartRefusal::SyncTestDepth { depth, max }),
        _ => Ok(Source::SyncTest(Box::new(Run::new(test, max, seed, roster)))),
    }
}

fn check_seats(roster: &Roster) -> Result<(), StartRefusal> {
    let seats = roster.seats().len();
    if (1..=usize::from(MAX_SEATS)).contains(&seats) {
        Ok(())
    } else {
        Err(StartRefusal::Seats { seats, max: MAX_SEATS })
    }
}

/// Sets the match up in a cleared world, and makes it the present one.
fn begin<I: GameInput>(
    world: &mut World,
    source: Source,
    roster: Roster,
    seed: u64,
    match_number: u32,
) {
    let config = world.resource::<NetcodeConfig>().clone();
    world.resource_mut::<Connection>().forget_drops();
    let mut store = world.resource_mut::<Scoped<RollbackStore>>();
    store.set_depth(usize::from(config.prediction_window) + source.ahead() + EXTRA_FRAMES);
    store.set_exact(source.is_sync_test());
    let input_delay = source.input_delay();
    world.insert_resource(SessionStats { input_delay, ..SessionStats::default() });
    world.insert_resource(ChecksumLog::default());
    world.insert_resource(MatchEnd::default());
    world.insert_resource(MatchResult::default());
    world.insert_resource(LocalInputs::<I>::new(roster.local_seats().collect()));
    world.insert_resource(MatchSeed(seed));
    world.insert_resource(roster.clone());
    let outside = *world.resource::<Time>();
    *world.resource_mut::<Time>() = time_of_frame(0, config.step_duration());
    world.run_schedule(SetupMatch);
    *world.resource_mut::<Time>() = outside;
    world.resource_mut::<Pacer>().restart();
    let began_at = world.resource::<Time<Real>>().elapsed();
    world.insert_resource(Scoped::new(Session::<I> {
        source,
        game: Match::new(match_number, roster),
        pressed: Pressed::new(),
        began_at,
        finish: Finish::Playing,
    }));
}

/// Returns the world to what it was before the first match. Statistics, checksums and the result
/// stay, to be looked at.
fn clear_match<I: GameInput>(world: &mut World) {
    Scoped::scope(world, |world, store: &mut RollbackStore| store.reset(world));
    EffectTypes::reset(world);
    world.insert_resource(EffectFrames::default());
    world.insert_resource(SimFrame::default());
    world.insert_resource(FinishedWorld::None);
    world.insert_resource(MatchSeed::default());
    world.insert_resource(Roster::default());
    world.insert_resource(LocalInputs::<I>::default());
    world.insert_resource(PlayerInputs::<I>::default());
}
