//! What a peer asks for in the address of its WebSocket: which room, which place in it, and which
//! terms if the room is new.

use std::num::NonZeroU16;

use crate::{
    lobby::{Place, is_tag, shown_name},
    protocol::{PeerKey, Refusal, is_room_name},
};

/// The prefix of all paths for clients that can read a [`Refusal`] from a close frame.
const V1: &str = "/v1/";

/// The prefix of the id of a group that clients ask for by name. The name, the size, the game and
/// the version follow, as far as they are given. None of them contains a slash.
const NAMED_GROUP: &str = "next/";

/// A request for a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A room, for one of matchbox's clients.
    Stock(Wish),
    /// A room, for one of our clients. The key identifies the peer, and the token proves in which
    /// room it was.
    V1 { wish: Wish, key: Option<PeerKey>, token: Option<String> },
    /// The list of public rooms of a game.
    List { game: String },
}

/// The room that a peer wants to enter, and its place there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) room: WishedRoom,
    pub(crate) name: String,
    pub(crate) place: Place,
    /// Empty if not given.
    pub(crate) game: String,
    pub(crate) version: String,
    /// The number of players of a new room. If not given, as many as a room may hold.
    pub(crate) capacity: Option<NonZeroU16>,
    pub(crate) spectators: u16,
    pub(crate) is_public: bool,
}

/// Which room a peer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WishedRoom {
    /// The room with this name.
    Named {
        name: String,
        /// Whether the room must exist already.
        must_exist: bool,
    },
    /// A room with a new code.
    New,
    /// A room for a group of strangers.
    Any {
        group: String,
        size: NonZeroU16,
        /// The beginning of the names of the group's rooms; a number follows.
        label: String,
        closes_when_full: bool,
    },
}

impl Address {
    /// Reads the path and the query of a request.
    ///
    /// An error is the refusal, and whether it is for one of our clients, which reads it from a
    /// close frame.
    pub(crate) fn parse(path: &str, query: Option<&str>) -> Result<Self, (Refusal, bool)> {
        let query = Query(query.unwrap_or_default());
        match path.strip_prefix(V1) {
            None => {
                let name = path.strip_prefix('/').unwrap_or(path);
                let wish = Wish::stock(name, query).map_err(|refusal| (refusal, false))?;
                Ok(Self::Stock(wish))
            }
            Some(rest) => Self::parse_v1(rest, query).map_err(|refusal| (refusal, true)),
        }
    }

    fn parse_v1(path: &str, query: Query<'_>) -> Result<Self, Refusal> {
        let room = match path.split_once('/').unwrap_or((path, "")) {
            ("list", "") => return Ok(Self::List { game: query.tag("game")? }),
            ("create", "") => WishedRoom::New,
            ("quick", "") => quick(query)?,
            ("rooms", name) => named(name, query)?,
            _ => return Err(Refusal::BadRequest),
        };
        let wish = Wish::read(room, query)?;
        let key = PeerKey::in_query(query.0);
        Ok(Self::V1 { wish, key, token: query.value("token").map(str::to_owned) })
    }
}

/// The name of the room in a path, if it has one.
pub(super) fn named_room(path: &str) -> Option<&str> {
    match path.strip_prefix(V1) {
        Some(rest) => rest.strip_prefix("rooms/"),
        None => path.strip_prefix('/'),
    }
}

/// The name by which clients ask for a room of this group; `None` if they name no room and the
/// server brings strangers together.
pub(super) fn name_of_group(group: &str) -> Option<&str> {
    group.strip_prefix(NAMED_GROUP)?.split('/').next()
}

impl Wish {
    /// Reads what one of matchbox's clients asks for.
    fn stock(name: &str, query: Query<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            room: named(name, Query(query.group_size()?))?,
            name: String::new(),
            place: Place::Player,
            game: String::new(),
            version: String::new(),
            capacity: None,
            spectators: 0,
            is_public: false,
        })
    }

    fn read(room: WishedRoom, query: Query<'_>) -> Result<Self, Refusal> {
        let place = match query.value("place") {
            None | Some("player") => Place::Player,
            Some("spectator") => Place::Spectator,
            Some(_) => return Err(Refusal::BadRequest),
        };
        Ok(Self {
            name: shown_name(&query.decoded("name")),
            place,
            game: query.tag("game")?,
            version: query.tag("version")?,
            capacity: query.number("capacity")?,
            spectators: query.number("spectators")?.unwrap_or(0),
            is_public: query.flag("public")?,
            room,
        })
    }
}

/// Returns the room with this name. With `next=N`, as in matchbox, this is a group of N that closes
/// once it is full.
fn named(name: &str, query: Query<'_>) -> Result<WishedRoom, Refusal> {
    if !is_room_name(name) {
        return Err(Refusal::RoomName);
    }
    let name = name.to_owned();
    Ok(match query.value("next") {
        None => WishedRoom::Named { name, must_exist: query.flag("existing")? },
        Some(size) => {
            let size: NonZeroU16 = size.parse().map_err(|_| Refusal::GroupSize)?;
            let (game, version) = (query.tag("game")?, query.tag("version")?);
            let group = format!("{NAMED_GROUP}{name}/{size}/{game}/{version}");
            WishedRoom::Any { group, size, label: name, closes_when_full: true }
        }
    })
}

/// Returns a group of strangers who want the same game with the same number of players, and the
/// same region and skill if given.
fn quick(query: Query<'_>) -> Result<WishedRoom, Refusal> {
    let [game, version, region, skill] =
        ["game", "version", "region", "skill"].map(|name| query.tag(name));
    let (game, version, region, skill) = (game?, version?, region?, skill?);
    let players = query.value("players").ok_or(Refusal::GroupSize)?;
    let size: NonZeroU16 = players.parse().map_err(|_| Refusal::GroupSize)?;
    Ok(WishedRoom::Any {
        // Tags contain no slash.
        group: format!("quick/{game}/{version}/{size}/{region}/{skill}"),
        size,
        label: "quick".to_owned(),
        closes_when_full: false,
    })
}

/// The part of an address after the question mark.
#[derive(Debug, Clone, Copy)]
struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// The first value with this name, still escaped.
    fn value(self, name: &str) -> Option<&'a str> {
        self.0.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// A value with any characters, unescaped.
    fn decoded(self, name: &str) -> String {
        let pairs = form_urlencoded::parse(self.0.as_bytes());
        let value = pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value));
        value.unwrap_or_default().into_owned()
    }

    /// A value that needs no escaping in an address; empty if missing.
    fn tag(self, name: &str) -> Result<String, Refusal> {
        let tag = self.value(name).unwrap_or_default();
        is_tag(tag).then(|| tag.to_owned()).ok_or(Refusal::BadRequest)
    }

    fn number<T: std::str::FromStr>(self, name: &str) -> Result<Option<T>, Refusal> {
        self.value(name).map(|text| text.parse().map_err(|_| Refusal::BadRequest)).transpose()
    }

    fn flag(self, name: &str) -> Result<bool, Refusal> {
        match self.value(name) {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(_) => Err(Refusal::BadRequest),
        }
    }

    /// The part that a stock client may use: `next=N`. Anything else in its query is ignored.
    fn group_size(self) -> Result<&'a str, Refusal> {
        let next = self.0.split('&').find(|pair| pair.starts_with("next="));
        Ok(next.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(address: &str) -> Result<Address, (Refusal, bool)> {
        let (path, query) = match address.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (address, None),
        };
        Address::parse(path, query)
    }

    fn wish(address: &str) -> Wish {
        match parse(address) {
            Ok(Address::Stock(wish) | Address::V1 { wish, .. }) => wish,
            other => panic!("{address}: {other:?}"),
        }
    }

    fn refusal(address: &str) -> Refusal {
        parse(address).expect_err(address).0
    }

    #[test]
    fn stock_clients_ask_for_a_room_or_a_group() {
        let named = |name: &str| WishedRoom::Named { name: name.into(), must_exist: false };
        assert_eq!(wish("/a").room, named("a"));
        assert_eq!(wish("/a?other=1&next&game=b c").room, named("a"));
        assert_eq!(wish("/a?next=2").room, wish("/a?x&next=2").room);
        assert_ne!(wish("/a?next=2").room, wish("/a?next=3").room);
        assert_eq!(wish("/a?next=2&game=b").room, wish("/v1/rooms/a?next=2").room);
        let of_games = ["", "&game=b", "&game=c", "&game=b&version=1"];
        let of_games = of_games.map(|query| wish(&format!("/v1/rooms/a?next=2{query}")).room);
        for (at, room) in of_games.iter().enumerate() {
            assert!(!of_games[..at].contains(room), "{room:?}");
        }
        match wish("/a?next=2").room {
            WishedRoom::Any { group, .. } => assert_eq!(name_of_group(&group), Some("a")),
            other => panic!("{other:?}"),
        }
        for junk in ["next=0", "next=", "next=-1", "next=two", "next=65536", "next=2%20"] {
            assert_eq!(refusal(&format!("/a?{junk}")), Refusal::GroupSize, "{junk}");
        }
        for name in ["", "a/b", "a%20b"] {
            assert_eq!(refusal(&format!("/{name}")), Refusal::RoomName, "{name}");
        }
    }

    #[test]
    fn our_clients_state_their_identity_and_their_wish() {
        let key = PeerKey::new(7);
        let address = format!(
            "/v1/create?{}&game=asteroids&version=1.2&capacity=4&spectators=2&public=1&name=Ann%20B+C&place=spectator&token=t.u",
            key.to_query()
        );
        let wish = Wish {
            room: WishedRoom::New,
            name: "Ann B C".into(),
            place: Place::Spectator,
            game: "asteroids".into(),
            version: "1.2".into(),
            capacity: NonZeroU16::new(4),
            spectators: 2,
            is_public: true,
        };
        let expected = Address::V1 { wish, key: Some(key), token: Some("t.u".into()) };
        assert_eq!(parse(&address), Ok(expected));
        assert_eq!(parse("/v1/list?game=a"), Ok(Address::List { game: "a".into() }));
    }

    #[test]
    fn strangers_with_equal_wishes_are_in_one_group() {
        let group = |query: &str| match wish(&format!("/v1/quick?{query}")).room {
            WishedRoom::Any { group, .. } => group,
            other => panic!("{other:?}"),
        };
        let usual = group("game=a&version=1&players=2");
        assert_eq!(name_of_group(&usual), None);
        assert_eq!(usual, group("players=2&version=1&game=a&region="));
        for other in [
            "game=b&version=1&players=2",
            "game=a&version=2&players=2",
            "game=a&version=1&players=3",
            "game=a&version=1&players=2&region=eu",
            "game=a&version=1&players=2&skill=eu",
        ] {
            assert_ne!(usual, group(other), "{other}");
        }
        for junk in ["game=a", "players=", "players=0", "players=two", "next=2"] {
            assert_eq!(refusal(&format!("/v1/quick?{junk}")), Refusal::GroupSize, "{junk}");
        }
    }

    #[test]
    fn a_refusal_says_whether_the_client_can_read_a_close_frame() {
        for address in [
            "/v1/rooms/a?game=b%20c",
            "/v1/rooms/a?capacity=0",
            "/v1/rooms/a?capacity=x",
            "/v1/rooms/a?spectators=-1",
            "/v1/rooms/a?place=referee",
            "/v1/rooms/a?public=yes",
            "/v1/nothing",
            "/v1/create/a",
        ] {
            assert_eq!(parse(address), Err((Refusal::BadRequest, true)), "{address}");
        }
        assert_eq!(parse("/v1/rooms/"), Err((Refusal::RoomName, true)));
        assert_eq!(parse("/a/b"), Err((Refusal::RoomName, false)));
    }

    proptest! {
        #[test]
        fn no_address_makes_the_parser_panic(path in "/(v1/(rooms|quick|create|list)?)?.{0,30}", query in ".{0,80}") {
            let _ = Address::parse(&path, Some(&query));
        }
    }
}
