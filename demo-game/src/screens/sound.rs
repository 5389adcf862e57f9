//! The sounds of the screens: for choices, and for moves of the focus. M mutes all sounds.

use bevy::audio::AudioSinkPlayback;
use bevy::prelude::*;

use super::choice::Chosen;
use super::focus::FocusMoved;
use super::typing::Typing;
use crate::present::sound::{Muted, SoundSystems, Sounds, Voice, play};
use crate::screen::Screen;

pub(super) fn plugin(app: &mut App) {
    app.add_systems(
        Update,
        (toggle_mute.before(SoundSystems), play_screen_sounds.after(SoundSystems)),
    );
}

fn play_screen_sounds(
    mut commands: Commands,
    mut chosen: MessageReader<Chosen>,
    mut moved: MessageReader<FocusMoved>,
    sounds: Res<Sounds>,
    muted: Res<Muted>,
    screen: Res<Screen>,
) {
    let (chosen, moved) = (chosen.read().count() > 0, moved.read().count() > 0);
    if muted.0 || *screen == Screen::Match {
        return;
    }
    if chosen {
        play(&mut commands, (&sounds.choose, 0.4, 1.0));
    } else if moved {
        play(&mut commands, (&sounds.focus, 0.35, 1.0));
    }
}

fn toggle_mute(
    keys: Res<ButtonInput<KeyCode>>,
    typing: Typing,
    mut muted: ResMut<Muted>,
    mut sinks: Query<&mut AudioSink, With<Voice>>,
) {
    if keys.just_pressed(KeyCode::KeyM) && !typing.is_typing() {
        muted.0 = !muted.0;
        for mut sink in &mut sinks {
            if muted.0 {
                sink.mute();
            } else {
                sink.unmute();
            }
        }
    }
}
