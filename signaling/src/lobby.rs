//! What the server and the peers of a room tell each other of the room itself: its members and
//! their names, its owner, and what may be changed. Only peers that came by `/v1/` hear and say
//! this; matchbox's own clients know nothing of it.
//!
//! Always compiled, also for the browser and without the `server` feature.

use std::{error::Error, fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use crate::protocol::PeerId;

/// Longest name of a peer, in characters: what fits beside others on a screen.
pub const MAX_NAME_CHARS: usize = 24;
/// Longest name of a game, version, region or skill, in bytes: enough for a name with a version
/// hash behind it.
pub const MAX_TAG_BYTES: usize = 48;
/// Letters and digits of a generated room code: none that looks like another one (no 0 O Q, 1 I L,
/// 2 Z, 5 S, 8 B).
pub const CODE_LETTERS: &[u8] = b"ACDEFGHJKMNPRTUVWXY34679";
/// Length of a generated room code: 24⁵ are 8 million rooms, and five characters can be said over a
/// phone.
pub const CODE_LENGTH: usize = 5;

/// What a peer does in a room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Place {
    /// It plays.
    #[default]
    Player,
    /// It looks on.
    Spectator,
}

/// How far a room is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RoomPhase {
    /// Its peers get ready.
    #[default]
    Lobby,
    /// They play a match.
    Playing,
}

/// A peer in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomMember {
    /// Its id.
    pub id: PeerId,
    /// Its name; empty for a client that has not told one.
    pub name: String,
    /// What it does here.
    pub place: Place,
    /// Whether it wants the match to start.
    pub is_ready: bool,
    /// Whether it is connected to the server. If not, its place is kept for a while.
    pub is_here: bool,
}

/// A room, as all of its peers see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomState {
    /// What to join it by: for a generated room a code of [`CODE_LENGTH`] of [`CODE_LETTERS`].
    pub name: String,
    /// The game that is played here; empty if nobody said.
    pub game: String,
    /// Its version; empty if nobody said.
    pub version: String,
    /// Whether the list of rooms shows it.
    pub is_public: bool,
    /// Whether nobody else is let in.
    pub is_locked: bool,
    /// How far it is.
    pub phase: RoomPhase,
    /// Most players.
    pub capacity: u16,
    /// Most spectators.
    pub spectators: u16,
    /// The peer that may lock, kick, start and finish; nobody in a room of strangers (where any
    /// player starts and finishes) or of stock clients.
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

    /// How many are in this place.
    #[must_use]
    pub fn count(&self, place: Place) -> usize {
        self.members.iter().filter(|member| member.place == place).count()
    }

    /// Whether all who play are ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.members.iter().all(|member| member.is_ready || member.place != Place::Player)
    }
}

/// A room in the list of public rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomListing {
    /// What to join it by.
    pub name: String,
    /// The name of its owner.
    pub owner: String,
    /// Its version of the game.
    pub version: String,
    /// How far it is.
    pub phase: RoomPhase,
    /// Whether nobody else is let in.
    pub is_locked: bool,
    /// How many play in it.
    pub players: u16,
    /// Most players.
    pub capacity: u16,
    /// How many look on.
    pub spectators: u16,
    /// Most spectators.
    pub max_spectators: u16,
}

/// What a peer asks for in its room; sent as `{"Room":…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomRequest {
    /// Be called so: 1 to [`MAX_NAME_CHARS`] characters. Where another peer of the room has the
    /// name, with a [number](numbered_name).
    Rename(String),
    /// (Not) ready for the match.
    SetReady(bool),
    /// Play, or look on.
    SetPlace(Place),
    /// Let nobody else in, or let others in again. For the owner.
    SetLocked(bool),
    /// Be in the list of public rooms, or not. For the owner.
    SetPublic(bool),
    /// Remove this peer, and never let it in again under this id; a lock keeps it out under any
    /// other one. A room from which 64 were removed is locked for good. During a match only an
    /// owner that plays in it removes its players. For the owner.
    Kick(PeerId),
    /// The match begins: all players must be ready. For the owner.
    Start,
    /// The match is over: back to the lobby, where nobody is ready yet for the next one. For the
    /// owner. If that one does not play in the match, its players stay ready, and are protected as
    /// its players, until they say otherwise.
    Finish,
}

/// What the server tells of a room, beside the [`PeerEvent`](crate::protocol::PeerEvent)s that
/// matchbox knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomEvent {
    /// The room as it is now: after each change, but at a bounded rate. Of those that the reader
    /// has not taken yet only the latest is kept, in the place of the last, so what led to it may
    /// come before it.
    Room(RoomState),
    /// What brings the reader back to its place in the room, as `token=…` in the address, for some
    /// hours: after its connection broke, at another server of the same service, or once this one
    /// runs again. A newer one comes in time.
    Resume(String),
    /// What was asked for is not done.
    Denied(Denial),
    /// Whether the service is whole. While it is not, matches go on, and nobody can come or change
    /// anything.
    Service(ServiceState),
    /// The public rooms of a game; only to a client that asked for the list.
    Rooms(Vec<RoomListing>),
}

/// Whether the server can do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceState {
    /// It has lost its store of rooms, and tries to reach it again.
    Impaired,
    /// All is well again.
    Restored,
}

/// Why something that was asked for in a room is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Denial {
    /// Only the owner of the room may do that.
    NotOwner,
    /// Nobody of that id is in the room.
    NoSuchPeer,
    /// A name is empty, too long, or has letters that cannot be shown.
    BadName,
    /// All places of that kind are taken.
    NoPlace,
    /// Not all players are ready, or there is none.
    NotReady,
    /// A match is being played.
    Playing,
    /// No match is being played.
    NotPlaying,
    /// So many peers were removed from the room that it cannot be unlocked any more.
    StaysLocked,
    /// The server cannot do it now, or does not know whether it is done: the room tells.
    Unavailable,
}

impl Denial {
    /// The reason as a sentence for a player.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotOwner => "Only the owner of the room may do that.",
            Self::NoSuchPeer => "That player is no longer in the room.",
            Self::BadName => "A name has 1 to 24 characters that can be shown.",
            Self::NoPlace => "No such place is free in this room.",
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

/// The code that is made from `random`, for a new room.
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

/// Characters that nobody sees, or that only change how others are shown: by Unicode 16's
/// `DerivedCoreProperties.txt` those that are `Default_Ignorable_Code_Point`, less the [`JOINERS`];
/// and the separators of lines and paragraphs, the marks of annotations and the empty Braille
/// pattern, which are not among them.
const UNSEEN: [RangeInclusive<char>; 18] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200b}',
    // Marks of direction, and line and paragraph separators, embeddings and overrides.
    '\u{200e}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    // Word joiners, isolates, and what is out of use.
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    // Tags and further selectors of variants.
    '\u{e0000}'..='\u{e0fff}',
];

/// Unseen as well, but Persian words and many pictures are written with them: joiners, and
/// selectors of variants.
const JOINERS: [RangeInclusive<char>; 2] = ['\u{200c}'..='\u{200d}', '\u{fe00}'..='\u{fe0f}'];

/// `name` as others may be shown it: nothing but what can be shown, and no longer than
/// [`MAX_NAME_CHARS`].
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

/// Whether two names look the same to a reader: capitals do not count.
#[must_use]
pub fn is_same_name(one: &str, other: &str) -> bool {
    one.chars().flat_map(char::to_lowercase).eq(other.chars().flat_map(char::to_lowercase))
}

/// What a peer is called whose name `number` peers of the room would have: with the number behind
/// it, and not longer than [`MAX_NAME_CHARS`].
#[must_use]
pub fn numbered_name(name: &str, number: usize) -> String {
    let number = format!(" {number}");
    let most = MAX_NAME_CHARS.saturating_sub(number.len());
    let shortened: String = name.chars().take(most).collect();
    format!("{}{number}", shortened.trim_end())
}

/// Whether a game, version, region or skill may be called so; empty stands for none.
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
            // An override, spaces without a width, isolates, a mark of the order of bytes, a
            // filler, a tag.
            ("Ann\u{202e}nnA", "AnnnnA"),
            ("\u{200b}A\u{2066}n\u{2069}n\u{feff}", "Ann"),
            ("\u{ad}\u{61c}\u{3164}\u{2028}\u{e0041}\u{2800}", ""),
            (" \u{200b} Ann \u{200b} ", "Ann"),
            // What only changes or joins its neighbours stays, but is no name.
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
