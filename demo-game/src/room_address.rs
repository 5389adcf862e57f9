//! Rooms as players write them: a short code, a link to the page, or a server's address with the
//! room in it.

use std::borrow::Cow;

use netcode::Place;
use signaling::protocol::{MAX_ROOM_NAME_BYTES, is_room_name};
use thiserror::Error;

use crate::room_code::canonical_name;
use crate::sim::tuning::MAX_SEATS;

/// The query with which a new room is opened: places for as many players as there are ships, and
/// for the same number of spectators.
const NEW_ROOM_QUERY: &str = "capacity=4&spectators=4";
const _: () = assert!(MAX_SEATS == 4);

/// How a player gets into a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RoomKind {
    /// By its name.
    Named,
    /// By its name, and only if it exists already: it was in the list, or somebody else's code was
    /// typed.
    Existing,
    /// By opening it: it has no name yet.
    New {
        /// Whether it is listed from the start.
        is_public: bool,
    },
    /// By pairing with a stranger. Nobody takes the place of a player that leaves.
    Pair,
    /// By a server that brings together strangers who want the same number of players.
    Quick {
        /// The number of players.
        players: u8,
    },
}

/// A room on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomAddress {
    /// The server: `ws://host:port` or `wss://host`, without a slash at the end.
    pub(crate) server: String,
    /// The room's name; for most rooms a generated code. Empty where only the server knows it.
    pub(crate) room: String,
    /// How a player gets into it.
    pub(crate) kind: RoomKind,
    /// The place that the player takes in it.
    pub(crate) place: Place,
}

/// Why a room cannot be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum RoomError {
    /// Nothing was typed.
    #[error("Type the code or paste the link you were given.")]
    Empty,
    /// Characters that are not allowed in the name of a room.
    #[error("A code has only letters, digits and - _ . ~")]
    Characters,
    /// Too long for the name of a room.
    #[error("That is too long for a code.")]
    TooLong,
    /// A listed room that is locked.
    #[error("That room is locked: its owner lets nobody else in.")]
    Locked,
    /// A listed room without a free place.
    #[error("That room is full.")]
    Full,
    /// A listed room with a match under way.
    #[error("A match is being played there. Wait until it is over.")]
    Playing,
    /// A link without a room.
    #[error("That link names no room: the code comes after the #.")]
    NoRoom,
}

impl RoomAddress {
    fn new(server: &str, room: &str, kind: RoomKind) -> Self {
        Self { server: trim_server(server), room: room.to_owned(), kind, place: Place::Player }
    }

    /// A new room on `server`, which gives it a code.
    #[must_use]
    pub(crate) fn create(server: &str, is_public: bool) -> Self {
        Self::new(server, "", RoomKind::New { is_public })
    }

    /// The room of that name.
    #[must_use]
    pub(crate) fn named(server: &str, room: &str) -> Self {
        Self::new(server, room, RoomKind::Named)
    }

    /// A listed room in which that place is free.
    #[must_use]
    pub(crate) fn listed(server: &str, room: &str, place: Place) -> Self {
        Self { place, ..Self::new(server, room, RoomKind::Existing) }
    }

    /// The same room, but only if it exists already: nobody else would ever join a room that a
    /// mistyped code had opened.
    #[must_use]
    pub(crate) fn existing(self) -> Self {
        let kind = if self.kind == RoomKind::Named { RoomKind::Existing } else { self.kind };
        Self { kind, ..self }
    }

    /// Whether it has a name by which other players can join.
    #[must_use]
    pub(crate) fn has_name(&self) -> bool {
        matches!(self.kind, RoomKind::Named | RoomKind::Existing)
    }

    /// Whether it has no name yet.
    #[must_use]
    pub(crate) fn is_new(&self) -> bool {
        matches!(self.kind, RoomKind::New { .. })
    }

    /// Whether strangers play here.
    #[must_use]
    pub(crate) fn is_quick(&self) -> bool {
        matches!(self.kind, RoomKind::Pair | RoomKind::Quick { .. })
    }

    /// A room of `server` for this many strangers.
    #[must_use]
    pub(crate) fn quick(server: &str, players: u8) -> Self {
        Self::new(server, "", RoomKind::Quick { players })
    }

    /// Reads a code, a page's link with `#code` or `#ws://host/room`, or `ws://host:port/room`. A
    /// code is a room of `server`; a code in a link is a room of the server that the link names by
    /// `?server=`, or else of the link's host.
    ///
    /// # Errors
    ///
    /// If the text names no room. The [`RoomError`] tells the player what to do.
    pub(crate) fn parse(text: &str, server: &str) -> Result<Self, RoomError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(RoomError::Empty);
        }
        if !text.contains([':', '/', '#']) {
            return Ok(Self::named(server, &checked_room(text)?));
        }
        if let Some((page, room)) = text.split_once('#') {
            let room = &*percent_decoded(room);
            let is_address = room.contains("://") && !room.contains('#');
            let server = server_of_page(page).unwrap_or_else(|| trim_server(server));
            return match room {
                "" => Err(RoomError::NoRoom),
                _ if is_address => Self::parse(room, &server),
                _ => Ok(Self::named(&server, &checked_room(room)?)),
            };
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (host, room) = address.rsplit_once('/').ok_or(RoomError::NoRoom)?;
        let server = server_of_page(host).ok_or(RoomError::NoRoom)?;
        if room.is_empty() || host.ends_with('/') {
            return Err(RoomError::NoRoom);
        }
        let is_quick = query.split('&').any(|pair| pair.starts_with("next="));
        let kind = if is_quick { RoomKind::Pair } else { RoomKind::Named };
        Ok(Self::new(&server, &checked_room(room)?, kind))
    }

    /// The address to share. It leaves out the place.
    #[must_use]
    pub(crate) fn url(&self) -> String {
        let Self { server, room, kind, .. } = self;
        match kind {
            RoomKind::Named | RoomKind::Existing => format!("{server}/{room}"),
            RoomKind::New { is_public: false } => format!("{server}/v1/create?{NEW_ROOM_QUERY}"),
            RoomKind::New { is_public: true } => {
                format!("{server}/v1/create?{NEW_ROOM_QUERY}&public=1")
            }
            RoomKind::Pair => format!("{server}/{room}?next=2"),
            RoomKind::Quick { players } => format!("{server}/v1/quick?players={players}"),
        }
    }

    /// The address to join. It includes what the server needs to open a new room.
    #[must_use]
    pub(crate) fn url_to_join(&self) -> String {
        let url = self.url();
        let place = if self.place == Place::Spectator { "&place=spectator" } else { "" };
        match self.kind {
            RoomKind::Named => format!("{url}?{NEW_ROOM_QUERY}{place}"),
            RoomKind::Existing => format!("{url}?existing=1{place}"),
            RoomKind::New { .. } | RoomKind::Pair | RoomKind::Quick { .. } => url,
        }
    }

    /// What a player whose server is `server` types to join: the code, or the whole address if the
    /// room is on another server.
    #[must_use]
    pub(crate) fn within(&self, server: &str) -> String {
        if self.server == trim_server(server) { self.room.clone() } else { self.url() }
    }
}

/// The server that a page uses: the one that its address names, or else its host. `None` if the
/// address has no host.
fn server_of_page(page: &str) -> Option<String> {
    let (scheme, rest) = page.split_once("://").unwrap_or(("http", page));
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    if let Some(server) = query.split('&').find_map(|pair| pair.strip_prefix("server=")) {
        return Some(trim_server(&percent_decoded(server)));
    }
    let scheme = if matches!(scheme, "https" | "wss") { "wss" } else { "ws" };
    // A page may be in a folder.
    let host = place.split('/').next().filter(|host| !host.is_empty())?;
    Some(format!("{scheme}://{host}"))
}

/// Decodes a part of a link as the page itself does: `%3A` is a colon. If the result is not UTF-8,
/// or a `%` is not followed by two digits, the part is taken as it is written.
fn percent_decoded(part: &str) -> Cow<'_, str> {
    let decode = || {
        let mut pieces = part.split('%');
        let mut bytes = pieces.next()?.as_bytes().to_vec();
        for piece in pieces {
            let digits = piece.get(..2).filter(|digits| !digits.starts_with('+'))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            bytes.extend(&piece.as_bytes()[2..]);
        }
        String::from_utf8(bytes).ok()
    };
    decode().map_or(Cow::Borrowed(part), Cow::Owned)
}

fn trim_server(server: &str) -> String {
    server.trim().trim_end_matches('/').to_owned()
}

/// `room` as the server knows it: a generated code may be typed in lower case.
fn checked_room(room: &str) -> Result<String, RoomError> {
    if room.len() > MAX_ROOM_NAME_BYTES {
        return Err(RoomError::TooLong);
    }
    if !is_room_name(room) {
        return Err(RoomError::Characters);
    }
    Ok(canonical_name(room))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "ws://127.0.0.1:3536";

    #[test]
    fn a_generated_room_is_found_again_by_its_link_and_by_its_code_in_lower_case() {
        let room = RoomAddress::named(SERVER, "DAM3R");
        let link = format!("http://127.0.0.1:3536/#{}", room.within(SERVER));
        assert_eq!(RoomAddress::parse(&link, "ws://elsewhere").unwrap(), room);
        let link = format!("http://elsewhere/#{}", room.within("ws://elsewhere"));
        assert_eq!(RoomAddress::parse(&link, "ws://elsewhere").unwrap(), room);
        assert_eq!(RoomAddress::parse(&room.url(), "ws://elsewhere").unwrap(), room);
        assert_eq!(RoomAddress::parse(&room.room.to_lowercase(), SERVER).unwrap(), room);
    }

    #[test]
    fn links_of_every_kind_lead_to_the_room() {
        let parse = |text| RoomAddress::parse(text, SERVER).unwrap();
        assert_eq!(parse("https://play.example/game/?low#den").url(), "wss://play.example/den");
        assert_eq!(parse("play.example:80/#den").url(), "ws://play.example:80/den");
        assert_eq!(parse("192.168.1.5:3536/dam3r").url(), "ws://192.168.1.5:3536/DAM3R");
        assert_eq!(parse("#den").url(), "ws://127.0.0.1:3536/den");
        assert_eq!(parse("https://play.example/?low&server=wss://s#den").url(), "wss://s/den");
        assert_eq!(parse(" my_room ").url(), "ws://127.0.0.1:3536/my_room");
        assert_eq!(parse("ws://h:1/lucky?next=2").url(), "ws://h:1/lucky?next=2");
    }

    #[test]
    fn a_link_is_read_as_its_own_page_reads_it() {
        let parse = |text| RoomAddress::parse(text, SERVER).unwrap().url();
        assert_eq!(parse("https://play.example/?server=wss%3A%2F%2Fs%3a81#den"), "wss://s:81/den");
        assert_eq!(parse("https://play.example/#ws%3A%2F%2Fs%2Fden"), "ws://s/den");
        assert_eq!(parse("https://play.example/?server=ws://[::1]:80#d%65n"), "ws://[::1]:80/den");
        for written in ["%", "%4", "%zz", "%+1", "%ff", "50%", "%€"] {
            assert_eq!(percent_decoded(written), written);
        }
    }

    #[test]
    fn the_server_finds_strangers_and_names_new_rooms() {
        let quick = RoomAddress::quick(SERVER, 3);
        assert!(quick.is_quick());
        assert_eq!(quick.url(), "ws://127.0.0.1:3536/v1/quick?players=3");
        let terms = format!("capacity={MAX_SEATS}&spectators=4");
        let [private, public] =
            [false, true].map(|public| RoomAddress::create("ws://127.0.0.1:3536/", public));
        let url = format!("ws://127.0.0.1:3536/v1/create?{terms}");
        assert_eq!((private.url_to_join(), private.is_new()), (url.clone(), true));
        assert_eq!(public.url_to_join(), format!("{url}&public=1"));
        let named = RoomAddress::named(SERVER, "DAM3R");
        let url = format!("ws://127.0.0.1:3536/DAM3R?{terms}");
        assert_eq!(named.url_to_join(), url);
        let looks_on = RoomAddress { place: Place::Spectator, ..named.clone() };
        assert_eq!(looks_on.url_to_join(), format!("{url}&place=spectator"));
        assert_eq!(looks_on.url(), named.url(), "a friend who gets the link may play");
        let typed = named.existing();
        assert_eq!(typed.url_to_join(), "ws://127.0.0.1:3536/DAM3R?existing=1");
        assert_eq!(quick.clone().existing(), quick);
        let listed = RoomAddress::listed(SERVER, "DAM3R", Place::Spectator);
        assert_eq!(
            listed.url_to_join(),
            "ws://127.0.0.1:3536/DAM3R?existing=1&place=spectator",
            "no new room is opened in place of one that is gone"
        );
    }

    #[test]
    fn an_error_says_why_a_text_names_no_room() {
        let parse = |text| RoomAddress::parse(text, SERVER).unwrap_err();
        assert_eq!(parse("  "), RoomError::Empty);
        assert_eq!(parse("a b"), RoomError::Characters);
        assert_eq!(parse("http://host/#"), RoomError::NoRoom);
        assert_eq!(parse("http://host"), RoomError::NoRoom);
        assert_eq!(parse("http://host/"), RoomError::NoRoom);
        assert_eq!(parse("http://host/#ws://other"), RoomError::NoRoom);
        assert_eq!(parse("a#ws://b#ws://c"), RoomError::Characters);
        assert_eq!(parse(&"x".repeat(65)), RoomError::TooLong);
    }
}
