//! Drawing and sound: reads the simulation, never writes it. Vector lines and light on black, from meshes.
//!
//! `strokes` collects lines and uploads them, `view` says where things are on the screen, `motion` where they are
//! between two simulated frames; `bodies` and `sky` draw what is, `sparks` and `happenings` what happened, `sound`
//! what is heard.

pub(crate) mod bodies;
mod happenings;
mod motion;
pub(crate) mod palette;
mod quality;
mod sky;
mod sound;
mod sparks;
pub(crate) mod strokes;
mod touch;
pub(crate) mod view;

use bevy::prelude::*;
use netcode::prelude::NetcodeSystems;

pub(crate) use quality::Quality;

use crate::screens::Screen;

/// The order of the drawing of one rendered frame, all in `PostUpdate`.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PresentSystems {
    /// Camera, and places between two simulated frames.
    Place,
    /// Strokes are collected.
    Draw,
    /// Strokes go to the GPU.
    Upload,
}

/// Everything that is seen and heard of the simulation.
pub(crate) struct PresentPlugin;

impl Plugin for PresentPlugin {
    fn build(&self, app: &mut App) {
        app.add_plugins((strokes::StrokesPlugin, sound::SoundPlugin))
            .init_resource::<view::View>()
            .init_resource::<Quality>()
            .init_resource::<sparks::Sparks>()
            .init_resource::<motion::Smoothing>()
            .configure_sets(
                PostUpdate,
                (PresentSystems::Place, PresentSystems::Draw, PresentSystems::Upload)
                    .chain()
                    .in_set(NetcodeSystems::Present),
            )
            .add_systems(PreStartup, view::spawn_camera)
            .add_systems(PostStartup, sky::build_sky)
            .add_systems(First, quality::judge_quality)
            .add_systems(PreUpdate, view::fit_view.before(bevy::ui::UiSystems::Focus))
            .add_systems(
                PostUpdate,
                (
                    (view::apply_quality, motion::place_things).in_set(PresentSystems::Place),
                    (
                        happenings::light_up,
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
