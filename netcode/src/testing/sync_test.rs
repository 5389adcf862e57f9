//! Sync tests of any app in one call.

use bevy::{
    app::PluginsState,
    prelude::{App, Messages, Res, ResMut, World},
    time::TimeUpdateStrategy,
};

use super::UPDATE;
use crate::{
    config::SyncTest,
    diagnostics::SessionStats,
    frame::{MatchSeed, SimFrame},
    input::{GameInput, LocalInputs},
    membership::{EndReason, FinishMatch, SessionState, StartLocal},
    random,
    rollback::RollbackStore,
    schedules::ReadInputs,
    scoped::Scoped,
    session::{SyncTestFailed, SyncTestFailure},
};

/// Plays a local match of `frames` frames with 1 to 16 `seats` in `app`, simulates every frame more
/// than once, and returns the first difference as an error. A thousand frames of a small game take
/// less than a second.
///
/// `app` is the game without a window: it has [`NetcodePlugin`](crate::NetcodePlugin),
/// `MinimalPlugins` or more, and the systems of the simulation. The test replaces its clock by one
/// that runs as fast as the machine can simulate.
///
/// In [chaos mode](SyncTest::is_chaotic), seats change hands as they do in a match of several
/// machines, and [`SeatChanged`](crate::SeatChanged) says so. A game that pays no attention to
/// that only sees seats whose input is the default one for a while.
///
/// ```
/// # use bevy::prelude::*;
/// # use netcode::{prelude::*, testing};
/// # #[derive(Component, Clone, serde::Serialize, serde::Deserialize)]
/// # struct Height(f32);
/// let mut app = App::new();
/// app.add_plugins((MinimalPlugins, NetcodePlugin::<u8>::default()))
///     .rollback_component::<Height>()
///     .add_systems(SetupMatch, |mut commands: Commands| {
///         commands.spawn((Rollback, Height(0.0)));
///     })
///     .add_systems(Simulate, |mut heights: Query<&mut Height>| {
///         heights.iter_mut().for_each(|mut height| height.0 += 0.1);
///     });
/// testing::random_inputs(&mut app, |random| random as u8);
/// testing::sync_test(&mut app, SyncTest::CHAOS, 2, 500)
///     .unwrap_or_else(|failure| panic!("{failure}"));
/// ```
///
/// Returns the statistics of the match. By then the match is over; to look at its world, add a
/// system of your own that runs during the match.
///
/// # Errors
///
/// If a frame came out differently when simulated again, if state that the simulation changes is
/// not registered, or if a registered type does not roll back.
///
/// # Panics
///
/// If `frames` is 0, if the match cannot be started, or if it ends early for another reason.
pub fn sync_test(
    app: &mut App,
    test: SyncTest,
    seats: u8,
    frames: u32,
) -> Result<SessionStats, SyncTestFailure> {
    assert!(frames > 0, "a sync test takes at least one frame");
    assert!(
        app.world().contains_resource::<SessionState>(),
        "a sync test needs an app with `NetcodePlugin`"
    );
    if app.plugins_state() != PluginsState::Cleaned {
        app.finish();
        app.cleanup();
    }
    app.insert_resource(TimeUpdateStrategy::ManualDuration(UPDATE));
    let outsiders = app.world().resource::<Scoped<RollbackStore>>().outsiders(app.world());
    let seats = (0..seats).map(|seat| format!("seat {seat}")).collect();
    app.world_mut().write_message(StartLocal { seats, seed: 1, sync_test: Some(test) });
    loop {
        app.update();
        match app.world().resource::<SessionState>() {
            SessionState::Running => {}
            SessionState::Ended(EndReason::SyncTestFailed) => {
                let mut failures = app.world_mut().resource_mut::<Messages<SyncTestFailed>>();
                let failure = failures.drain().last();
                return Err(failure.expect("a sync test that fails says why in a message").0);
            }
            SessionState::Ended(reason) => panic!("the sync test ended early: {reason}"),
            other => panic!("the sync test ended early: {other:?}"),
        }
        let stats = app.world().resource::<SessionStats>();
        if stats.frames >= frames {
            let stats = stats.clone();
            let strays = strays(app.world(), &outsiders);
            let is_idle = app.world().resource::<Scoped<RollbackStore>>().is_idle(app.world());
            app.world_mut().write_message(FinishMatch);
            app.update();
            if is_idle {
                return Err(SyncTestFailure::Idle);
            }
            if !strays.is_empty() {
                return Err(SyncTestFailure::NotRollingBack(strays));
            }
            return Ok(stats);
        }
    }
}

/// The components that more entities without `Rollback` have now than before the match.
fn strays(world: &World, before: &[(&'static str, u32)]) -> Vec<&'static str> {
    let now = world.resource::<Scoped<RollbackStore>>().outsiders(world);
    let more = now.iter().zip(before).filter(|((_, now), (_, before))| now > before);
    more.map(|((name, _), _)| *name).collect()
}

/// Gives every local seat random inputs: `input` makes an input from 64 random bits, which change
/// every few frames.
///
/// This adds a system to [`ReadInputs`], beside those of the app. The inputs depend on the seed of
/// the match, so they are the same in every run.
pub fn random_inputs<I: GameInput>(
    app: &mut App,
    input: impl Fn(u64) -> I + Send + Sync + 'static,
) {
    /// Long enough for a press to have an effect, short enough for many presses.
    const HOLD_FRAMES: u32 = 7;
    let press =
        move |mut inputs: ResMut<LocalInputs<I>>, frame: Res<SimFrame>, seed: Res<MatchSeed>| {
            for seat in inputs.seats().to_vec() {
                let place = (u64::from(frame.0 / HOLD_FRAMES) << 8) | u64::from(seat.0);
                // Mixed twice, so that neighbouring frames and seats have nothing in common.
                let mut state = place;
                state = random::next(&mut state) ^ seed.0;
                inputs.set(seat, input(random::next(&mut state)));
            }
        };
    app.add_systems(ReadInputs, press);
}
