//! Resources that work on the world that holds them.

use std::ops::{Deref, DerefMut};

use bevy::prelude::{Resource, World};

/// A resource that can be lent out for work on its own world.
///
/// [`World::resource_scope`] does that with any resource. But a resource is a component of an entity, and to take it out and put it back moves
/// that entity from archetype to archetype and back, which costs as much as saving a few hundred values.
#[derive(Resource, Debug)]
pub(crate) struct Lent<T: Send + Sync + 'static>(Option<Box<T>>);

const LENT_OUT: &str = "nobody asks for a resource that is lent out";

impl<T: Send + Sync + 'static> Lent<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(Box::new(value)))
    }

    /// Calls `work` with the world and the value. Meanwhile the world still has the resource, but not its value: whoever asks for that
    /// panics. A panic of `work` loses it.
    ///
    /// # Panics
    ///
    /// If the world does not have it, or has lent it already.
    pub(crate) fn lend<R>(world: &mut World, work: impl FnOnce(&mut World, &mut T) -> R) -> R {
        let mut value = world.resource_mut::<Self>().0.take().expect(LENT_OUT);
        let result = work(world, &mut value);
        world.resource_mut::<Self>().0 = Some(value);
        result
    }
}

impl<T: Default + Send + Sync + 'static> Default for Lent<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: Send + Sync + 'static> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().expect(LENT_OUT)
    }
}

impl<T: Send + Sync + 'static> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_deref_mut().expect(LENT_OUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_comes_back_as_it_was_left() {
        let mut world = World::new();
        world.insert_resource(Lent::new(1));
        let result = Lent::lend(&mut world, |world, number: &mut i32| {
            *number += 1;
            world.spawn_empty();
            "done"
        });
        assert_eq!((result, **world.resource::<Lent<i32>>()), ("done", 2));
    }
}
