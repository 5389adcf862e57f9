//! The failure screen: what went wrong, in one sentence, and what to do next.

use bevy::prelude::*;

use super::choice::Choice;
use super::current_match::{CurrentMatch, Failure, Remedy};
use super::hints::{IN_FAILURE, hint_in};
use super::items::{Item, spawn_item};
use super::widgets::{LARGE, NORMAL, SMALL, label, panel, sentence, spawn_page};
use crate::present::palette::{DANGER, TEXT};
use crate::room_address::{RoomAddress, RoomKind};
use crate::screen::Screen;

pub(super) fn build(mut commands: Commands, screen: Res<Screen>, current: Res<CurrentMatch>) {
    if *screen != Screen::Failure {
        return;
    }
    let Some(Failure { heading, reason, remedy }) = &current.failure else { return };
    spawn_page(&mut commands, Screen::Failure, |page| {
        page.spawn(panel(560.0)).with_children(|panel| {
            panel.spawn(label(heading, LARGE, DANGER));
            panel.spawn((
                label(sentence(reason), NORMAL, TEXT),
                Node { margin: UiRect::vertical(px(8)), ..default() },
            ));
            let is_told = |address: &&RoomAddress| address.has_name() && current.host.is_none();
            if let Some(address) = current.address().filter(is_told) {
                panel.spawn(label(
                    format!("Room {} on {}", address.room, address.server),
                    SMALL,
                    TEXT,
                ));
            }
            for (order, (choice, words)) in (0..).zip(ways_on(&current, *remedy)) {
                spawn_item(panel, Item { choice, order }, words);
            }
            panel.spawn(hint_in(IN_FAILURE));
        });
    });
}

/// The ways on from a failure: what helps most comes first, and has the focus.
fn ways_on(current: &CurrentMatch, remedy: Remedy) -> Vec<(Choice, &'static str)> {
    let mut ways = Vec::new();
    if current.kind.is_some() {
        ways.push((Choice::TryAgain, "Try again"));
    }
    if current.address().is_some_and(|address| address.kind == RoomKind::Existing) {
        ways.push((Choice::OpenJoin, "Another code, or the list"));
    }
    ways.push((Choice::Leave, "Menu"));
    let first = match remedy {
        Remedy::TryAgain => Choice::TryAgain,
        Remedy::AnotherRoom => Choice::OpenJoin,
        Remedy::Menu => Choice::Leave,
    };
    ways.sort_by_key(|(choice, _)| *choice != first);
    ways
}

#[cfg(test)]
mod tests {
    use netcode::TransportError;
    use netcode::prelude::*;
    use signaling::protocol::Refusal;

    use super::super::current_match::MatchKind;
    use super::super::rig::Rig;
    use super::*;

    /// The choices after the player failed to get into `address`, or was thrown out of it.
    fn choices(address: RoomAddress, error: TransportError) -> Vec<Choice> {
        let mut rig = Rig::new((1280, 720));
        rig.resource::<CurrentMatch>().kind = Some(MatchKind::Online(address));
        let to = SessionState::Ended(error.into());
        rig.app.world_mut().write_message(SessionChanged { from: SessionState::Connecting, to });
        rig.settle();
        assert_eq!(*rig.resource::<Screen>(), Screen::Failure);
        rig.assert_fits("a failure");
        let choices = rig.choices();
        assert_eq!(rig.focused().as_ref(), choices.first());
        choices
    }

    #[test]
    fn after_a_wrong_code_another_one_can_be_typed() {
        let address = RoomAddress::named("ws://127.0.0.1:3536", "DAM3R").existing();
        let words = Refusal::NoSuchRoom.sentence().to_owned();
        let refused = choices(address.clone(), TransportError::Refused(words));
        assert_eq!(refused, [Choice::OpenJoin, Choice::TryAgain, Choice::Leave]);
        let full = choices(address, TransportError::Refused("The room is full.".into()));
        assert_eq!(full, [Choice::TryAgain, Choice::OpenJoin, Choice::Leave]);
    }

    #[test]
    fn a_player_that_was_removed_is_not_invited_to_try_again_at_once() {
        let address = RoomAddress::named("ws://127.0.0.1:3536", "DAM3R");
        let removed = choices(address.clone(), TransportError::Kicked);
        assert_eq!(removed, [Choice::Leave, Choice::TryAgain]);
        let closed = choices(address, TransportError::Closed);
        assert_eq!(closed, [Choice::TryAgain, Choice::Leave]);
    }
}
