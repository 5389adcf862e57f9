//! Buttons as a step sees them.

use std::{hash::Hash, mem};

use bevy::{
    input::ButtonInput,
    prelude::{DetectChangesMut, Mut, World},
};

use super::Latch;

/// What happened to the buttons of one device since the last step.
#[derive(Debug)]
pub(super) struct Buttons<T: Clone + Eq + Hash + Send + Sync + 'static> {
    /// The buttons as the last step saw them. While a step reads the device, its present state.
    shown: ButtonInput<T>,
    pressed_since: Vec<T>,
}

impl<T: Clone + Eq + Hash + Send + Sync + 'static> Default for Buttons<T> {
    fn default() -> Self {
        Self { shown: ButtonInput::default(), pressed_since: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash + Send + Sync + 'static> Buttons<T> {
    /// Collects what happened in an update. Outside a match, notes only which buttons are held.
    pub(super) fn observe(&mut self, now: &ButtonInput<T>, is_running: bool) {
        if !is_running {
            self.shown.clone_from(now);
            self.pressed_since.clear();
            return;
        }
        for button in now.get_just_pressed() {
            if !self.pressed_since.contains(button) {
                self.pressed_since.push(button.clone());
            }
        }
    }

    /// Makes the device show what happened since the last step.
    pub(super) fn show(&mut self, device: &mut ButtonInput<T>) {
        self.shown.clear();
        let up: Vec<T> = {
            let is_up = |button: &&T| !device.pressed((*button).clone());
            self.shown.get_pressed().filter(is_up).cloned().collect()
        };
        up.into_iter().for_each(|button| self.shown.release(button));
        for button in self.pressed_since.drain(..) {
            // It may have been released and pressed again.
            self.shown.release(button.clone());
            self.shown.press(button);
        }
        let is_news = |button: &&T| !self.shown.pressed((*button).clone());
        let held: Vec<T> = device.get_pressed().filter(is_news).cloned().collect();
        held.into_iter().for_each(|button| self.shown.press(button));
        mem::swap(&mut self.shown, device);
    }

    /// Makes the device show its present state again.
    pub(super) fn restore(&mut self, device: &mut ButtonInput<T>) {
        mem::swap(&mut self.shown, device);
    }
}

/// Latches the resource `ButtonInput<T>`.
#[derive(Debug)]
pub(super) struct ButtonLatch<T: Clone + Eq + Hash + Send + Sync + 'static>(Buttons<T>);

impl<T: Clone + Eq + Hash + Send + Sync + 'static> Default for ButtonLatch<T> {
    fn default() -> Self {
        Self(Buttons::default())
    }
}

impl<T: Clone + Eq + Hash + Send + Sync + 'static> Latch for ButtonLatch<T> {
    fn observe(&mut self, world: &mut World, is_running: bool) {
        if let Some(device) = world.get_resource::<ButtonInput<T>>() {
            self.0.observe(device, is_running);
        }
    }

    fn show(&mut self, world: &mut World) {
        if let Some(mut device) = device(world) {
            self.0.show(device.bypass_change_detection());
        }
    }

    fn restore(&mut self, world: &mut World) {
        if let Some(mut device) = device(world) {
            self.0.restore(device.bypass_change_detection());
        }
    }
}

fn device<T: Clone + Eq + Hash + Send + Sync + 'static>(
    world: &mut World,
) -> Option<Mut<'_, ButtonInput<T>>> {
    world.get_resource_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the next step sees of button 1: pressed, just pressed, just released.
    fn step(buttons: &mut Buttons<u8>, device: &mut ButtonInput<u8>) -> [bool; 3] {
        let before = device.get_pressed().count();
        buttons.show(device);
        let seen = [device.pressed(1), device.just_pressed(1), device.just_released(1)];
        buttons.restore(device);
        assert_eq!(device.get_pressed().count(), before, "the device shows its present state");
        seen
    }

    /// An update in which button 1 goes down or up any number of times.
    fn update(buttons: &mut Buttons<u8>, device: &mut ButtonInput<u8>, moves: &[bool]) {
        device.clear();
        for &is_down in moves {
            if is_down { device.press(1) } else { device.release(1) }
        }
        buttons.observe(device, true);
    }

    #[test]
    fn a_tap_between_two_steps_is_pressed_in_one_and_released_in_the_next() {
        for moves in
            [&[&[true, false][..]][..], &[&[true], &[false]], &[&[], &[true], &[], &[false]]]
        {
            let (mut buttons, mut device) = (Buttons::default(), ButtonInput::default());
            moves.iter().for_each(|moves| update(&mut buttons, &mut device, moves));
            assert_eq!(step(&mut buttons, &mut device), [true, true, false]);
            assert_eq!(step(&mut buttons, &mut device), [false, false, true]);
            assert_eq!(step(&mut buttons, &mut device), [false; 3]);
        }
    }

    #[test]
    fn a_button_released_and_pressed_between_two_steps_is_a_new_press() {
        let (mut buttons, mut device) = (Buttons::default(), ButtonInput::default());
        update(&mut buttons, &mut device, &[true]);
        assert_eq!(step(&mut buttons, &mut device), [true, true, false]);
        update(&mut buttons, &mut device, &[]);
        assert_eq!(step(&mut buttons, &mut device), [true, false, false]);
        update(&mut buttons, &mut device, &[false]);
        update(&mut buttons, &mut device, &[true]);
        assert_eq!(step(&mut buttons, &mut device), [true; 3]);
        assert_eq!(step(&mut buttons, &mut device), [true, false, false]);
    }

    #[test]
    fn a_button_held_before_the_match_is_held_but_not_pressed() {
        let (mut buttons, mut device) = (Buttons::default(), ButtonInput::default());
        device.press(1);
        buttons.observe(&device, false);
        update(&mut buttons, &mut device, &[]);
        assert_eq!(step(&mut buttons, &mut device), [true, false, false]);
    }
}
