//! Two rollback libraries behind one interface.

use std::time::Duration;

use bevy::{MinimalPlugins, ecs::world::CommandQueue, prelude::*, time::TimeUpdateStrategy};
use bevy_ggrs::{
    ConfirmedFrameCount, GgrsConfig, GgrsPlugin, GgrsSchedule, LoadWorld,
    LocalInputs as GgrsInputs, ReadInputs as GgrsReadInputs, RollbackApp, RollbackFrameCount,
    SaveWorld, Session,
};
use ggrs::{NonBlockingSocket, PlayerType, SessionBuilder};
use netcode::{NetcodeConfig, SyncTest, prelude::*, testing::snapshots};

use super::world::{Age, Items, Kind, Name, Position, Velocity, change, fly, spawn};

/// Frames that can be rolled back, in both libraries.
pub(crate) const WINDOW: u8 = 8;
/// The depth of the sync tests: each update loads one frame, resimulates seven, and saves eight.
pub(crate) const DEPTH: u8 = 7;
const STEP: Duration = Duration::from_nanos(16_666_667);

/// The libraries that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Library {
    Ours,
    BevyGgrs,
}

/// How an app plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Play {
    /// It does not play: frames are saved and loaded by hand.
    ByHand,
    /// Every frame rolls back by `DEPTH` frames; hashed types are compared each time.
    SyncTest,
    /// One player alone, without rollbacks.
    Alone,
}

/// An app of one library with entities in it.
pub(crate) struct Rig {
    pub(crate) app: App,
    library: Library,
    kind: Kind,
    frame: u32,
    turn: usize,
}

type Config = GgrsConfig<u8>;

/// A connection that carries nothing: a player alone needs none, but ggrs asks for one.
struct Nowhere;

impl NonBlockingSocket<std::net::SocketAddr> for Nowhere {
    fn send_to(&mut self, _message: &ggrs::Message, _to: &std::net::SocketAddr) {}
    fn receive_all_messages(&mut self) -> Vec<(std::net::SocketAddr, ggrs::Message)> {
        Vec::new()
    }
}

impl Rig {
    pub(crate) fn new(library: Library, kind: Kind, entities: usize, play: Play) -> Self {
        Self::with_game(library, kind, entities, play, false, |_| {})
    }

    /// An app in which two of the three types are hashed, or none; `game` adds systems.
    pub(crate) fn with_game(
        library: Library,
        kind: Kind,
        entities: usize,
        play: Play,
        is_hashed: bool,
        game: impl FnOnce(&mut App),
    ) -> Self {
        let mut app = App::new();
        app.add_plugins(MinimalPlugins).insert_resource(TimeUpdateStrategy::ManualDuration(STEP));
        match library {
            Library::Ours => build_ours(&mut app, kind, is_hashed),
            Library::BevyGgrs => build_theirs(&mut app, kind, is_hashed),
        }
        game(&mut app);
        app.finish();
        app.cleanup();
        let mut rig = Self { app, library, kind, frame: 0, turn: 0 };
        match library {
            Library::Ours => rig.start_ours(entities, play),
            Library::BevyGgrs => rig.start_theirs(entities, play),
        }
        rig
    }

    fn start_ours(&mut self, entities: usize, play: Play) {
        let sync_test = match play {
            Play::ByHand => {
                let world = self.app.world_mut();
                snapshots::set_depth(world, usize::from(WINDOW) + 2);
                (0..entities).for_each(|index| spawn(world, self.kind, index, Rollback));
                return;
            }
            Play::SyncTest => Some(SyncTest::at_depth(DEPTH)),
            Play::Alone => None,
        };
        let kind = self.kind;
        self.app.add_systems(SetupMatch, move |world: &mut World| {
            (0..entities).for_each(|index| spawn(world, kind, index, Rollback));
        });
        let request = StartLocal { seats: vec!["one".into()], seed: 1, sync_test };
        self.app.world_mut().write_message(request);
        self.app.update();
        assert!(self.app.world().resource::<SessionState>().is_running());
    }

    fn start_theirs(&mut self, entities: usize, play: Play) {
        let world = self.app.world_mut();
        (0..entities).for_each(|index| spawn(world, self.kind, index, bevy_ggrs::Rollback));
        world.flush();
        let builder = || {
            SessionBuilder::<Config>::new()
                .with_num_players(1)
                .expect("one player is a number of players")
                .with_max_prediction_window(usize::from(WINDOW))
                .with_check_distance(usize::from(DEPTH))
        };
        match play {
            // Without a session, bevy_ggrs sets its prediction window to 8 by itself as soon as a
            // frame is due.
            Play::ByHand => (0..2).for_each(|_| self.app.update()),
            Play::SyncTest => {
                let session =
                    builder().start_synctest_session().expect("the depth is inside the window");
                self.app.insert_resource(Session::SyncTest(session));
            }
            Play::Alone => {
                let session = builder()
                    .add_player(PlayerType::Local, 0)
                    .and_then(|builder| builder.start_p2p_session(Nowhere))
                    .expect("one local player is enough");
                self.app.insert_resource(Session::P2P(session));
            }
        }
    }

    /// Changes every `step`-th entity.
    pub(crate) fn change(&mut self, step: usize) {
        self.turn += 1;
        change(self.app.world_mut(), self.kind, step, self.turn);
        self.app.world_mut().increment_change_tick();
    }

    /// Saves the next frame.
    pub(crate) fn save(&mut self) {
        self.frame += 1;
        let world = self.app.world_mut();
        match self.library {
            Library::Ours => {
                snapshots::save(world, self.frame);
                snapshots::confirm(world, self.frame.saturating_sub(u32::from(WINDOW)));
            }
            Library::BevyGgrs => {
                let frame = i32::try_from(self.frame).expect("no benchmark is that long");
                world.insert_resource(RollbackFrameCount(frame));
                world.insert_resource(ConfirmedFrameCount(frame - i32::from(WINDOW)));
                world.run_schedule(SaveWorld);
            }
        }
    }

    /// Loads the frame that was saved last.
    pub(crate) fn load(&mut self) {
        let world = self.app.world_mut();
        match self.library {
            Library::Ours => snapshots::load(world, self.frame),
            Library::BevyGgrs => {
                let frame = i32::try_from(self.frame).expect("no benchmark is that long");
                world.insert_resource(RollbackFrameCount(frame));
                world.run_schedule(LoadWorld);
            }
        }
    }

    /// Despawns `count` entities in the way that the library recommends, and spawns the same
    /// number.
    pub(crate) fn churn(&mut self, count: usize) {
        let mut query = self.app.world_mut().query_filtered::<Entity, With<Position>>();
        let stride = query.iter(self.app.world()).count() / count;
        let gone: Vec<Entity> =
            query.iter(self.app.world()).step_by(stride.max(1)).take(count).collect();
        let world = self.app.world_mut();
        // An entity that is despawned now is despawned in the frame after the saved one.
        match self.library {
            Library::Ours => {
                world.insert_resource(SimFrame(self.frame));
                let mut queue = CommandQueue::default();
                let mut commands = Commands::new(&mut queue, world);
                gone.iter().for_each(|&entity| {
                    RollbackCommandsExt::despawn_rollback(&mut commands.entity(entity));
                });
                queue.apply(world);
                (0..count).for_each(|index| spawn(world, self.kind, index, Rollback));
            }
            Library::BevyGgrs => {
                use bevy_ggrs::prelude::RollbackDespawnCommandExtension as Theirs;
                let frame = i32::try_from(self.frame).expect("no benchmark is that long");
                world.insert_resource(RollbackFrameCount(frame + 1));
                let mut queue = CommandQueue::default();
                let mut commands = Commands::new(&mut queue, world);
                gone.iter().for_each(|&entity| {
                    Theirs::despawn_rollback(&mut commands.entity(entity));
                });
                queue.apply(world);
                (0..count).for_each(|index| spawn(world, self.kind, index, bevy_ggrs::Rollback));
                world.flush();
            }
        }
    }

    /// The number of entities that are alive for the game.
    pub(crate) fn count(&mut self) -> usize {
        let mut query = self.app.world_mut().query_filtered::<(), With<Position>>();
        query.iter(self.app.world()).count()
    }

    /// Asserts that the updates were as they should be: a sync test at full depth without a
    /// mismatch.
    pub(crate) fn assert_sound(&self) {
        match self.library {
            Library::Ours => {
                let stats = self.app.world().resource::<SessionStats>();
                assert_eq!(stats.desyncs, 0, "the sync test fails");
                assert_eq!(stats.max_rollback, u32::from(DEPTH), "it does not roll back");
            }
            Library::BevyGgrs => {
                let frame = self.app.world().resource::<RollbackFrameCount>().0;
                assert!(frame > 2 * i32::from(WINDOW), "bevy_ggrs stands at frame {frame}");
            }
        }
    }
}

fn build_ours(app: &mut App, kind: Kind, is_hashed: bool) {
    let config = NetcodeConfig { prediction_window: WINDOW, ..NetcodeConfig::default() };
    app.add_plugins(NetcodePlugin::<u8>::new(config));
    match (kind, is_hashed) {
        (Kind::Copy, true) => app
            .rollback_component::<Position>()
            .rollback_component::<Velocity>()
            .rollback_component_unhashed::<Age>(),
        (Kind::Copy, false) => app
            .rollback_component_unhashed::<Position>()
            .rollback_component_unhashed::<Velocity>()
            .rollback_component_unhashed::<Age>(),
        (Kind::Owning, true) => app.rollback_component::<Name>().rollback_component::<Items>(),
        (Kind::Owning, false) => {
            app.rollback_component_unhashed::<Name>().rollback_component_unhashed::<Items>()
        }
    };
}

fn build_theirs(app: &mut App, kind: Kind, is_hashed: bool) {
    app.add_plugins(GgrsPlugin::<Config>::default()).add_systems(
        GgrsReadInputs,
        |mut commands: Commands| {
            commands.insert_resource(GgrsInputs::<Config>([(0, 0)].into_iter().collect()));
        },
    );
    match kind {
        Kind::Copy => app
            .rollback_component_with_copy::<Position>()
            .rollback_component_with_copy::<Velocity>()
            .rollback_component_with_copy::<Age>(),
        Kind::Owning => {
            app.rollback_component_with_clone::<Name>().rollback_component_with_clone::<Items>()
        }
    };
    if is_hashed {
        app.checksum_component::<Position>(|place| hash_pair(place.0, place.1))
            .checksum_component::<Velocity>(|speed| hash_pair(speed.0, speed.1));
    }
}

/// Hashes the bits with the hasher of `bevy_ggrs`, as its examples do.
fn hash_pair(one: f32, other: f32) -> u64 {
    use std::hash::{Hash as _, Hasher as _};
    let mut hasher = bevy_ggrs::checksum_hasher();
    one.to_bits().hash(&mut hasher);
    other.to_bits().hash(&mut hasher);
    hasher.finish()
}

/// Adds the system that moves everything to the library's schedule.
pub(crate) fn add_flight(library: Library, app: &mut App) {
    match library {
        Library::Ours => app.add_systems(Simulate, fly),
        Library::BevyGgrs => app.add_systems(GgrsSchedule, fly),
    };
}
