//! The score line of a match: the players with their rounds, shields and dashes, the number of the
//! round, and the button that leaves.

use bevy::prelude::*;
use netcode::RosterSeat;
use netcode::prelude::*;

use super::choice::Choice;
use super::hints::{LEAVE_MATCH, PAUSE_MATCH};
use super::items::{Item, spawn_item};
use super::seat_news::kept_for;
use super::widgets::{Hairline, LARGE, SMALL, Shaped, label, set_text, shortened, wrap_if_tall};
use crate::present::bodies::dash_readiness;
use crate::present::palette::{TEXT_QUIET, WARNING, seat_color};
use crate::sim::{MatchState, SeatTimes, Ship};
use crate::view::{SCORE_LINE, View};

/// Length of the longest name in the score line.
const NAME_SHOWN: usize = 11;
/// The same in a tall window.
const NAME_SHOWN_IF_TALL: usize = 7;
/// How opaque the name of a player who is away is.
const AWAY_ALPHA: f32 = 0.6;
/// Width of the bar that shows the dash, in layout units.
const DASH_BAR: f32 = 46.0;

/// The score text of a seat.
#[derive(Component)]
pub(super) struct ScoreText(u8);

/// The name of a seat's player.
#[derive(Component)]
pub(super) struct SeatName(u8);

/// What is to be known of a seat that nobody plays, in place of its dash: for how long it is kept
/// for its player, or that the player left.
#[derive(Component)]
pub(super) struct SeatMark(u8);

/// The frame of the bar that shows a seat's dash.
#[derive(Component)]
pub(super) struct DashFrame(u8);

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
                let buttons =
                    [(1, Choice::SetPaused(true), PAUSE_MATCH), (0, Choice::Leave, LEAVE_MATCH)];
                for (order, choice, words) in buttons {
                    let item = spawn_item(right, Item { choice, order }, " ");
                    let node = Node {
                        padding: UiRect::axes(px(10), px(4)),
                        border_radius: BorderRadius::all(px(6)),
                        ..default()
                    };
                    right.commands().entity(item).insert((words, Hairline, node));
                }
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
            cell.spawn(Node { flex_direction: FlexDirection::Column, ..default() }).with_children(
                |column| {
                    column.spawn((SeatName(seat.seat.0), label("", SMALL, color)));
                    column.spawn((SeatMark(seat.seat.0), label("", SMALL, TEXT_QUIET)));
                    let margin = UiRect::top(px(2));
                    column
                        .spawn((
                            DashFrame(seat.seat.0),
                            Node { width: px(DASH_BAR), height: px(3), margin, ..default() },
                            BackgroundColor(color.with_alpha(0.2)),
                        ))
                        .with_child((
                            DashBar(seat.seat.0),
                            Node { width: percent(100), height: percent(100), ..default() },
                            BackgroundColor(color),
                        ));
                },
            );
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

/// Shows the name of each player: in the colour of its ship while it plays, dimmed while it is
/// away, and without the colour once it has left.
pub(super) fn refresh_names(
    roster: Res<Roster>,
    view: Res<View>,
    mut names: Query<(&SeatName, &mut Text, &mut TextColor)>,
) {
    let most = if view.is_tall() { NAME_SHOWN_IF_TALL } else { NAME_SHOWN };
    for (seat, mut text, mut color) in &mut names {
        let Some(player) = roster.seats().iter().find(|player| player.seat.0 == seat.0) else {
            set_text(&mut text, "");
            continue;
        };
        set_text(&mut text, &shortened(&player.name, most));
        color.set_if_neq(TextColor(match player.state {
            SeatState::Away => seat_color(seat.0).with_alpha(AWAY_ALPHA),
            SeatState::Empty => TEXT_QUIET,
            _ => seat_color(seat.0),
        }));
    }
}

/// Marks the seats that nobody plays.
pub(super) fn refresh_marks(
    (times, frame, config): (Res<SeatTimes>, Res<SimFrame>, Res<NetcodeConfig>),
    mut marks: Query<(&SeatMark, &mut Text, &mut TextColor, &mut Node), Without<DashFrame>>,
    mut frames: Query<(&DashFrame, &mut Node)>,
) {
    let show = |node: &mut Mut<Node>, is_shown| {
        let display = if is_shown { Display::Flex } else { Display::None };
        if node.display != display {
            node.display = display;
        }
    };
    for (seat, mut text, mut color, mut node) in &mut marks {
        let time = times.of(Seat(seat.0));
        let (mark, mark_color) = match time.state {
            SeatState::Away => (format!("away {} s", kept_for(time, frame.0, &config)), WARNING),
            SeatState::Empty => ("left".to_owned(), TEXT_QUIET),
            _ => (String::new(), TEXT_QUIET),
        };
        set_text(&mut text, &mark);
        color.set_if_neq(TextColor(mark_color));
        show(&mut node, !mark.is_empty());
    }
    for (seat, mut node) in &mut frames {
        let state = times.of(Seat(seat.0)).state;
        show(&mut node, !matches!(state, SeatState::Away | SeatState::Empty));
    }
}

#[cfg(test)]
mod tests {
    use SeatState::{Away, Empty, Peer};

    use super::super::rig::{Rig, Shown, WINDOWS};
    use super::*;
    use crate::sim::tuning::ARENA_HALF;

    /// The names in the match of the rig.
    const NAMES: [&str; 4] = ["Marguer", "Barthol", "Wilhelm", "Maximil"];

    /// Shows a match of which the second player is away and the third has left.
    fn show_departures(window: (u32, u32)) -> Rig {
        let mut rig = Rig::new(window);
        rig.show_full_match();
        rig.change_seats(300, &[Peer, Away, Empty, Peer]);
        rig.show_frame(300);
        rig
    }

    /// The names in the score line, by seat.
    fn names(rig: &mut Rig) -> Vec<Shown> {
        let in_line = |shown: &Shown, name: &str| {
            shown.what.starts_with(&name[..5]) && !shown.what.contains(' ')
        };
        let texts = rig.texts();
        let name = |name| texts.iter().find(|shown| in_line(shown, name)).cloned();
        NAMES.map(name).into_iter().flatten().collect()
    }

    #[test]
    fn a_player_who_is_away_or_gone_is_marked_and_keeps_the_name() {
        for window in WINDOWS {
            let mut rig = Rig::new(window);
            rig.show_full_match();
            let before = names(&mut rig);
            assert_eq!(before.len(), 4);
            let mut rig = show_departures(window);
            rig.assert_fits(&format!("departures in {window:?}"));
            let after = names(&mut rig);
            let what = |shown: &[Shown]| shown.iter().map(|it| it.what.clone()).collect::<Vec<_>>();
            assert_eq!(what(&after), what(&before), "{window:?}");
            assert!(rig.text("away 30 s").is_some() && rig.text("left").is_some());
            rig.show_frame(480);
            assert!(rig.text("away 27 s").is_some(), "{window:?}");
        }
    }

    #[test]
    fn away_and_gone_differ_at_a_glance() {
        let mut rig = show_departures(WINDOWS[0]);
        let world = rig.app.world_mut();
        let mut names = world.query::<(&SeatName, &TextColor)>();
        let mut marks = world.query::<(&SeatMark, &TextColor)>();
        let name = |seat| names.iter(world).find(|(name, _)| name.0 == seat).unwrap().1.0;
        let [ours, away, gone, other] = [0, 1, 2, 3].map(name);
        assert_eq!([ours, other], [0, 3].map(seat_color));
        assert_eq!(away.with_alpha(1.0), seat_color(1), "it is still that player's ship");
        assert!(away.alpha() < 0.8);
        assert_ne!(gone.with_alpha(1.0), seat_color(2));
        let mark = |seat| marks.iter(world).find(|(mark, _)| mark.0 == seat).unwrap().1.0;
        let [away, gone] = [1, 2].map(mark);
        assert_ne!(away, gone);
    }

    #[test]
    fn the_score_line_stays_above_the_arena() {
        for window in WINDOWS {
            let mut rig = Rig::new(window);
            rig.show_full_match();
            for states in [[Peer; 4], [Peer, Away, Empty, Peer], [Peer, Empty, Away, Empty]] {
                rig.change_seats(300, &states);
                rig.show_frame(600);
                let view = *rig.resource::<View>();
                for shown in names(&mut rig) {
                    let bottom = view.world_at(shown.area.max).y;
                    assert!(bottom >= ARENA_HALF.y, "{shown:?} in {window:?}: {bottom}");
                }
            }
        }
    }

    #[test]
    fn a_mark_goes_when_the_player_is_back() {
        let mut rig = show_departures(WINDOWS[3]);
        rig.change_seats(400, &[Peer, Peer, Empty, Peer]);
        rig.show_frame(401);
        assert!(rig.text("away").is_none());
        assert!(rig.text("left").is_some());
    }
}
