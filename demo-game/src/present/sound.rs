//! The sounds of the simulation: each effect once, however often its frame is simulated; a few
//! voices at a time.

use std::sync::Arc;

use bevy::audio::{AudioSinkPlayback, PlaybackMode, Volume};
use bevy::prelude::*;
use netcode::prelude::*;

use crate::bots::Bots;
use crate::sim::{AsteroidSize, Ship, SimEffect};

/// Maximum number of sounds at once, besides the engine: more would be mud, and mixing costs time
/// in a browser.
const MAX_VOICES: usize = 14;
/// The engine's volume, and how fast it fades in and out, per second.
const ENGINE_VOLUME: f32 = 0.30;
const ENGINE_FADE: f32 = 9.0;

/// The sounds of the simulation, in `Update`.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SoundSystems;

/// Plays the sounds of the simulation.
pub(super) struct SoundPlugin;

impl Plugin for SoundPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Muted>()
            .add_systems(PreStartup, load_sounds)
            .add_systems(Startup, start_engine)
            .add_systems(Update, (play_effects, drive_engine).chain().in_set(SoundSystems));
    }
}

/// Whether all sounds are muted.
#[derive(Resource, Default)]
pub(crate) struct Muted(pub(crate) bool);

/// Embeds every sound in the binary: a native game needs no files, and a page downloads nothing
/// more.
macro_rules! sounds {
    ($($name:ident),* $(,)?) => {
        #[derive(Resource)]
        pub(crate) struct Sounds {
            $(pub(crate) $name: Handle<AudioSource>,)*
        }

        fn load_sounds(mut commands: Commands, mut sources: ResMut<Assets<AudioSource>>) {
            let mut add = |bytes: &'static [u8]| sources.add(AudioSource { bytes: Arc::from(bytes) });
            commands.insert_resource(Sounds {
                $($name: add(include_bytes!(concat!("../../../assets/sounds/", stringify!($name), ".wav"))),)*
            });
        }
    };
}

sounds! {
    beep, bump, burn, choose, dash, deflect, explosion, fire, focus, go, match_over, rock, round, shield_back,
    shield_lost, sudden_death, thrust,
}

/// A sound being played.
#[derive(Component)]
pub(crate) struct Voice;

/// The engine's loop.
#[derive(Component)]
pub(super) struct Engine;

/// What to play: volume from 0 to 1, and speed, which is also pitch.
pub(crate) type Cue<'a> = (&'a Handle<AudioSource>, f32, f32);

fn cue(sounds: &Sounds, effect: SimEffect) -> Cue<'_> {
    match effect {
        SimEffect::CountdownBeep { left: 0 } => (&sounds.go, 0.5, 1.0),
        SimEffect::CountdownBeep { .. } => (&sounds.beep, 0.5, 1.0),
        SimEffect::Fired { seat, .. } => (&sounds.fire, 0.34, 1.0 + 0.07 * f32::from(seat)),
        SimEffect::Dashed { .. } => (&sounds.dash, 0.5, 1.0),
        SimEffect::ShieldLost { .. } => (&sounds.shield_lost, 0.6, 1.0),
        SimEffect::ShieldBack { .. } => (&sounds.shield_back, 0.35, 1.0),
        SimEffect::Deflected { .. } => (&sounds.deflect, 0.4, 1.0),
        SimEffect::Bumped { .. } => (&sounds.bump, 0.6, 1.0),
        SimEffect::ShipExploded { .. } => (&sounds.explosion, 0.95, 1.0),
        SimEffect::AsteroidSplit { size, .. } => match size {
            AsteroidSize::Large => (&sounds.rock, 0.65, 0.7),
            AsteroidSize::Medium => (&sounds.rock, 0.5, 0.95),
            AsteroidSize::Small => (&sounds.rock, 0.4, 1.35),
        },
        SimEffect::Burnt { size: Some(_), .. } => (&sounds.burn, 0.45, 0.9),
        SimEffect::Burnt { size: None, .. } => (&sounds.burn, 0.14, 1.7),
        SimEffect::SuddenDeath => (&sounds.sudden_death, 0.7, 1.0),
        SimEffect::RoundOver { .. } => (&sounds.round, 0.55, 1.0),
        SimEffect::MatchOver { .. } => (&sounds.match_over, 0.7, 1.0),
    }
}

/// Plays a sound once.
pub(crate) fn play(commands: &mut Commands, (sound, volume, speed): Cue) {
    commands.spawn((
        Voice,
        AudioPlayer(sound.clone()),
        PlaybackSettings {
            mode: PlaybackMode::Despawn,
            volume: Volume::Linear(volume),
            speed,
            ..default()
        },
    ));
}

fn play_effects(
    mut commands: Commands,
    mut effects: MessageReader<EffectStarted<SimEffect>>,
    sounds: Res<Sounds>,
    muted: Res<Muted>,
    voices: Query<(), With<Voice>>,
) {
    let mut free = if muted.0 { 0 } else { MAX_VOICES.saturating_sub(voices.iter().len()) };
    for started in effects.read() {
        if free > 0 {
            free -= 1;
            play(&mut commands, cue(&sounds, started.effect));
        }
    }
}

fn start_engine(mut commands: Commands, sounds: Res<Sounds>) {
    let settings =
        PlaybackSettings { mode: PlaybackMode::Loop, volume: Volume::Linear(0.0), ..default() };
    commands.spawn((Engine, AudioPlayer(sounds.thrust.clone()), settings));
}

/// Plays the engine while a person on this machine thrusts.
fn drive_engine(
    time: Res<Time<Real>>,
    session: Res<SessionState>,
    roster: Res<Roster>,
    bots: Res<Bots>,
    muted: Res<Muted>,
    ships: Query<&Ship>,
    mut engines: Query<&mut AudioSink, With<Engine>>,
) {
    let is_heard = |ship: &&Ship| {
        let local_index = roster.local_seats().position(|seat| seat.0 == ship.seat);
        ship.thrusting && local_index.is_some_and(|index| !bots.is_bot(index))
    };
    let burns = session.is_running() && !muted.0 && ships.iter().filter(is_heard).count() > 0;
    let wanted = if burns { ENGINE_VOLUME } else { 0.0 };
    for mut engine in &mut engines {
        let volume = engine.volume().to_linear();
        if (volume - wanted).abs() > 0.001 {
            let step = (wanted - volume) * (ENGINE_FADE * time.delta_secs()).min(1.0);
            engine.set_volume(Volume::Linear(volume + step));
        }
    }
}
