//! The match screen: the score line, announcements, and notices about the network.

use bevy::prelude::*;
use netcode::prelude::*;
use netcode::{LobbyPeer, OverlayState, RosterSeat};

use super::choice::Choice;
use super::current_match::{CurrentMatch, MatchKind};
use super::hints::{DESYNC, Device, FLYING, FLYING_TWO, LEAVE_MATCH, Wording};
use super::items::{Item, spawn_item};
use super::seat_news::SeatNews;
use super::widgets::{
    HUGE, Hairline, LARGE, SMALL, Shaped, centred_label, label, set_text, shortened, wrap_if_tall,
};
use crate::devices::UsedControls;
use crate::present::bodies::dash_readiness;
use crate::present::palette::{DANGER, PANEL, TEXT, TEXT_QUIET, WARNING, seat_color};
use crate::screen::{Screen, ScreenRoot};
use crate::sim::tuning::{
    COUNTDOWN_BEEP_FRAMES, COUNTDOWN_FRAMES, ROUNDS_TO_WIN, SUDDEN_DEATH_FRAMES,
};
use crate::sim::{MatchState, Phase, Ship};
use crate::view::{SCORE_LINE, THUMBS_SHARE, View};

/// Frames of the fight during which "GO" is shown.
const GO_FRAMES: u32 = 45;
/// Frames during which the beginning of sudden death is announced.
const SUDDEN_DEATH_SHOWN: u32 = 150;
/// Length of the longest name in the score line.
const NAME_SHOWN: usize = 11;
/// The same in a tall window.
const NAME_SHOWN_IF_TALL: usize = 7;
/// How opaque an announcement is: it can be read, and ships can be seen through it.
const BANNER_ALPHA: f32 = 0.7;
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

/// The large announcement over the arena.
#[derive(Component)]
pub(super) struct BannerText;

/// The line above the announcement: the player that the match waits for, a desync, or another
/// notice.
#[derive(Component)]
pub(super) struct NoticeText;

/// The box of that line. A desync stays on the screen: from then on, the other players see
/// something else.
#[derive(Component)]
pub(super) struct NoticeBox;

/// The line that explains how to fly.
#[derive(Component)]
pub(super) struct FlyingHint;

pub(super) fn build(mut commands: Commands, screen: Res<Screen>, roster: Res<Roster>) {
    if *screen != Screen::Match {
        return;
    }
    commands
        .spawn((
            ScreenRoot,
            Name::new("Match screen"),
            Node {
                width: percent(100),
                height: percent(100),
                flex_direction: FlexDirection::Column,
                row_gap: px(4),
                ..default()
            },
        ))
        .with_children(|page| {
            spawn_score_line(page, &roster);
            spawn_announcements(page);
            spawn_flying_hint(page);
        });
}

fn spawn_score_line(page: &mut ChildSpawnerCommands, roster: &Roster) {
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

/// A box for a line over the arena: small, and ships can be seen through it.
fn notice_box() -> impl Bundle {
    let node = Node {
        padding: UiRect::axes(px(10), px(2)),
        max_width: percent(92),
        border_radius: BorderRadius::all(px(6)),
        ..default()
    };
    (node, BackgroundColor(PANEL))
}

/// Spawns the announcements directly below the score line: fewest ships are there, and in a tall
/// window none.
fn spawn_announcements(page: &mut ChildSpawnerCommands) {
    let column = Node {
        flex_direction: FlexDirection::Column,
        align_items: AlignItems::Center,
        row_gap: px(4),
        ..default()
    };
    page.spawn(column).with_children(|column| {
        column
            .spawn((NoticeBox, notice_box()))
            .with_child((NoticeText, centred_label("", SMALL, WARNING)));
        column.spawn((BannerText, centred_label("", HUGE, TEXT)));
    });
}

/// Spawns the line that explains how to fly: below the arena in a tall window, above the thumbs.
fn spawn_flying_hint(page: &mut ChildSpawnerCommands) {
    let line = Node {
        position_type: PositionType::Absolute,
        width: percent(100),
        justify_content: JustifyContent::Center,
        ..default()
    };
    let place = Shaped(|node, is_tall| {
        node.bottom = if is_tall { percent(100.0 * THUMBS_SHARE) } else { px(8) };
    });
    page.spawn((place, line)).with_children(|line| {
        line.spawn(notice_box()).with_child((FlyingHint, FLYING, centred_label("", SMALL, TEXT)));
    });
}

/// Explains how to fly until the player has done it once.
pub(super) fn refresh_flying_hint(
    (used, current): (Res<UsedControls>, Res<CurrentMatch>),
    overlay: Res<OverlayState>,
    state: Option<Res<MatchState>>,
    mut hints: Query<(&mut Wording, &ChildOf), With<FlyingHint>>,
    mut boxes: Query<&mut Node>,
) {
    let is_flying = state.is_some_and(|state| {
        matches!(state.phase, Phase::Countdown | Phase::Fighting) && !used.are_known()
    });
    // The network overlay takes the same place.
    let is_shown = is_flying && !overlay.is_open;
    let display = if is_shown { Display::Flex } else { Display::None };
    let words = if current.kind == Some(MatchKind::Here) { FLYING_TWO } else { FLYING };
    for (mut wording, ChildOf(parent)) in &mut hints {
        wording.set_if_neq(words);
        if let Ok(mut node) = boxes.get_mut(*parent)
            && node.display != display
        {
            node.display = display;
        }
    }
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

/// The announcement of this frame, and its colour.
fn banner(state: &MatchState, name: impl Fn(u8) -> String) -> (String, Color) {
    match state.phase {
        Phase::Countdown => {
            let left =
                COUNTDOWN_FRAMES.saturating_sub(state.phase_frames).div_ceil(COUNTDOWN_BEEP_FRAMES);
            (left.to_string(), TEXT)
        }
        Phase::Fighting if state.phase_frames < GO_FRAMES => ("GO".to_owned(), TEXT),
        Phase::Fighting
            if (SUDDEN_DEATH_FRAMES..SUDDEN_DEATH_FRAMES + SUDDEN_DEATH_SHOWN)
                .contains(&state.phase_frames) =>
        {
            ("The star grows".to_owned(), WARNING)
        }
        Phase::Fighting => (String::new(), TEXT),
        Phase::RoundOver { winner: Some(seat) } => {
            (format!("Round to {}", name(seat)), seat_color(seat))
        }
        Phase::RoundOver { winner: None } => ("Nobody's round".to_owned(), TEXT),
        Phase::MatchOver { winner: Some(seat) } => {
            (format!("{} wins", name(seat)), seat_color(seat))
        }
        Phase::MatchOver { winner: None } => ("A draw".to_owned(), TEXT),
    }
}

pub(super) fn refresh_banner(
    state: Option<Res<MatchState>>,
    roster: Res<Roster>,
    mut texts: Query<(&mut Text, &mut TextColor, &mut TextFont), With<BannerText>>,
) {
    let Some(state) = state else { return };
    let name = |seat: u8| {
        let seat = roster.seats().iter().find(|candidate| candidate.seat.0 == seat);
        seat.map_or_else(String::new, |seat| shortened(&seat.name, 16))
    };
    let (sentence, color) = banner(&state, name);
    // A number is read at a glance, and gone at once; a sentence stays longer, and must not hide
    // ships.
    let size = if sentence.len() <= 2 { HUGE } else { LARGE };
    let color = color.with_alpha(BANNER_ALPHA);
    for (mut text, mut text_color, mut font) in &mut texts {
        set_text(&mut text, &sentence);
        text_color.set_if_neq(TextColor(color));
        if font.font_size != FontSize::Px(size) {
            font.font_size = FontSize::Px(size);
        }
    }
}

pub(super) fn refresh_notice(
    lobby: Res<Lobby>,
    stats: Res<SessionStats>,
    (current, device): (Res<CurrentMatch>, Res<Device>),
    overlay: Res<OverlayState>,
    state: Option<Res<MatchState>>,
    (roster, news, frame): (Res<Roster>, Res<SeatNews>, Res<SimFrame>),
    mut boxes: Query<&mut Node, With<NoticeBox>>,
    mut texts: Query<(&mut Text, &mut TextColor), With<NoticeText>>,
) {
    // Nobody waits for a player who is away.
    let plays = |peer: &&LobbyPeer| {
        let mut seats = roster.seats().iter().filter(|seat| seat.peer == Some(peer.id));
        peer.is_in_match && seats.all(|seat| seat.state == SeatState::Peer)
    };
    let names = |is_meant: fn(&LobbyPeer) -> bool| {
        let peers = lobby.peers.iter().filter(plays).filter(|peer| is_meant(peer));
        peers.map(|peer| shortened(&peer.name, 16)).collect::<Vec<_>>()
    };
    let (quiet, hidden) = (names(|peer| peer.is_quiet), names(|peer| peer.is_hidden));
    let (line, color) = if stats.desyncs > 0 {
        (DESYNC.on(*device).to_owned(), DANGER)
    } else if roster.seats().iter().any(|seat| seat.is_local && seat.state == SeatState::Away) {
        ("You were away. Catching up...".to_owned(), WARNING)
    } else if let Some(sentence) = news.sentence(frame.0) {
        (sentence.to_owned(), WARNING)
    } else if !quiet.is_empty() && current.address().is_some() {
        (format!("Waiting for {}...", quiet.join(" and ")), WARNING)
    } else if !hidden.is_empty() && current.address().is_some() {
        let are = if hidden.len() == 1 { "is" } else { "are" };
        (format!("{} {are} in another tab.", hidden.join(" and ")), WARNING)
    } else if let Some((name, _)) = LinkConditions::presets().get(overlay.preset)
        && overlay.preset > 0
        && !overlay.is_open
        && current.address().is_some()
    {
        // Otherwise the player wonders an hour later why everything is slow.
        (format!("Simulated bad network: {name}. Press F3, then 1, to end it."), WARNING)
    } else if state.is_some_and(|state| state.round == 1 && state.phase == Phase::Countdown) {
        (format!("First to {ROUNDS_TO_WIN} rounds. The last ship wins a round."), TEXT_QUIET)
    } else {
        (String::new(), WARNING)
    };
    let display = if line.is_empty() { Display::None } else { Display::Flex };
    for mut node in &mut boxes {
        if node.display != display {
            node.display = display;
        }
    }
    for (mut text, mut text_color) in &mut texts {
        set_text(&mut text, &line);
        text_color.set_if_neq(TextColor(color));
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::{Rig, WINDOWS};
    use super::*;
    use crate::input::Input;
    use crate::room_address::RoomAddress;

    #[test]
    fn everything_stays_on_the_screen_when_the_window_turns() {
        let mut rig = Rig::new(WINDOWS[0]);
        rig.show_full_match();
        for window in WINDOWS {
            rig.resize(window);
            rig.settle();
            assert_eq!(rig.choices(), [Choice::Leave]);
            rig.assert_fits(&format!("a match in {window:?}"));
        }
    }

    /// Four players, of whom the second is away and the third has left.
    fn show_departures(rig: &mut Rig) {
        rig.show_full_match();
        rig.resource::<CurrentMatch>().kind =
            Some(MatchKind::Online(RoomAddress::named("ws://h:1", "DAM3R")));
        rig.settle();
        let everybody = rig.resource::<Roster>().clone();
        let others = [SeatState::Peer, SeatState::Away, SeatState::Empty, SeatState::Peer];
        rig.resource::<SimFrame>().0 = 300;
        *rig.resource::<Roster>() = everybody.with_states(&others);
        rig.settle();
    }

    #[test]
    fn players_who_are_away_or_gone_are_marked_and_named() {
        for window in WINDOWS {
            let mut rig = Rig::new(window);
            show_departures(&mut rig);
            rig.assert_fits(&format!("departures in {window:?}"));
            assert!(rig.text("left").is_some());
            assert!(rig.text("30 s").is_some());
            rig.resource::<SimFrame>().0 = 480;
            rig.settle();
            assert!(rig.text("27 s").is_some());
            assert!(rig.text("A bot flies on.").is_some());
            rig.resource::<SimFrame>().0 = 560;
            rig.settle();
            assert!(rig.text("A bot flies on.").is_none(), "that is no news any more");
            let everybody = rig.resource::<Roster>().with_states(&[SeatState::Peer; 4]);
            *rig.resource::<Roster>() = everybody;
            rig.settle();
            assert!(rig.text("is back.").is_some());
        }
    }

    #[test]
    fn announcements_leave_the_arena_to_the_ships() {
        for window in WINDOWS {
            let mut rig = Rig::new(window);
            rig.show_full_match();
            let all = rig.window().size();
            for phase in [Phase::Countdown, Phase::Fighting, Phase::MatchOver { winner: Some(1) }] {
                rig.resource::<MatchState>().phase = phase;
                rig.settle();
                rig.assert_fits(&format!("{phase:?} in {window:?}"));
                let world = rig.app.world_mut();
                let mut banners = world.query_filtered::<(
                    &Text,
                    &TextColor,
                    &ComputedNode,
                    &UiGlobalTransform,
                ), With<BannerText>>();
                let (text, color, node, place) = banners.single(world).unwrap();
                let (text, bottom) = (text.0.clone(), place.translation.y + node.size().y * 0.5);
                assert!(!text.is_empty() && color.0.alpha() < 0.8, "{text}");
                assert!(bottom < all.y * 0.4, "{text} ends at {bottom} of {all}");
                assert!(node.size().y < all.y * 0.16, "{text}: {}", node.size());
            }
        }
    }

    #[test]
    fn how_to_fly_is_shown_until_the_player_has_flown() {
        for window in WINDOWS {
            let mut rig = Rig::new(window);
            let words = "Shift dashes";
            assert!(rig.text(words).is_some(), "in the menu");
            rig.show_full_match();
            let shown = |rig: &mut Rig| rig.text(words).is_some_and(|it| !it.area.is_empty());
            assert!(shown(&mut rig));
            rig.assert_fits(&format!("a first match in {window:?}"));
            rig.resource::<UsedControls>().0 = Input::LEFT | Input::FIRE;
            rig.settle();
            assert!(shown(&mut rig), "not driven yet");
            rig.resource::<UsedControls>().0 = Input::LEFT | Input::FIRE | Input::THRUST;
            rig.settle();
            assert!(!shown(&mut rig));
            rig.resource::<CurrentMatch>().kind = Some(MatchKind::Here);
            rig.resource::<UsedControls>().0 = Input::NONE;
            rig.settle();
            assert!(rig.text("Left player").is_some());
            rig.assert_fits(&format!("a first match of two in {window:?}"));
        }
    }

    #[test]
    fn the_countdown_goes_three_two_one_go() {
        let shown = |phase, phase_frames| {
            banner(&MatchState { phase, phase_frames, ..MatchState::new(2) }, |seat| {
                format!("P{seat}")
            })
            .0
        };
        assert_eq!(shown(Phase::Countdown, 0), "3");
        assert_eq!(shown(Phase::Countdown, 41), "2");
        assert_eq!(shown(Phase::Countdown, 119), "1");
        assert_eq!(shown(Phase::Fighting, 0), "GO");
        assert_eq!(shown(Phase::Fighting, 100), "");
        assert_eq!(shown(Phase::MatchOver { winner: Some(1) }, 9), "P1 wins");
    }
}
