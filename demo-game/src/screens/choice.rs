//! What a player can choose on the screens.

use bevy::prelude::*;
use netcode::PeerId;

/// Maximum number of bots in a match: one for each seat but the player's own.
const MAX_BOTS: u8 = 3;

/// What a player can choose on any screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Open a new room.
    PlayOnline {
        /// Whether it is listed from the start.
        is_public: bool,
    },
    /// Have new rooms listed from the start, or not.
    SetPublic(bool),
    /// Go to the screen on which a code is typed.
    OpenJoin,
    /// Join the room that was typed.
    JoinTyped,
    /// Join the room in this line of the list.
    JoinListed(u8),
    /// Let nobody else into our room, or let others in again.
    ToggleLock,
    /// Have our room listed, or no longer.
    TogglePublic,
    /// Start choosing a player to kick from our room, or stop.
    SetKicking(bool),
    /// Kick this player from our room.
    Kick(PeerId),
    /// Play with strangers, in a match of this many players.
    QuickMatch(u8),
    /// Prefer this many players in a match with strangers.
    SetStrangers(u8),
    /// Open a room on this machine.
    Host,
    /// Play with two players on this keyboard.
    PlayHere,
    /// Play against this many bots.
    AgainstBots(u8),
    /// Prefer this many bots.
    SetBots(u8),
    /// Use the typed name.
    Rename,
    /// Close the window.
    Quit,
    /// Be ready, or no longer.
    ToggleReady,
    /// Sit out the next match, or play after all.
    ToggleSitOut,
    /// Copy the room's link to the clipboard.
    CopyLink,
    /// Play the same kind of match again.
    Rematch,
    /// Join the same room again.
    TryAgain,
    /// Pause the match, or go on with it.
    SetPaused(bool),
    /// Leave the match, and stay in the room.
    LeaveMatch,
    /// Leave the screen, the room or the match: what Esc does.
    Leave,
    /// Ask for the text of this field in a prompt of the page.
    AskFor(Entity),
}

impl Choice {
    /// The choice that left (−1) or right (1) leads to, if any.
    pub(super) fn adjusted(self, turn: i32) -> Option<Self> {
        match self {
            Self::AgainstBots(bots) if turn != 0 => {
                let wanted = i32::from(bots) + turn;
                u8::try_from(wanted)
                    .ok()
                    .filter(|bots| (1..=MAX_BOTS).contains(bots))
                    .map(Self::SetBots)
            }
            Self::QuickMatch(players) if turn != 0 => u8::try_from(i32::from(players) + turn)
                .ok()
                .filter(|players| (2..=MAX_BOTS + 1).contains(players))
                .map(Self::SetStrangers),
            Self::PlayOnline { is_public } if turn != 0 => Some(Self::SetPublic(!is_public)),
            _ => None,
        }
    }

    /// Whether left and right change it.
    pub(super) fn is_adjustable(self) -> bool {
        matches!(self, Self::AgainstBots(_) | Self::PlayOnline { .. } | Self::QuickMatch(_))
    }

    /// Whether its item has a frame even without the focus: it is the main choice of its screen.
    pub(super) fn is_framed(self) -> bool {
        matches!(self, Self::ToggleReady | Self::JoinTyped | Self::Rematch | Self::TryAgain)
    }
}

/// The player chose something.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen(pub(super) Choice);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_against_bots_has_one_to_three_bots() {
        assert_eq!(Choice::AgainstBots(1).adjusted(1), Some(Choice::SetBots(2)));
        assert_eq!(Choice::AgainstBots(1).adjusted(-1), None);
        assert_eq!(Choice::AgainstBots(3).adjusted(1), None);
        assert_eq!(Choice::PlayHere.adjusted(1), None);
    }

    #[test]
    fn a_quick_match_is_for_two_to_four_players() {
        assert_eq!(Choice::QuickMatch(2).adjusted(1), Some(Choice::SetStrangers(3)));
        assert_eq!(Choice::QuickMatch(2).adjusted(-1), None);
        assert_eq!(Choice::QuickMatch(4).adjusted(1), None);
    }

    #[test]
    fn left_and_right_decide_whether_a_new_room_is_listed() {
        let [private, public] = [false, true].map(|is_public| Choice::PlayOnline { is_public });
        assert_eq!(private.adjusted(1), Some(Choice::SetPublic(true)));
        assert_eq!(public.adjusted(-1), Some(Choice::SetPublic(false)));
        assert!(private.is_adjustable() && !Choice::PlayHere.is_adjustable());
    }
}
