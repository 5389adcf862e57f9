//! The schedules and sets. All parts of the crate use them, and they use no other part.

use bevy::{
    app::MainScheduleOrder,
    ecs::schedule::{LogLevel, ScheduleBuildSettings, ScheduleLabel, SingleThreadedExecutor},
    input::InputSystems,
    prelude::{App, IntoScheduleConfigs, Last, PostUpdate, PreUpdate, Schedule, SystemSet, World},
};

/// Schedule: runs before every new frame. Fill [`LocalInputs`](crate::LocalInputs) here.
///
/// It runs several times in some updates of the app and not at all in others, so `just_pressed` is
/// reliable only for [latched](crate::AppLatchExt) devices.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadInputs;

/// Schedule: computes one frame from the registered world and
/// [`PlayerInputs`](crate::PlayerInputs).
///
/// Runs once per frame, and again whenever a rollback corrects that frame. It is single-threaded.
/// Systems that share data must be ordered; otherwise the app panics at start-up.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Simulate;

/// Schedule: runs before [`Simulate`], in each frame in which a bot plays a seat; also when that
/// frame is simulated again. Fill [`BotInputs`](crate::BotInputs) here.
///
/// It is a part of the simulation, and the same rules hold as in [`Simulate`].
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlayBots;

/// Schedule: builds the world of frame 0 from [`MatchSeed`](crate::MatchSeed) and
/// [`Roster`](crate::Roster) alone.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SetupMatch;

/// Schedule: runs once when a match has ended, before any system can read [`SessionChanged`].
///
/// The world is that of the last confirmed frame, with [`Roster`], [`SessionStats`] and
/// [`ChecksumLog`]; [`MatchResult`] says how the match ended. All of it stays until another match
/// begins or the player leaves the room. If the player itself leaves the match with [`LeaveRoom`],
/// [`JoinRoom`] or [`StartLocal`], this schedule does not run, and nothing stays.
///
/// [`SessionChanged`]: crate::SessionChanged
/// [`Roster`]: crate::Roster
/// [`SessionStats`]: crate::SessionStats
/// [`ChecksumLog`]: crate::ChecksumLog
/// [`MatchResult`]: crate::MatchResult
/// [`LeaveRoom`]: crate::LeaveRoom
/// [`JoinRoom`]: crate::JoinRoom
/// [`StartLocal`]: crate::StartLocal
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FinishedMatch;

/// Schedule: runs after all others. Bevy writes `AppExit` in [`Last`] when a window is closed, and
/// reads it right after that.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LeaveAtExit;

/// System sets: what the plugin does in each update, in this order. All sets but `Present` are in
/// [`PreUpdate`].
///
/// They run after Bevy's [`InputSystems`], so [`ReadInputs`] sees the keys of this update. A system
/// of your own that prepares what [`ReadInputs`] reads goes in between:
/// `.after(InputSystems).before(NetcodeSystems::Receive)`.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetcodeSystems {
    /// Receives packets and requests, updates the lobby and the state, begins and ends matches.
    Receive,
    /// Decides how many simulation steps are due.
    Pace,
    /// Runs [`ReadInputs`] and [`Simulate`] once for each step that is due, and [`Simulate`] again
    /// for frames that are corrected.
    Step,
    /// Drops the saves of confirmed frames, and starts effects.
    Confirm,
    /// Sends one datagram to each peer.
    Send,
    /// In [`PostUpdate`]: for your systems that interpolate between two frames, with
    /// [`StepPhase`](crate::StepPhase).
    Present,
}

/// Adds the schedules, and orders the sets.
pub(crate) fn plugin(app: &mut App) {
    app.init_schedule(ReadInputs)
        .init_schedule(SetupMatch)
        .init_schedule(PlayBots)
        .init_schedule(Simulate)
        .init_schedule(FinishedMatch);
    app.edit_schedule(ReadInputs, run_in_one_thread);
    for simulating in [SetupMatch.intern(), PlayBots.intern(), Simulate.intern()] {
        app.edit_schedule(simulating, run_in_one_thread)
            .edit_schedule(simulating, refuse_ambiguity);
    }
    app.configure_sets(
        PreUpdate,
        (
            NetcodeSystems::Receive,
            NetcodeSystems::Pace,
            NetcodeSystems::Step,
            NetcodeSystems::Confirm,
            NetcodeSystems::Send,
        )
            .chain()
            .after(InputSystems),
    )
    .configure_sets(PostUpdate, NetcodeSystems::Present);
    let mut order = app.world_mut().get_resource_or_init::<MainScheduleOrder>();
    order.insert_after(Last, LeaveAtExit);
}

/// Builds the schedules of a match, so that mistakes in them show when the app starts, and not only
/// when a match does.
pub(crate) fn build_schedules(world: &mut World) {
    let labels = [
        ReadInputs.intern(),
        SetupMatch.intern(),
        PlayBots.intern(),
        Simulate.intern(),
        FinishedMatch.intern(),
    ];
    for label in labels {
        let built = world.try_schedule_scope(label, |world, schedule| {
            let built = schedule.initialize(world);
            built.map(drop).map_err(|error| error.to_string(schedule.graph(), world))
        });
        // A schedule that the app has removed needs no building.
        if let Ok(Err(error)) = built {
            panic!(
                "the systems of `{label:?}` cannot run: {error}\nOrder systems that share data, \
                 with `.chain()` or `.after(..)`. `ambiguous_with` helps only where their order \
                 cannot change the result: otherwise peers compute different worlds."
            );
        }
    }
}

fn run_in_one_thread(schedule: &mut Schedule) {
    // For a few dozen small systems the parallel executor costs more than it gains.
    schedule.set_executor(SingleThreadedExecutor::new());
}

fn refuse_ambiguity(schedule: &mut Schedule) {
    schedule.set_build_settings(ScheduleBuildSettings {
        ambiguity_detection: LogLevel::Error,
        ..ScheduleBuildSettings::default()
    });
}
