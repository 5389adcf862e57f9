//! The camera: applies the view, with bloom if the machine can afford it.

use bevy::camera::Hdr;
use bevy::core_pipeline::tonemapping::Tonemapping;
use bevy::post_process::bloom::{Bloom, BloomCompositeMode, BloomPrefilter};
use bevy::prelude::*;
use bevy::window::PrimaryWindow;

use super::palette::BACKGROUND;
use super::quality::Quality;
use super::strokes::{LayerHandles, StrokeMaterial, Strokes, set_layer_looks};
use crate::screen::Screen;
use crate::sim::tuning::ARENA_HALF;
use crate::view::View;

/// Line widths are made for an arena drawn at this many pixels per unit. If it is drawn smaller,
/// lines keep their width.
const FULL_SIZE: f32 = 0.62;

pub(super) fn spawn_camera(mut commands: Commands) {
    commands.spawn((
        Camera2d,
        Camera { clear_color: ClearColorConfig::Custom(BACKGROUND), ..default() },
        Msaa::Off,
    ));
}

/// Fits the view, the camera and the line widths to the window and the screen that is shown.
pub(super) fn fit_view(
    time: Res<Time<Real>>,
    screen: Res<Screen>,
    window: Single<&Window, With<PrimaryWindow>>,
    camera: Single<(&mut Transform, &mut Projection), With<Camera2d>>,
    mut view: ResMut<View>,
    mut ui_scale: ResMut<UiScale>,
    mut strokes: ResMut<Strokes>,
) {
    view.fit(window.size(), window.scale_factor(), screen.shows_arena());
    if ui_scale.0 != view.ui_scale {
        ui_scale.0 = view.ui_scale;
    }
    let offset = view.fade_shake(time.delta_secs(), time.elapsed_secs());

    let (mut transform, mut projection) = camera.into_inner();
    transform.translation = (view.centre + offset).extend(10.0);
    if let Projection::Orthographic(orthographic) = &mut *projection {
        orthographic.scale = view.units_per_pixel;
    }
    strokes.arena.width_factor = (FULL_SIZE * view.units_per_pixel).max(1.0);
    strokes.overlay.width_factor = view.units_per_pixel * view.ui_scale;
}

/// Applies the chosen quality, and clips the arena's layer to the arena if the arena is shown.
pub(super) fn apply_quality(
    mut commands: Commands,
    quality: Res<Quality>,
    screen: Res<Screen>,
    camera: Single<(Entity, Has<Bloom>), With<Camera2d>>,
    handles: Res<LayerHandles>,
    mut materials: ResMut<Assets<StrokeMaterial>>,
) {
    let (camera, has_bloom) = *camera;
    let wants_bloom = !quality.is_low();
    if wants_bloom && !has_bloom {
        commands.entity(camera).insert((Hdr, Tonemapping::Reinhard, vector_bloom()));
    } else if !wants_bloom && has_bloom {
        commands.entity(camera).remove::<(Hdr, Bloom)>().insert(Tonemapping::None);
    }
    set_layer_looks(
        &handles,
        &mut materials,
        screen.shows_arena().then_some(ARENA_HALF),
        wants_bloom,
    );
}

/// Bloom like that of a vector screen: a wide soft halo around bright lines only.
fn vector_bloom() -> Bloom {
    Bloom {
        intensity: 0.17,
        low_frequency_boost: 0.55,
        low_frequency_boost_curvature: 0.9,
        prefilter: BloomPrefilter { threshold: 0.35, threshold_softness: 0.4 },
        composite_mode: BloomCompositeMode::Additive,
        ..Bloom::NATURAL
    }
}
