//! What has the focus, and how keys and gamepads move it and choose. Mouse and fingers: `pointer`;
//! text: `typing`.

use bevy::prelude::*;
use netcode::Roster;

use super::choice::{Choice, Chosen};
use super::current_match::CurrentMatch;
use super::items::{Field, Item, ItemLabel};
use super::widgets::set_text;
use crate::present::palette::{ACCENT, FRAME, TEXT, TEXT_QUIET};
use crate::screen::Screen;

/// Seconds until a held direction moves the focus again.
const REPEAT: f32 = 0.22;
/// A stick counts as a direction from here on: outside its dead zone.
const STICK_PUSHED: f32 = 0.6;

/// The item with the focus. Each screen begins with its first one.
#[derive(Resource, Default, Debug)]
pub(super) struct Focus {
    /// Its entity, if the screen has any items.
    pub(super) entity: Option<Entity>,
    /// Seconds during which keys and buttons can only leave the screen: at the end of a match,
    /// players still press them to fly and fire.
    pub(super) ignore_input_for: f32,
    /// The order of the menu's item that had the focus when the menu was left: it gets it back.
    pub(super) in_menu: u8,
    /// The item to which the screen has scrolled.
    pub(super) followed: Option<Entity>,
    /// Seconds until a held stick moves the focus again.
    held_for: f32,
    /// The item on which the mouse was pressed, until it is released.
    pub(super) pressed: Option<Entity>,
    /// The items on which fingers landed, until they are lifted.
    pub(super) touched: Vec<(u64, Entity)>,
}

/// The focus moved. Read only to play its sound.
#[derive(Message, Clone, Copy, Debug)]
pub(super) struct FocusMoved;

/// Gives the focus to an item if no item has it: to the first one, or in the menu to the one that
/// had it before.
///
/// Not in a match, where keys fly the ship.
pub(super) fn keep_focus(
    screen: Res<Screen>,
    mut focus: ResMut<Focus>,
    items: Query<(Entity, &Item)>,
) {
    if *screen == Screen::Match {
        return;
    }
    let before = if *screen == Screen::Menu { focus.in_menu } else { 0 };
    let focused = focus.entity.and_then(|entity| items.get(entity).ok());
    if let Some((_, item)) = focused {
        if *screen == Screen::Menu && focus.in_menu != item.order {
            focus.in_menu = item.order;
        }
    } else {
        let nearest = items.iter().min_by_key(|(_, item)| item.order.abs_diff(before));
        focus.entity = nearest.map(|(entity, _)| entity);
    }
}

/// What keys or gamepads ask for in this rendered frame.
#[derive(Default, PartialEq, Debug)]
struct MenuInput {
    /// Down − up.
    step: i32,
    /// Right − left.
    turn: i32,
    /// Choose the focused item.
    confirm: bool,
    /// Leave the screen.
    leave: bool,
}

fn key_input(keys: &ButtonInput<KeyCode>, is_typing: bool) -> MenuInput {
    let pressed = |arrow, letter| {
        i32::from(keys.just_pressed(arrow) || (!is_typing && keys.just_pressed(letter)))
    };
    let shift = keys.any_pressed([KeyCode::ShiftLeft, KeyCode::ShiftRight]);
    let tab = i32::from(keys.just_pressed(KeyCode::Tab)) * if shift { -1 } else { 1 };
    MenuInput {
        step: pressed(KeyCode::ArrowDown, KeyCode::KeyS) - pressed(KeyCode::ArrowUp, KeyCode::KeyW)
            + tab,
        turn: pressed(KeyCode::ArrowRight, KeyCode::KeyD)
            - pressed(KeyCode::ArrowLeft, KeyCode::KeyA),
        confirm: keys.any_just_pressed([KeyCode::Enter, KeyCode::NumpadEnter])
            || (!is_typing && keys.just_pressed(KeyCode::Space)),
        leave: keys.just_pressed(KeyCode::Escape),
    }
}

fn gamepad_input(pads: &Query<&Gamepad>, focus: &mut Focus, seconds: f32) -> MenuInput {
    let mut input = MenuInput::default();
    let mut stick = IVec2::ZERO;
    for pad in pads {
        input.confirm |= pad.any_just_pressed([GamepadButton::South, GamepadButton::Start]);
        input.leave |= pad.any_just_pressed([GamepadButton::East, GamepadButton::Select]);
        input.step += i32::from(pad.just_pressed(GamepadButton::DPadDown))
            - i32::from(pad.just_pressed(GamepadButton::DPadUp));
        input.turn += i32::from(pad.just_pressed(GamepadButton::DPadRight))
            - i32::from(pad.just_pressed(GamepadButton::DPadLeft));
        let pushed = pad.left_stick();
        stick += IVec2::new((pushed.x / STICK_PUSHED) as i32, (pushed.y / STICK_PUSHED) as i32);
    }
    focus.held_for = if stick == IVec2::ZERO { 0.0 } else { focus.held_for - seconds };
    if stick != IVec2::ZERO && focus.held_for <= 0.0 {
        focus.held_for = REPEAT;
        input.step -= stick.y.signum();
        input.turn += stick.x.signum();
    }
    input
}

/// Leaves a match by Esc or a gamepad's Select: all other keys and buttons fly the ship.
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

/// Pauses a match, or goes on with it, by P or a gamepad's Start; Enter goes on as well.
pub(super) fn pause_match(
    (screen, roster): (Res<Screen>, Res<Roster>),
    keys: Res<ButtonInput<KeyCode>>,
    pads: Query<&Gamepad>,
    mut chosen: MessageWriter<Chosen>,
) {
    let is_paused = roster.pause().is_some();
    let is_pressed = keys.just_pressed(KeyCode::KeyP)
        || (is_paused && keys.just_pressed(KeyCode::Enter))
        || pads.iter().any(|pad| pad.just_pressed(GamepadButton::Start));
    if *screen == Screen::Match && is_pressed {
        chosen.write(Chosen(Choice::SetPaused(!is_paused)));
    }
}

/// What Esc does: it goes one step back.
fn way_out(current: &CurrentMatch) -> Choice {
    if current.is_kicking { Choice::SetKicking(false) } else { Choice::Leave }
}

/// Moves the focus, confirms and leaves by keys and gamepads.
pub(super) fn move_focus(
    (time, current_match): (Res<Time<Real>>, Res<CurrentMatch>),
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
    let pad = gamepad_input(&pads, &mut focus, time.delta_secs());
    let key = key_input(&keys, is_typing);
    if key.leave || pad.leave {
        chosen.write(Chosen(way_out(&current_match)));
        return;
    }
    focus.ignore_input_for -= time.delta_secs();
    if focus.ignore_input_for > 0.0 {
        return;
    }
    if let Some((_, item, _)) = current
        && (key.confirm || pad.confirm)
    {
        chosen.write(Chosen(item.choice));
    }
    // Left and right adjust an item that can be adjusted; otherwise they move the focus, because
    // items may stand side by side.
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

/// Shows the focus by a bright frame and background; a field also shows its cursor.
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
                set_text(&mut text, &format!("{}{}{cursor}", field.caption, field.value));
            }
            color.set_if_neq(TextColor(if focused { TEXT } else { TEXT_QUIET.mix(&TEXT, 0.55) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::Rig;
    use super::*;

    #[test]
    fn the_menu_remembers_which_item_had_the_focus() {
        let mut rig = Rig::new((1280, 720));
        rig.press(KeyCode::ArrowDown);
        assert_eq!(rig.focused(), Some(Choice::OpenJoin));
        rig.press(KeyCode::Enter);
        assert_eq!(rig.focused(), Some(Choice::JoinTyped), "another screen begins anywhere");
        rig.press(KeyCode::Escape);
        assert_eq!(rig.focused(), Some(Choice::OpenJoin));
    }

    #[test]
    fn the_way_out_of_a_kick_is_no_way_out_of_the_room() {
        let mut current = CurrentMatch::default();
        assert_eq!(way_out(&current), Choice::Leave);
        current.is_kicking = true;
        assert_eq!(way_out(&current), Choice::SetKicking(false));
    }

    #[test]
    fn letters_move_the_focus_only_outside_fields() {
        let mut keys = ButtonInput::default();
        keys.press(KeyCode::KeyS);
        assert_eq!(key_input(&keys, false).step, 1);
        assert_eq!(key_input(&keys, true), MenuInput::default());
    }
}
