//! The results: who won, how many rounds, and whether to play again.

use bevy::prelude::*;
use netcode::prelude::*;

use super::choice::Choice;
use super::current_match::{CurrentMatch, MatchKind};
use super::items::{Item, spawn_item};
use super::widgets::{
    LARGE, NORMAL, SMALL, centred_label, divider, label, panel, sentence, set_text, shortened,
    spawn_page,
};
use crate::present::palette::{TEXT, TEXT_QUIET, seat_color};
use crate::screen::Screen;

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
            let (headline, color) = match outcome
                .winner
                .and_then(|seat| outcome.seats.get(usize::from(seat)).zip(Some(seat)))
            {
                Some(((name, _), seat)) => {
                    (format!("{} wins", shortened(name, 18)), seat_color(seat))
                }
                None => ("A draw".to_owned(), TEXT),
            };
            panel.spawn(centred_label(headline, LARGE * 1.4, color));
            panel.spawn(divider());
            let mut order: Vec<_> = (0_u8..).zip(&outcome.seats).collect();
            order.sort_by_key(|(seat, (_, score))| (std::cmp::Reverse(*score), *seat));
            for (seat, (name, score)) in order {
                let line = Node {
                    justify_content: JustifyContent::SpaceBetween,
                    column_gap: px(20),
                    ..default()
                };
                panel.spawn(line).with_children(|line| {
                    line.spawn(label(shortened(name, 20), LARGE * 0.85, seat_color(seat)));
                    line.spawn(label(score.to_string(), LARGE * 0.85, seat_color(seat)));
                });
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
        sentence(&format!("{} {want} a rematch", ready.join(" and ")))
    };
    for mut text in &mut texts {
        set_text(&mut text, &line);
    }
}
