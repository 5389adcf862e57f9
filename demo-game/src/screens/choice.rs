//! What a player can choose on the screens.

use bevy::prelude::*;
use netcode::PeerId;

/// Most bots that one can play against: the seats that are left.
const MAX_BOTS: u8 = 3;

/// What a player can choose on any screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Open a new room.
    PlayOnline {
        /// Whether it is listed from the beginning.
        is_public: bool,
    },
    /// Have new rooms listed from the beginning, or not.
    SetPublic(bool),
    /// Navigator to where a code is typed.
    OpenJoin,
    /// Join what was typed.
    JoinTyped,
    /// Join the room in this place of the list.
    JoinListed(u8),
    /// Let nobody else into our room, or let others in again.
    ToggleLock,
    /// Have our room listed, or no longer.
    TogglePublic,
    /// Choose whom to send out of our room, or nobody after all.
    SetKicking(bool),
    /// Send this player out of our room.
    Kick(PeerId),
    /// Be brought together with strangers, for a match of so many.
    QuickMatch(u8),
    /// Prefer so many players in it.
    SetStrangers(u8),
    /// Open a room on this machine.
    Host,
    /// Two on this keyboard.
    PlayHere,
    /// Against this many bots.
    AgainstBots(u8),
    /// Prefer this many bots.
    SetBots(u8),
    /// Take over the typed name.
    Rename,
    /// Close the window.
    Quit,
    /// Be ready, or no longer.
    ToggleReady,
    /// Take no part in the next match, or take part after all.
    ToggleSitOut,
    /// Put the room's link onto the clipboard.
    CopyLink,
    /// The same again.
    Rematch,
    /// Join the same room again.
    TryAgain,
    /// Back, out, away: what Esc does.
    Leave,
    /// Ask for the text of this field in the page's own way.
    AskFor(Entity),
}

impl Choice {
    /// What left (−1) and right (1) make of it, where they change something.
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

    /// Whether left and right change something.
    pub(super) fn is_adjustable(self) -> bool {
        matches!(self, Self::AgainstBots(_) | Self::PlayOnline { .. } | Self::QuickMatch(_))
    }

    /// Whether its item has a frame also without focus: the one thing that the screen is for.
    pub(super) fn is_framed(self) -> bool {
        matches!(self, Self::ToggleReady | Self::JoinTyped | Self::Rematch | Self::TryAgain)
    }
}

/// Somebody chose something.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen(pub(super) Choice);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_least_one_bot_and_at_most_three() {
        assert_eq!(Choice::AgainstBots(1).adjusted(1), Some(Choice::SetBots(2)));
        assert_eq!(Choice::AgainstBots(1).adjusted(-1), None);
        assert_eq!(Choice::AgainstBots(3).adjusted(1), None);
        assert_eq!(Choice::PlayHere.adjusted(1), None);
    }

    #[test]
    fn a_quick_match_is_for_two_to_four() {
        assert_eq!(Choice::QuickMatch(2).adjusted(1), Some(Choice::SetStrangers(3)));
        assert_eq!(Choice::QuickMatch(2).adjusted(-1), None);
        assert_eq!(Choice::QuickMatch(4).adjusted(1), None);
    }

    #[test]
    fn a_new_room_is_listed_or_not_before_it_is_made() {
        let [private, public] = [false, true].map(|is_public| Choice::PlayOnline { is_public });
        assert_eq!(private.adjusted(1), Some(Choice::SetPublic(true)));
        assert_eq!(public.adjusted(-1), Some(Choice::SetPublic(false)));
        assert!(private.is_adjustable() && !Choice::PlayHere.is_adjustable());
    }
}
