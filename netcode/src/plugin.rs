//! The plugin, the schedules and the order of everything.

use bevy::{
    app::MainScheduleOrder,
    ecs::schedule::{LogLevel, ScheduleBuildSettings, ScheduleLabel, SingleThreadedExecutor},
    input::InputSystems,
    prelude::{
        App, IntoScheduleConfigs, Last, Plugin, PostUpdate, PreUpdate, Schedule, SystemSet, World,
    },
};

use crate::{
    audit::audit,
    checksum::{ChecksumLog, DesyncDetected},
    config::NetcodeConfig,
    diagnostics::SessionStats,
    effects::{EffectFrames, EffectTypes},
    frame::{MatchSeed, SimFrame},
    input::{GameInput, LocalInputs, PlayerInputs},
    latch::{Latches, observe_devices},
    membership::{
        AskRoom, Connection, FinishMatch, JoinRoom, LeaveRoom, ListRooms, Lobby, PeerFinished,
        Rename, Room, RoomDenied, RoomList, Roster, SessionChanged, SessionState, SetConditions,
        SetInputDelay, SetReady, SetSpectating, StartLocal,
        room::{Mirror, mirror_room},
        room_list::list_rooms,
        systems::{Page, PendingStart, Stepped, leave_at_exit, receive, send, take_requests},
    },
    pacing::{Pacer, StepPhase},
    packed_input::wire_form,
    rollback::{
        AppRollbackExt, Population, Registrations, RollbackIdCounter, RollbackStore,
        SimulatedComponents,
    },
    scoped::Scoped,
    session::{
        DueSteps, MatchEnd, MatchResult, Remains, SyncTestFailed, confirm, manage_epoch, pace,
        set_input_delay, step,
    },
};

#[cfg(all(feature = "webrtc", target_arch = "wasm32"))]
use crate::membership::systems::attend_page;

/// Schedule: runs before every new frame. Fill [`LocalInputs`] here.
///
/// It runs several times in some updates of the app and not at all in others, so `just_pressed` can
/// be relied on only for [latched](crate::AppLatchExt) devices.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadInputs;

/// Schedule: computes one frame from the registered world and [`PlayerInputs`].
///
/// Runs once per frame, and again for each frame that is corrected. It is single-threaded, and systems whose
/// order is ambiguous are an error when the app starts: order them.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Simulate;

/// Schedule: builds the world of frame 0, from [`MatchSeed`] and [`Roster`] alone.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SetupMatch;

/// Schedule: runs once when a match has ended, before anybody reads [`SessionChanged`].
///
/// The world is that of the last frame, which is final, with [`Roster`], [`SessionStats`] and
/// [`ChecksumLog`]; [`MatchResult`] tells how it ended. All of it stays until another match begins
/// or the room is left. A match that the player itself leaves by [`LeaveRoom`], [`JoinRoom`] or
/// [`StartLocal`] leaves nothing.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FinishedMatch;

/// Schedule: after all others, as Bevy writes `AppExit` in [`Last`] when a window is closed, and looks for it right after.
#[derive(ScheduleLabel, Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct LeaveAtExit;

/// What happens in each rendered frame, in this order; all but `Present` in [`PreUpdate`].
///
/// All of it comes after Bevy's [`InputSystems`], so [`ReadInputs`] sees the keys of this update. A
/// system of your own that prepares what [`ReadInputs`] reads goes in between:
/// `.after(InputSystems).before(NetcodeSystems::Receive)`.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetcodeSystems {
    /// Packets and requests are taken, the lobby and the state change, matches begin and end.
    Receive,
    /// It is decided how many simulation steps are due.
    Pace,
    /// [`ReadInputs`] and [`Simulate`] run, as often as needed.
    Step,
    /// What became final is let go; effects are handed out.
    Confirm,
    /// One datagram per peer leaves.
    Send,
    /// In [`PostUpdate`]: for systems that draw between two frames, by [`StepPhase`].
    Present,
}

/// Rollback netcode for the input type `I`. Needs Bevy's `TimePlugin`, which is in `MinimalPlugins` and `DefaultPlugins`.
#[derive(Clone, Debug)]
pub struct NetcodePlugin<I> {
    config: NetcodeConfig,
    input: std::marker::PhantomData<fn() -> I>,
}

impl<I: GameInput> NetcodePlugin<I> {
    /// The plugin with these settings.
    #[must_use]
    pub fn new(config: NetcodeConfig) -> Self {
        Self { config, input: std::marker::PhantomData }
    }
}

impl<I: GameInput> Default for NetcodePlugin<I> {
    fn default() -> Self {
        Self::new(NetcodeConfig::default())
    }
}

impl<I: GameInput> Plugin for NetcodePlugin<I> {
    /// # Panics
    ///
    /// If the configuration is not valid, see [`NetcodeConfig::validate`], or if the default of the
    /// input type cannot be sent, see [`GameInput`].
    fn build(&self, app: &mut App) {
        refuse_unplayable::<I>(&self.config);
        app.insert_resource(self.config.clone())
            .insert_resource(Pacer::new(self.config.step_duration()))
            .insert_resource(Lobby::for_seats(self.config.min_players, self.config.max_players))
            .insert_resource(Connection::new(&self.config))
            .init_resource::<SessionState>()
            .init_resource::<Roster>()
            .init_resource::<PendingStart>()
            .init_resource::<DueSteps>()
            .init_resource::<Stepped>()
            .init_resource::<StepPhase>()
            .init_resource::<SimFrame>()
            .init_resource::<MatchSeed>()
            .init_resource::<SessionStats>()
            .init_resource::<ChecksumLog>()
            .init_resource::<LocalInputs<I>>()
            .init_resource::<PlayerInputs<I>>()
            .init_resource::<EffectTypes>()
            .init_resource::<EffectFrames>()
            .init_resource::<Page>()
            .add_message::<JoinRoom>()
            .add_message::<StartLocal>()
            .add_message::<SetReady>()
            .add_message::<SetSpectating>()
            .add_message::<Rename>()
            .add_message::<LeaveRoom>()
            .add_message::<SetConditions>()
            .add_message::<SetInputDelay>()
            .add_message::<SessionChanged>()
            .add_message::<DesyncDetected>()
            .add_message::<SyncTestFailed>();

        add_store(app);
        let input = std::any::type_name::<I>();
        app.world_mut().resource_mut::<Registrations>().0.push(input);

        app.init_schedule(ReadInputs).init_schedule(SetupMatch).init_schedule(Simulate);
        for make_deterministic in [ReadInputs.intern(), SetupMatch.intern(), Simulate.intern()] {
            app.edit_schedule(make_deterministic, run_in_one_thread);
        }
        app.edit_schedule(Simulate, refuse_ambiguity).edit_schedule(SetupMatch, refuse_ambiguity);

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
        .configure_sets(PostUpdate, NetcodeSystems::Present)
        .add_systems(
            PreUpdate,
            (
                observe_devices.after(InputSystems).before(NetcodeSystems::Receive),
                (take_requests, receive, manage_epoch::<I>).chain().in_set(NetcodeSystems::Receive),
                (pace, set_input_delay::<I>).chain().in_set(NetcodeSystems::Pace),
                step::<I>.in_set(NetcodeSystems::Step),
                confirm::<I>.in_set(NetcodeSystems::Confirm),
                send.in_set(NetcodeSystems::Send),
            ),
        );
        add_endings(app);
        add_rooms(app);
        #[cfg(all(feature = "webrtc", target_arch = "wasm32"))]
        app.add_systems(PreUpdate, attend_page.after(take_requests).before(receive));
    }

    /// Looks for state that the simulation changes and nobody registered; see [`AuditReport`](crate::AuditReport).
    ///
    /// # Panics
    ///
    /// If the systems of [`Simulate`], [`SetupMatch`], [`ReadInputs`] or [`FinishedMatch`] cannot
    /// run, for example because two of them that share data are not ordered.
    fn cleanup(&self, app: &mut App) {
        audit(app.world_mut());
        build_schedules(app.world_mut());
    }
}

/// Panics if no match could be played with this.
fn refuse_unplayable<I: GameInput>(config: &NetcodeConfig) {
    if let Err(error) = config.validate() {
        panic!("NetcodePlugin was given a configuration that cannot work: {error}");
    }
    if let Err(unfit) = wire_form(&I::default()) {
        panic!("NetcodePlugin was given an input type that cannot be used: {unfit}");
    }
}

/// The rollback store, what it needs to know of the world, and the devices that are latched.
fn add_store(app: &mut App) {
    app.init_resource::<Registrations>()
        .init_resource::<SimulatedComponents>()
        .init_resource::<Scoped<RollbackStore>>()
        .init_resource::<RollbackIdCounter>()
        .init_resource::<Population>()
        .init_resource::<Scoped<Latches>>();
}

/// How a match comes to its end, and what is left of it.
fn add_endings(app: &mut App) {
    app.init_resource::<MatchEnd>()
        .init_resource::<MatchResult>()
        .init_resource::<Remains>()
        .add_message::<FinishMatch>()
        .add_message::<PeerFinished>()
        // It keeps by itself what each simulation of a frame asked for.
        .allow_unregistered::<MatchEnd>()
        .init_schedule(FinishedMatch);
}

/// What the server and we tell each other of the room, and the list of rooms.
fn add_rooms(app: &mut App) {
    app.init_resource::<Room>()
        .init_resource::<Mirror>()
        .init_resource::<RoomList>()
        .add_message::<AskRoom>()
        .add_message::<RoomDenied>()
        .add_message::<ListRooms>()
        .add_systems(
            PreUpdate,
            (list_rooms, mirror_room.after(receive)).in_set(NetcodeSystems::Receive),
        )
        .add_systems(LeaveAtExit, leave_at_exit);
    let mut order = app.world_mut().get_resource_or_init::<MainScheduleOrder>();
    order.insert_after(Last, LeaveAtExit);
}

/// Builds the schedules of a match, so that mistakes in them show when the app starts, and not when
/// a match does.
fn build_schedules(world: &mut World) {
    let labels =
        [ReadInputs.intern(), SetupMatch.intern(), Simulate.intern(), FinishedMatch.intern()];
    for label in labels {
        let built = world.try_schedule_scope(label, |world, schedule| {
            let built = schedule.initialize(world);
            built.map(drop).map_err(|error| error.to_string(schedule.graph(), world))
        });
        // Without such a schedule there is nothing to build.
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
