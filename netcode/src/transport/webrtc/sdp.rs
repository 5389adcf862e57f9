//! Session descriptions and ICE candidates of other peers, before matchbox sees them. Pure.
//!
//! matchbox unwraps what WebRTC returns for them, so one that is refused ends the socket with all
//! its connections. The text that passes here is not the one that arrived: it is rewritten from the
//! few values that a data channel needs, each of which was checked (RFC 8866, 8839, 8841 and 8122).

use std::{fmt::Write, mem, net::IpAddr};

/// The longest text that is read: what browsers write is a tenth of that.
const MAX_BYTES: usize = 16 * 1024;
/// At most this many candidates in one description: a machine with many interfaces and several
/// servers has a dozen.
const MAX_CANDIDATES: usize = 32;
/// Limits of RFC 8839 on names and passwords, in characters.
const MAX_ICE_CHARS: usize = 256;
const MIN_UFRAG_CHARS: usize = 4;
const MIN_PASSWORD_CHARS: usize = 22;
/// Browsers number their sections; any other short name works as well.
const MAX_MID_CHARS: usize = 16;
/// The largest message that a peer accepts if its description does not say (RFC 8841).
const DEFAULT_MESSAGE_BYTES: u32 = 65_536;
/// A peer has to accept messages of this size: our largest.
const LEAST_MESSAGE_BYTES: u32 = 16 * 1024;
/// Bytes of a SHA-256 fingerprint.
const FINGERPRINT_BYTES: usize = 32;
/// The longest name by which a browser hides an address: a UUID and `.local`.
const MAX_MDNS_CHARS: usize = 64;

/// The side that a description comes from: the one that offers, or the one that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Offer,
    Answer,
}

/// Which candidates may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidates {
    All,
    /// Only candidates that call themselves relays. [`Relays`](super::relays::Relays) decides
    /// whether they are.
    RelaysOnly,
}

/// What a description of a data channel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) mid: String,
    ufrag: String,
    password: String,
    fingerprint: String,
    setup: &'static str,
    sctp_port: u16,
    max_message_bytes: u32,
    candidates: Vec<String>,
}

impl Description {
    /// Reads a description; none if it is not one of a data channel alone, or if anything in it is
    /// malformed.
    pub(super) fn read(text: &str, side: Side, which: Candidates) -> Option<Self> {
        if text.len() > MAX_BYTES || !text.starts_with("v=0") {
            return None;
        }
        let lines = text.lines().map(str::trim_end);
        let sections: Vec<&str> = lines.clone().filter(|line| line.starts_with("m=")).collect();
        let [section] = sections[..] else { return None };
        if !section.starts_with("m=application ") || !section.ends_with(" webrtc-datachannel") {
            return None;
        }
        let value = |name: &str| {
            let mut values = text.lines().filter_map(|line| {
                line.trim_end().strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':')
            });
            // The same value twice is as good as once; two different values are not.
            let first = values.next()?;
            values.all(|other| other == first).then_some(first)
        };
        let setups = match side {
            Side::Offer => &["actpass", "active", "passive"][..],
            Side::Answer => &["active", "passive"],
        };
        let setup = value("setup")?;
        let mut candidates = Vec::new();
        for candidate in lines.filter_map(|line| line.strip_prefix("a=candidate:")) {
            match clean_candidate(candidate, which) {
                Candidate::Good(candidate) => candidates.push(candidate),
                Candidate::Unwanted => {}
                Candidate::Bad => return None,
            }
        }
        if candidates.len() > MAX_CANDIDATES {
            return None;
        }
        Some(Self {
            mid: token(value("mid")?, 1, MAX_MID_CHARS)?,
            ufrag: ice_chars(value("ice-ufrag")?, MIN_UFRAG_CHARS, MAX_ICE_CHARS)?,
            password: ice_chars(value("ice-pwd")?, MIN_PASSWORD_CHARS, MAX_ICE_CHARS)?,
            fingerprint: fingerprint(value("fingerprint")?)?,
            setup: setups.iter().find(|&&known| known == setup)?,
            sctp_port: value("sctp-port")?.parse().ok().filter(|&port| port != 0)?,
            max_message_bytes: match value("max-message-size") {
                Some(size) => size.parse().ok().filter(|&size| size >= LEAST_MESSAGE_BYTES)?,
                None => DEFAULT_MESSAGE_BYTES,
            },
            candidates,
        })
    }

    /// The candidates in it.
    pub(super) fn candidates(&self) -> &[String] {
        &self.candidates
    }

    /// Takes out the candidates that are not `good`.
    pub(super) fn take_candidates(&mut self, good: impl Fn(&str) -> bool) -> Vec<String> {
        let (kept, taken) =
            mem::take(&mut self.candidates).into_iter().partition(|candidate| good(candidate));
        self.candidates = kept;
        taken
    }

    /// Writes the description in a form that every WebRTC stack reads.
    pub(super) fn write(&self) -> String {
        let Self { mid, ufrag, password, fingerprint, setup, sctp_port, .. } = self;
        let mut text = format!(
            "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mid}\r\n\
            m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n"
        );
        for candidate in &self.candidates {
            // Writing to a String cannot fail, here and below.
            let _ = write!(text, "a=candidate:{candidate}\r\n");
        }
        let _ = write!(
            text,
            "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=ice-options:trickle\r\n\
            a=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}\r\na=mid:{mid}\r\n\
            a=sctp-port:{sctp_port}\r\na=max-message-size:{}\r\n",
            self.max_message_bytes
        );
        text
    }
}

/// The outcome of reading a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    /// It may be used, and this is its text.
    Good(String),
    /// It is well-formed, but must not be used.
    Unwanted,
    /// It is not a candidate.
    Bad,
}

/// Reads a candidate as it travels by itself: as JSON, or as `null` for the end of the candidates.
pub(super) fn read_candidate(json: &str, which: Candidates) -> Candidate {
    if json == "null" {
        return Candidate::Good(json.to_owned());
    }
    if json.len() > MAX_BYTES {
        return Candidate::Bad;
    }
    let Ok(value) = serde_json::from_str::<serde_json::Value>(json) else { return Candidate::Bad };
    let Some(text) = value.get("candidate").and_then(serde_json::Value::as_str) else {
        return Candidate::Bad;
    };
    // Another way to say that there are no more.
    if text.is_empty() {
        return Candidate::Unwanted;
    }
    match text.strip_prefix("candidate:").map(|text| clean_candidate(text, which)) {
        // There is only one section, and the name of the session was checked with the description.
        // Neither is repeated, as a browser throws where they differ.
        Some(Candidate::Good(text)) => Candidate::Good(candidate_json(&text)),
        Some(other) => other,
        None => Candidate::Bad,
    }
}

/// A candidate from a description as it travels by itself.
pub(super) fn candidate_json(text: &str) -> String {
    let candidate = format!("candidate:{text}");
    serde_json::json!({ "candidate": candidate, "sdpMid": null, "sdpMLineIndex": 0 }).to_string()
}

/// The text of a candidate that [`candidate_json`] wrote.
pub(super) fn candidate_text(json: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    Some(value.get("candidate")?.as_str()?.strip_prefix("candidate:")?.to_owned())
}

/// The address that a candidate leads to; none if it is the name of a machine.
pub(super) fn address_of(candidate: &str) -> Option<IpAddr> {
    candidate.split_ascii_whitespace().nth(4)?.parse().ok()
}

/// Reads a candidate, and writes it again.
fn clean_candidate(text: &str, which: Candidates) -> Candidate {
    match read_words(text, which) {
        Some((text, true)) => Candidate::Good(text),
        Some((_, false)) => Candidate::Unwanted,
        None => Candidate::Bad,
    }
}

/// Rewrites the words of a candidate, and returns whether it may be used; none if it is not a
/// candidate.
fn read_words(text: &str, which: Candidates) -> Option<(String, bool)> {
    let mut words = text.split_ascii_whitespace();
    let foundation = ice_chars(words.next()?, 1, 32)?;
    let component: u16 = words.next()?.parse().ok()?;
    let protocol = words.next()?.to_ascii_lowercase();
    let priority: u32 = words.next()?.parse().ok()?;
    let place = words.next()?;
    let port: u16 = words.next()?.parse().ok()?;
    let kind = (words.next()? == "typ").then(|| words.next()).flatten()?;
    let kind = ["host", "srflx", "prflx", "relay"].into_iter().find(|&known| known == kind)?;
    // Only a machine on the same network can look up a hidden address.
    let address =
        if kind == "host" { address(place)? } else { place.parse::<IpAddr>().ok()?.to_string() };
    let mut cleaned = format!("{foundation} 1 {protocol} {priority} {address} {port} typ {kind}");
    let mut tcp_type = None;
    let (mut related, mut related_port) = (None, None);
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        match name {
            "raddr" => related = Some(value.parse::<IpAddr>().ok()?.to_string()),
            "rport" => related_port = Some(value.parse::<u16>().ok()?),
            "tcptype" => tcp_type = Some(value),
            // All other attributes are for others, or of no use.
            _ => {}
        }
    }
    if which == Candidates::RelaysOnly {
        // The address from which the relay was asked is the one to hide.
        cleaned.push_str(" raddr 0.0.0.0 rport 0");
    } else if let (Some(address), Some(port)) = (related, related_port) {
        let _ = write!(cleaned, " raddr {address} rport {port}");
    }
    // Data channels go over UDP here; a TCP candidate is well-formed, but not used.
    let is_unwanted = protocol != "udp" || tcp_type.is_some() || component != 1 || port == 0;
    let is_relay_missing = which == Candidates::RelaysOnly && kind != "relay";
    Some((cleaned, !is_unwanted && !is_relay_missing))
}

/// An IP address, or a name that hides one on the local network.
fn address(text: &str) -> Option<String> {
    let is_hidden = text.len() <= MAX_MDNS_CHARS
        && text.strip_suffix(".local").is_some_and(|name| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
    if is_hidden { Some(text.to_owned()) } else { Some(text.parse::<IpAddr>().ok()?.to_string()) }
}

/// A word of letters, digits, `-` and `_`, with `least` to `most` characters.
fn token(text: &str, least: usize, most: usize) -> Option<String> {
    word(text, least, most, |byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A word of letters, digits, `+` and `/`, which RFC 8839 calls ice-chars, with `least` to `most`
/// characters.
fn ice_chars(text: &str, least: usize, most: usize) -> Option<String> {
    word(text, least, most, |byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}

fn word(text: &str, least: usize, most: usize, is_plain: fn(u8) -> bool) -> Option<String> {
    ((least..=most).contains(&text.len()) && text.bytes().all(is_plain)).then(|| text.to_owned())
}

/// The hash of a certificate, in capital letters.
fn fingerprint(text: &str) -> Option<String> {
    let (algorithm, hash) = text.split_once(' ')?;
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_whole = hash.split(':').count() == FINGERPRINT_BYTES && hash.split(':').all(is_byte);
    (algorithm.eq_ignore_ascii_case("sha-256") && is_whole).then(|| hash.to_ascii_uppercase())
}

/// A whole description as Chromium writes it.
#[cfg(any(test, feature = "testing"))]
pub(super) fn example() -> String {
    let hash = ["AB"; 32].join(":");
    [
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "a=extmap-allow-mixed",
        "a=msid-semantic: WMS",
        "m=application 50712 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 192.168.1.7",
        "a=candidate:1467250027 1 udp 2122260223 192.168.1.7 50712 typ host generation 0 network-id 1 network-cost 10",
        "a=candidate:842163049 1 udp 1677729535 203.0.113.5 50712 typ srflx raddr 192.168.1.7 rport 50712 generation 0",
        "a=candidate:1510613869 1 tcp 1518280447 192.168.1.7 9 typ host tcptype active generation 0",
        "a=candidate:3 1 udp 1 4b5c1a3e-9f0d-4a83-8e1e-0c8a5d1c2f11.local 50713 typ host",
        "a=ice-ufrag:Ab+/",
        "a=ice-pwd:asd88fgpdd777uzjYhagZg",
        "a=ice-options:trickle",
        &format!("a=fingerprint:sha-256 {hash}"),
        "a=setup:actpass",
        "a=mid:0",
        "a=sctp-port:5000",
        "a=max-message-size:262144",
        "",
    ]
    .join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    fn chromium() -> String {
        example()
    }

    fn read(text: &str) -> Option<Description> {
        Description::read(text, Side::Offer, Candidates::All)
    }

    #[test]
    fn a_description_is_rewritten_with_its_essential_values() {
        let description = read(&chromium()).expect("Chromium's is fine");
        let written = description.write();
        assert_eq!(read(&written), Some(description));
        for kept in ["a=mid:0", "a=setup:actpass", "192.168.1.7 50712 typ host", ".local 50713"] {
            assert!(written.contains(kept), "{kept} is missing:\n{written}");
        }
        for gone in ["tcp", "network-id", "extmap", "4611731400430051336"] {
            assert!(!written.contains(gone), "{gone} is still there:\n{written}");
        }
    }

    #[test]
    fn relays_only_means_that_no_address_of_a_machine_is_left() {
        let with_relay = chromium().replace(
            "a=ice-ufrag",
            "a=candidate:9 1 udp 5 198.51.100.1 3478 typ relay raddr 192.168.1.7 rport 9\r\na=ice-ufrag",
        );
        let description = Description::read(&with_relay, Side::Offer, Candidates::RelaysOnly);
        let written = description.expect("it is as good as before").write();
        assert!(written.contains("198.51.100.1 3478 typ relay"), "{written}");
        assert!(!written.contains("192.168.1.7") && !written.contains(".local"), "{written}");
    }

    #[test]
    fn descriptions_that_webrtc_would_refuse_are_refused_first() {
        let changes: [(&str, &str); 16] = [
            ("a=max-message-size:262144", "a=max-message-size:1"),
            ("a=ice-ufrag:Ab+/", "a=ice-ufrag:Ab-_"),
            ("v=0", "v=1"),
            ("m=application", "m=audio"),
            ("a=ice-ufrag:Ab+/", "a=ice-ufrag:A"),
            ("a=ice-ufrag:Ab+/", "a=nothing:1"),
            ("a=ice-pwd:asd88fgpdd777uzjYhagZg", "a=ice-pwd:short"),
            ("a=ice-pwd:asd", "a=ice-pwd:\u{e9}sd"),
            ("sha-256 AB", "sha-1 AB"),
            ("sha-256 AB:AB", "sha-256 AB"),
            ("sha-256 AB", "sha-256 XY"),
            ("a=setup:actpass", "a=setup:holdconn"),
            ("a=mid:0", "a=mid:0\r\na=mid:1"),
            ("a=sctp-port:5000", "a=sctp-port:70000"),
            ("192.168.1.7 50712 typ host", "300.168.1.7 50712 typ host"),
            (
                "a=sctp-port:5000",
                "a=sctp-port:5000\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel",
            ),
        ];
        for (from, to) in changes {
            assert!(chromium().contains(from), "{from}");
            assert_eq!(read(&chromium().replacen(from, to, 1)), None, "{from} became {to}");
        }
        assert_eq!(Description::read(&chromium(), Side::Answer, Candidates::All), None, "actpass");
        assert_eq!(read(&(chromium() + &"a=x\r\n".repeat(5000))), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn damaged_descriptions_are_read_or_refused() {
        let mut seed = 3;
        for _ in 0..2000 {
            let mut bytes = chromium().into_bytes();
            for _ in 0..1 + random::next(&mut seed) % 4 {
                let at = random::next(&mut seed) as usize % bytes.len();
                match random::next(&mut seed) % 3 {
                    0 => bytes[at] = random::next(&mut seed) as u8,
                    1 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, b'\n'),
                }
            }
            let text = String::from_utf8_lossy(&bytes);
            if let Some(description) = read(&text) {
                assert_eq!(read(&description.write()), Some(description), "{text}");
            }
        }
    }

    #[test]
    fn a_candidate_is_rewritten_or_refused() {
        let read = |text: &str| {
            let json = serde_json::json!({
                "candidate": text, "sdpMid": "7", "sdpMLineIndex": 3, "usernameFragment": "x",
            });
            read_candidate(&json.to_string(), Candidates::All)
        };
        let Candidate::Good(good) =
            read("candidate:1 1 UDP 5 ::1 4 typ host ufrag x network-cost 9")
        else {
            panic!("it is a candidate");
        };
        assert_eq!(
            good,
            r#"{"candidate":"candidate:1 1 udp 5 ::1 4 typ host","sdpMLineIndex":0,"sdpMid":null}"#
        );
        assert_eq!(read("candidate:1 1 tcp 5 ::1 9 typ host tcptype active"), Candidate::Unwanted);
        assert_eq!(read("candidate:1 2 udp 5 ::1 9 typ host"), Candidate::Unwanted);
        assert_eq!(read(""), Candidate::Unwanted);
        for bad in [
            "candidate:",
            "candidate:1 1 udp 5 host 4 typ host",
            "candidate:1 1 udp 5 x.local 4 typ srflx",
            "candidate:1 1 udp 5 ::1 4 typ srflx raddr x.local rport 1",
            "candidate:1 1 udp 5 ::1 99999 typ host",
            "candidate:1 1 udp -5 ::1 4 typ host",
            "candidate:1 1 udp 5 ::1 4 typ best",
            "candidate:1 1 udp 5 ::1 4 host",
            "1 1 udp 5 ::1 4 typ host",
        ] {
            assert_eq!(read(bad), Candidate::Bad, "{bad}");
        }
        for bad in ["", "{}", "[", "{\"candidate\":7}", "nul"] {
            assert_eq!(read_candidate(bad, Candidates::All), Candidate::Bad, "{bad}");
        }
        let relays = |text| {
            read_candidate(
                &serde_json::json!({ "candidate": text }).to_string(),
                Candidates::RelaysOnly,
            )
        };
        assert_eq!(relays("candidate:1 1 udp 5 ::1 4 typ host"), Candidate::Unwanted);
    }
}
