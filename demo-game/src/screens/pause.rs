//! A match that stands still: who paused it or is missing, and what can be done.

use bevy::prelude::*;
use netcode::Pause;
use netcode::prelude::*;

use super::choice::Choice;
use super::current_match::{CurrentMatch, MatchKind};
use super::hints::{GO_ON, PLAY_ON, Wording};
use super::items::{Item, spawn_item};
use super::seat_news::kept_for;
use super::widgets::{LARGE, SMALL, centred_label, listed, panel, set_text, shortened};
use crate::present::palette::{TEXT, TEXT_QUIET};
use crate::sim::SeatTimes;

/// Length of the longest name on the panel.
const NAME_SHOWN: usize = 16;

/// The panel over the arena.
#[derive(Component)]
pub(super) struct PausePanel;

/// What the panel says: its headline, and the line below.
#[derive(Component)]
pub(super) enum PauseText {
    Headline,
    Line,
}

/// The item that goes on.
#[derive(Component)]
pub(super) struct GoOnItem;

/// Spawns the panel, which is hidden while the match runs.
pub(super) fn spawn_pause_panel(page: &mut ChildSpawnerCommands, current: &CurrentMatch) {
    let over_all = Node {
        position_type: PositionType::Absolute,
        width: percent(100),
        height: percent(100),
        align_items: AlignItems::Center,
        justify_content: JustifyContent::Center,
        display: Display::None,
        ..default()
    };
    page.spawn((PausePanel, over_all)).with_children(|page| {
        page.spawn(panel(420.0)).with_children(|panel| {
            panel.spawn((PauseText::Headline, centred_label(" ", LARGE, TEXT)));
            panel.spawn((PauseText::Line, centred_label(" ", SMALL, TEXT_QUIET)));
            let item = spawn_item(panel, Item { choice: Choice::SetPaused(false), order: 2 }, " ");
            panel.commands().entity(item).insert((GoOnItem, GO_ON));
            if matches!(current.kind, Some(MatchKind::Online(_))) {
                let item = Item { choice: Choice::LeaveMatch, order: 3 };
                spawn_item(panel, item, "Back to the room");
            }
        });
    });
}

/// What the panel says, if the match stands still.
fn words(
    roster: &Roster,
    times: &SeatTimes,
    (frame, has_asked): (u32, bool),
    config: &NetcodeConfig,
) -> Option<[String; 2]> {
    match roster.pause()? {
        Pause::ByPlayer(seat) => {
            let player = roster.seats().iter().find(|player| player.seat == seat);
            let line = match player {
                Some(player) if player.is_local => "You paused the match.".to_owned(),
                Some(player) => {
                    format!("{} paused the match.", shortened(&player.name, NAME_SHOWN))
                }
                None => String::new(),
            };
            Some(["Paused".to_owned(), line])
        }
        Pause::ForMissing => {
            let away = || roster.seats().iter().filter(|seat| seat.state == SeatState::Away);
            let names: Vec<_> = away().map(|seat| shortened(&seat.name, NAME_SHOWN)).collect();
            let kept = away().map(|seat| kept_for(times.of(seat.seat), frame, config)).max();
            let line = if has_asked {
                "You have asked to play on, as most players must.".to_owned()
            } else {
                format!("Kept for {} s, or until most players ask to play on.", kept.unwrap_or(0))
            };
            Some([format!("Waiting for {}", listed(&names)), line])
        }
    }
}

/// Shows the panel while the match stands still.
pub(super) fn refresh(
    (roster, times, frame): (Res<Roster>, Res<SeatTimes>, Res<SimFrame>),
    (config, mut current): (Res<NetcodeConfig>, ResMut<CurrentMatch>),
    mut panels: Query<&mut Node, With<PausePanel>>,
    mut texts: Query<(&PauseText, &mut Text)>,
    mut items: Query<&mut Wording, With<GoOnItem>>,
) {
    if roster.pause().is_none() && current.has_asked_to_play_on {
        current.has_asked_to_play_on = false;
    }
    let words = words(&roster, &times, (frame.0, current.has_asked_to_play_on), &config);
    let display = if words.is_some() { Display::Flex } else { Display::None };
    for mut node in &mut panels {
        if node.display != display {
            node.display = display;
        }
    }
    let Some([headline, line]) = words else { return };
    for (which, mut text) in &mut texts {
        set_text(
            &mut text,
            match which {
                PauseText::Headline => &headline,
                PauseText::Line => &line,
            },
        );
    }
    let wording = if roster.pause() == Some(Pause::ForMissing) { PLAY_ON } else { GO_ON };
    for mut item in &mut items {
        item.set_if_neq(wording);
    }
}

#[cfg(test)]
mod tests {
    use SeatState::{Away, Peer};

    use super::super::rig::{Rig, WINDOWS};
    use super::*;
    use crate::room_address::RoomAddress;
    use crate::screen::Screen;

    /// A match of four in a room.
    fn in_room(window: (u32, u32)) -> Rig {
        let mut rig = Rig::new(window);
        rig.show_full_match();
        rig.resource::<CurrentMatch>().kind =
            Some(MatchKind::Online(RoomAddress::named("ws://h:1", "DAM3R")));
        rig.show(Screen::Match);
        rig
    }

    #[test]
    fn a_paused_match_says_who_paused_it_and_offers_a_way_on_and_out() {
        for window in WINDOWS {
            let mut rig = in_room(window);
            assert!(rig.text("Paused").is_none());
            rig.pause(Some(Pause::ByPlayer(Seat(1))));
            rig.assert_fits(&format!("a pause in {window:?}"));
            assert!(rig.text("paused the match.").is_some(), "{window:?}");
            for words in ["P goes on", "Back to the room"] {
                assert!(rig.text(words).is_some(), "{words} in {window:?}");
            }
            rig.pause(Some(Pause::ByPlayer(Seat(0))));
            assert!(rig.text("You paused the match.").is_some());
            rig.pause(None);
            assert!(rig.text("Paused").is_none());
        }
    }

    #[test]
    fn a_match_that_waits_names_the_missing_and_says_for_how_long() {
        for window in WINDOWS {
            let mut rig = in_room(window);
            rig.change_seats(300, &[Peer, Away, Peer, Away]);
            rig.show_frame(300 + 6 * 60);
            rig.pause(Some(Pause::ForMissing));
            rig.assert_fits(&format!("a match that waits in {window:?}"));
            let names = rig.text("Waiting for").unwrap().what;
            assert!(names.contains(" and "), "{names}");
            assert!(rig.text("Kept for 24 s").is_some(), "{window:?}");
            rig.press(KeyCode::KeyP);
            rig.settle();
            assert!(rig.text("You have asked to play on").is_some());
        }
    }

    #[test]
    fn nobody_goes_back_to_a_room_from_a_match_on_one_machine() {
        let mut rig = Rig::new(WINDOWS[0]);
        rig.show_full_match();
        rig.pause(Some(Pause::ByPlayer(Seat(0))));
        assert!(rig.text("Paused").is_some() && rig.text("Back to the room").is_none());
    }
}
