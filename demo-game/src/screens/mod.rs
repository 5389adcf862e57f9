//! The screens: menu, join, lobby, match, results, failure. One is shown at a time.
//!
//! Keys, pointer and typed text become a `Choice`; `choices` carries it out, and `navigator`
//! changes the screen; each screen is built when it is shown, and refreshed while it is.

pub(crate) mod settings;

pub(crate) mod current_match;

mod choice;
mod widgets;

mod items;
mod scroll;

mod focus;
mod pointer;
mod typing;

mod choices;
mod navigator;

mod hints;
mod menu;
mod title;

mod join;

mod lobby;
mod owner;

mod seat_news;
mod score_line;
mod pause;
mod hud;

mod results;

mod failure;

mod sound;

#[cfg(test)]
mod rig;

use bevy::prelude::*;
use netcode::prelude::FinishedMatch;

pub(crate) use items::MAX_NAME;
pub(crate) use title::GAME_TITLE;

use crate::screen::{Screen, ScreenRoot};
use choice::Chosen;
use current_match::CurrentMatch;
use focus::{Focus, FocusMoved};

/// Time during which a screen that the player did not choose accepts no confirmation, in seconds.
const IGNORE_INPUT_SECONDS: f32 = 0.6;

/// The order of the work of one rendered frame.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
enum ScreenSystems {
    /// Keys, pointer and typed text.
    Listen,
    /// Choices and the session's changes decide what is shown.
    Decide,
    /// A new screen is built.
    Build,
    /// What the screen shows is kept up to date.
    Refresh,
}

/// All screens.
pub(crate) struct ScreensPlugin;

impl Plugin for ScreensPlugin {
    fn build(&self, app: &mut App) {
        add_screens(app);
        sound::plugin(app);
    }
}

/// Adds the screens without their sounds.
fn add_screens(app: &mut App) {
    use ScreenSystems::{Build, Decide, Listen, Refresh};
    app.init_resource::<Screen>()
        .init_resource::<CurrentMatch>()
        .init_resource::<Focus>()
        .init_resource::<hints::Device>()
        .init_resource::<join::ShownRooms>()
        .add_message::<Chosen>()
        .add_message::<FocusMoved>()
        .configure_sets(Update, (Listen, Decide, Build, Refresh).chain())
        .add_systems(Startup, navigator::enter_first_room)
        .add_systems(FinishedMatch, navigator::note_outcome)
        .add_systems(
            Update,
            (
                (
                    hints::note_device,
                    focus::keep_focus,
                    typing::type_text,
                    focus::move_focus.run_if(not(resource_equals(Screen::Match))),
                    focus::leave_match,
                    focus::pause_match,
                    pointer::point_at_items,
                    pointer::touch_items,
                    pointer::press_adjusters,
                    typing::share_typing_with_overlay,
                )
                    .chain()
                    .in_set(Listen),
                (
                    typing::ask_for_text,
                    navigator::show_session_screen,
                    navigator::end_simulated_network,
                    choices::apply_choices,
                    navigator::join_another_pair,
                    navigator::adopt_room_name,
                    navigator::remember_place,
                )
                    .chain()
                    .in_set(Decide),
                (
                    clear_screen,
                    (
                        menu::build,
                        join::build,
                        lobby::build,
                        hud::build,
                        results::build,
                        failure::build,
                    ),
                )
                    .chain()
                    .run_if(resource_changed::<Screen>)
                    .in_set(Build),
            ),
        );
    add_refreshing(app);
    title::plugin(app);
}

/// Adds the systems that keep the present screen up to date.
fn add_refreshing(app: &mut App) {
    app.init_resource::<widgets::WasTall>().add_systems(
        Update,
        (
            (hints::word_hints, focus::show_focus).chain(),
            (widgets::fit_widths, widgets::fit_shapes, widgets::fit_hairlines, widgets::make_way),
            (scroll::scroll, scroll::show_bar).chain(),
            menu::refresh.run_if(resource_equals(Screen::Menu)),
            join::refresh.run_if(resource_equals(Screen::Join)),
            (lobby::auto_ready, owner::note_denials, lobby::refresh, owner::refresh)
                .chain()
                .run_if(resource_equals(Screen::Lobby)),
            (
                score_line::refresh_names,
                score_line::refresh_marks,
                score_line::refresh_scores,
                hud::refresh_notice,
                hud::refresh_banner,
                hud::refresh_flying_hint,
                pause::refresh,
            )
                .run_if(resource_equals(Screen::Match)),
            results::refresh.run_if(resource_equals(Screen::Results)),
        )
            .in_set(ScreenSystems::Refresh),
    );
}

fn clear_screen(
    mut commands: Commands,
    screen: Res<Screen>,
    roots: Query<Entity, With<ScreenRoot>>,
    mut focus: ResMut<Focus>,
) {
    for root in &roots {
        commands.entity(root).despawn();
    }
    focus.entity = None;
    let comes_by_itself = matches!(*screen, Screen::Results | Screen::Failure);
    focus.ignore_input_for = if comes_by_itself { IGNORE_INPUT_SECONDS } else { 0.0 };
}
