//! Reads what is stored in Redis under the key of a room, and checks that it is a room.

use std::sync::Arc;

use redis::cmd;
use serde_json::Value;
use tracing::{debug, warn};

use super::{
    client::{FOR_EVER, RedisStore},
    keys::key,
};
use crate::server::{
    room::RoomId,
    store::{StoreDown, StoredRoom, Version},
};

impl RedisStore {
    /// Reads what is stored under the key of a room. Anything that is not a room is removed,
    /// because otherwise nobody could ever use the name again.
    pub(super) async fn fetch(&self, id: &RoomId) -> Result<Fetched, StoreDown> {
        let key = key("room", &id.0);
        let mut get = cmd("GET");
        get.arg(&key);
        let fetched = get.query_async::<Option<Vec<u8>>>(&mut self.commands()).await;
        let junk = match fetched {
            Ok(None) => return Ok(Fetched::None),
            Ok(Some(bytes)) => match StoredRoom::read(bytes) {
                Ok(stored) => return Ok(Fetched::Room(stored)),
                Err(unreadable) if unreadable.is_foreign && self.expires(&key).await? => {
                    warn!(
                        key,
                        "this room in Redis belongs to another version of this program: nobody can \
                         enter it here until its peers have left it"
                    );
                    return Ok(Fetched::Foreign);
                }
                Err(unreadable) => unreadable.bytes,
            },
            Err(error) if error.code() == Some("WRONGTYPE") => Vec::new(),
            Err(error) => return self.attempt(async { Err(error) }).await,
        };
        warn!(key, "the value in Redis under the key of a room is not a room, so it is removed");
        self.attempt(self.scripts.remove(&self.commands(), id, &junk)).await?;
        Ok(Fetched::None)
    }

    /// Returns whether a key will expire, as the rooms of every version of this program do.
    pub(super) async fn expires(&self, key: &str) -> Result<bool, StoreDown> {
        let mut ask = cmd("PTTL");
        ask.arg(key);
        let time: i64 = self.attempt(ask.query_async(&mut self.commands())).await?;
        Ok(time != FOR_EVER)
    }
}

/// What is stored under the key of a room.
pub(super) enum Fetched {
    None,
    Room(StoredRoom),
    /// A room of another version of this program, which may be using it.
    Foreign,
}

/// A value that is not a room as this version of the program writes it.
pub(super) struct Unreadable {
    bytes: Vec<u8>,
    /// Whether it may be a room of another version.
    is_foreign: bool,
}

impl StoredRoom {
    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, Unreadable> {
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                return Err(Unreadable { bytes: error.into_bytes(), is_foreign: false });
            }
        };
        match serde_json::from_str(&text) {
            Ok(room) => Ok(Self { room: Arc::new(room), version: Version::Text(text) }),
            Err(error) => {
                debug!(%error, "a room in Redis cannot be read");
                let value: Option<Value> = serde_json::from_str(&text).ok();
                let has_members = |value: Value| value.get("members").is_some_and(Value::is_array);
                let is_foreign = value.is_some_and(has_members);
                Err(Unreadable { bytes: text.into_bytes(), is_foreign })
            }
        }
    }
}
