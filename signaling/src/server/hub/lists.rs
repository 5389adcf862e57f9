//! The list of public rooms, made once for all clients that request it within a second.
//!
//! Choosing among thousands of rooms takes milliseconds, and hundreds of clients may request the
//! list each second. All of them receive the same text.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Mutex as Turn, time::Instant};
use tungstenite::Utf8Bytes;

use crate::server::store::StoreDown;

/// How long a list is shown before a new one is made: nobody looks more often.
const LIST_AGE: Duration = Duration::from_secs(1);
/// The number of games whose lists are kept before the first search for outdated ones.
const FIRST_SWEEP: usize = 64;

/// The public rooms of a game, ready to be sent. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RoomTexts {
    /// As a [`RoomEvent`](crate::lobby::RoomEvent).
    pub(crate) event: Utf8Bytes,
    /// As a plain list.
    pub(crate) rooms: Utf8Bytes,
}

/// The newest list of each game for which it was requested a moment ago.
#[derive(Debug)]
pub(super) struct Lists {
    games: Mutex<Games>,
}

#[derive(Debug)]
struct Games {
    lists: HashMap<String, Arc<Turn<Option<Made>>>>,
    /// The number of lists at which the next search for outdated ones begins.
    sweep_at: usize,
}

/// A list, or the error that the store is down, which all clients that wait for the list receive at
/// once.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) at: Instant,
    pub(super) texts: Result<RoomTexts, StoreDown>,
}

impl Made {
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < LIST_AGE
    }
}

impl Default for Lists {
    fn default() -> Self {
        let games = Games { lists: HashMap::new(), sweep_at: FIRST_SWEEP };
        Self { games: Mutex::new(games) }
    }
}

impl Lists {
    /// The slot for the list of a game. The task that makes the list holds the slot's lock, and all
    /// other tasks that want the list wait for it.
    pub(super) fn of(&self, game: &str, now: Instant) -> Arc<Turn<Option<Made>>> {
        let mut games = self.lock();
        if let Some(list) = games.lists.get(game) {
            return Arc::clone(list);
        }
        if games.lists.len() >= games.sweep_at {
            // A locked list is being made or read.
            games.lists.retain(|_, list| {
                list.try_lock()
                    .map_or(true, |made| made.as_ref().is_some_and(|it| it.is_fresh(now)))
            });
            games.sweep_at = FIRST_SWEEP.max(2 * games.lists.len());
        }
        Arc::clone(games.lists.entry(game.to_owned()).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, Games> {
        // Nothing panics while it holds the lock.
        self.games.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().lists.len()
    }
}
