//! The score line of a match: the players with their rounds, shields and dashes, the number of the
//! round, and the button that leaves.

use bevy::prelude::*;
use netcode::RosterSeat;
use netcode::prelude::*;

use super::choice::Choice;
use super::hints::LEAVE_MATCH;
use super::items::{Item, spawn_item};
use super::seat_news::SeatNews;
use super::widgets::{Hairline, LARGE, SMALL, Shaped, label, set_text, shortened, wrap_if_tall};
use crate::present::bodies::dash_readiness;
use crate::present::palette::{TEXT_QUIET, seat_color};
use crate::sim::{MatchState, Ship};
use crate::view::{SCORE_LINE, View};

/// Length of the longest name in the score line.
const NAME_SHOWN: usize = 11;
/// The same in a tall window.
const NAME_SHOWN_IF_TALL: usize = 7;
/// How opaque the name of a player who is away or gone is.
const GONE_ALPHA: f32 = 0.6;
/// Width of the bar that shows the dash, in layout units.
const DASH_BAR: f32 = 46.0;

/// The score text of a seat.
#[derive(Component)]
pub(super) struct ScoreText(u8);

/// The name of a seat's player.
#[derive(Component)]
pub(super) struct SeatName(u8);

/// The bar that shows how far a seat's dash has recovered.
#[derive(Component)]
pub(super) struct DashBar(u8);

/// The spot that shows whether a seat has its shield.
#[derive(Component)]
pub(super) struct ShieldSpot(u8);

/// The round's number.
#[derive(Component)]
pub(super) struct RoundText;

pub(super) fn spawn_score_line(page: &mut ChildSpawnerCommands, roster: &Roster) {
    let line = Node {
        width: percent(100),
        min_height: px(SCORE_LINE),
        padding: UiRect::axes(px(10), px(3)),
        column_gap: px(10),
        align_items: AlignItems::Center,
        justify_content: JustifyContent::SpaceBetween,
        ..default()
    };
    page.spawn((Shaped(wrap_if_tall), line)).with_children(|line| {
        let seats = Node { column_gap: px(22), row_gap: px(2), ..default() };
        line.spawn((Shaped(wrap_if_tall), seats)).with_children(|seats| {
            for seat in roster.seats() {
                spawn_seat(seats, seat);
            }
        });
        line.spawn(Node { column_gap: px(12), align_items: AlignItems::Center, ..default() })
            .with_children(|right| {
                right.spawn((RoundText, label("", SMALL, TEXT_QUIET)));
                let item = spawn_item(right, Item { choice: Choice::Leave, order: 0 }, " ");
                let node = Node {
                    padding: UiRect::axes(px(10), px(4)),
                    border_radius: BorderRadius::all(px(6)),
                    ..default()
                };
                right.commands().entity(item).insert((LEAVE_MATCH, Hairline, node));
            });
    });
}

fn spawn_seat(line: &mut ChildSpawnerCommands, seat: &RosterSeat) {
    let color = seat_color(seat.seat.0);
    line.spawn(Node { column_gap: px(8), align_items: AlignItems::Center, ..default() })
        .with_children(|cell| {
            cell.spawn((
                ShieldSpot(seat.seat.0),
                Node {
                    width: px(12),
                    height: px(12),
                    border: UiRect::all(px(2)),
                    border_radius: BorderRadius::MAX,
                    ..default()
                },
                BackgroundColor(color),
                BorderColor::all(color),
            ));
            cell.spawn(Node { flex_direction: FlexDirection::Column, row_gap: px(2), ..default() })
                .with_children(|column| {
                    column.spawn((SeatName(seat.seat.0), label("", SMALL, color)));
                    column
                        .spawn((
                            Node { width: px(DASH_BAR), height: px(3), ..default() },
                            BackgroundColor(color.with_alpha(0.2)),
                        ))
                        .with_child((
                            DashBar(seat.seat.0),
                            Node { width: percent(100), height: percent(100), ..default() },
                            BackgroundColor(color),
                        ));
                });
            cell.spawn((ScoreText(seat.seat.0), label("0", LARGE, color)));
        });
}

pub(super) fn refresh_scores(
    state: Option<Res<MatchState>>,
    ships: Query<&Ship>,
    mut scores: Query<(&ScoreText, &mut Text), Without<RoundText>>,
    mut rounds: Query<&mut Text, With<RoundText>>,
    mut bars: Query<(&DashBar, &mut Node)>,
    mut spots: Query<(&ShieldSpot, &mut BackgroundColor, &mut BorderColor)>,
) {
    let Some(state) = state else { return };
    let ship_of = |seat: u8| ships.iter().find(|ship| ship.seat == seat);
    for (score, mut text) in &mut scores {
        set_text(
            &mut text,
            &state.scores.get(usize::from(score.0)).copied().unwrap_or(0).to_string(),
        );
    }
    for mut text in &mut rounds {
        set_text(&mut text, &format!("Round {}", state.round));
    }
    for (bar, mut node) in &mut bars {
        let width = percent((ship_of(bar.0).map_or(0.0, dash_readiness) * 100.0).round());
        if node.width != width {
            node.width = width;
        }
    }
    for (spot, mut ground, mut border) in &mut spots {
        let color = seat_color(spot.0);
        let ship = ship_of(spot.0);
        let has_shield = ship.is_some_and(Ship::has_shield);
        ground.set_if_neq(BackgroundColor(if has_shield { color } else { Color::NONE }));
        border.set_if_neq(BorderColor::all(if ship.is_some() {
            color
        } else {
            color.with_alpha(0.25)
        }));
    }
}

pub(super) fn refresh_names(
    (roster, news): (Res<Roster>, Res<SeatNews>),
    (frame, config): (Res<SimFrame>, Res<NetcodeConfig>),
    view: Res<View>,
    mut names: Query<(&SeatName, &mut Text, &mut TextColor)>,
) {
    let most = if view.is_tall() { NAME_SHOWN_IF_TALL } else { NAME_SHOWN };
    for (seat, mut text, mut color) in &mut names {
        let Some(player) = roster.seats().iter().find(|player| player.seat.0 == seat.0) else {
            set_text(&mut text, "");
            continue;
        };
        let mark = match player.state {
            SeatState::Away => {
                format!("{} s", news.kept_for(player.seat, frame.0, &config))
            }
            SeatState::Empty => "left".to_owned(),
            _ => String::new(),
        };
        let (line, alpha) = if mark.is_empty() {
            (shortened(&player.name, most), 1.0)
        } else if view.is_tall() {
            (mark, GONE_ALPHA)
        } else {
            let room = most.saturating_sub(mark.len() + 1);
            (format!("{} {mark}", shortened(&player.name, room)), GONE_ALPHA)
        };
        set_text(&mut text, &line);
        color.set_if_neq(TextColor(seat_color(seat.0).with_alpha(alpha)));
    }
}
