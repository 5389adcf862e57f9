//! What has the focus, and what is chosen: one way for arrow keys, WASD, gamepads, mouse, fingers and typed text.

use bevy::clipboard::Clipboard;
use bevy::ecs::query::QueryData;
use bevy::ecs::system::SystemParam;
use bevy::input::keyboard::{Key, KeyboardInput};
use bevy::prelude::*;
use bevy::ui::UiGlobalTransform;
use bevy::window::PrimaryWindow;
use netcode::OverlayState;

use super::widgets::{Adjuster, ItemLabel, plain};
use super::{Choice, Screen};
use crate::platform;
use crate::present::palette::{ACCENT, FRAME, TEXT, TEXT_QUIET};

/// Seconds until a held direction moves the focus again.
const REPEAT: f32 = 0.22;
/// How far a stick is pushed to count as a direction: past its slack.
const STICK_PUSHED: f32 = 0.6;

/// Longest name, in characters: what others see whole, where nothing has to be said of it.
pub(crate) const MAX_NAME: usize = 16;

/// A thing that can be chosen.
#[derive(Component, Clone, Debug)]
pub(super) struct Item {
    /// What choosing it means.
    pub(super) choice: Choice,
    /// Its place in the order of focus, from 0.
    pub(super) order: u8,
}

/// Text that is typed while its item has the focus. Enter and Esc are not for it.
#[derive(Component, Clone, Debug)]
pub(super) struct Field {
    /// What stands before the text.
    pub(super) caption: &'static str,
    /// What was typed.
    pub(super) value: String,
    /// Most characters.
    pub(super) most: usize,
}

impl Field {
    /// The field for the player's name.
    pub(super) fn name(value: &str) -> Self {
        Self { caption: "Name: ", value: value.to_owned(), most: MAX_NAME }
    }
}

/// The item with the focus. Each screen begins with its first one.
#[derive(Resource, Default, Debug)]
pub(super) struct Focus {
    /// Its entity, if the screen has any items.
    pub(super) entity: Option<Entity>,
    /// Seconds during which keys and buttons do nothing but leave: they still fly and fire when a match is over.
    pub(super) deaf_for: f32,
    /// Seconds until a held stick moves the focus again.
    held_for: f32,
    /// The item on which the mouse was pressed and not yet released.
    pressed: Option<Entity>,
    /// The items on which fingers landed that are not lifted yet.
    touched: Vec<(u64, Entity)>,
}

/// Somebody chose something.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen(pub(crate) Choice);

/// The focus moved: for the ear.
#[derive(Message, Clone, Copy, Debug)]
pub(crate) struct FocusMoved;

/// Whether letters go into a field now, and so mean nothing else.
#[derive(SystemParam)]
pub(crate) struct Typing<'w, 's> {
    focus: Res<'w, Focus>,
    fields: Query<'w, 's, (), With<Field>>,
}

impl Typing<'_, '_> {
    pub(crate) fn is_typing(&self) -> bool {
        self.focus.entity.is_some_and(|entity| self.fields.contains(entity))
    }
}

/// Gives the focus to the first item where nothing has it.
///
/// Not in a match: its keys fly the ship.
pub(super) fn keep_focus(
    screen: Res<Screen>,
    mut focus: ResMut<Focus>,
    items: Query<(Entity, &Item)>,
) {
    if *screen == Screen::Match {
        return;
    }
    if focus.entity.is_none_or(|entity| !items.contains(entity)) {
        focus.entity = items.iter().min_by_key(|(_, item)| item.order).map(|(entity, _)| entity);
    }
}

/// Directions of this frame: (down − up, right − left), and whether the focused item is confirmed, or all is left.
#[derive(Default, PartialEq, Debug)]
struct Wishes {
    step: i32,
    turn: i32,
    confirm: bool,
    leave: bool,
}

fn key_wishes(keys: &ButtonInput<KeyCode>, is_typing: bool) -> Wishes {
    let pressed = |arrow, letter| {
        i32::from(keys.just_pressed(arrow) || (!is_typing && keys.just_pressed(letter)))
    };
    let shift = keys.any_pressed([KeyCode::ShiftLeft, KeyCode::ShiftRight]);
    let tab = i32::from(keys.just_pressed(KeyCode::Tab)) * if shift { -1 } else { 1 };
    Wishes {
        step: pressed(KeyCode::ArrowDown, KeyCode::KeyS) - pressed(KeyCode::ArrowUp, KeyCode::KeyW)
            + tab,
        turn: pressed(KeyCode::ArrowRight, KeyCode::KeyD)
            - pressed(KeyCode::ArrowLeft, KeyCode::KeyA),
        confirm: keys.any_just_pressed([KeyCode::Enter, KeyCode::NumpadEnter])
            || (!is_typing && keys.just_pressed(KeyCode::Space)),
        leave: keys.just_pressed(KeyCode::Escape),
    }
}

fn pad_wishes(pads: &Query<&Gamepad>, focus: &mut Focus, seconds: f32) -> Wishes {
    let mut wishes = Wishes::default();
    let mut stick = IVec2::ZERO;
    for pad in pads {
        wishes.confirm |= pad.any_just_pressed([GamepadButton::South, GamepadButton::Start]);
        wishes.leave |= pad.any_just_pressed([GamepadButton::East, GamepadButton::Select]);
        wishes.step += i32::from(pad.just_pressed(GamepadButton::DPadDown))
            - i32::from(pad.just_pressed(GamepadButton::DPadUp));
        wishes.turn += i32::from(pad.just_pressed(GamepadButton::DPadRight))
            - i32::from(pad.just_pressed(GamepadButton::DPadLeft));
        let pushed = pad.left_stick();
        stick += IVec2::new((pushed.x / STICK_PUSHED) as i32, (pushed.y / STICK_PUSHED) as i32);
    }
    focus.held_for = if stick == IVec2::ZERO { 0.0 } else { focus.held_for - seconds };
    if stick != IVec2::ZERO && focus.held_for <= 0.0 {
        focus.held_for = REPEAT;
        wishes.step -= stick.y.signum();
        wishes.turn += stick.x.signum();
    }
    wishes
}

/// In a match, where all other keys and buttons fly the ship: leave it.
pub(super) fn leave_match(
    screen: Res<Screen>,
    keys: Res<ButtonInput<KeyCode>>,
    pads: Query<&Gamepad>,
    mut chosen: MessageWriter<Chosen>,
) {
    let wants_out = keys.just_pressed(KeyCode::Escape)
        || pads.iter().any(|pad| pad.just_pressed(GamepadButton::Select));
    if *screen == Screen::Match && wants_out {
        chosen.write(Chosen(Choice::Leave));
    }
}

/// Keys and gamepads: move the focus, confirm, leave.
pub(super) fn move_focus(
    time: Res<Time<Real>>,
    keys: Res<ButtonInput<KeyCode>>,
    pads: Query<&Gamepad>,
    items: Query<(Entity, &Item, Has<Field>)>,
    mut focus: ResMut<Focus>,
    mut chosen: MessageWriter<Chosen>,
    mut moved: MessageWriter<FocusMoved>,
) {
    let mut order: Vec<_> = items.iter().map(|(entity, item, _)| (item.order, entity)).collect();
    order.sort_unstable();
    let current = focus.entity.and_then(|entity| items.get(entity).ok());
    let is_typing = current.is_some_and(|(_, _, is_field)| is_field);
    let pad = pad_wishes(&pads, &mut focus, time.delta_secs());
    let key = key_wishes(&keys, is_typing);
    if key.leave || pad.leave {
        chosen.write(Chosen(Choice::Leave));
        return;
    }
    focus.deaf_for -= time.delta_secs();
    if focus.deaf_for > 0.0 {
        return;
    }
    if let Some((_, item, _)) = current
        && (key.confirm || pad.confirm)
    {
        chosen.write(Chosen(item.choice));
    }
    // Left and right adjust what can be adjusted, and else move on: items may stand beside each other.
    let turn = (key.turn + pad.turn).signum();
    let adjusts = current.is_some_and(|(_, item, _)| item.choice.is_adjustable());
    if let Some(adjusted) = current.and_then(|(_, item, _)| item.choice.adjusted(turn)) {
        chosen.write(Chosen(adjusted));
    }
    let step = (key.step + pad.step + if adjusts { 0 } else { turn }).signum();
    let at = order.iter().position(|(_, entity)| Some(*entity) == focus.entity);
    if step != 0
        && let Some(at) = at
    {
        let next = (at as i32 + step).rem_euclid(order.len() as i32) as usize;
        focus.entity = Some(order[next].1);
        moved.write(FocusMoved);
    }
}

/// Where an item is on the screen.
#[derive(QueryData)]
pub(super) struct Place {
    node: &'static ComputedNode,
    transform: &'static UiGlobalTransform,
}

impl PlaceItem<'_, '_> {
    /// Whether it is under this place in the window, in physical pixels.
    fn contains(&self, point: Vec2) -> bool {
        self.node.contains_point(*self.transform, point)
    }
}

/// The mouse: what it is moved over has the focus, but not what merely appears under it; what it is pressed and released on is
/// chosen.
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
        // Whoever draws the mouse away before releasing it has thought better of it.
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

/// Fingers, any of them: in a match one of them holds the stick, and Bevy's interaction knows only the first. What a
/// finger lands on and is lifted from is chosen; the small buttons act when it lands.
pub(super) fn touch_items(
    touches: Res<Touches>,
    window: Single<&Window, With<PrimaryWindow>>,
    items: Query<(Entity, &Item, Place, Has<Field>)>,
    adjusters: Query<(&Adjuster, Place, &ChildOf)>,
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
            // No keyboard comes up for a canvas: the page asks.
            let choice = if is_field { Choice::AskFor(entity) } else { item.choice };
            chosen.write(Chosen(choice));
        }
    }
    focus.touched.retain(|(id, _)| touches.get_pressed(*id).is_some());
}

/// The mouse on the small buttons inside an item: they act when they are pressed.
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

/// What a small button makes of the item that it is in.
fn adjusted(item: Option<&Item>, adjuster: &Adjuster) -> Option<Chosen> {
    item?.choice.adjusted(adjuster.0).map(Chosen)
}

/// Tells the network overlay, which listens to the digits, when they are text.
pub(super) fn tell_overlay(typing: Typing, mut overlay: ResMut<OverlayState>) {
    let is_typing = typing.is_typing();
    if overlay.is_typing != is_typing {
        overlay.is_typing = is_typing;
    }
}

/// Typed characters go into the field that has the focus.
pub(super) fn type_text(
    mut typed: MessageReader<KeyboardInput>,
    keys: Res<ButtonInput<KeyCode>>,
    focus: Res<Focus>,
    mut fields: Query<&mut Field>,
    mut clipboard: ResMut<Clipboard>,
) {
    let Some(mut field) = focus.entity.and_then(|entity| fields.get_mut(entity).ok()) else {
        typed.clear();
        // What is pasted where nothing takes it is gone, else it would come up in the next field.
        drop(platform::take_pasted_text(&mut clipboard, false));
        return;
    };
    // Windows reports AltGr, with which some keyboards type # and ~, as Ctrl and the right Alt.
    let control = !keys.pressed(KeyCode::AltRight)
        && keys.any_pressed([
            KeyCode::ControlLeft,
            KeyCode::ControlRight,
            KeyCode::SuperLeft,
            KeyCode::SuperRight,
        ]);
    let pastes = control && keys.just_pressed(KeyCode::KeyV);
    if let Some(pasted) = platform::take_pasted_text(&mut clipboard, pastes) {
        push_text(&mut field, &pasted);
    }
    for key in typed.read().filter(|key| key.state.is_pressed()) {
        match &key.logical_key {
            Key::Backspace if control => field.value.clear(),
            Key::Backspace => {
                field.value.pop();
            }
            Key::Space => push_text(&mut field, " "),
            Key::Character(text) if !control => push_text(&mut field, text),
            _ => {}
        }
    }
}

fn push_text(field: &mut Field, text: &str) {
    let room = field.most.saturating_sub(field.value.len());
    field.value.extend(plain(text).chars().filter(|character| *character != '\n').take(room));
}

/// The page asks for the text of a field that a finger touched.
pub(super) fn ask_for_text(mut chosen: MessageReader<Chosen>, mut fields: Query<&mut Field>) {
    for Chosen(choice) in chosen.read() {
        if let Choice::AskFor(entity) = choice
            && let Ok(mut field) = fields.get_mut(*entity)
            && let Some(answer) = platform::ask_for_text(field.caption, &field.value)
        {
            field.value.clear();
            push_text(&mut field, &answer);
        }
    }
}

/// Shows the focus: a bright frame and ground; a field also shows its cursor.
pub(super) fn show_focus(
    time: Res<Time<Real>>,
    focus: Res<Focus>,
    mut items: Query<(
        Entity,
        &Item,
        &Children,
        Option<&Field>,
        &mut BackgroundColor,
        &mut BorderColor,
    )>,
    mut labels: Query<(&mut Text, &mut TextColor), With<ItemLabel>>,
) {
    let blinks_on = time.elapsed_secs().fract() < 0.55;
    for (entity, item, children, field, mut background, mut border) in &mut items {
        let focused = focus.entity == Some(entity);
        let ground = if focused { ACCENT.with_alpha(0.06) } else { Color::NONE };
        let frame = if focused {
            ACCENT
        } else if item.choice.is_framed() || field.is_some() {
            FRAME
        } else {
            Color::NONE
        };
        background.set_if_neq(BackgroundColor(ground));
        border.set_if_neq(BorderColor::all(frame));
        for child in children {
            let Ok((mut text, mut color)) = labels.get_mut(*child) else { continue };
            if let Some(field) = field {
                let cursor = if focused && blinks_on { "_" } else { " " };
                super::widgets::set_text(
                    &mut text,
                    &format!("{}{}{cursor}", field.caption, field.value),
                );
            }
            color.set_if_neq(TextColor(if focused { TEXT } else { TEXT_QUIET.mix(&TEXT, 0.55) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_move_the_focus_only_when_nothing_is_typed() {
        let mut keys = ButtonInput::default();
        keys.press(KeyCode::KeyS);
        assert_eq!(key_wishes(&keys, false).step, 1);
        assert_eq!(key_wishes(&keys, true), Wishes::default());
    }

    #[test]
    fn fingers_choose_what_they_land_on_and_the_small_buttons_only_adjust() {
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

    #[test]
    fn a_field_takes_what_fits() {
        let mut field = Field { caption: "", value: "ab".into(), most: 4 };
        push_text(&mut field, "cde\n");
        assert_eq!(field.value, "abcd");
    }
}
