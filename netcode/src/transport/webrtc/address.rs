//! Addresses at the server: from the one that people share to the one at which our own clients
//! enter and introduce themselves.

use std::{fmt::Write, net::Ipv6Addr};

use signaling::{
    lobby::{Place, RoomMember, is_tag},
    protocol::is_room_name,
};

use super::platform::is_address;
use crate::transport::{AddressFault, TransportError};

/// What we tell the server about ourselves when we enter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClientInfo<'a> {
    pub(crate) name: &'a str,
    pub(crate) game: &'a str,
    pub(crate) version: &'a str,
}

/// A URL in its parts.
struct Parts<'a> {
    scheme: &'a str,
    server: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Result<Self, TransportError> {
        let bad = || TransportError::BadUrl(shown(url));
        let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !matches!(scheme, "ws" | "wss") || server.is_empty() {
            return Err(bad());
        }
        let fault =
            server_fault(server).or_else(|| (!is_address(url)).then_some(AddressFault::Character));
        if let Some(fault) = fault {
            return Err(TransportError::BadServer { url: shown(url), fault });
        }
        Ok(Self { scheme, server, path, query })
    }
}

/// As much of an address as an error shows.
fn shown(url: &str) -> String {
    url.chars().take(200).collect()
}

/// Why no server can be at this host and port; `None` if one can.
fn server_fault(server: &str) -> Option<AddressFault> {
    let (_, server) = server.rsplit_once('@').unwrap_or(("", server));
    let (host, port) = match server.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (server, ""),
    };
    let is_port = port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_odd = |it: char| it.is_whitespace() || it.is_control() || "<>\"\\^`{|}".contains(it);
    if let Some(ip) = host.strip_prefix('[') {
        let ip = ip.strip_suffix(']').and_then(|ip| ip.parse::<Ipv6Addr>().ok());
        if ip.is_none() {
            return Some(AddressFault::Ipv6);
        }
    } else if host.contains(':') {
        return Some(AddressFault::Ipv6);
    } else if host.is_empty() || host.contains(is_odd) {
        return Some(AddressFault::Host);
    }
    (!is_port).then_some(AddressFault::Port)
}

/// The address at which our own clients enter a room: a room with a name, a new one, or one with
/// strangers.
///
/// A request for a room by its name gives no version: peers tell each other in words which one they
/// have.
pub(super) fn room_url(url: &str, client: &ClientInfo) -> Result<String, TransportError> {
    let bad = || TransportError::BadUrl(shown(url));
    let Parts { scheme, server, path, query } = Parts::of(url)?;
    let (path, version) = match path {
        "v1/create" | "v1/quick" => (path.to_owned(), client.version),
        _ => {
            let room = path.strip_prefix("v1/rooms/").unwrap_or(path);
            is_room_name(room).then_some(()).ok_or_else(bad)?;
            (format!("v1/rooms/{room}"), "")
        }
    };
    let mut url = format!("{scheme}://{server}/{path}");
    let mut separator = '?';
    let mut push = |pair: &str| {
        url.push(separator);
        url.push_str(pair);
        separator = '&';
    };
    if !query.is_empty() {
        push(query);
    }
    let tag = |tag: &str| if is_tag(tag) { tag.to_owned() } else { String::new() };
    let said = [
        ("game", tag(client.game)),
        ("version", tag(version)),
        ("name", percent_encoded(client.name)),
    ];
    for (key, value) in said {
        if !value.is_empty() && parameter(query, key).is_none() {
            push(&format!("{key}={value}"));
        }
    }
    Ok(url)
}

/// The address of the list of public rooms of a game; only the server of `url` counts.
pub(in crate::transport) fn list_url(url: &str, game: &str) -> Result<String, TransportError> {
    let Parts { scheme, server, .. } = Parts::of(url)?;
    let game = if is_tag(game) { game } else { "" };
    Ok(format!("{scheme}://{server}/v1/list?game={game}"))
}

/// The address of the new room that `url` opened, so that a peer that comes back finds that room
/// and opens no other one.
pub(super) fn opened_room(url: &str, room: &str) -> Option<String> {
    let (server, terms) = url.split_once("/v1/create")?;
    is_room_name(room).then(|| format!("{server}/v1/rooms/{room}{terms}"))
}

/// The same address, with the name and the place that the member has in the room by now.
pub(super) fn as_member(url: &str, member: &RoomMember) -> String {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let is_old =
        |pair: &&str| pair.is_empty() || pair.starts_with("name=") || pair.starts_with("place=");
    let mut url = format!("{path}?");
    for pair in query.split('&').filter(|pair| !is_old(pair)) {
        url.push_str(pair);
        url.push('&');
    }
    if !member.name.is_empty() {
        url.push_str(&format!("name={}&", percent_encoded(&member.name)));
    }
    let place = if member.place == Place::Player { "player" } else { "spectator" };
    url + "place=" + place
}

/// Whether this address leads to another room each time.
pub(super) fn leads_to_another_room(url: &str) -> bool {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    path.ends_with("/v1/quick")
        || path.ends_with("/v1/create")
        || parameter(query, "next").is_some()
}

/// The part of a URL that names the server.
pub(in crate::transport) fn server_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |index| index + 3);
    url[authority..].find('/').map_or(url, |index| &url[..authority + index])
}

fn parameter<'a>(query: &'a str, key: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANONYMOUS: ClientInfo = ClientInfo { name: "", game: "", version: "" };

    #[test]
    fn the_address_that_people_share_becomes_the_one_for_our_clients() {
        for (shared, ours) in [
            ("ws://host:3536/duel", "ws://host:3536/v1/rooms/duel"),
            ("wss://h/duel?next=2", "wss://h/v1/rooms/duel?next=2"),
            ("ws://h/v1/rooms/duel", "ws://h/v1/rooms/duel"),
            ("ws://h/v1/create?capacity=4", "ws://h/v1/create?capacity=4"),
            ("ws://h/v1/quick?players=2", "ws://h/v1/quick?players=2"),
        ] {
            assert_eq!(room_url(shared, &ANONYMOUS), Ok(ours.into()));
        }
    }

    #[test]
    fn name_game_and_version_are_added_unless_the_address_has_them() {
        let ann = ClientInfo { name: "Ann & Bo é", game: "chess", version: "1.2" };
        let of = |url| room_url(url, &ann).expect("it is a room's address");
        assert_eq!(
            of("ws://h/v1/create?public=1"),
            "ws://h/v1/create?public=1&game=chess&version=1.2&name=Ann%20%26%20Bo%20%C3%A9"
        );
        assert_eq!(
            of("ws://h/den?name=Bo&game=go"),
            "ws://h/v1/rooms/den?name=Bo&game=go",
            "versions are for the peers to compare"
        );
        let odd = ClientInfo { name: "", game: "my game", version: "1|2" };
        assert_eq!(room_url("ws://h/v1/create", &odd), Ok("ws://h/v1/create".into()));
    }

    #[test]
    fn a_returning_peer_keeps_its_current_name_and_place() {
        let member = |name: &str, place| RoomMember {
            id: signaling::protocol::PeerId::from_u128(1),
            name: name.into(),
            place,
            is_ready: false,
            is_here: true,
        };
        let url = "wss://h/v1/rooms/den?place=spectator&capacity=4&name=Bo&key=1";
        let plays = as_member(url, &member("Bo B", Place::Player));
        assert_eq!(plays, "wss://h/v1/rooms/den?capacity=4&key=1&name=Bo%20B&place=player");
        let looks_on = as_member(&plays, &member("", Place::Spectator));
        assert_eq!(looks_on, "wss://h/v1/rooms/den?capacity=4&key=1&place=spectator");
        let bare = as_member("ws://h/v1/rooms/den", &member("", Place::Player));
        assert_eq!(bare, "ws://h/v1/rooms/den?place=player");
    }

    #[test]
    fn an_address_that_names_no_room_is_refused_with_an_example() {
        for bad in [
            "",
            "duel",
            "http://host/duel",
            "ws://host",
            "ws:///duel",
            "ws://host/",
            "ws://host/a b",
            "ws://host/v1/list",
        ] {
            let error = room_url(bad, &ANONYMOUS).expect_err("it is no room's address");
            assert!(error.to_string().contains("ws://host:3536/room"), "{error}");
        }
    }

    #[test]
    fn an_address_at_which_no_server_can_be_is_refused_with_the_reason() {
        for (url, fault) in [
            ("ws://host:99999/duel", AddressFault::Port),
            ("ws://host:0/duel", AddressFault::Port),
            ("ws://host:-1/duel", AddressFault::Port),
            ("wss://host:http/duel?next=2", AddressFault::Port),
            ("ws://[::1]:65536/duel", AddressFault::Port),
            ("ws://:3536/duel", AddressFault::Host),
            ("ws://my host/duel", AddressFault::Host),
            ("ws://me@:3536/duel", AddressFault::Host),
            ("ws://::1/duel", AddressFault::Ipv6),
            ("ws://::1:3536/duel", AddressFault::Ipv6),
            ("ws://[::1/duel", AddressFault::Ipv6),
            ("ws://[host]:3536/duel", AddressFault::Ipv6),
            ("ws://host/v1/quick?name=Ann Bo", AddressFault::Character),
        ] {
            let expected = TransportError::BadServer { url: url.into(), fault };
            assert!(expected.to_string().contains("ws://host:3536/room"));
            assert_eq!(room_url(url, &ANONYMOUS), Err(expected.clone()), "{url}");
            assert_eq!(list_url(url, "a"), Err(expected), "{url}");
        }
        for url in [
            "ws://host:/duel",
            "ws://host:1/duel",
            "ws://host:65535/duel",
            "ws://[::1]/duel",
            "ws://[fe80::1]:3536/duel",
            "wss://192.168.1.5:3536/duel",
            "wss://me:secret@host.example:3536/duel?next=2",
            "ws://my_host/duel",
        ] {
            assert!(room_url(url, &ANONYMOUS).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_new_room_is_found_again_by_its_name() {
        let url = "ws://h/v1/create?public=1&key=7";
        assert!(leads_to_another_room(url));
        let again = opened_room(url, "DAM3R").expect("it is one");
        assert_eq!(again, "ws://h/v1/rooms/DAM3R?public=1&key=7");
        assert!(!leads_to_another_room(&again));
        assert_eq!(opened_room(&again, "DAM3R"), None);
        assert_eq!(opened_room(url, "a/b"), None);
        for strangers in ["ws://h/v1/quick?players=2", "ws://h/v1/rooms/a?x=1&next=2"] {
            assert!(leads_to_another_room(strangers));
        }
    }

    #[test]
    fn the_list_address_keeps_only_the_server() {
        let list = Ok("wss://h:1/v1/list?game=a".into());
        assert_eq!(list_url("wss://h:1", "a"), list);
        assert_eq!(list_url("wss://h:1/den?next=2", "a"), list);
        assert!(list_url("h:1", "a").is_err());
    }

    #[test]
    fn the_server_is_named_without_its_rooms() {
        assert_eq!(server_of("ws://host:3536/v1/rooms/a?next=2"), "ws://host:3536");
        assert_eq!(server_of("ws://host"), "ws://host");
        assert_eq!(server_of("nonsense"), "nonsense");
    }
}
