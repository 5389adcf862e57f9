//! Which screen is shown, and where there is text on it. Both `present` and `screens` name this
//! file; it names neither.

use bevy::ecs::system::SystemParam;
use bevy::prelude::*;
use bevy::ui::UiGlobalTransform;

use crate::view::View;

/// The screen that is shown.
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
    /// Whether it shows the arena, rather than the menus' sky.
    pub(crate) fn shows_arena(self) -> bool {
        self == Self::Match
    }
}

/// Marks the root of a screen: everything below it is despawned with the screen.
#[derive(Component)]
pub(crate) struct ScreenRoot;

/// Marks the column that a screen consists of, unless it shows the arena.
#[derive(Component)]
pub(crate) struct Page;

/// The areas with something to read or to choose: nothing else is drawn there.
#[derive(SystemParam)]
pub(crate) struct TextAreas<'w, 's> {
    pages: Query<'w, 's, &'static Children, With<Page>>,
    nodes: Query<'w, 's, (&'static ComputedNode, &'static UiGlobalTransform)>,
}

impl TextAreas<'_, '_> {
    /// The areas of the screen that is shown, in world units.
    pub(crate) fn in_world(&self, view: &View) -> Vec<Rect> {
        let parts = self.pages.iter().flat_map(|children| self.nodes.iter_many(children));
        let area = |(node, transform): (&ComputedNode, &UiGlobalTransform)| {
            let pixels = node.inverse_scale_factor() * view.ui_scale;
            let (middle, half) = (transform.translation * pixels, node.size() * pixels * 0.5);
            Rect::from_corners(view.world_at(middle - half), view.world_at(middle + half))
        };
        parts.map(area).filter(|area| !area.is_empty()).collect()
    }
}
