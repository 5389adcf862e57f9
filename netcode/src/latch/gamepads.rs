//! Gamepads, each with its own buttons.

use bevy::{
    ecs::{entity::EntityHashMap, query::QueryState},
    input::gamepad::{Gamepad, GamepadButton},
    prelude::{DetectChangesMut, Entity, World},
};

use super::{Latch, buttons::Buttons};

/// Latches the buttons of all gamepads.
#[derive(Default)]
pub(super) struct GamepadLatch {
    pads: EntityHashMap<Buttons<GamepadButton>>,
    query: Option<QueryState<(Entity, &'static mut Gamepad)>>,
}

impl GamepadLatch {
    /// Calls `change` with each gamepad and what was collected about it.
    fn for_each(
        &mut self,
        world: &mut World,
        change: impl Fn(&mut Buttons<GamepadButton>, &mut Gamepad),
    ) {
        let query = self.query.get_or_insert_with(|| QueryState::new(world));
        for (entity, mut pad) in query.iter_mut(world) {
            change(self.pads.entry(entity).or_default(), pad.bypass_change_detection());
        }
    }
}

impl Latch for GamepadLatch {
    fn observe(&mut self, world: &mut World, is_running: bool) {
        self.pads.retain(|&entity, _| world.get::<Gamepad>(entity).is_some());
        self.for_each(world, |buttons, pad| buttons.observe(pad.digital(), is_running));
    }

    fn show(&mut self, world: &mut World) {
        self.for_each(world, |buttons, pad| buttons.show(pad.digital_mut()));
    }

    fn restore(&mut self, world: &mut World) {
        self.for_each(world, |buttons, pad| buttons.restore(pad.digital_mut()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tap_on_each_of_two_gamepads_reaches_one_step() {
        let mut world = World::new();
        let pads = [(); 2].map(|()| world.spawn(Gamepad::default()).id());
        let mut latch = GamepadLatch::default();
        let change = |world: &mut World, pad: usize, is_down: bool| {
            let mut pad = world.get_mut::<Gamepad>(pads[pad]).expect("the gamepad exists");
            let buttons = pad.digital_mut();
            if is_down {
                buttons.press(GamepadButton::South);
            } else {
                buttons.clear();
                buttons.release(GamepadButton::South);
            }
        };
        let step = |latch: &mut GamepadLatch, world: &mut World| {
            latch.show(world);
            let seen = pads.map(|pad| {
                let pad = world.get::<Gamepad>(pad).expect("the gamepad exists");
                [pad.pressed(GamepadButton::South), pad.just_pressed(GamepadButton::South)]
            });
            latch.restore(world);
            seen
        };
        change(&mut world, 0, true);
        latch.observe(&mut world, true);
        change(&mut world, 0, false);
        change(&mut world, 1, true);
        latch.observe(&mut world, true);
        assert_eq!(step(&mut latch, &mut world), [[true; 2]; 2]);
        assert_eq!(step(&mut latch, &mut world), [[false; 2], [true, false]]);
        world.despawn(pads[0]);
        latch.observe(&mut world, true);
        assert_eq!(latch.pads.len(), 1, "the state of a despawned gamepad is dropped");
    }
}
