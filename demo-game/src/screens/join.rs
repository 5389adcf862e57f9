//! Finding a room: by a code or a link from somebody else, or in the list of public rooms.

use bevy::prelude::*;
use netcode::{ListRooms, Place, RoomList, RoomListing, RoomPhase};

use super::choice::Choice;
use super::current_match::CurrentMatch;
use super::hints::{IN_FIELD, hint_in};
use super::items::{Field, ITEM_HEIGHT, Item, ItemLabel, spawn_item};
use super::settings::Settings;
use super::widgets::{
    GAP, LARGE, SMALL, Shaped, divider, hint, label, panel, sentence, set_text, shortened,
    spawn_page,
};
use crate::GAME_VERSION;
use crate::present::palette::{DANGER, TEXT, TEXT_QUIET};
use crate::room_address::RoomError;
use crate::screen::Screen;
use crate::view::View;

/// Length of the longest text that can be typed: enough for a link with a long host name.
const MAX_LINK: usize = 90;
/// Number of listed rooms that fit on the screen; those that can be entered come first.
const MAX_SHOWN: usize = 4;
/// Width of the screen, in layout units: a line of the list fits into it.
const WIDTH: f32 = 760.0;
/// Space between two listed rooms.
const ROW_GAP: f32 = 2.0;
/// Height of a line of small text.
const LINE: f32 = 21.0;
/// Focus order of the first room: the field and two buttons come before it.
const FIRST_ORDER: u8 = 3;

/// What is wrong with the text that was typed.
#[derive(Component)]
pub(super) struct RoomErrorText;

/// The public rooms.
#[derive(Component)]
pub(super) struct RoomItems;

/// The line below the rooms, or instead of them.
#[derive(Component)]
pub(super) struct RoomListText;

/// The rooms that are shown, in their order on the screen.
#[derive(Resource, Default, Debug)]
pub(super) struct ShownRooms(Vec<RoomListing>);

impl ShownRooms {
    /// The name of the room in this line and the place that is free in it, or why it cannot be
    /// joined.
    pub(super) fn enter(&self, line: u8) -> Result<(&str, Place), RoomError> {
        let room = self.0.get(usize::from(line)).ok_or(RoomError::NoRoom)?;
        free_place(room).map(|place| (&*room.name, place))
    }
}

/// The place that is free in a room, or why there is none. A spectator can wait for a seat.
fn free_place(room: &RoomListing) -> Result<Place, RoomError> {
    if room.is_locked {
        Err(RoomError::Locked)
    } else if room.players < room.capacity && room.phase == RoomPhase::Lobby {
        Ok(Place::Player)
    } else if room.spectators < room.max_spectators {
        Ok(Place::Spectator)
    } else if room.phase == RoomPhase::Playing {
        Err(RoomError::Playing)
    } else {
        Err(RoomError::Full)
    }
}

pub(super) fn build(
    mut commands: Commands,
    screen: Res<Screen>,
    (settings, current): (Res<Settings>, Res<CurrentMatch>),
    mut shown: ResMut<ShownRooms>,
) {
    shown.0.clear();
    if *screen != Screen::Join {
        commands.write_message(ListRooms::Stop);
        return;
    }
    commands.write_message(ListRooms::Of(settings.server.clone()));
    spawn_page(&mut commands, Screen::Join, |page| {
        page.spawn(panel(WIDTH)).with_children(|panel| {
            panel.spawn(label("Find a room", LARGE, TEXT));
            panel.spawn(hint_in(IN_FIELD));
            let field = spawn_item(panel, Item { choice: Choice::JoinTyped, order: 0 }, "");
            panel.commands().entity(field).insert(Field {
                caption: "",
                value: current.mistyped.clone(),
                most: MAX_LINK,
            });
            // In a tall window, the longest reason takes two lines.
            let space = Shaped(|node, is_tall| node.min_height = px(if is_tall { 42 } else { 21 }));
            panel
                .spawn((space, Node::default()))
                .with_child((RoomErrorText, label(" ", SMALL, DANGER)));
            panel.spawn(Node { column_gap: px(GAP), ..default() }).with_children(|row| {
                spawn_item(row, Item { choice: Choice::JoinTyped, order: 1 }, "Join");
                spawn_item(row, Item { choice: Choice::Leave, order: 2 }, "Back");
            });
            panel.spawn(divider());
            panel.spawn(hint("Public rooms"));
            // As tall as the longest list with the line below it: so nothing moves when it changes.
            let list = Node {
                flex_direction: FlexDirection::Column,
                row_gap: px(ROW_GAP),
                min_height: px(MAX_SHOWN as f32 * (ITEM_HEIGHT + ROW_GAP) + LINE),
                ..default()
            };
            panel.spawn(list).with_children(|list| {
                let rooms = Node {
                    flex_direction: FlexDirection::Column,
                    row_gap: px(ROW_GAP),
                    ..default()
                };
                list.spawn((RoomItems, rooms));
                list.spawn((RoomListText, label(" ", SMALL, TEXT_QUIET)));
            });
        });
    });
}

/// Shows why the typed text names no room, and the present list of rooms.
pub(super) fn refresh(
    mut commands: Commands,
    (current, list, view): (Res<CurrentMatch>, Res<RoomList>, Res<View>),
    mut shown: ResMut<ShownRooms>,
    mut errors: Query<&mut Text, (With<RoomErrorText>, Without<RoomListText>, Without<ItemLabel>)>,
    mut texts: Query<&mut Text, (With<RoomListText>, Without<ItemLabel>)>,
    spaces: Query<Entity, With<RoomItems>>,
    items: Query<(Entity, &Item, &Children)>,
    mut labels: Query<&mut Text, With<ItemLabel>>,
) {
    let error = current.room_error.map_or_else(|| " ".to_owned(), |error| error.to_string());
    for mut text in &mut errors {
        set_text(&mut text, &error);
    }
    let (rooms, words) = choose(&list);
    for mut text in &mut texts {
        set_text(&mut text, &words);
    }
    // An item stands for a line and not for a room, so that the focus stays where it is.
    for space in &spaces {
        commands.entity(space).with_children(|column| {
            for (line, room) in (0..).zip(&rooms).skip(shown.0.len()) {
                let item = Item { choice: Choice::JoinListed(line), order: FIRST_ORDER + line };
                spawn_item(column, item, describe(room, view.is_tall()));
            }
        });
    }
    for (entity, item, children) in &items {
        let Choice::JoinListed(line) = item.choice else { continue };
        let Some(room) = rooms.get(usize::from(line)) else {
            commands.entity(entity).despawn();
            continue;
        };
        for child in children {
            if let Ok(mut label) = labels.get_mut(*child) {
                set_text(&mut label, &describe(room, view.is_tall()));
            }
        }
    }
    if shown.0 != rooms {
        shown.0 = rooms;
    }
}

/// The rooms to show, and the line below them.
fn choose(list: &RoomList) -> (Vec<RoomListing>, String) {
    let Some(rooms) = &list.rooms else {
        let reason = list.error.as_ref().map(|error| sentence(&error.to_string()));
        return (Vec::new(), reason.unwrap_or_else(|| "Looking for rooms...".to_owned()));
    };
    let fits = |room: &&RoomListing| room.version.is_empty() || room.version == GAME_VERSION;
    let mut rooms: Vec<_> = rooms.iter().filter(fits).cloned().collect();
    rooms.sort_by_key(|room| match free_place(room) {
        Ok(Place::Player) => 0,
        Ok(Place::Spectator) => 1,
        Err(_) => 2,
    });
    let hidden = rooms.len().saturating_sub(MAX_SHOWN);
    rooms.truncate(MAX_SHOWN);
    let words = match (rooms.len(), hidden) {
        (0, _) => "None are open. Open a public one in the menu.".to_owned(),
        (_, 0) => " ".to_owned(),
        (_, hidden) => format!("and {hidden} more"),
    };
    (rooms, words)
}

/// Describes a room in one line, which is shorter in a tall window: at most 29 letters fit there,
/// and 56 in a wide one.
fn describe(room: &RoomListing, is_tall: bool) -> String {
    let owner = if room.owner.is_empty() { "nobody" } else { &room.owner };
    let note = match (free_place(room), room.phase) {
        (Ok(Place::Player), _) => "",
        (Ok(Place::Spectator), _) if is_tall => "sit out",
        (Ok(Place::Spectator), RoomPhase::Playing) => "playing: sit out",
        (Ok(Place::Spectator), RoomPhase::Lobby) => "full: sit out",
        (Err(RoomError::Locked), _) => "locked",
        (Err(_), RoomPhase::Playing) => "playing",
        (Err(_), RoomPhase::Lobby) => "full",
    };
    let (gap, longest_name, longest_owner) = if is_tall { ("  ", 6, 7) } else { ("   ", 10, 16) };
    let (name, owner) = (shortened(&room.name, longest_name), shortened(owner, longest_owner));
    let places = format!("{}/{}", room.players, room.capacity);
    [&*name, &owner, &places, note].join(gap).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::rig::{Rig, Shown, WINDOWS};
    use super::*;

    fn room(name: &str) -> RoomListing {
        RoomListing {
            name: name.into(),
            owner: "Ann".into(),
            version: GAME_VERSION.into(),
            phase: RoomPhase::Lobby,
            is_locked: false,
            players: 1,
            capacity: 4,
            spectators: 0,
            max_spectators: 0,
        }
    }

    fn list(rooms: Vec<RoomListing>) -> RoomList {
        let mut list = RoomList::default();
        list.rooms = Some(rooms);
        list
    }

    #[test]
    fn rooms_that_can_be_joined_come_first_and_others_show_why_they_cannot() {
        let locked = RoomListing { is_locked: true, ..room("LLLLL") };
        let full = RoomListing { players: 4, ..room("FFFFF") };
        let playing = RoomListing { phase: RoomPhase::Playing, ..room("PPPPP") };
        let other = RoomListing { version: "0.0.1".into(), ..room("VVVVV") };
        let waits = RoomListing { name: "WWWWW".into(), max_spectators: 4, ..full.clone() };
        let all = vec![locked, full, playing, other, waits, room("AAAAA")];
        let (rooms, words) = choose(&list(all));
        let lines: Vec<_> = rooms.iter().map(|room| describe(room, false)).collect();
        assert_eq!(lines[0], "AAAAA   Ann   1/4");
        assert_eq!(
            lines[1..],
            [
                "WWWWW   Ann   4/4   full: sit out",
                "LLLLL   Ann   1/4   locked",
                "FFFFF   Ann   4/4   full",
            ]
        );
        assert_eq!(words, "and 1 more");
        let shown = ShownRooms(rooms);
        assert_eq!(shown.enter(0), Ok(("AAAAA", Place::Player)));
        assert_eq!(shown.enter(1), Ok(("WWWWW", Place::Spectator)));
        assert_eq!(shown.enter(2), Err(RoomError::Locked));
        assert_eq!(shown.enter(9), Err(RoomError::NoRoom));
    }

    #[test]
    fn nothing_moves_when_the_list_changes_and_no_row_wraps() {
        let long = RoomListing {
            owner: "Bartholomew Long".into(),
            phase: RoomPhase::Playing,
            max_spectators: 4,
            ..room("a-room-with-a-long-name")
        };
        for window in WINDOWS {
            let mut rig = Rig::new(window);
            rig.show(Screen::Join);
            let heading = rig.text("Find a room").expect("a heading").area;
            let joins = rig.items()[1].area;
            for count in [0, 1, MAX_SHOWN, MAX_SHOWN + 3] {
                *rig.resource::<RoomList>() = list(vec![long.clone(); count]);
                rig.resource::<CurrentMatch>().room_error =
                    (count > 1).then_some(RoomError::Playing);
                rig.settle();
                rig.assert_fits(&format!("{count} rooms in {window:?}"));
                assert_eq!(rig.text("Find a room").expect("a heading").area, heading);
                let items = rig.items();
                assert_eq!(items[1].area, joins, "{count} rooms in {window:?}");
                assert_eq!(items.len(), 3 + count.min(MAX_SHOWN));
                let height = |item: &Shown| item.area.height();
                assert!(items[3..].iter().all(|item| height(item) <= joins.height() + 1.0));
            }
        }
    }

    #[test]
    fn an_empty_list_shows_what_to_do() {
        assert_eq!(choose(&RoomList::default()).1, "Looking for rooms...");
        assert!(choose(&list(Vec::new())).1.contains("Open a public one"));
        let (rooms, words) = choose(&list(vec![room("AAAAA"); MAX_SHOWN + 2]));
        assert_eq!((rooms.len(), words.as_str()), (MAX_SHOWN, "and 2 more"));
    }
}
