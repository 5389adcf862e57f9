//! Scrolling of screens that are taller than the window: by wheel, by finger, and with the focus. A
//! bar at the right edge shows that there is more.

use bevy::input::mouse::{MouseScrollUnit, MouseWheel};
use bevy::prelude::*;
use bevy::ui::UiGlobalTransform;

use super::focus::Focus;
use super::items::Item;
use super::widgets::GAP;
use crate::present::palette::TEXT_QUIET;
use crate::view::View;

/// Distance that a notch of the mouse wheel scrolls, in layout units: an item.
const NOTCH: f32 = 48.0;
/// A finger that moves further than this, in layout units, scrolls and no longer chooses.
const DRAG: f32 = 10.0;
/// Space between the focused item and the edge of the window, in layout units: it shows whether
/// more follows.
const CONTEXT: f32 = 40.0;
/// Width of the bar, in layout units.
const BAR: f32 = 5.0;

/// Marks a node that scrolls.
#[derive(Component)]
pub(super) struct Scrolled;

/// Marks the bar beside it.
#[derive(Component)]
pub(super) struct ScrollBar;

/// The bar, which is hidden while everything fits into the window.
pub(super) fn bar() -> impl Bundle {
    let node = Node {
        position_type: PositionType::Absolute,
        right: px(GAP * 0.5),
        width: px(BAR),
        border_radius: BorderRadius::MAX,
        display: Display::None,
        ..default()
    };
    (ScrollBar, node, BackgroundColor(TEXT_QUIET.with_alpha(0.6)))
}

/// How far to scroll to bring the span from `top` to `bottom` into a window of this height.
fn into_view(top: f32, bottom: f32, height: f32) -> f32 {
    let (above, below) = ((top - CONTEXT).min(0.0), (bottom + CONTEXT - height).max(0.0));
    // If there is not enough space for both, the beginning is shown.
    if above < 0.0 { above } else { below.min(top - CONTEXT) }
}

/// Scrolls by wheel and finger, and follows the focus when it moves.
pub(super) fn scroll(
    mut wheel: MessageReader<MouseWheel>,
    (touches, view): (Res<Touches>, Res<View>),
    mut focus: ResMut<Focus>,
    mut scrolled: Query<(&ComputedNode, &mut ScrollPosition), With<Scrolled>>,
    items: Query<(&ComputedNode, &UiGlobalTransform, &Item)>,
) {
    let turned = wheel.read().map(|turn| match turn.unit {
        MouseScrollUnit::Line => turn.y * NOTCH,
        MouseScrollUnit::Pixel => turn.y / view.ui_scale,
    });
    let dragged = touches.iter().map(|touch| touch.delta().y / view.ui_scale);
    let by_hand: f32 = turned.chain(dragged).sum();
    let Ok((node, mut position)) = scrolled.single_mut() else { return };
    let unit = node.inverse_scale_factor();
    let height = node.size().y * unit;
    let reach = (node.content_size().y * unit - height).max(0.0);
    let mut to = position.y - by_hand;
    if reach > 0.0 && touches.iter().any(|touch| touch.distance().y.abs() > DRAG * view.ui_scale) {
        focus.touched.clear();
    }
    let focused = focus.entity.filter(|entity| focus.followed != Some(*entity));
    if let Some((entity, (area, transform, item))) =
        focused.and_then(|entity| Some((entity, items.get(entity).ok()?)))
        && !area.is_empty()
    {
        focus.followed = Some(entity);
        let (middle, half) = (transform.translation.y * unit, area.size().y * 0.5 * unit);
        // Above the first item there is only the heading.
        let by = into_view(middle - half, middle + half, height);
        to = if item.order == 0 { 0.0 } else { to + by };
    }
    let to = to.clamp(0.0, reach);
    if position.y != to {
        position.y = to;
    }
}

/// Shows which part of the screen is in the window.
pub(super) fn show_bar(
    scrolled: Query<&ComputedNode, With<Scrolled>>,
    mut bars: Query<&mut Node, With<ScrollBar>>,
) {
    let Ok(node) = scrolled.single() else { return };
    let (all, seen) = (node.content_size().y, node.size().y);
    for mut bar in &mut bars {
        let is_needed = all > seen + 1.0;
        let display = if is_needed { Display::Flex } else { Display::None };
        let top = percent(100.0 * node.scroll_position.y / all.max(1.0));
        let height = percent(100.0 * seen / all.max(1.0));
        if bar.display != display || is_needed && (bar.top, bar.height) != (top, height) {
            (bar.display, bar.top, bar.height) = (display, top, height);
        }
    }
}

#[cfg(test)]
mod tests {
    use bevy::input::touch::TouchPhase;

    use super::super::rig::Rig;
    use super::*;
    use crate::screen::Screen;

    /// A window into which only a part of the search for a room fits.
    const LOW: (u32, u32) = (400, 200);

    fn bar(rig: &mut Rig) -> Option<f32> {
        let world = rig.app.world_mut();
        let mut bars =
            world.query_filtered::<(&ComputedNode, &UiGlobalTransform), With<ScrollBar>>();
        let (node, transform) = bars.single(world).expect("each page has a bar");
        (!node.is_empty()).then_some(transform.translation.y)
    }

    #[test]
    fn the_window_follows_the_focus_and_a_bar_shows_where_it_is() {
        let mut rig = Rig::new((1280, 720));
        assert_eq!(bar(&mut rig), None, "everything fits");
        rig.resize(LOW);
        rig.settle();
        let window = rig.window();
        let top = bar(&mut rig).expect("a bar");
        for _ in rig.choices() {
            rig.press(KeyCode::ArrowDown);
            let item = rig.focused_area();
            assert!(item.min.y >= 0.0 && item.max.y <= window.max.y, "{item:?}");
        }
        assert_eq!(bar(&mut rig), Some(top), "back at the first item");
        rig.press(KeyCode::ArrowUp);
        assert!(bar(&mut rig) > Some(top), "at the last item");
    }

    #[test]
    fn a_finger_that_scrolls_chooses_nothing() {
        let mut rig = Rig::new(LOW);
        let before = bar(&mut rig);
        let window = rig.window_entity();
        let start = rig.focused_area().center();
        let moves =
            [(TouchPhase::Started, 0.0), (TouchPhase::Moved, 30.0), (TouchPhase::Ended, 30.0)];
        for (phase, up) in moves {
            let position = start - Vec2::new(0.0, up);
            rig.app.world_mut().write_message(TouchInput {
                phase,
                position,
                window,
                force: None,
                id: 1,
            });
            rig.app.update();
        }
        rig.settle();
        assert_eq!(*rig.resource::<Screen>(), Screen::Menu);
        assert!(bar(&mut rig) > before);
    }

    #[test]
    fn only_what_is_outside_the_window_scrolls_it() {
        assert_eq!(into_view(CONTEXT, 100.0, 200.0), 0.0);
        assert_eq!(into_view(0.0, 40.0, 200.0), -CONTEXT);
        assert_eq!(into_view(150.0, 190.0, 200.0), CONTEXT - 10.0);
    }
}
