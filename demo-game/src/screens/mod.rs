//! The screens: menu, join, lobby, match, results, trouble. One is shown at a time; `flow` decides which.

mod flow;
mod focus;
mod hints;
mod hud;
mod join;
mod lobby;
mod menu;
mod owner;
mod results;
mod room;
mod title;
mod trouble;
mod widgets;

use bevy::ecs::system::SystemParam;
use bevy::prelude::*;
use bevy::ui::UiGlobalTransform;
use netcode::PeerId;
use netcode::prelude::FinishedMatch;

pub(crate) use flow::{Journey, Settings};
pub(crate) use focus::{Chosen, FocusMoved, MAX_NAME, Typing};
pub(crate) use room::RoomAddress;
pub(crate) use title::GAME_TITLE;

use crate::present::view::View;
use widgets::ScreenRoot;

/// Most bots that one can play against: the seats that are left.
const MAX_BOTS: u8 = 3;

/// How long a screen that comes by itself takes no confirmation.
const DEAF_SECONDS: f32 = 0.6;

/// What is shown.
#[derive(Resource, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Screen {
    /// What to play.
    #[default]
    Menu,
    /// Which room to join.
    Join,
    /// Who is in the room.
    Lobby,
    /// The match, with its score line.
    Match,
    /// Who won.
    Results,
    /// What went wrong.
    Trouble,
}

impl Screen {
    /// Whether the arena is to be seen, rather than the menus' sky.
    pub(crate) fn shows_arena(self) -> bool {
        self == Self::Match
    }

    /// The name in reports.
    #[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "only the page reports it"))]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Menu => "menu",
            Self::Join => "join",
            Self::Lobby => "lobby",
            Self::Match => "match",
            Self::Results => "results",
            Self::Trouble => "trouble",
        }
    }
}

/// What a player can choose on any screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Open a new room.
    PlayOnline {
        /// Whether it is listed from the beginning.
        is_public: bool,
    },
    /// Have new rooms listed from the beginning, or not.
    SetPublic(bool),
    /// Go to where a code is typed.
    OpenJoin,
    /// Join what was typed.
    JoinTyped,
    /// Join the room in this place of the list.
    JoinListed(u8),
    /// Let nobody else into our room, or let others in again.
    ToggleLock,
    /// Have our room listed, or no longer.
    TogglePublic,
    /// Choose whom to send out of our room, or nobody after all.
    SetKicking(bool),
    /// Send this player out of our room.
    Kick(PeerId),
    /// Be brought together with strangers, for a match of so many.
    QuickMatch(u8),
    /// Prefer so many players in it.
    SetStrangers(u8),
    /// Open a room on this machine.
    Host,
    /// Two on this keyboard.
    PlayHere,
    /// Against this many bots.
    AgainstBots(u8),
    /// Prefer this many bots.
    SetBots(u8),
    /// Take over the typed name.
    Rename,
    /// Close the window.
    Quit,
    /// Be ready, or no longer.
    ToggleReady,
    /// Take no part in the next match, or take part after all.
    ToggleSitOut,
    /// Put the room's link onto the clipboard.
    CopyLink,
    /// The same again.
    Rematch,
    /// Join the same room again.
    TryAgain,
    /// Back, out, away: what Esc does.
    Leave,
    /// Ask for the text of this field in the page's own way.
    AskFor(Entity),
}

impl Choice {
    /// What left (−1) and right (1) make of it, where they change something.
    fn adjusted(self, turn: i32) -> Option<Self> {
        match self {
            Self::AgainstBots(bots) if turn != 0 => {
                let wanted = i32::from(bots) + turn;
                u8::try_from(wanted)
                    .ok()
                    .filter(|bots| (1..=MAX_BOTS).contains(bots))
                    .map(Self::SetBots)
            }
            Self::QuickMatch(players) if turn != 0 => u8::try_from(i32::from(players) + turn)
                .ok()
                .filter(|players| (2..=MAX_BOTS + 1).contains(players))
                .map(Self::SetStrangers),
            Self::PlayOnline { is_public } if turn != 0 => Some(Self::SetPublic(!is_public)),
            _ => None,
        }
    }

    /// Whether left and right change something.
    fn is_adjustable(self) -> bool {
        matches!(self, Self::AgainstBots(_) | Self::PlayOnline { .. } | Self::QuickMatch(_))
    }

    /// Whether its item has a frame also without focus: the one thing that the screen is for.
    fn is_framed(self) -> bool {
        matches!(self, Self::ToggleReady | Self::JoinTyped | Self::Rematch | Self::TryAgain)
    }
}

/// The order of the work of one rendered frame.
#[derive(SystemSet, Clone, Debug, PartialEq, Eq, Hash)]
enum ScreenSystems {
    /// Keys, pointer and typed text.
    Listen,
    /// Choices and the session's changes decide what is shown.
    Decide,
    /// A new screen is built.
    Build,
    /// What it shows is kept up to date.
    Refresh,
}

/// Where there is something to read or to choose: nothing else is drawn there.
#[derive(SystemParam)]
pub(crate) struct Readable<'w, 's> {
    roots: Query<'w, 's, &'static Children, With<ScreenRoot>>,
    nodes: Query<'w, 's, (&'static ComputedNode, &'static UiGlobalTransform)>,
}

impl Readable<'_, '_> {
    /// The parts of the screen that is shown, in the world.
    pub(crate) fn areas(&self, view: &View) -> Vec<Rect> {
        let parts = self.roots.iter().flat_map(|children| self.nodes.iter_many(children));
        let area = |(node, transform): (&ComputedNode, &UiGlobalTransform)| {
            let pixels = node.inverse_scale_factor() * view.ui_scale;
            let (middle, half) = (transform.translation * pixels, node.size() * pixels * 0.5);
            Rect::from_corners(view.world_at(middle - half), view.world_at(middle + half))
        };
        parts.map(area).filter(|area| !area.is_empty()).collect()
    }
}

/// All screens.
pub(crate) struct ScreensPlugin;

impl Plugin for ScreensPlugin {
    fn build(&self, app: &mut App) {
        use ScreenSystems::{Build, Decide, Listen, Refresh};
        app.init_resource::<Screen>()
            .init_resource::<Journey>()
            .init_resource::<focus::Focus>()
            .init_resource::<hints::Device>()
            .init_resource::<join::ShownRooms>()
            .add_message::<Chosen>()
            .add_message::<FocusMoved>()
            .configure_sets(Update, (Listen, Decide, Build, Refresh).chain())
            .add_systems(Startup, flow::enter_by_link)
            .add_systems(FinishedMatch, flow::note_outcome)
            .add_systems(
                Update,
                (
                    (
                        hints::note_device,
                        focus::keep_focus,
                        focus::type_text,
                        focus::move_focus.run_if(not(resource_equals(Screen::Match))),
                        focus::leave_match,
                        focus::point_at_items,
                        focus::touch_items,
                        focus::press_adjusters,
                        focus::tell_overlay,
                    )
                        .chain()
                        .in_set(Listen),
                    (
                        focus::ask_for_text,
                        flow::follow_session,
                        flow::follow_choices,
                        flow::look_for_another,
                        flow::name_room,
                        flow::keep_place,
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
                            trouble::build,
                        ),
                    )
                        .chain()
                        .run_if(resource_changed::<Screen>)
                        .in_set(Build),
                    (
                        (hints::word_hints, focus::show_focus).chain(),
                        (widgets::fit_widths, widgets::make_way),
                        menu::refresh.run_if(resource_equals(Screen::Menu)),
                        join::refresh.run_if(resource_equals(Screen::Join)),
                        (lobby::auto_ready, owner::note_denials, lobby::refresh, owner::refresh)
                            .chain()
                            .run_if(resource_equals(Screen::Lobby)),
                        (hud::refresh_scores, hud::refresh_banner, hud::refresh_notice)
                            .run_if(resource_equals(Screen::Match)),
                        results::refresh.run_if(resource_equals(Screen::Results)),
                    )
                        .in_set(Refresh),
                ),
            );
        title::plugin(app);
    }
}

fn clear_screen(
    mut commands: Commands,
    screen: Res<Screen>,
    roots: Query<Entity, With<ScreenRoot>>,
    mut focus: ResMut<focus::Focus>,
) {
    for root in &roots {
        commands.entity(root).despawn();
    }
    focus.entity = None;
    let comes_by_itself = matches!(*screen, Screen::Results | Screen::Trouble);
    focus.deaf_for = if comes_by_itself { DEAF_SECONDS } else { 0.0 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_least_one_bot_and_at_most_three() {
        assert_eq!(Choice::AgainstBots(1).adjusted(1), Some(Choice::SetBots(2)));
        assert_eq!(Choice::AgainstBots(1).adjusted(-1), None);
        assert_eq!(Choice::AgainstBots(3).adjusted(1), None);
        assert_eq!(Choice::PlayHere.adjusted(1), None);
    }

    #[test]
    fn a_quick_match_is_for_two_to_four() {
        assert_eq!(Choice::QuickMatch(2).adjusted(1), Some(Choice::SetStrangers(3)));
        assert_eq!(Choice::QuickMatch(2).adjusted(-1), None);
        assert_eq!(Choice::QuickMatch(4).adjusted(1), None);
    }

    #[test]
    fn a_new_room_is_listed_or_not_before_it_is_made() {
        let [private, public] = [false, true].map(|is_public| Choice::PlayOnline { is_public });
        assert_eq!(private.adjusted(1), Some(Choice::SetPublic(true)));
        assert_eq!(public.adjusted(-1), Some(Choice::SetPublic(false)));
        assert!(private.is_adjustable() && !Choice::PlayHere.is_adjustable());
    }
}
