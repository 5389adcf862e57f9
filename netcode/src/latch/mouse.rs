//! How far the mouse and its wheel moved since the last step.

use std::marker::PhantomData;

use bevy::{
    input::mouse::{AccumulatedMouseMotion, AccumulatedMouseScroll},
    prelude::{DetectChangesMut, Resource, Vec2, World},
};

use super::Latch;

/// A movement that Bevy adds up over one update.
pub(super) trait Motion: Resource<Mutability = bevy::ecs::component::Mutable> {
    fn delta(&mut self) -> &mut Vec2;
}

impl Motion for AccumulatedMouseMotion {
    fn delta(&mut self) -> &mut Vec2 {
        &mut self.delta
    }
}

impl Motion for AccumulatedMouseScroll {
    fn delta(&mut self) -> &mut Vec2 {
        &mut self.delta
    }
}

/// Adds up a movement over the updates between two steps.
#[derive(Debug)]
pub(super) struct MotionLatch<M> {
    since: Vec2,
    /// The movement of this update, while a step reads the sum.
    hidden: Vec2,
    device: PhantomData<fn() -> M>,
}

impl<M> Default for MotionLatch<M> {
    fn default() -> Self {
        Self { since: Vec2::ZERO, hidden: Vec2::ZERO, device: PhantomData }
    }
}

impl<M: Motion> Latch for MotionLatch<M> {
    fn observe(&mut self, world: &mut World, is_running: bool) {
        if let Some(mut device) = world.get_resource_mut::<M>() {
            let moved = *device.bypass_change_detection().delta();
            self.since = if is_running { self.since + moved } else { Vec2::ZERO };
        }
    }

    fn show(&mut self, world: &mut World) {
        if let Some(mut device) = world.get_resource_mut::<M>() {
            let since = std::mem::take(&mut self.since);
            let delta = device.bypass_change_detection().delta();
            self.hidden = std::mem::replace(delta, since);
        }
    }

    fn restore(&mut self, world: &mut World) {
        if let Some(mut device) = world.get_resource_mut::<M>() {
            *device.bypass_change_detection().delta() = self.hidden;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An update in which the mouse moves this far to the right.
    fn update(latch: &mut MotionLatch<AccumulatedMouseMotion>, world: &mut World, moved: f32) {
        world.resource_mut::<AccumulatedMouseMotion>().delta = Vec2::X * moved;
        latch.observe(world, true);
    }

    #[test]
    fn mouse_motion_since_the_last_step_is_seen_once() {
        let mut world = World::new();
        world.init_resource::<AccumulatedMouseMotion>();
        let mut latch = MotionLatch::default();
        let step = |latch: &mut MotionLatch<_>, world: &mut World| {
            latch.show(world);
            let seen = world.resource::<AccumulatedMouseMotion>().delta.x;
            latch.restore(world);
            seen
        };
        [1.0, 2.0, 4.0].into_iter().for_each(|moved| update(&mut latch, &mut world, moved));
        assert_eq!([step(&mut latch, &mut world), step(&mut latch, &mut world)], [7.0, 0.0]);
        assert_eq!(world.resource::<AccumulatedMouseMotion>().delta.x, 4.0, "that of the update");
        update(&mut latch, &mut world, 8.0);
        latch.observe(&mut world, false);
        assert_eq!(step(&mut latch, &mut world), 0.0, "movement before the match does not count");
    }
}
