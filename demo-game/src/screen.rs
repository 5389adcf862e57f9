//! Which screen is shown, and where there is text on it: named by what draws and by the screens,
//! names neither.

use bevy::ecs::system::SystemParam;
use bevy::prelude::*;
use bevy::ui::UiGlobalTransform;

use crate::view::View;

/// What is shown.
#[derive(Resource, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Screen {
    /// What to play.
    #[default]
    Menu,
    /// Which room to join.
    Join,
    /// The players in the room.
    Lobby,
    /// The match, with its score line.
    Match,
    /// The winner of the match.
    Results,
    /// What went wrong.
    Failure,
}

impl Screen {
    /// Whether the arena is to be seen, rather than the menus' sky.
    pub(crate) fn shows_arena(self) -> bool {
        self == Self::Match
    }
}

/// Everything below this belongs to the screen, and goes with it.
#[derive(Component)]
pub(crate) struct ScreenRoot;

/// Where there is something to read or to choose: nothing else is drawn there.
#[derive(SystemParam)]
pub(crate) struct TextAreas<'w, 's> {
    roots: Query<'w, 's, &'static Children, With<ScreenRoot>>,
    nodes: Query<'w, 's, (&'static ComputedNode, &'static UiGlobalTransform)>,
}

impl TextAreas<'_, '_> {
    /// The parts of the screen that is shown, in the world.
    pub(crate) fn in_world(&self, view: &View) -> Vec<Rect> {
        let parts = self.roots.iter().flat_map(|children| self.nodes.iter_many(children));
        let area = |(node, transform): (&ComputedNode, &UiGlobalTransform)| {
            let pixels = node.inverse_scale_factor() * view.ui_scale;
            let (middle, half) = (transform.translation * pixels, node.size() * pixels * 0.5);
            Rect::from_corners(view.world_at(middle - half), view.world_at(middle + half))
        };
        parts.map(area).filter(|area| !area.is_empty()).collect()
    }
}
