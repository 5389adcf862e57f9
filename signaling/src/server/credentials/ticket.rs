//! Tickets for rooms: with a secret that the server shares with a game's own backend, the backend
//! decides who may enter.
//!
//! A ticket is `EXPIRY-MAC`: the time when it expires, in seconds since 1970, and the HMAC-SHA256
//! of `EXPIRY:ROOM` in lower-case hexadecimal digits. The server keeps no record of tickets, so
//! anybody who has one can use it until it expires.

use std::{fmt, str::FromStr};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;

use crate::protocol::Refusal;

/// A ticket for this "room" is valid for every room. It also stands for the room of a request that
/// names none, because the server chooses one.
pub const ANY_ROOM: &str = "*";

/// The minimum length of a secret, in bytes: too long to be guessed within the lifetime of a
/// server.
pub const MIN_SECRET_BYTES: usize = 16;

/// The length of an HMAC-SHA256, in bytes.
const MAC_BYTES: usize = 32;

/// The number of digits of the largest 64-bit number.
const MAX_EXPIRY_DIGITS: usize = 20;

/// The secret that signs tickets. Never shown, not even in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketSecret(String);

/// The error for a secret that could be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a secret must have at least {MIN_SECRET_BYTES} characters: `openssl rand -hex 32` makes one"
)]
pub struct WeakSecret;

impl TicketSecret {
    /// Returns a ticket for `room`, or for [`ANY_ROOM`], that expires at `expiry`, in seconds since
    /// 1970. It is the text after `ticket=` in the query.
    #[must_use]
    pub fn ticket(&self, room: &str, expiry: u64) -> String {
        let expiry = expiry.to_string();
        let mac = self.mac(&expiry, room).finalize().into_bytes();
        let mac: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{expiry}-{mac}")
    }

    fn mac(&self, expiry: &str, room: &str) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes());
        let mac = mac.expect("HMAC takes keys of any length");
        mac.chain_update(expiry).chain_update(":").chain_update(room)
    }
}

impl FromStr for TicketSecret {
    type Err = WeakSecret;

    fn from_str(text: &str) -> Result<Self, WeakSecret> {
        if text.len() < MIN_SECRET_BYTES { Err(WeakSecret) } else { Ok(Self(text.to_owned())) }
    }
}

impl fmt::Debug for TicketSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketSecret(hidden)")
    }
}

/// Checks whether a client with this query may enter `room` at `now`, in seconds since 1970.
/// Without a secret, every client may.
pub(crate) fn check_ticket(
    secret: Option<&TicketSecret>,
    query: Option<&str>,
    room: &str,
    now: u64,
) -> Result<(), Refusal> {
    let Some(secret) = secret else { return Ok(()) };
    let query = query.unwrap_or_default();
    let ticket = query.split('&').find_map(|pair| pair.strip_prefix("ticket="));
    let (expiry, mac) = ticket.and_then(|ticket| ticket.split_once('-')).ok_or(Refusal::Ticket)?;
    let mac = bytes(mac).ok_or(Refusal::Ticket)?;
    let is_of = |room| secret.mac(expiry, room).verify_slice(&mac).is_ok();
    if ends_after(expiry, now) && (is_of(room) || is_of(ANY_ROOM)) {
        Ok(())
    } else {
        Err(Refusal::Ticket)
    }
}

fn ends_after(expiry: &str, now: u64) -> bool {
    // `parse` accepts signs, too.
    let is_number =
        expiry.len() <= MAX_EXPIRY_DIGITS && expiry.bytes().all(|it| it.is_ascii_digit());
    is_number && expiry.parse::<u64>().is_ok_and(|expiry| now < expiry)
}

/// Decodes hexadecimal digits. Only lower case is accepted, so that each ticket can be written in
/// only one way.
fn bytes(digits: &str) -> Option<[u8; MAC_BYTES]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != MAC_BYTES || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; MAC_BYTES];
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `printf %s 1900000000:duel | openssl dgst -sha256 -hmac "a secret that nobody knows"`
    const KNOWN: &str =
        "1900000000-1532e9a0d7e61aff212804264d6e4c7ea608cc72e4384865dc2e306cb5a652e0";
    const EXPIRY: u64 = 1_900_000_000;

    fn secret() -> TicketSecret {
        "a secret that nobody knows".parse().expect("it is long enough")
    }

    fn enter(query: &str, room: &str, now: u64) -> bool {
        let result = check_ticket(Some(&secret()), Some(query), room, now);
        assert!(matches!(result, Ok(()) | Err(Refusal::Ticket)));
        result.is_ok()
    }

    #[test]
    fn a_ticket_equals_the_one_that_openssl_makes() {
        assert_eq!(secret().ticket("duel", EXPIRY), KNOWN);
        assert!(enter(&format!("ticket={KNOWN}"), "duel", 0));
    }

    #[test]
    fn a_ticket_is_valid_for_its_room_until_it_expires() {
        let query = format!("next=2&ticket={KNOWN}&key=7");
        assert!(enter(&query, "duel", EXPIRY - 1));
        assert!(!enter(&query, "duel", EXPIRY));
        assert!(!enter(&query, "other", 0));
        assert!(!enter(&query, ANY_ROOM, 0));
    }

    #[test]
    fn a_ticket_for_any_room_is_valid_for_every_room_and_where_none_is_named() {
        let query = format!("ticket={}", secret().ticket(ANY_ROOM, EXPIRY));
        assert!(enter(&query, "duel", 0) && enter(&query, ANY_ROOM, 0));
        assert!(!enter(&query, "duel", EXPIRY));
    }

    #[test]
    fn altered_and_malformed_tickets_are_refused() {
        let (expiry, mac) = KNOWN.split_once('-').expect("a ticket");
        for ticket in [
            "",
            "-",
            KNOWN.strip_suffix(char::is_alphanumeric).expect("a digit"),
            &format!("{KNOWN}0"),
            &format!("{expiry}-{}", mac.to_uppercase()),
            &format!("0{expiry}-{mac}"),
            &format!("+{expiry}-{mac}"),
            &format!("1{expiry}-{mac}"),
            &format!("{}-{mac}", u128::MAX),
            &format!("{expiry}-{}", "0".repeat(64)),
            &format!("{expiry}-{}", "ü".repeat(32)),
        ] {
            assert!(!enter(&format!("ticket={ticket}"), "duel", 0), "{ticket}");
        }
        assert_eq!(check_ticket(Some(&secret()), None, "duel", 0), Err(Refusal::Ticket));
        let other: TicketSecret = "another secret that is long".parse().expect("long enough");
        let query = format!("ticket={}", other.ticket("duel", EXPIRY));
        assert!(!enter(&query, "duel", 0));
        // Only the first ticket in the query counts.
        assert!(!enter(&format!("ticket=0-0&ticket={KNOWN}"), "duel", 0));
    }

    #[test]
    fn without_a_secret_no_ticket_is_needed() {
        assert_eq!(check_ticket(None, None, "duel", 0), Ok(()));
    }

    #[test]
    fn a_secret_must_be_long_and_is_never_shown() {
        assert_eq!("fifteen letters".parse::<TicketSecret>(), Err(WeakSecret));
        assert!(!format!("{:?}", secret()).contains("nobody"));
    }

    proptest! {
        #[test]
        fn no_query_panics_or_passes_as_a_ticket(query in "(ticket=[0-9]{0,25}-?[0-9a-fü]{0,70}|.{0,100})", room in ".{0,70}", now in any::<u64>()) {
            assert!(!enter(&query, &room, now));
        }

        #[test]
        fn each_ticket_is_valid_for_its_room_alone(room in "[a-z]{1,9}", other in "[a-z]{1,9}", expiry in 1..u64::MAX) {
            let query = format!("ticket={}", secret().ticket(&room, expiry));
            prop_assert!(enter(&query, &room, expiry - 1) && !enter(&query, &room, expiry));
            prop_assert_eq!(enter(&query, &other, 0), other == room);
        }
    }
}
