//! Resources whose methods need mutable access to the world that holds them.

use std::ops::{Deref, DerefMut};

use bevy::prelude::{Resource, World};

/// A resource whose value can be taken out of the world while work on that world uses it.
///
/// [`World::resource_scope`] does that with any resource. But a resource is a component of an
/// entity, so taking it out and putting it back moves that entity to another archetype and back,
/// which costs as much as saving a few hundred values.
#[derive(Resource, Debug)]
pub(crate) struct Scoped<T: Send + Sync + 'static>(Option<Box<T>>);

const IN_SCOPE: &str = "nothing asks for the value while a scope has taken it out";

impl<T: Send + Sync + 'static> Scoped<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(Box::new(value)))
    }

    /// Calls `work` with the world and the value. Meanwhile the world still has the resource, but
    /// not its value, and asking for the value panics. If `work` panics, the value is lost.
    ///
    /// # Panics
    ///
    /// If the world does not have the resource, or if this is called inside its own scope.
    pub(crate) fn scope<R>(world: &mut World, work: impl FnOnce(&mut World, &mut T) -> R) -> R {
        let mut value = world.resource_mut::<Self>().0.take().expect(IN_SCOPE);
        let result = work(world, &mut value);
        world.resource_mut::<Self>().0 = Some(value);
        result
    }
}

impl<T: Default + Send + Sync + 'static> Default for Scoped<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: Send + Sync + 'static> Deref for Scoped<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().expect(IN_SCOPE)
    }
}

impl<T: Send + Sync + 'static> DerefMut for Scoped<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_deref_mut().expect(IN_SCOPE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_leaves_the_value_as_its_work_left_it() {
        let mut world = World::new();
        world.insert_resource(Scoped::new(1));
        let result = Scoped::scope(&mut world, |world, number: &mut i32| {
            *number += 1;
            world.spawn_empty();
            "done"
        });
        assert_eq!((result, **world.resource::<Scoped<i32>>()), ("done", 2));
    }
}
