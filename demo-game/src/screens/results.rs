//! The results: who won, how many rounds, and whether to play again.

use std::cmp::Reverse;

use bevy::prelude::*;
use netcode::prelude::*;

use super::choice::Choice;
use super::current_match::{CurrentMatch, MatchKind, Outcome, SeatOutcome};
use super::items::{Item, spawn_item};
use super::widgets::{
    LARGE, NORMAL, SMALL, centred_label, divider, hint, label, listed, panel, sentence, set_text,
    shortened, spawn_page,
};
use crate::present::palette::{TEXT, TEXT_QUIET, seat_color};
use crate::screen::Screen;

/// Characters of a headline that can be large and still fits into one line in a tall window. A
/// longer one has at most 21 characters and is smaller, so that it fits too.
const SHORT_HEADLINE: usize = 15;

/// The line about the other players in the room.
#[derive(Component)]
pub(super) struct OthersLine;

pub(super) fn build(mut commands: Commands, screen: Res<Screen>, current: Res<CurrentMatch>) {
    if *screen != Screen::Results {
        return;
    }
    let Some(outcome) = &current.outcome else { return };
    spawn_page(&mut commands, Screen::Results, |page| {
        page.spawn(panel(520.0)).with_children(|panel| {
            let (headline, color) = headline(outcome);
            let size = if headline.len() <= SHORT_HEADLINE { LARGE * 1.4 } else { LARGE };
            panel.spawn(centred_label(headline, size, color));
            panel.spawn(divider());
            let mut order: Vec<_> = (0_u8..).zip(&outcome.seats).collect();
            order.sort_by_key(|(seat, player)| (Reverse(player.rounds), *seat));
            for (seat, player) in order {
                spawn_player(panel, player, seat_color(seat));
            }
            panel.spawn(divider());
            if matches!(current.kind, Some(MatchKind::Online(_))) {
                panel.spawn((OthersLine, centred_label(" ", SMALL, TEXT_QUIET)));
            }
            spawn_item(panel, Item { choice: Choice::Rematch, order: 0 }, "Rematch");
            spawn_item(panel, Item { choice: Choice::Leave, order: 1 }, "Back to the menu");
        });
        page.spawn(label(" ", NORMAL, TEXT_QUIET));
    });
}

/// Says who won, and in which colour.
fn headline(outcome: &Outcome) -> (String, Color) {
    let winner = outcome.winner.and_then(|seat| {
        let player = outcome.seats.get(usize::from(seat))?;
        Some((player, seat_color(seat)))
    });
    let Some((player, color)) = winner else { return ("A draw".to_owned(), TEXT) };
    let name = match player.absence {
        Some(absence) => format!("{} {}", shortened(&player.name, 9), absence.mark()),
        None => shortened(&player.name, 16),
    };
    (format!("{name} wins"), color)
}

/// Spawns the name of a player, the rounds that its ship won, and how the player was missing at the
/// end.
fn spawn_player(panel: &mut ChildSpawnerCommands, player: &SeatOutcome, color: Color) {
    let line =
        Node { justify_content: JustifyContent::SpaceBetween, column_gap: px(20), ..default() };
    panel.spawn(line).with_children(|line| {
        line.spawn(Node { flex_direction: FlexDirection::Column, ..default() }).with_children(
            |column| {
                column.spawn(label(shortened(&player.name, 20), LARGE * 0.85, color));
                if let Some(absence) = player.absence {
                    column.spawn(hint(absence.to_string()));
                }
            },
        );
        line.spawn(label(player.rounds.to_string(), LARGE * 0.85, color));
    });
}

/// Shows which of the other players want a rematch.
pub(super) fn refresh(lobby: Res<Lobby>, mut texts: Query<&mut Text, With<OthersLine>>) {
    let players = || lobby.peers.iter().filter(|peer| !peer.is_spectator);
    let ready: Vec<_> =
        players().filter(|peer| peer.is_ready).map(|peer| shortened(&peer.name, 18)).collect();
    let line = if players().next().is_none() {
        "Everybody else has left.".to_owned()
    } else if ready.is_empty() {
        "Nobody has asked for a rematch yet.".to_owned()
    } else {
        let want = if ready.len() == 1 { "wants" } else { "want" };
        sentence(&format!("{} {want} a rematch", listed(&ready)))
    };
    for mut text in &mut texts {
        set_text(&mut text, &line);
    }
}

#[cfg(test)]
mod tests {
    use SeatState::{Away, Empty, Peer};

    use super::super::rig::{Rig, Shown, WINDOWS};
    use super::*;
    use crate::room_address::RoomAddress;
    use crate::sim::{MatchState, Phase};
    use crate::view::View;

    /// Shows the results of a match that `winner` won, and whose seats have had these states from
    /// these frames on.
    fn show_results(rig: &mut Rig, winner: u8, changes: &[(u32, [SeatState; 4])]) {
        rig.show_full_match();
        rig.resource::<CurrentMatch>().kind =
            Some(MatchKind::Online(RoomAddress::named("ws://h:1", "DAM3R")));
        for (frame, states) in changes {
            rig.change_seats(*frame, states);
        }
        let mut state = rig.resource::<MatchState>();
        state.phase = Phase::MatchOver { winner: Some(winner) };
        state.scores = [1, 4, 3, 0];
        state.scores[usize::from(winner)] = 5;
        rig.app.world_mut().run_schedule(FinishedMatch);
        rig.show(Screen::Results);
    }

    #[test]
    fn the_results_name_everybody_who_was_missing_and_since_when() {
        for window in WINDOWS {
            let mut rig = Rig::new(window);
            let away = (48 * 60, [Peer, Peer, Away, Away]);
            let left = (83 * 60, [Peer, Empty, Away, Away]);
            let gone = (84 * 60, [Peer, Empty, Empty, Away]);
            show_results(&mut rig, 0, &[away, left, gone]);
            rig.assert_fits(&format!("results in {window:?}"));
            let texts: Vec<_> = rig.texts().into_iter().map(|shown| shown.what).collect();
            let after = |name: &str| {
                let name = texts.iter().position(|text| text == name).unwrap();
                texts[name + 1].as_str()
            };
            assert_eq!(after("Bartholomew Long"), "left at 1:23", "{window:?}");
            assert_eq!(after("Maximilian Longs"), "away since 0:48", "{window:?}");
            assert_eq!(after("Wilhelmina Longe"), "gone since 0:48", "{window:?}");
            assert_eq!(after("Marguerite Long!"), "5", "{window:?}");
            assert!(rig.text("Marguerite Long! wins").is_some());
        }
    }

    #[test]
    fn a_winner_who_was_missing_is_marked() {
        for window in WINDOWS {
            for (state, mark) in [(Empty, "(left)"), (Away, "(away)"), (Peer, "Long wins")] {
                let mut rig = Rig::new(window);
                show_results(&mut rig, 1, &[(60, [Peer, state, Peer, Peer])]);
                rig.assert_fits(&format!("a winner with {mark} in {window:?}"));
                let Shown { what, area } = rig.text("wins").unwrap();
                assert!(what.contains(mark), "{what}");
                let line = LARGE * 1.3 * rig.resource::<View>().ui_scale;
                assert!(area.height() < line, "{what} needs more than a line in {window:?}");
            }
        }
    }

    #[test]
    fn the_results_of_full_matches_mark_nobody() {
        let mut rig = Rig::new(WINDOWS[2]);
        show_results(&mut rig, 1, &[(60, [Peer, Away, Peer, Peer]), (90, [Peer; 4])]);
        rig.assert_fits("results");
        for mark in ["left at", "(left)", "away", "since"] {
            assert!(rig.text(mark).is_none(), "{mark}");
        }
    }
}
