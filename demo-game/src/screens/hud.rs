//! The match screen: the score line, announcements, and notices about the network.

use bevy::prelude::*;
use netcode::prelude::*;
use netcode::{LobbyPeer, OverlayState};

use super::current_match::{CurrentMatch, MatchKind};
use super::hints::{DESYNC, Device, FLYING, FLYING_TWO, Wording};
use super::pause::spawn_pause_panel;
use super::score_line::spawn_score_line;
use super::seat_news::SeatNews;
use super::widgets::{HUGE, LARGE, SMALL, Shaped, centred_label, listed, set_text, shortened};
use crate::devices::UsedControls;
use crate::present::palette::{DANGER, GOOD, PANEL, TEXT, TEXT_QUIET, WARNING, seat_color};
use crate::screen::{Screen, ScreenRoot};
use crate::sim::tuning::{
    COUNTDOWN_BEEP_FRAMES, COUNTDOWN_FRAMES, ROUNDS_TO_WIN, SUDDEN_DEATH_FRAMES,
};
use crate::sim::{MatchState, Phase, SeatTimes};
use crate::view::THUMBS_SHARE;

/// Frames of the fight during which "GO" is shown.
const GO_FRAMES: u32 = 45;
/// Frames during which the beginning of sudden death is announced.
const SUDDEN_DEATH_SHOWN: u32 = 150;
/// How opaque an announcement is: it can be read, and ships can be seen through it.
const BANNER_ALPHA: f32 = 0.7;

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

pub(super) fn build(
    mut commands: Commands,
    screen: Res<Screen>,
    roster: Res<Roster>,
    current: Res<CurrentMatch>,
) {
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
            spawn_pause_panel(page, &current);
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
    (roster, times, frame): (Res<Roster>, Res<SeatTimes>, Res<SimFrame>),
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
    } else if let Some(news) = SeatNews::of(roster.seats(), &times, frame.0) {
        (news.lines, if news.is_good { GOOD } else { WARNING })
    } else if !quiet.is_empty() && current.address().is_some() {
        (format!("Waiting for {}...", listed(&quiet)), WARNING)
    } else if !hidden.is_empty() && current.address().is_some() {
        let are = if hidden.len() == 1 { "is" } else { "are" };
        (format!("{} {are} in another tab.", listed(&hidden)), WARNING)
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
    use super::super::choice::Choice;
    use super::super::rig::{Rig, WINDOWS};
    use super::*;
    use crate::input::Input;

    #[test]
    fn everything_stays_on_the_screen_when_the_window_turns() {
        let mut rig = Rig::new(WINDOWS[0]);
        rig.show_full_match();
        for window in WINDOWS {
            rig.resize(window);
            rig.settle();
            let choices = [Choice::Leave, Choice::SetPaused(true), Choice::SetPaused(false)];
            assert_eq!(rig.choices(), choices);
            rig.assert_fits(&format!("a match in {window:?}"));
        }
    }

    #[test]
    fn news_of_the_players_is_shown_for_a_while() {
        use SeatState::{Away, Empty, Peer};
        for window in WINDOWS {
            let mut rig = Rig::new(window);
            rig.show_full_match();
            rig.change_seats(300, &[Peer, Away, Peer, Peer]);
            rig.show_frame(310);
            assert!(rig.text("lost the connection. A bot flies on.").is_some());
            rig.change_seats(310, &[Peer, Peer, Empty, Away]);
            rig.show_frame(320);
            rig.assert_fits(&format!("much news in {window:?}"));
            for words in ["lost the connection", "left. A bot flies on.", "is back."] {
                assert!(rig.text(words).is_some(), "{words} in {window:?}");
            }
            let (news, all) = (rig.text("is back.").unwrap().area, rig.window().size());
            assert!(news.max.y < all.y * 0.4, "{news:?} covers the arena of {all}");
            rig.show_frame(310 + 240);
            assert!(rig.text("is back.").is_none(), "that is no news any more");
        }
    }

    #[test]
    fn a_return_is_shown_in_the_colour_of_good_news() {
        use SeatState::{Away, Peer};
        let mut rig = Rig::new(WINDOWS[0]);
        rig.show_full_match();
        let mut shown = |frame, states: [SeatState; 4]| {
            rig.change_seats(frame, &states);
            rig.show_frame(frame + 1);
            let world = rig.app.world_mut();
            let mut notices = world.query_filtered::<&TextColor, With<NoticeText>>();
            notices.single(world).unwrap().0
        };
        assert_eq!(shown(300, [Peer, Away, Peer, Peer]), WARNING);
        assert_eq!(shown(400, [Peer; 4]), GOOD);
        assert_eq!(shown(500, [Away, Peer, Peer, Peer]), WARNING);
        assert!(rig.text("You were away. Catching up...").is_some());
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
