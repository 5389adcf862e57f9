//! Mouse and fingers: they give the focus to the item that they point at, and choose the item on
//! which they are pressed and released.

use bevy::ecs::query::QueryData;
use bevy::prelude::*;
use bevy::ui::UiGlobalTransform;
use bevy::window::PrimaryWindow;

use super::choice::{Choice, Chosen};
use super::focus::{Focus, FocusMoved};
use super::items::{Adjuster, Field, Item};

/// Where an item is on the screen.
#[derive(QueryData)]
pub(super) struct ItemArea {
    node: &'static ComputedNode,
    transform: &'static UiGlobalTransform,
}

impl ItemAreaItem<'_, '_> {
    /// Whether the item contains this point of the window, in physical pixels.
    fn contains(&self, point: Vec2) -> bool {
        self.node.contains_point(*self.transform, point)
    }
}

/// Gives the focus to an item when the mouse is moved over it, but not when the item merely appears
/// under the mouse. Chooses an item when the mouse is pressed and released on it.
pub(super) fn point_at_items(
    mouse: Res<ButtonInput<MouseButton>>,
    mut pointer: MessageReader<CursorMoved>,
    items: Query<(Entity, &Item, &Interaction, Has<Field>)>,
    mut focus: ResMut<Focus>,
    mut chosen: MessageWriter<Chosen>,
    mut moved: MessageWriter<FocusMoved>,
) {
    // A pointer that enters the window has not moved yet.
    let has_moved = pointer.read().any(|to| to.delta.is_some_and(|delta| delta != Vec2::ZERO));
    for (entity, item, interaction, is_field) in &items {
        if (has_moved || mouse.just_pressed(MouseButton::Left))
            && *interaction != Interaction::None
            && focus.entity != Some(entity)
        {
            focus.entity = Some(entity);
            moved.write(FocusMoved);
        }
        if mouse.just_pressed(MouseButton::Left) && *interaction == Interaction::Pressed {
            focus.pressed = Some(entity);
        }
        // A player that moves the mouse away before releasing it has changed their mind.
        if mouse.just_released(MouseButton::Left)
            && focus.pressed == Some(entity)
            && *interaction != Interaction::None
            && !is_field
        {
            chosen.write(Chosen(item.choice));
        }
    }
    if mouse.just_released(MouseButton::Left) {
        focus.pressed = None;
    }
}

/// Chooses an item when a finger lands on it and is lifted from it; the small buttons act when it
/// lands. Any finger counts: in a match the first one holds the stick, and Bevy's interaction knows
/// only the first.
pub(super) fn touch_items(
    touches: Res<Touches>,
    window: Single<&Window, With<PrimaryWindow>>,
    items: Query<(Entity, &Item, ItemArea, Has<Field>)>,
    adjusters: Query<(&Adjuster, ItemArea, &ChildOf)>,
    mut focus: ResMut<Focus>,
    mut chosen: MessageWriter<Chosen>,
) {
    let scale = window.scale_factor();
    for touch in touches.iter_just_pressed() {
        let point = touch.position() * scale;
        if let Some((adjuster, _, ChildOf(parent))) =
            adjusters.iter().find(|(_, place, _)| place.contains(point))
        {
            let item = items.get(*parent).map(|(_, item, ..)| item);
            chosen.write_batch(adjusted(item.ok(), adjuster));
        } else if let Some((entity, ..)) =
            items.iter().find(|(_, _, place, _)| place.contains(point))
        {
            focus.entity = Some(entity);
            focus.touched.push((touch.id(), entity));
        }
    }
    for touch in touches.iter_just_released() {
        let Some(index) = focus.touched.iter().position(|(id, _)| *id == touch.id()) else {
            continue;
        };
        let (_, entity) = focus.touched.swap_remove(index);
        if let Ok((_, item, place, is_field)) = items.get(entity)
            && place.contains(touch.position() * scale)
        {
            // A canvas brings up no on-screen keyboard, so the page asks for the text.
            let choice = if is_field { Choice::AskFor(entity) } else { item.choice };
            chosen.write(Chosen(choice));
        }
    }
    focus.touched.retain(|(id, _)| touches.get_pressed(*id).is_some());
}

/// Adjusts an item when the mouse is pressed on one of its small buttons.
pub(super) fn press_adjusters(
    mouse: Res<ButtonInput<MouseButton>>,
    adjusters: Query<(&Adjuster, &Interaction, &ChildOf), Changed<Interaction>>,
    items: Query<&Item>,
    mut focus: ResMut<Focus>,
    mut chosen: MessageWriter<Chosen>,
) {
    for (adjuster, interaction, ChildOf(parent)) in &adjusters {
        if *interaction != Interaction::None && items.contains(*parent) {
            focus.entity = Some(*parent);
        }
        if *interaction == Interaction::Pressed && mouse.just_pressed(MouseButton::Left) {
            chosen.write_batch(adjusted(items.get(*parent).ok(), adjuster));
        }
    }
}

/// The choice that a press on a small button inside this item leads to.
fn adjusted(item: Option<&Item>, adjuster: &Adjuster) -> Option<Chosen> {
    item?.choice.adjusted(adjuster.0).map(Chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingers_choose_the_item_that_they_land_on_and_small_buttons_only_adjust() {
        let mut app = App::new();
        app.init_resource::<Touches>()
            .init_resource::<Focus>()
            .add_message::<Chosen>()
            .add_message::<TouchInput>()
            .add_systems(
                Update,
                (bevy::input::touch::touch_screen_input_system, touch_items).chain(),
            );
        let world = app.world_mut();
        let window = world.spawn((Window::default(), PrimaryWindow)).id();
        let place = |x: f32, width: f32| {
            let node = ComputedNode { size: Vec2::new(width, 40.0), ..ComputedNode::DEFAULT };
            (node, UiGlobalTransform::from_xy(x, 20.0))
        };
        let item = Item { choice: Choice::AgainstBots(1), order: 0 };
        let item = world.spawn((item, place(100.0, 200.0))).id();
        world.spawn((Adjuster(1), place(180.0, 40.0), ChildOf(item)));
        let mut touch = |phase, x: f32| {
            let position = Vec2::new(x, 20.0);
            let touch = TouchInput { phase, position, window, force: None, id: 7 };
            app.world_mut().write_message(touch);
            app.update();
            let mut chosen = app.world_mut().resource_mut::<Messages<Chosen>>();
            chosen.drain().map(|Chosen(choice)| choice).collect::<Vec<_>>()
        };
        use bevy::input::touch::TouchPhase::{Canceled, Ended, Moved, Started};
        assert_eq!(touch(Started, 180.0), [Choice::SetBots(2)]);
        assert_eq!(touch(Ended, 180.0), []);
        assert_eq!(touch(Started, 50.0), []);
        assert_eq!(touch(Ended, 60.0), [Choice::AgainstBots(1)]);
        assert_eq!(touch(Started, 50.0), []);
        assert_eq!(touch(Moved, 500.0), []);
        assert_eq!(touch(Ended, 500.0), [], "lifted elsewhere");
        assert_eq!(touch(Started, 50.0), []);
        assert_eq!(touch(Canceled, 50.0), []);
        assert_eq!(touch(Started, 500.0), []);
        assert_eq!(touch(Moved, 60.0), []);
        assert_eq!(touch(Ended, 60.0), [], "landed elsewhere");
    }
}
