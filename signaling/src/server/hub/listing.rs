//! The list of public rooms of a game, as clients see it.

use std::hash::BuildHasher;

use tokio::time::Instant;

use super::{
    Hub,
    lists::{Made, RoomTexts},
};
use crate::{
    lobby::{RoomEvent, RoomListing, RoomPhase},
    server::{local::text, store::StoreDown},
};

/// The most rooms in a list: more than a person reads.
pub(super) const MAX_LISTED: usize = 200;

impl Hub {
    /// Returns the public rooms of a game, as they were at most a second ago.
    pub(crate) async fn list(&self, game: &str, now: Instant) -> Result<RoomTexts, StoreDown> {
        let list = self.lists.of(game, now);
        let mut list = list.lock().await;
        if let Some(made) = list.as_ref().filter(|made| made.is_fresh(now)) {
            return made.texts.clone();
        }
        let texts = self
            .choose(game)
            .await
            .map(|rooms| RoomTexts { rooms: text(&rooms), event: text(&RoomEvent::Rooms(rooms)) });
        list.insert(Made { at: now, texts }).texts.clone()
    }

    /// Chooses the rooms to list: first those that a player can join, and otherwise in an order
    /// that nobody can influence, so that a few rooms with well-chosen names cannot keep all other
    /// rooms out. The order is the same each time.
    pub(super) async fn choose(&self, game: &str) -> Result<Vec<RoomListing>, StoreDown> {
        // The store in memory returns rooms in the order of their names, so it is asked for all of
        // them. Redis returns them in its own order.
        let most = if self.is_shared() { MAX_LISTED } else { usize::MAX };
        let rooms = self.store.listed(game, most).await?;
        let mut listings: Vec<_> = rooms.iter().map(|room| room.listing()).collect();
        listings.sort_by_cached_key(|room| {
            let is_open =
                !room.is_locked && room.players < room.capacity && room.phase == RoomPhase::Lobby;
            (!is_open, self.hasher.hash_one(&room.name))
        });
        listings.truncate(MAX_LISTED);
        Ok(listings)
    }
}
