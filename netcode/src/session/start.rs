//! How a match begins and ends: the world is cleared, set up again from the seed, and driven by a
//! source.

use bevy::prelude::{Real, Time, World};

use super::{
    Session,
    finish::{Finish, FinishedWorld, MatchEnd, MatchResult, conclude},
    game::Match,
    inputs::{Pressed, default_input},
    live::Live,
    source::Source,
    sync_test::Run,
};
use crate::{
    checksum::ChecksumLog,
    config::{InputDelay, MAX_SEATS, NetcodeConfig, SyncTest},
    diagnostics::SessionStats,
    effects::{EffectFrames, EffectTypes},
    exchange::{Delays, Exchange, ExchangePeer, ExchangeRules, SharedExchange},
    frame::{MatchSeed, SimFrame, time_of_frame},
    input::{GameInput, LocalInputs, PlayerInputs, Seat},
    membership::{
        Connection, EndReason, PendingStart, Roster, SessionState, StartLocal, StartRefusal,
        end_session,
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

/// Begins matches that were agreed on, ends matches that are over, and clears the world of a match
/// that is no longer wanted.
pub(super) fn manage_match<I: GameInput>(world: &mut World) {
    let pending = std::mem::take(&mut *world.resource_mut::<PendingStart>());
    let is_unwanted = *world.resource::<FinishedWorld>() == FinishedWorld::Unwanted;
    if is_unwanted || !matches!(pending, PendingStart::None) {
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

/// Lets the sessions of all peers find each other.
fn await_start<I: GameInput>(world: &mut World, session: &mut Session<I>) {
    let Source::Live(live) = &mut session.source else { return };
    let now = world.resource::<Time<Real>>().elapsed();
    let patience = world.resource::<NetcodeConfig>().start_timeout;
    if live.synchronize() {
        world.resource_mut::<Pacer>().restart();
        SessionState::enter(world, SessionState::Running);
    } else if now.saturating_sub(session.began_at) > patience {
        end_session(world, EndReason::StartTimedOut);
    }
}

fn start_online<I: GameInput>(world: &mut World) {
    let Some((match_number, seed, roster)) = world.resource::<Connection>().agreed_match() else {
        // The session ended in the update in which the match was agreed on.
        return;
    };
    let roster = roster.clone();
    let config = world.resource::<NetcodeConfig>().clone();
    let source = build_exchange::<I>(&config, &roster).and_then(|exchange| {
        let exchange = world.resource_mut::<Connection>().begin_exchange(exchange);
        let guess = Delays::guess(world.resource::<Connection>().one_way_frames());
        let local = roster.local_seats().map(Seat::index);
        let delays = Delays::new(local, config.input_delay, guess);
        Ok(build_live(&config, &roster, delays, exchange)?)
    });
    match source {
        Ok(source) => begin::<I>(world, source, roster, seed, match_number),
        Err(reason) => end_session(world, reason),
    }
}

/// Builds the exchange of inputs: what the inputs of this match look like, and which peers send
/// some.
fn build_exchange<I: GameInput>(
    config: &NetcodeConfig,
    roster: &Roster,
) -> Result<Exchange, EndReason> {
    let local_seats = roster.local_seats().count();
    let default_input = default_input::<I>(local_seats)?;
    let mut peers: Vec<ExchangePeer> = Vec::new();
    for id in roster.seats().iter().filter(|seat| !seat.is_local).filter_map(|seat| seat.peer) {
        match peers.iter_mut().find(|peer| peer.id == id) {
            Some(peer) => peer.seats += 1,
            None => peers.push(ExchangePeer { id, seats: 1 }),
        }
    }
    let rules = ExchangeRules {
        seats: roster.seats().len(),
        local_seats,
        window: u32::from(config.prediction_window),
        max_delay: u32::from(config.input_delay.max()),
        default_input,
        read_input: PackedInput::read::<I>,
    };
    Ok(Exchange::new(rules, &peers))
}

fn start_local<I: GameInput>(world: &mut World, request: &StartLocal) {
    let config = world.resource::<NetcodeConfig>().clone();
    let roster = Roster::local(&request.seats);
    let source = match request.sync_test {
        // No peer is waited for, so no input needs to be delayed.
        None => {
            let delays = Delays::new(0..roster.seats().len(), InputDelay::Fixed(0), 0);
            build_live(&config, &roster, delays, SharedExchange::default())
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
    delays: Delays,
    exchange: SharedExchange,
) -> Result<Source, StartRefusal> {
    check_seats(roster)?;
    Ok(Source::Live(Live::new(config, roster, delays, exchange)?))
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
        _ => Ok(Source::SyncTest(Box::new(Run::new(test, max, seed)))),
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
    store.set_depth(usize::from(config.prediction_window) + EXTRA_FRAMES);
    store.set_exact(source.is_sync_test());
    let input_delay = source.input_delay();
    world.insert_resource(SessionStats { input_delay, ..SessionStats::default() });
    world.insert_resource(ChecksumLog::default());
    world.insert_resource(MatchEnd::default());
    world.insert_resource(MatchResult::default());
    let seats = roster.seats().len();
    world.insert_resource(LocalInputs::<I>::new(roster.local_seats().collect()));
    world.insert_resource(MatchSeed(seed));
    world.insert_resource(roster);
    let outside = *world.resource::<Time>();
    *world.resource_mut::<Time>() = time_of_frame(0, config.step_duration());
    world.run_schedule(SetupMatch);
    *world.resource_mut::<Time>() = outside;
    world.resource_mut::<Pacer>().restart();
    let began_at = world.resource::<Time<Real>>().elapsed();
    world.insert_resource(Scoped::new(Session::<I> {
        source,
        game: Match::new(match_number, seats),
        pressed: Pressed::new::<I>(),
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
