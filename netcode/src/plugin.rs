//! The plugin.

use bevy::{
    input::InputSystems,
    prelude::{App, IntoScheduleConfigs, Plugin, PreUpdate},
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
    lent::Lent,
    match_maker::{AskRoom, ListRooms, Mirror, Room, RoomDenied, RoomList, list_rooms},
    membership::{
        Connection, FinishMatch, JoinRoom, LeaveRoom, Lobby, PeerFinished, Rename, Roster,
        SessionChanged, SessionState, SetConditions, SetInputDelay, SetReady, SetSpectating,
        StartLocal,
        mirroring::mirror_room,
        systems::{Page, PendingStart, leave_at_exit, receive, send, take_requests},
    },
    pacing::{DueSteps, Pacer, StepPhase, Stepped},
    packed_input::wire_form,
    rollback::{
        AppRollbackExt, Population, Registrations, RollbackIdCounter, RollbackStore,
        SimulatedComponents,
    },
    schedules::{self, LeaveAtExit, NetcodeSystems, build_schedules},
    session::{
        MatchEnd, MatchResult, Remains, SyncTestFailed, confirm, follow_finishers, manage_epoch,
        pace, set_input_delay, step, take_match_requests,
    },
};

#[cfg(all(feature = "webrtc", target_arch = "wasm32"))]
use crate::membership::systems::attend_page;

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
        app.add_plugins(schedules::plugin);
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

        app.add_systems(
            PreUpdate,
            (
                observe_devices.after(InputSystems).before(NetcodeSystems::Receive),
                (take_requests, take_match_requests, receive, follow_finishers, manage_epoch::<I>)
                    .chain()
                    .in_set(NetcodeSystems::Receive),
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
        .init_resource::<Lent<RollbackStore>>()
        .init_resource::<RollbackIdCounter>()
        .init_resource::<Population>()
        .init_resource::<Lent<Latches>>();
}

/// How a match comes to its end, and what is left of it.
fn add_endings(app: &mut App) {
    app.init_resource::<MatchEnd>()
        .init_resource::<MatchResult>()
        .init_resource::<Remains>()
        .add_message::<FinishMatch>()
        .add_message::<PeerFinished>()
        // It keeps by itself what each simulation of a frame asked for.
        .allow_unregistered::<MatchEnd>();
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
}
