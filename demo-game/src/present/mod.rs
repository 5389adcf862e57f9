//! Drawing and sound: reads the simulation, never writes it. Vector lines and light on black, from
//! meshes.
//!
//! `strokes` collects lines and uploads them; `camera` applies the view; `motion` finds the
//! positions between two simulated frames. `bodies` and `sky` draw what exists, `sparks` and
//! `effects` what happened, `touch` the controls for fingers. `sound` plays effects and engines.

pub(crate) mod palette;
mod quality;
pub(crate) mod strokes;

mod camera;

mod motion;

pub(crate) mod bodies;
mod sky;

mod sparks;

mod effects;

mod touch;

pub(crate) mod sound;

use bevy::ecs::schedule::{InternedSystemSet, ScheduleConfigs};
use bevy::prelude::*;
use netcode::prelude::NetcodeSystems;

pub(crate) use quality::Quality;

use crate::screen::Screen;
use crate::view::View;

/// The order of the drawing of one rendered frame, all in `PostUpdate`.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PresentSystems {
    /// The camera, and where things are between two simulated frames.
    Arrange,
    /// Strokes are collected.
    Draw,
    /// Strokes go to the GPU.
    Upload,
}

/// Everything that players see and hear of the simulation.
pub(crate) struct PresentPlugin;

impl Plugin for PresentPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins((strokes::StrokesPlugin, sound::SoundPlugin))
            .init_resource::<View>()
            .init_resource::<Quality>()
            .init_resource::<sparks::Sparks>()
            .init_resource::<motion::Smoothing>()
            .configure_sets(PostUpdate, order())
            .add_systems(PreStartup, camera::spawn_camera)
            .add_systems(PostStartup, sky::build_sky)
            .add_systems(First, quality::judge_quality)
            .add_systems(PreUpdate, camera::fit_view.before(bevy::ui::UiSystems::Focus))
            .add_systems(
                PostUpdate,
                (
                    (camera::apply_quality, motion::update_drawn).in_set(PresentSystems::Arrange),
                    (
                        effects::show_effects,
                        sky::draw_arena,
                        (
                            bodies::shape_asteroids,
                            bodies::draw_asteroids,
                            bodies::draw_shots,
                            bodies::draw_ships,
                            sparks::draw_sparks,
                            touch::draw_touch_controls,
                        )
                            .chain()
                            .run_if(resource_equals(Screen::Match)),
                    )
                        .chain()
                        .in_set(PresentSystems::Draw),
                    strokes::upload_strokes.in_set(PresentSystems::Upload),
                ),
            );
    }
}

/// The order of the sets. What is drawn beside texts needs their places of this rendered frame, not
/// those before a resize.
fn order() -> ScheduleConfigs<InternedSystemSet> {
    let draw = PresentSystems::Draw.after(bevy::ui::UiSystems::Layout);
    (PresentSystems::Arrange, draw, PresentSystems::Upload).chain().in_set(NetcodeSystems::Present)
}

/// What the screens need of the drawing, without a GPU: the view, and a camera for the layout.
#[cfg(test)]
pub(crate) fn plugin_without_gpu(app: &mut App) {
    use bevy::camera::CameraUpdateSystems;
    use bevy::render::camera::camera_system;
    use bevy::render::texture::ManualTextureViews;

    app.init_resource::<View>()
        .init_resource::<strokes::Strokes>()
        .init_resource::<ManualTextureViews>()
        .configure_sets(PostUpdate, order())
        .add_systems(PreStartup, camera::spawn_camera)
        .add_systems(PreUpdate, camera::fit_view.before(bevy::ui::UiSystems::Focus))
        .add_systems(PostUpdate, camera_system.in_set(CameraUpdateSystems));
}
