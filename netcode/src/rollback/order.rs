//! Iteration in an order that is the same on all peers.

use bevy::{
    ecs::{
        query::{IterQueryData, QueryData, QueryFilter, ROQueryItem},
        system::SystemParam,
    },
    prelude::Query,
};

use super::identity::RollbackId;

/// A [`Query`] over rollback entities that yields them in the order of their [`RollbackId`]s, which
/// is the same on all peers and in every simulation of a frame.
///
/// The order of a plain query is not, so use this wherever the order matters. Entities are already
/// stored in order until some are despawned or change their set of components. While they are, this
/// costs one comparison per entity; otherwise it sorts them.
///
/// ```
/// # use bevy::prelude::*;
/// # use netcode::prelude::*;
/// # #[derive(Component)] struct Queue(u32);
/// # #[derive(Resource)] struct Tickets(u32);
/// fn hand_out(mut tickets: ResMut<Tickets>, mut queues: Ordered<&mut Queue>) {
///     for mut queue in queues.iter_mut() {
///         tickets.0 += 1;
///         queue.0 = tickets.0;
///     }
/// }
/// ```
#[derive(SystemParam)]
pub struct Ordered<'w, 's, D: QueryData + 'static, F: QueryFilter + 'static = ()> {
    query: Query<'w, 's, (&'static RollbackId, D), F>,
}

impl<'s, D: QueryData + 'static, F: QueryFilter + 'static> Ordered<'_, 's, D, F> {
    /// Iterates over all items in order, with mutable access.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = D::Item<'_, 's>>
    where
        D: IterQueryData,
    {
        let is_sorted = self.is_sorted();
        let all = self.query.iter_mut();
        let (sorted, unsorted) = if is_sorted {
            (Some(all), None)
        } else {
            (None, Some(all.sort_unstable_by_key::<&RollbackId, _>(|&&id| id)))
        };
        chain(sorted, unsorted).map(|(_, item)| item)
    }

    /// Iterates over all items in order, with read-only access.
    pub fn iter(&self) -> impl Iterator<Item = ROQueryItem<'_, 's, D>> {
        let all = self.query.iter();
        let (sorted, unsorted) = if self.is_sorted() {
            (Some(all), None)
        } else {
            (None, Some(all.sort_unstable_by_key::<&RollbackId, _>(|&&id| id)))
        };
        chain(sorted, unsorted).map(|(_, item)| item)
    }

    fn is_sorted(&self) -> bool {
        self.query.iter().is_sorted_by(|(one, _), (other, _)| one <= other)
    }
}

/// Chains two iterators of which only one exists.
fn chain<T>(
    one: Option<impl Iterator<Item = T>>,
    other: Option<impl Iterator<Item = T>>,
) -> impl Iterator<Item = T> {
    one.into_iter().flatten().chain(other.into_iter().flatten())
}
