//! The messages between the server and the peers of a room about the room itself: its members and
//! their names, its owner, and the changes that peers request. Only peers that connect at `/v1/`
//! send and receive these messages; matchbox's own clients do not know them.
//!
//! Always compiled, even for the browser and without the `server` feature.

use std::{error::Error, fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use crate::protocol::PeerId;

/// Longest name of a peer, in characters: short enough to stand beside other names on a screen.
pub const MAX_NAME_CHARS: usize = 24;
/// Longest name of a game, version, region or skill, in bytes: enough for a name followed by a
/// version hash.
pub const MAX_TAG_BYTES: usize = 48;
/// The letters and digits of a generated room code. No two of them look alike (no 0 O Q, 1 I L, 2
/// Z, 5 S, 8 B).
pub const CODE_LETTERS: &[u8] = b"ACDEFGHJKMNPRTUVWXY34679";
/// Length of a generated room code: 24⁵ is 8 million rooms, and five characters are easy to say
/// over a phone.
pub const CODE_LENGTH: usize = 5;

/// What a peer does in a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Place {
    /// It plays.
    #[default]
    Player,
    /// It watches.
    Spectator,
}

/// What the peers of a room are doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RoomPhase {
    /// Its peers get ready.
    #[default]
    Lobby,
    /// They are playing a match.
    Playing,
}

/// A peer in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomMember {
    /// Its id.
    pub id: PeerId,
    /// Its name; empty for a client that has not given one.
    pub name: String,
    /// What it does here.
    pub place: Place,
    /// Whether it is ready for the match to start.
    pub is_ready: bool,
    /// Whether it is connected to the server. If it is not, it stays a member for a while.
    pub is_here: bool,
}

/// A room, as all of its peers see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomState {
    /// The name to join it by: for a generated room, a code of [`CODE_LENGTH`] characters from
    /// [`CODE_LETTERS`].
    pub name: String,
    /// The game that is played here; empty if no peer has named one.
    pub game: String,
    /// The version of the game; empty if no peer has named one.
    pub version: String,
    /// Whether it appears in the list of public rooms.
    pub is_public: bool,
    /// Whether it accepts no further peers.
    pub is_locked: bool,
    /// What its peers are doing.
    pub phase: RoomPhase,
    /// The maximum number of players.
    pub capacity: u16,
    /// The maximum number of spectators.
    pub spectators: u16,
    /// The peer that may lock, kick, start and finish. `None` in a room of strangers, where any
    /// player may start and finish, and in a room with only matchbox's own clients.
    pub owner: Option<PeerId>,
    /// Its members, in order of arrival.
    pub members: Vec<RoomMember>,
}

impl RoomState {
    /// The member with this id.
    #[must_use]
    pub fn member(&self, id: PeerId) -> Option<&RoomMember> {
        self.members.iter().find(|member| member.id == id)
    }

    /// The number of members in this place.
    #[must_use]
    pub fn count(&self, place: Place) -> usize {
        self.members.iter().filter(|member| member.place == place).count()
    }

    /// Returns whether all players are ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.members.iter().all(|member| member.is_ready || member.place != Place::Player)
    }
}

/// A room in the list of public rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomListing {
    /// The name to join it by.
    pub name: String,
    /// The name of its owner.
    pub owner: String,
    /// The version of the game.
    pub version: String,
    /// What its peers are doing.
    pub phase: RoomPhase,
    /// Whether it accepts no further peers.
    pub is_locked: bool,
    /// The number of players in it.
    pub players: u16,
    /// The maximum number of players.
    pub capacity: u16,
    /// The number of spectators in it.
    pub spectators: u16,
    /// The maximum number of spectators.
    pub max_spectators: u16,
}

/// What a peer asks for in its room, sent as `{"Room":…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomRequest {
    /// Take this name, of 1 to [`MAX_NAME_CHARS`] characters. If another peer in the room has it, a
    /// [number](numbered_name) is added.
    Rename(String),
    /// Be ready for the match, or no longer be ready.
    SetReady(bool),
    /// Become a player or a spectator.
    SetPlace(Place),
    /// Accept no further peers, or accept them again. For the owner.
    SetLocked(bool),
    /// Appear in the list of public rooms, or no longer appear there. For the owner.
    SetPublic(bool),
    /// Remove this peer and never accept it again under this id; a lock keeps it out under any
    /// other id. A room from which 64 peers were removed stays locked. During a match, only an
    /// owner that is playing in it can remove its players. For the owner.
    Kick(PeerId),
    /// Start the match; all players must be ready. For the owner, or for any player in a room of
    /// strangers.
    Start,
    /// End the match and return to the lobby, where nobody is ready for the next one yet. For the
    /// owner, or for any player of the match in a room of strangers. From then on, an owner that
    /// was not playing in the match can remove those that were.
    Finish,
}

/// What the server tells peers about a room, in addition to the
/// [`PeerEvent`](crate::protocol::PeerEvent)s that matchbox knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomEvent {
    /// The current state of the room, sent after each change, but at a bounded rate. Of several
    /// states that wait to be read, only the latest is kept, in its own position; events that led
    /// to it may therefore arrive before it.
    Room(RoomState),
    /// The token that brings the reader back to its room, as `token=…` in the address. It is valid
    /// for some hours, and works after the reader's connection broke, at another server of the same
    /// service, and after a restart of this server. A newer token arrives before it expires.
    Resume(String),
    /// The request was not granted.
    Denied(Denial),
    /// Whether the service works. While it does not, matches continue, but nobody can join or
    /// change anything.
    Service(ServiceState),
    /// The public rooms of a game; sent only to a client that asked for the list.
    Rooms(Vec<RoomListing>),
}

/// Whether the server can work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceState {
    /// It has lost its store of rooms and is trying to reach it again.
    Impaired,
    /// It works again.
    Restored,
}

/// Why a request in a room was not granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Denial {
    /// Only the owner of the room may do that.
    NotOwner,
    /// No peer with that id is in the room.
    NoSuchPeer,
    /// The name is empty, too long, or contains characters that cannot be shown.
    BadName,
    /// All places of that kind are taken.
    NoPlace,
    /// Not all players are ready, or there are no players.
    NotReady,
    /// A match is being played.
    Playing,
    /// No match is being played.
    NotPlaying,
    /// Too many peers were removed from the room for it to be unlocked again.
    StaysLocked,
    /// The server cannot do it right now, or does not know whether it did: the state of the room
    /// shows which.
    Unavailable,
}

impl Denial {
    /// The reason as a sentence for a player.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotOwner => "Only the owner of the room may do that.",
            Self::NoSuchPeer => "That player is no longer in the room.",
            Self::BadName => "A name must have 1 to 24 visible characters.",
            Self::NoPlace => "No place of that kind is free in this room.",
            Self::NotReady => "Not everybody is ready yet.",
            Self::Playing => "That is not possible during a match.",
            Self::NotPlaying => "No match is being played.",
            Self::StaysLocked => "This room stays locked: too many players were removed from it.",
            Self::Unavailable => "The server cannot do that right now. Try again in a moment.",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl Error for Denial {}

/// Makes the code for a new room from `random`.
#[must_use]
pub fn room_code(mut random: u64) -> String {
    let letters = CODE_LETTERS.len() as u64;
    let letter = |_| {
        let letter = CODE_LETTERS[(random % letters) as usize];
        random /= letters;
        char::from(letter)
    };
    (0..CODE_LENGTH).map(letter).collect()
}

/// Characters that are invisible, or that only change how other characters are shown: those that
/// are `Default_Ignorable_Code_Point` in Unicode 16's `DerivedCoreProperties.txt`, except for the
/// [`JOINERS`]; and the separators of lines and paragraphs, the annotation marks and the empty
/// Braille pattern, which that property does not cover.
const UNSEEN: [RangeInclusive<char>; 18] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200b}',
    // Direction marks, line and paragraph separators, embeddings and overrides.
    '\u{200e}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    // Word joiners, isolates, and deprecated characters.
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    // Tags and further variation selectors.
    '\u{e0000}'..='\u{e0fff}',
];

/// Invisible as well, but Persian words and many pictures are written with them: joiners and
/// variation selectors.
const JOINERS: [RangeInclusive<char>; 2] = ['\u{200c}'..='\u{200d}', '\u{fe00}'..='\u{fe0f}'];

/// Returns `name` in a form that is safe to show to other people: only visible characters, and at
/// most [`MAX_NAME_CHARS`] of them.
#[must_use]
pub fn shown_name(name: &str) -> String {
    let is_in = |ranges: &[RangeInclusive<char>], letter| {
        ranges.iter().any(|range| range.contains(&letter))
    };
    let is_shown = |letter: &char| !letter.is_control() && !is_in(&UNSEEN, *letter);
    let shown: String = name.chars().filter(is_shown).collect();
    let shown: String = shown.trim().chars().take(MAX_NAME_CHARS).collect();
    if shown.chars().all(|letter| letter.is_whitespace() || is_in(&JOINERS, letter)) {
        return String::new();
    }
    shown.trim_end().to_owned()
}

/// Returns whether two names look the same to a reader, ignoring case.
#[must_use]
pub fn is_same_name(one: &str, other: &str) -> bool {
    one.chars().flat_map(char::to_lowercase).eq(other.chars().flat_map(char::to_lowercase))
}

/// Returns the name followed by the number, for a peer whose name is already taken in its room.
/// Shortens the name so that both together have at most [`MAX_NAME_CHARS`] characters.
#[must_use]
pub fn numbered_name(name: &str, number: usize) -> String {
    let number = format!(" {number}");
    let most = MAX_NAME_CHARS.saturating_sub(number.len());
    let shortened: String = name.chars().take(most).collect();
    format!("{}{number}", shortened.trim_end())
}

/// Returns whether a game, version, region or skill may have this name. The empty text stands for
/// none.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    text.len() <= MAX_TAG_BYTES
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_name_has_only_visible_characters() {
        for (name, shown) in [
            ("  Ann ", "Ann"),
            ("a\nb\u{7}c", "abc"),
            ("", ""),
            (" \t", ""),
            ("\u{1} Ann", "Ann"),
            // An override, zero-width spaces, isolates, a byte order mark, a filler, a tag.
            ("Ann\u{202e}nnA", "AnnnnA"),
            ("\u{200b}A\u{2066}n\u{2069}n\u{feff}", "Ann"),
            ("\u{ad}\u{61c}\u{3164}\u{2028}\u{e0041}\u{2800}", ""),
            (" \u{200b} Ann \u{200b} ", "Ann"),
            // Characters that only change or join their neighbours stay, but they alone are not a
            // name.
            ("\u{2764}\u{fe0f}", "\u{2764}\u{fe0f}"),
            ("\u{645}\u{6cc}\u{200c}\u{62e}", "\u{645}\u{6cc}\u{200c}\u{62e}"),
            ("\u{200d} \u{fe0f}\u{200c}", ""),
            ("ÄÖÜßÄÖÜßÄÖÜßÄÖÜßÄÖÜßÄÖÜ ß", "ÄÖÜßÄÖÜßÄÖÜßÄÖÜßÄÖÜßÄÖÜ"),
        ] {
            assert_eq!(shown_name(name), shown, "{name:?}");
        }
    }

    #[test]
    fn a_taken_name_gets_a_number_and_stays_short() {
        assert!(is_same_name("Zoë", "ZOË") && !is_same_name("Ann", "Anna"));
        assert_eq!(numbered_name("Ann", 2), "Ann 2");
        let longest = "x".repeat(MAX_NAME_CHARS);
        assert_eq!(numbered_name(&longest, 10), format!("{} 10", "x".repeat(MAX_NAME_CHARS - 3)));
        let spaced = format!("{} y", "x".repeat(MAX_NAME_CHARS - 3));
        assert_eq!(numbered_name(&spaced, 2), format!("{} 2", "x".repeat(MAX_NAME_CHARS - 3)));
        for name in [numbered_name(&longest, 10), numbered_name(&spaced, 2)] {
            assert_eq!(shown_name(&name), name);
        }
    }

    #[test]
    fn tags_need_no_escaping_in_an_address() {
        let longest = "x".repeat(MAX_TAG_BYTES);
        for tag in ["", "asteroids", "1.2.3-beta_4~5", longest.as_str()] {
            assert!(is_tag(tag), "{tag}");
        }
        let too_long = "x".repeat(MAX_TAG_BYTES + 1);
        for tag in ["a b", "a|b", "é", "a/b", too_long.as_str()] {
            assert!(!is_tag(tag), "{tag}");
        }
    }
}
