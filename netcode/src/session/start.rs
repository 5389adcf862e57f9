//! How a match begins and ends: the world is cleared, set up anew from the seed, and handed to a ggrs session.

use std::{marker::PhantomData, time::Duration};

use bevy::prelude::{Real, Time, World};
use ggrs::{GgrsError, PlayerType, SessionBuilder, SessionState as GgrsState};

use super::{
    Epoch, GgrsConfig, Kind,
    delay::Delays,
    drive::time_of_frame,
    finish::{Finish, MatchEnd, MatchResult, Remains, conclude},
    input_hashes::InputHashes,
    inputs::default_input,
    sync_test::{Run, SyncTest},
};
use crate::{
    checksum::ChecksumLog,
    config::{InputDelay, MAX_SEATS, NetcodeConfig},
    diagnostics::SessionStats,
    effects::{EffectFrames, EffectTypes},
    frame::{MatchSeed, SimFrame},
    input::{GameInput, LocalInputs, PlayerInputs, Seat},
    membership::{
        Connection, EndReason, GoodbyeCause, MatchPlan, Roster, SessionState, StartLocal,
        StartRefusal, systems::PendingStart,
    },
    pacing::Pacer,
    packed_input::{PackedInput, wire_form},
    plugin::SetupMatch,
    rollback::RollbackStore,
    scoped::Scoped,
    transport::{Exchange, ExchangePeer, ExchangeRules, SharedExchange},
};

/// ggrs must never decide that somebody is gone: its logic for that can panic, and ours knows more.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);
/// Frames kept beyond the prediction window: the present one, and the one before the oldest prediction.
const EXTRA_FRAMES: usize = 2;
/// Rounds in which ggrs wants to be answered before it takes a peer for connected. Its questions are answered here, once the peer
/// has begun the same epoch.
const SYNC_ROUNDS: u32 = 6;

/// Begins matches that were agreed on, ends those that are over, and clears away what nobody wants
/// to see any more.
pub(crate) fn manage_epoch<I: GameInput>(world: &mut World) {
    let pending = std::mem::take(&mut *world.resource_mut::<PendingStart>());
    let is_unwanted = *world.resource::<Remains>() == Remains::Unwanted;
    if is_unwanted || !matches!(pending, PendingStart::None) {
        world.remove_resource::<Scoped<Epoch<I>>>();
        clear_match::<I>(world);
    }
    match pending {
        PendingStart::None => {}
        PendingStart::Online(plan) => start_online::<I>(world, &plan),
        PendingStart::Local(request) => start_local::<I>(world, &request),
    }
    if !world.contains_resource::<Scoped<Epoch<I>>>() {
        return;
    }
    match world.resource::<SessionState>().clone() {
        SessionState::Running => {
            let outcome = Scoped::scope(world, |world, epoch: &mut Epoch<I>| {
                epoch.follow_end(world).then(|| epoch.outcome(None))
            });
            if let Some(outcome) = outcome {
                world.remove_resource::<Scoped<Epoch<I>>>();
                conclude(world, outcome);
            }
        }
        SessionState::Starting => {
            Scoped::scope(world, |world, epoch: &mut Epoch<I>| await_start(world, epoch));
        }
        SessionState::Ended(reason) if world.resource::<Scoped<Epoch<I>>>().newest > 0 => {
            let outcome = Scoped::scope(world, |world, epoch: &mut Epoch<I>| {
                epoch.break_off(world);
                epoch.outcome(Some(reason))
            });
            world.remove_resource::<Scoped<Epoch<I>>>();
            conclude(world, outcome);
        }
        _ => {
            world.remove_resource::<Scoped<Epoch<I>>>();
            clear_match::<I>(world);
        }
    }
}

/// Lets the sessions of all peers find each other.
fn await_start<I: GameInput>(world: &mut World, epoch: &mut Epoch<I>) {
    let Kind::Match { session, exchange, .. } = &mut epoch.kind else { return };
    for _ in 0..SYNC_ROUNDS {
        session.poll_remote_clients();
        session.events().for_each(drop);
    }
    let now = world.resource::<Time<Real>>().elapsed();
    if session.current_state() == GgrsState::Running {
        exchange.with(Exchange::open);
        world.resource_mut::<Pacer>().restart();
        change_state(world, SessionState::Running);
    } else if now.saturating_sub(epoch.began_at) > world.resource::<NetcodeConfig>().start_timeout {
        end(world, EndReason::StartTimedOut);
    }
}

fn start_online<I: GameInput>(world: &mut World, plan: &MatchPlan) {
    let Some(local) = world.resource::<Connection>().local() else {
        // It ended in the update in which it was agreed on.
        world.insert_resource(Roster::default());
        return;
    };
    let config = world.resource::<NetcodeConfig>().clone();
    let roster = Roster::from_plan(plan, local);
    let kind = build_exchange::<I>(&config, &roster).and_then(|exchange| {
        let exchange = world.resource_mut::<Connection>().begin_exchange(exchange);
        let guess = Delays::guess(world.resource::<Connection>().one_way_frames());
        let local = roster.local_seats().map(Seat::index);
        let delays = Delays::new(local, config.input_delay, guess);
        Ok(build_session(&config, &roster, delays, exchange)?)
    });
    match kind {
        Ok(kind) => begin::<I>(world, kind, roster, plan.seed(), plan.epoch),
        Err(reason) => end(world, reason),
    }
}

/// What the inputs of this match look like, and who sends some.
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
    let kind = match request.sync_test {
        // Nobody is waited for, so nothing needs to be delayed.
        None => {
            let delays = Delays::new(0..roster.seats().len(), InputDelay::Fixed(0), 0);
            build_session(&config, &roster, delays, SharedExchange::default())
        }
        Some(test) => build_sync_test(&config, &roster, test, request.seed),
    };
    match kind {
        Ok(kind) => {
            begin::<I>(world, kind, roster, request.seed, 0);
            change_state(world, SessionState::Running);
        }
        Err(refusal) => end(world, refusal.into()),
    }
}

fn build_session(
    config: &NetcodeConfig,
    roster: &Roster,
    delays: Delays,
    exchange: SharedExchange,
) -> Result<Kind, StartRefusal> {
    check_seats(roster)?;
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
    Ok(Kind::Match { session, exchange, delays })
}

fn build_sync_test(
    config: &NetcodeConfig,
    roster: &Roster,
    test: SyncTest,
    seed: u64,
) -> Result<Kind, StartRefusal> {
    check_seats(roster)?;
    // At depth 0 nothing would be simulated again, and every check would pass.
    let max = config.prediction_window;
    match test.depth {
        Some(depth) if depth == 0 || depth > max => Err(StartRefusal::SyncTestDepth { depth, max }),
        _ => Ok(Kind::SyncTest(Box::new(Run::new(test, max, seed)))),
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

impl From<GgrsError> for StartRefusal {
    fn from(_: GgrsError) -> Self {
        Self::Settings
    }
}

/// Sets the match up in a world that was cleared, and makes it the present epoch.
fn begin<I: GameInput>(world: &mut World, kind: Kind, roster: Roster, seed: u64, number: u32) {
    let config = world.resource::<NetcodeConfig>().clone();
    world.resource_mut::<Connection>().forget_drops();
    let mut store = world.resource_mut::<Scoped<RollbackStore>>();
    store.set_depth(usize::from(config.prediction_window) + EXTRA_FRAMES);
    store.set_exact(matches!(kind, Kind::SyncTest(_)));
    let input_delay = match &kind {
        Kind::Match { delays, .. } => delays.longest(),
        Kind::SyncTest(_) => 0,
    };
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
    world.insert_resource(Scoped::new(Epoch::<I> {
        kind,
        number,
        frame: 0,
        newest: 0,
        began_at,
        next_checksum: 0,
        strays: Vec::new(),
        opaque: Vec::new(),
        read_frame: None,
        pressed: Vec::new(),
        default_length: wire_form(&I::default()).map_or(0, |bytes| bytes.len()),
        are_held: false,
        inputs: InputHashes::new(seats),
        settled: 0,
        finish: Finish::Playing,
        input: PhantomData,
    }));
}

/// Returns the world to what it was before the first match. Statistics, checksums and the result
/// stay, to be looked at.
fn clear_match<I: GameInput>(world: &mut World) {
    Scoped::scope(world, |world, store: &mut RollbackStore| store.reset(world));
    EffectTypes::reset(world);
    world.insert_resource(EffectFrames::default());
    world.insert_resource(SimFrame::default());
    world.insert_resource(Remains::None);
    world.insert_resource(MatchSeed::default());
    world.insert_resource(Roster::default());
    world.insert_resource(LocalInputs::<I>::default());
    world.insert_resource(PlayerInputs::<I>::default());
}

/// Ends the session, and leaves the room.
pub(super) fn end(world: &mut World, reason: EndReason) {
    let now = world.resource::<Time<Real>>().elapsed();
    // The others come to the same end a moment later, and should not take ours for a whim.
    let cause = match reason {
        EndReason::StartTimedOut => GoodbyeCause::StartTimedOut,
        _ => GoodbyeCause::Leaving,
    };
    world.resource_mut::<Connection>().close(now, cause);
    change_state(world, SessionState::Ended(reason));
}

pub(super) fn change_state(world: &mut World, to: SessionState) {
    if let Some(changed) = world.resource_mut::<SessionState>().change(to) {
        world.write_message(changed);
    }
}
