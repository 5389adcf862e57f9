//! Fingers on a touch screen, as a step sees them.

use std::mem;

use bevy::{
    ecs::message::MessageCursor,
    input::touch::{TouchInput, TouchPhase, Touches, touch_screen_input_system},
    prelude::{DetectChangesMut, Messages, World},
};

use super::Latch;

/// Latches [`Touches`]. Only one system of Bevy's can change them, so each step runs that system in
/// a world of its own.
pub(super) struct TouchLatch {
    /// Holds the fingers as the last step saw them. While a step reads the device, its present
    /// state.
    shown: World,
    cursor: MessageCursor<TouchInput>,
    /// What fingers have done since the last step.
    since: Vec<TouchInput>,
    /// The fingers that came down in the present step.
    new: Vec<u64>,
    /// The fingers that must stay down until the present step is over.
    held_back: Vec<u64>,
}

impl Default for TouchLatch {
    fn default() -> Self {
        let mut shown = World::new();
        shown.init_resource::<Touches>();
        shown.init_resource::<Messages<TouchInput>>();
        Self {
            shown,
            cursor: MessageCursor::default(),
            since: Vec::new(),
            new: Vec::new(),
            held_back: Vec::new(),
        }
    }
}

impl TouchLatch {
    /// Applies what fingers did since the last step. A finger that came down in this step goes up
    /// in the next one at the earliest.
    fn apply(&mut self) {
        self.new.clear();
        self.held_back.clear();
        let mut messages = self.shown.resource_mut::<Messages<TouchInput>>();
        messages.update();
        self.since.retain(|touch| {
            let is_over = matches!(touch.phase, TouchPhase::Ended | TouchPhase::Canceled);
            if is_over && self.new.contains(&touch.id) {
                self.held_back.push(touch.id);
            }
            let is_held_back = self.held_back.contains(&touch.id);
            if !is_held_back {
                if touch.phase == TouchPhase::Started {
                    self.new.push(touch.id);
                }
                messages.write(*touch);
            }
            is_held_back
        });
        let result = self.shown.run_system_cached(touch_screen_input_system);
        result.expect("the world has everything that the system needs");
    }

    fn swap(&mut self, world: &mut World) {
        if let Some(mut touches) = world.get_resource_mut::<Touches>() {
            let mut shown = self.shown.resource_mut::<Touches>();
            mem::swap(touches.bypass_change_detection(), &mut *shown);
        }
    }
}

impl Latch for TouchLatch {
    fn observe(&mut self, world: &mut World, is_running: bool) {
        if let Some(messages) = world.get_resource::<Messages<TouchInput>>() {
            self.since.extend(self.cursor.read(messages).copied());
        }
        if !is_running && let Some(touches) = world.get_resource::<Touches>() {
            self.since.clear();
            *self.shown.resource_mut::<Touches>() = touches.clone();
        }
    }

    fn show(&mut self, world: &mut World) {
        self.apply();
        self.swap(world);
    }

    fn restore(&mut self, world: &mut World) {
        self.swap(world);
    }
}

#[cfg(test)]
mod tests {
    use bevy::prelude::{Entity, Vec2};

    use super::*;

    struct Screen {
        world: World,
        latch: TouchLatch,
    }

    impl Screen {
        fn new() -> Self {
            let mut world = World::new();
            world.init_resource::<Touches>();
            world.init_resource::<Messages<TouchInput>>();
            Self { world, latch: TouchLatch::default() }
        }

        /// An update in which fingers do this, each by its number.
        fn update(&mut self, phases: &[(u64, TouchPhase)], is_running: bool) {
            let mut messages = self.world.resource_mut::<Messages<TouchInput>>();
            messages.update();
            messages.write_batch(phases.iter().map(|&(id, phase)| TouchInput {
                phase,
                position: Vec2::ZERO,
                window: Entity::PLACEHOLDER,
                force: None,
                id,
            }));
            let result = self.world.run_system_cached(touch_screen_input_system);
            result.expect("the world has everything that the system needs");
            self.latch.observe(&mut self.world, is_running);
        }

        /// What a step sees of finger 1: down, just down, just up.
        fn step(&mut self) -> [bool; 3] {
            self.latch.show(&mut self.world);
            let touches = self.world.resource::<Touches>();
            let seen = [
                touches.get_pressed(1).is_some(),
                touches.just_pressed(1),
                touches.just_released(1),
            ];
            self.latch.restore(&mut self.world);
            seen
        }
    }

    #[test]
    fn a_tap_between_two_steps_is_down_in_one_and_up_in_the_next() {
        use TouchPhase::{Ended, Moved, Started};
        let taps: [&[&[(u64, TouchPhase)]]; 3] = [
            &[&[(1, Started), (1, Moved), (1, Ended)]],
            &[&[(1, Started)], &[(2, Started), (1, Ended)]],
            &[&[], &[(2, Started), (1, Started)], &[(2, Ended)], &[(1, Ended)], &[]],
        ];
        for tap in taps {
            let mut screen = Screen::new();
            tap.iter().for_each(|phases| screen.update(phases, true));
            assert_eq!(screen.step(), [true, true, false]);
            assert_eq!(screen.step(), [false, false, true]);
            assert_eq!(screen.step(), [false; 3]);
        }
    }

    #[test]
    fn a_second_tap_waits_for_the_first_to_be_over() {
        use TouchPhase::{Ended, Started};
        let mut screen = Screen::new();
        screen.update(&[(1, Started), (1, Ended), (1, Started), (1, Ended)], true);
        let seen = [(); 4].map(|()| screen.step()[1]);
        assert_eq!(seen.iter().filter(|&&is_down| is_down).count(), 2, "{seen:?}");
    }

    #[test]
    fn a_finger_that_came_down_before_the_match_is_down_but_not_a_tap() {
        let mut screen = Screen::new();
        screen.update(&[(1, TouchPhase::Started)], false);
        assert_eq!(screen.step(), [true, false, false]);
        screen.update(&[(1, TouchPhase::Ended)], true);
        assert_eq!(screen.step(), [false, false, true]);
    }
}
