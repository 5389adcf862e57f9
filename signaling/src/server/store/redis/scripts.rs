//! The scripts: everything that must happen atomically in Redis. Scripts access more keys than
//! those they are given, so this does not work with a Redis cluster.

use std::time::Duration;

use redis::{RedisError, Script, aio::ConnectionManager};
use tracing::warn;

use super::keys::{Published, key};
use crate::server::{
    room::{ProcessId, Room, RoomId},
    store::{Change, Version},
};

/// How long an index lasts, in seconds, if nobody adds to it and no process refreshes it. Its rooms
/// are gone long before that.
const INDEX_FOR: u64 = 24 * 60 * 60;

/// Precedes each script that uses an index. If the value under the key of an index is not an index,
/// it removes the value and reports the key: otherwise, no room could be found through that index,
/// and no room that belongs there could be changed.
const MEND: &str = r"
local mended = {}
local function mend(index)
    local kind = redis.call('TYPE', index).ok
    if kind ~= 'set' and kind ~= 'none' then
        redis.call('DEL', index)
        mended[#mended + 1] = index
    end
end
";

/// Stores a room, if it is still in the loaded state, and publishes the effects. Returns 1 if it
/// did. A room that had only been forgotten does not count as new, because its group may have
/// several open rooms.
const SWAP: &str = r"
local room, was_open, is_open, was_listed, is_listed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local before, after, id, room_ms, prefix, channel, message, index_s, is_new =
    ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
if (redis.call('GET', room) or '') ~= before then return {0, mended} end
for at = 2, #KEYS do
    if KEYS[at] ~= '' then mend(KEYS[at]) end
end
if before == '' and is_open ~= '' and is_new == '1' then
    local beside = {}
    for at = 10, #ARGV do beside[ARGV[at]] = true end
    for _, other in ipairs(redis.call('SMEMBERS', is_open)) do
        if redis.call('EXISTS', prefix .. other) == 0 then
            redis.call('SREM', is_open, other)
        elseif not beside[other] then
            return {0, mended}
        end
    end
end
if after == '' then redis.call('DEL', room) else redis.call('SET', room, after, 'PX', room_ms) end
for was, is in pairs({[was_open] = is_open, [was_listed] = is_listed}) do
    if was ~= is and was ~= '' then redis.call('SREM', was, id) end
end
for _, is in ipairs({is_open, is_listed}) do
    if is ~= '' then
        redis.call('SADD', is, id)
        redis.call('EXPIRE', is, index_s)
    end
end
redis.call('PUBLISH', channel, message)
return {1, mended}
";

/// Returns a room of an index that still exists, besides the named ones.
const OPEN_ROOM: &str = r"
mend(KEYS[1])
local beside = {}
for at = 2, #ARGV do beside[ARGV[at]] = true end
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if redis.call('EXISTS', ARGV[1] .. id) == 0 then
        redis.call('SREM', KEYS[1], id)
    elseif not beside[id] then
        return {id, mended}
    end
end
return {false, mended}
";

/// Returns the rooms of an index, up to a maximum number.
const LISTED: &str = r"
mend(KEYS[1])
local rooms = {}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if #rooms == tonumber(ARGV[2]) then break end
    local room = redis.pcall('GET', ARGV[1] .. id)
    if type(room) == 'string' then rooms[#rooms + 1] = room else redis.call('SREM', KEYS[1], id) end
end
return {rooms, mended}
";

/// Refreshes an index. Returns those of the given rooms that are missing from it.
const KEEP: &str = r"
mend(KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[1])
local missing = {}
for at = 2, #ARGV do
    if redis.call('SISMEMBER', KEYS[1], ARGV[at]) == 0 then missing[#missing + 1] = ARGV[at] end
end
return {missing, mended}
";

/// Removes the value under the key of a room, if it is of a type that no room has, or if it is
/// still this value.
const REMOVE: &str = r"
if redis.call('TYPE', KEYS[1]).ok ~= 'string' or redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
end
";

/// The scripts. The text of a script is sent to Redis only if Redis does not know it yet.
pub(super) struct Scripts {
    swap: Script,
    open_room: Script,
    listed: Script,
    keep: Script,
    remove: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let of_indexes = |script: &str| Script::new(&format!("{MEND}{script}"));
        Self {
            swap: of_indexes(SWAP),
            open_room: of_indexes(OPEN_ROOM),
            listed: of_indexes(LISTED),
            keep: of_indexes(KEEP),
            remove: Script::new(REMOVE),
        }
    }

    pub(super) async fn swap(
        &self,
        commands: &ConnectionManager,
        change: Change<'_>,
        by: (ProcessId, u64),
        is_new: bool,
        room_for: Duration,
    ) -> Result<bool, RedisError> {
        let Change { id, from, to, effects, beside } = change;
        let to = (!to.is_empty()).then_some(to);
        let heading =
            |kind, name: Option<&str>| name.map(|name| key(kind, name)).unwrap_or_default();
        let open = |room: Option<&Room>| heading("open", room.and_then(Room::open_group));
        let listed = |room: Option<&Room>| heading("game", room.and_then(Room::listed_game));
        let was = from.map(|stored| &*stored.room);
        let before = match from.map(|stored| &stored.version) {
            Some(Version::Text(text)) => text.as_str(),
            Some(Version::Number(_)) | None => "",
        };
        let after = to.as_ref().map(json).unwrap_or_default();
        let RoomId(name) = id;
        let (open_headings, listed_headings) =
            ([open(was), open(to.as_ref())], [listed(was), listed(to.as_ref())]);
        let message = Published::Change { by, room: to.map(Box::new), effects }.to_json();
        let mut swap = self.swap.key(key("room", name));
        swap.key(&open_headings[0]).key(&open_headings[1]);
        swap.key(&listed_headings[0]).key(&listed_headings[1]);
        swap.arg(before).arg(after).arg(name).arg(room_for.as_millis() as u64);
        swap.arg(key("room", "")).arg(key("events", name)).arg(message).arg(INDEX_FOR);
        swap.arg(u8::from(is_new));
        beside.iter().for_each(|RoomId(other)| {
            swap.arg(other);
        });
        Ok(mended(swap.invoke_async(&mut commands.clone()).await?))
    }

    pub(super) async fn remove(
        &self,
        commands: &ConnectionManager,
        RoomId(name): &RoomId,
        junk: &[u8],
    ) -> Result<(), RedisError> {
        self.remove.key(key("room", name)).arg(junk).invoke_async(&mut commands.clone()).await
    }

    pub(super) async fn open_room(
        &self,
        commands: &ConnectionManager,
        group: &str,
        beside: &[RoomId],
    ) -> Result<Option<String>, RedisError> {
        let mut script = self.open_room.key(key("open", group));
        script.arg(key("room", ""));
        beside.iter().for_each(|RoomId(other)| {
            script.arg(other);
        });
        Ok(mended(script.invoke_async(&mut commands.clone()).await?))
    }

    pub(super) async fn listed(
        &self,
        commands: &ConnectionManager,
        game: &str,
        most: usize,
    ) -> Result<Vec<Vec<u8>>, RedisError> {
        let mut script = self.listed.key(key("game", game));
        script.arg(key("room", "")).arg(most);
        Ok(mended(script.invoke_async(&mut commands.clone()).await?))
    }

    /// Refreshes an index, and returns those of these rooms that are missing from it.
    pub(super) async fn keep(
        &self,
        commands: &ConnectionManager,
        index: &str,
        rooms: &[RoomId],
    ) -> Result<Vec<String>, RedisError> {
        let mut script = self.keep.key(index);
        script.arg(INDEX_FOR);
        rooms.iter().for_each(|RoomId(name)| {
            script.arg(name);
        });
        Ok(mended(script.invoke_async(&mut commands.clone()).await?))
    }
}

/// Returns the result of a script, and logs the indexes that it mended.
fn mended<T>((found, mended): (T, Vec<String>)) -> T {
    for key in mended {
        warn!(
            key,
            "this key in Redis was not a set of rooms, so it was removed; rooms are put back into it"
        );
    }
    found
}

fn json(room: &Room) -> String {
    serde_json::to_string(room).expect("a room is valid JSON")
}
