//! The lobby: who is in the room, how to get in, and why the match does not start yet.

use bevy::prelude::*;
use netcode::prelude::*;
use netcode::{Room, Route};

use super::choice::Choice;
use super::current_match::CurrentMatch;
use super::hints::{IN_LOBBY, hint_in};
use super::items::{Field, Item, ItemLabel, spawn_item};
use super::owner;
use super::settings::Settings;
use super::widgets::{
    GAP, LARGE, NORMAL, SMALL, Shaped, centred_label, divider, label, panel, sentence, set_text,
    shortened, spawn_page,
};
use crate::platform;
use crate::present::palette::{ACCENT, DANGER, GOOD, TEXT, TEXT_QUIET, WARNING};
use crate::room_address::RoomAddress;
use crate::screen::Screen;

/// Length of the longest name in the list, with the mark behind it: the line also holds the
/// round-trip time and the route.
const NAME_SHOWN: usize = 18;
/// Length of the longest spectator's name: a line holds four of them.
const SPECTATOR_SHOWN: usize = 10;

/// Number of further addresses of this machine that are shown: with more than two in all, the rest
/// mostly belong to networks of virtual machines, which nobody else can reach.
const MORE_ADDRESSES: usize = 1;

/// Width of the lobby, in layout units: all that the narrowest wide window has.
const WIDTH: f32 = 920.0;
/// Width of the column of items in a wide window: two of them fit side by side.
const ITEMS_WIDTH: f32 = 340.0;

/// Size of the code, in layout units: large enough to read out, small enough to leave space for
/// four players and the owner's items.
const CODE: f32 = 44.0;
/// The status line while the owner chooses whom to kick.
const WHOM_TO_KICK: &str = "Choose a player to kick. This also locks the room.";
/// Below the status while the server has a problem.
const IMPAIRED: &str = "The server has a problem: nobody can join or change the room right now.";
/// Below the status while the server is out of reach.
const SERVER_GONE: &str = "The server is gone: nobody else can join until it is back.";
/// The first item.
const READY: &str = "Ready";
/// The second item.
const COPY_LINK: &str = "Copy link";
/// The second item if there is an address and no link.
const COPY_ADDRESS: &str = "Copy address";
/// The first item while the player is ready.
const NOT_READY: &str = "Not ready";
/// The third item.
const SIT_OUT: &str = "Sit out";
/// The third item while the player sits out.
const PLAY: &str = "Play";

/// The list of players. All rows are rebuilt when one of them changes.
#[derive(Component, Default)]
pub(super) struct PlayerList {
    shown: Shown,
}

/// What the list shows.
#[derive(Clone, PartialEq, Debug, Default)]
struct Shown {
    /// The players.
    rows: Vec<Row>,
    /// The spectators, in one line: there may be as many of them as players.
    spectators: String,
}

/// The line that explains why the match does not start yet.
#[derive(Component)]
pub(super) struct StatusLine;

/// The line below it: what is wrong with the server.
#[derive(Component)]
pub(super) struct ServerLine;

/// The kind of the room, above its code.
#[derive(Component)]
pub(super) struct CaptionLine;

/// A player in the list, as shown.
#[derive(Clone, PartialEq, Debug)]
struct Row {
    name: String,
    note: String,
    color: Color,
    refusal: Option<String>,
}

pub(super) fn build(
    mut commands: Commands,
    screen: Res<Screen>,
    current: Res<CurrentMatch>,
    settings: Res<Settings>,
) {
    if *screen != Screen::Lobby {
        return;
    }
    let Some(address) = current.address() else { return };
    spawn_page(&mut commands, Screen::Lobby, |page| {
        page.spawn(panel(WIDTH)).with_children(|panel| {
            panel
                .spawn((
                    Shaped(shape_columns),
                    Node { column_gap: px(3.0 * GAP), row_gap: px(GAP), ..default() },
                ))
                .with_children(|columns| {
                    let column = Node {
                        flex_direction: FlexDirection::Column,
                        row_gap: px(GAP),
                        ..default()
                    };
                    columns.spawn((Shaped(shape_main_column), column.clone())).with_children(
                        |column| {
                            spawn_heading(column, address, &current, &settings);
                            column.spawn(divider());
                            spawn_lists(column);
                        },
                    );
                    columns.spawn((Shaped(shape_side_column), column)).with_children(|column| {
                        let leave = if current.host.is_some() { "Close" } else { "Leave" };
                        spawn_items(column, &settings, address.is_quick(), leave);
                    });
                });
        });
        // A host's screen has more text, and less space for the hint.
        if current.host.is_none() {
            // Nor has a tall window, where the columns are one below the other.
            let place = Shaped(|node, is_tall| {
                node.display = if is_tall { Display::None } else { Display::Flex };
            });
            page.spawn((hint_in(IN_LOBBY), place));
        }
    });
}

/// Puts the columns side by side in a wide window, and one below the other in a tall one.
fn shape_columns(node: &mut Node, is_tall: bool) {
    node.flex_direction = if is_tall { FlexDirection::Column } else { FlexDirection::Row };
}

/// The room and its players take what the items leave.
fn shape_main_column(node: &mut Node, is_tall: bool) {
    (node.flex_grow, node.flex_basis) = if is_tall { (0.0, auto()) } else { (1.0, px(0)) };
}

fn shape_side_column(node: &mut Node, is_tall: bool) {
    node.width = if is_tall { auto() } else { px(ITEMS_WIDTH) };
}

/// Spawns what the room is, and how to get in.
fn spawn_heading(
    column: &mut ChildSpawnerCommands,
    address: &RoomAddress,
    current: &CurrentMatch,
    settings: &Settings,
) {
    if address.is_quick() {
        column.spawn(centred_label("Quick match", LARGE, TEXT));
        column.spawn(centred_label("Looking for somebody to play with.", SMALL, TEXT_QUIET));
    } else if let Some(host) = &current.host {
        spawn_invitation(column, host);
    } else if address.is_new() {
        column.spawn(centred_label("Opening a room...", LARGE, TEXT));
    } else {
        column.spawn((CaptionLine, centred_label("Room", SMALL, TEXT_QUIET)));
        let code = shortened(&address.room, 24);
        let size = if code.len() <= 12 { CODE } else { LARGE };
        column.spawn(centred_label(code, size, ACCENT));
        let invitation = platform::invitation(address, &settings.server);
        column.spawn(centred_label(invitation, NORMAL, TEXT));
    }
}

/// Spawns the players, and below them what the match waits for.
fn spawn_lists(column: &mut ChildSpawnerCommands) {
    let list = Node {
        flex_direction: FlexDirection::Column,
        row_gap: px(6),
        min_height: px(96),
        ..default()
    };
    column.spawn((PlayerList::default(), list));
    column.spawn(divider());
    let lines = Node {
        min_height: px(28),
        flex_direction: FlexDirection::Column,
        align_items: AlignItems::Center,
        ..default()
    };
    column.spawn(lines).with_children(|lines| {
        lines.spawn((StatusLine, centred_label("", NORMAL, WARNING)));
        lines.spawn((ServerLine, centred_label("", SMALL, WARNING)));
    });
}

/// Spawns what players on the same network need to join a room on this machine. The code is smaller
/// than for other rooms, because it is of no use without the address.
fn spawn_invitation(panel: &mut ChildSpawnerCommands, host: &platform::Host) {
    let caption = if host.is_in_network() {
        "Others on your network join at"
    } else {
        "This machine has no network. Only players on it can join, at"
    };
    panel.spawn(centred_label(format!("Room {}", host.room()), LARGE, ACCENT));
    panel.spawn(centred_label(caption, SMALL, TEXT_QUIET));
    let mut addresses = host.addresses().into_iter();
    if let Some(likeliest) = addresses.next() {
        panel.spawn(centred_label(likeliest, LARGE, TEXT));
    }
    for address in addresses.take(MORE_ADDRESSES) {
        panel.spawn(centred_label(format!("or {address}"), SMALL, TEXT));
    }
    if let Some(link) = host.link() {
        panel.spawn(centred_label(format!("in a browser: {link}"), SMALL, TEXT));
    }
}

/// Spawns the items, side by side if there is space, and the name below them.
fn spawn_items(panel: &mut ChildSpawnerCommands, settings: &Settings, is_quick: bool, leave: &str) {
    let row =
        Node { column_gap: px(GAP), row_gap: px(GAP), flex_wrap: FlexWrap::Wrap, ..default() };
    panel.spawn(row).with_children(|row| {
        spawn_item(row, Item { choice: Choice::ToggleReady, order: 0 }, READY);
        if !is_quick {
            spawn_item(row, Item { choice: Choice::CopyLink, order: 1 }, COPY_LINK);
            spawn_item(row, Item { choice: Choice::ToggleSitOut, order: 2 }, SIT_OUT);
        }
        spawn_item(row, Item { choice: Choice::Leave, order: 3 }, leave);
    });
    let name = spawn_item(panel, Item { choice: Choice::Rename, order: 4 }, "Name");
    panel.commands().entity(name).insert(Field::name(&settings.name));
    if !is_quick {
        panel.spawn(owner::space());
    }
}

/// Makes the player ready as soon as enough players are in the room, if that was asked for: by a
/// link with `?ready`, by `--ready`, or by choosing Ready while sitting out.
pub(super) fn auto_ready(
    mut commands: Commands,
    session: Res<SessionState>,
    lobby: Res<Lobby>,
    mut current: ResMut<CurrentMatch>,
) {
    let seats = lobby.seats();
    let is_time = current.ready_at.is_some_and(|awaited| seats >= u32::from(awaited));
    if is_time && !lobby.is_spectator && *session == SessionState::Gathering {
        current.ready_at = None;
        commands.write_message(SetReady(true));
    }
}

/// A name with its mark, together at most `most` characters long.
fn marked(name: &str, mark: &str, most: usize) -> String {
    format!("{}{mark}", shortened(name, most.saturating_sub(mark.len())))
}

fn shown(lobby: &Lobby, room: &Room, settings: &Settings) -> Shown {
    let ready = |ready| if ready { ("ready", GOOD) } else { ("not ready", TEXT_QUIET) };
    let is_owner = lobby.local_id.is_some_and(|id| room.is_owner(id));
    let (mut rows, mut spectators) = (Vec::new(), Vec::new());
    if lobby.is_spectator {
        spectators.push("you".to_owned());
    } else {
        let (note, color) = ready(lobby.is_ready);
        let mark = if is_owner { " (you, owner)" } else { " (you)" };
        rows.push(Row {
            // This line has neither a time nor a route, so the name may be longer.
            name: marked(&settings.name, mark, NAME_SHOWN + mark.len()),
            note: note.to_owned(),
            color,
            refusal: None,
        });
    }
    for peer in &lobby.peers {
        if peer.is_spectator && peer.refusal.is_none() {
            spectators.push(shortened(&peer.name, SPECTATOR_SHOWN));
            continue;
        }
        let (mut note, mut color) = ready(peer.is_ready);
        if peer.refusal.is_some() {
            (note, color) = ("cannot play with you", DANGER);
        } else if peer.is_in_match {
            (note, color) = ("in a match", WARNING);
        } else if peer.is_quiet {
            (note, color) = ("connection is slow or lost", WARNING);
        } else if peer.is_hidden {
            (note, color) = ("in another tab", WARNING);
        }
        // Times are of no interest while nothing is heard of the player, and there is no space.
        let rtt = peer.rtt.filter(|_| !peer.is_quiet && !peer.is_hidden);
        let rtt = rtt.map_or_else(String::new, |rtt| format!("   {} ms", rtt.as_millis()));
        let route = match peer.route {
            _ if rtt.is_empty() => "",
            Route::Unknown => "",
            Route::Direct => " direct",
            Route::Relayed => " relayed",
        };
        rows.push(Row {
            name: marked(
                &peer.name,
                if room.is_owner(peer.id) { " (owner)" } else { "" },
                NAME_SHOWN,
            ),
            note: format!("{note}{rtt}{route}"),
            color,
            refusal: peer.refusal.as_ref().map(ToString::to_string),
        });
    }
    let spectators = match &*spectators {
        [] => String::new(),
        names => format!("Sitting out: {}", names.join(", ")),
    };
    Shown { rows, spectators }
}

/// What is wrong with the server: it keeps nobody who is here from playing.
fn server_trouble(session: &SessionState, lobby: &Lobby, room: &Room) -> &'static str {
    match session {
        SessionState::Gathering if lobby.is_signaling_lost => SERVER_GONE,
        SessionState::Gathering if room.is_impaired => IMPAIRED,
        _ => "",
    }
}

/// The sentence below the list.
fn status(session: &SessionState, lobby: &Lobby) -> (String, Color) {
    match session {
        SessionState::Offline | SessionState::Connecting => {
            ("Connecting to the server...".to_owned(), TEXT_QUIET)
        }
        SessionState::Gathering => match lobby.blocker() {
            Some(blocker) => (sentence(&blocker.to_string()), WARNING),
            None => ("Starting...".to_owned(), GOOD),
        },
        SessionState::Starting | SessionState::Running => ("Starting...".to_owned(), GOOD),
        SessionState::Ended(reason) => (sentence(&reason.to_string()), DANGER),
    }
}

pub(super) fn refresh(
    mut commands: Commands,
    settings: Res<Settings>,
    session: Res<SessionState>,
    current: Res<CurrentMatch>,
    (lobby, room): (Res<Lobby>, Res<Room>),
    mut lists: Query<(Entity, &mut PlayerList)>,
    mut lines: Query<(&mut Text, &mut TextColor), With<StatusLine>>,
    mut quiet_lines: Query<
        (Has<CaptionLine>, &mut Text),
        (Or<(With<CaptionLine>, With<ServerLine>)>, Without<StatusLine>),
    >,
    items: Query<(&Item, &Children)>,
    mut labels: Query<
        &mut Text,
        (With<ItemLabel>, Without<StatusLine>, Without<CaptionLine>, Without<ServerLine>),
    >,
) {
    let (line, color) = match &current.denied {
        Some(denied) => (denied.denial.to_string(), DANGER),
        None if current.is_kicking => (WHOM_TO_KICK.to_owned(), WARNING),
        None => status(&session, &lobby),
    };
    for (is_caption, mut text) in &mut quiet_lines {
        let trouble = server_trouble(&session, &lobby, &room);
        set_text(&mut text, if is_caption { owner::caption(&room) } else { trouble });
    }
    for (mut text, mut text_color) in &mut lines {
        set_text(&mut text, &line);
        text_color.set_if_neq(TextColor(color));
    }
    for (item, children) in &items {
        let words = match item.choice {
            Choice::ToggleReady if lobby.is_ready => NOT_READY,
            Choice::ToggleReady => READY,
            Choice::ToggleSitOut if lobby.is_spectator => PLAY,
            Choice::ToggleSitOut => SIT_OUT,
            Choice::CopyLink => match current.is_copied.or_else(platform::copy_outcome) {
                Some(true) => "Copied",
                Some(false) => "Not copied",
                None if current.host.as_ref().is_some_and(|host| host.link().is_none()) => {
                    COPY_ADDRESS
                }
                None => COPY_LINK,
            },
            _ => continue,
        };
        for child in children {
            if let Ok(mut label) = labels.get_mut(*child) {
                set_text(&mut label, words);
            }
        }
    }
    let shown = shown(&lobby, &room, &settings);
    for (entity, mut list) in &mut lists {
        if list.shown != shown {
            list.shown.clone_from(&shown);
            commands
                .entity(entity)
                .despawn_children()
                .with_children(|list| spawn_rows(list, &shown));
        }
    }
}

fn spawn_rows(list: &mut ChildSpawnerCommands, Shown { rows, spectators }: &Shown) {
    for row in rows {
        let line = Node {
            justify_content: JustifyContent::SpaceBetween,
            align_items: AlignItems::Center,
            column_gap: px(12),
            flex_wrap: FlexWrap::Wrap,
            ..default()
        };
        list.spawn(line).with_children(|line| {
            line.spawn(label(&row.name, NORMAL, TEXT));
            line.spawn(label(&row.note, SMALL, row.color));
        });
        if let Some(refusal) = &row.refusal {
            list.spawn(label(sentence(refusal), SMALL, DANGER));
        }
    }
    if !spectators.is_empty() {
        list.spawn(label(spectators, SMALL, TEXT_QUIET));
    }
}

#[cfg(test)]
mod tests {
    use netcode::{LobbyPeer, PeerId};

    use super::super::rig::{Rig, WINDOWS};
    use super::*;

    #[test]
    fn a_full_lobby_fits_every_window() {
        for window in WINDOWS {
            let mut rig = Rig::new(window);
            rig.show_full_lobby();
            rig.assert_fits(&format!("the lobby in {window:?}"));
            rig.resource::<Lobby>().is_signaling_lost = window.0 > window.1;
            rig.settle();
            rig.assert_fits(&format!("the lobby without its server in {window:?}"));
        }
    }

    #[test]
    fn everybody_can_be_kicked_in_every_window() {
        for window in WINDOWS {
            let mut rig = Rig::new(window);
            rig.show_full_lobby();
            rig.resource::<CurrentMatch>().is_kicking = true;
            rig.settle();
            if window.0 > window.1 {
                rig.assert_fits(&format!("the choice of whom to kick in {window:?}"));
            }
            let choices = rig.choices();
            assert_eq!(choices.iter().filter(|it| matches!(it, Choice::Kick(_))).count(), 4);
            let area = rig.window();
            for choice in choices {
                assert_eq!(rig.focused(), Some(choice));
                let item = rig.focused_area();
                assert!(item.min.y >= 0.0 && item.max.y <= area.max.y, "{window:?}: {choice:?}");
                rig.press(KeyCode::ArrowDown);
            }
        }
    }

    #[test]
    fn the_lobby_shows_what_it_waits_for_also_while_the_server_is_gone() {
        let mut rig = Rig::new(WINDOWS[0]);
        rig.show_full_lobby();
        rig.resource::<Lobby>().is_ready = true;
        rig.settle();
        let waits = sentence(&rig.resource::<Lobby>().blocker().unwrap().to_string());
        let waits = waits.as_str();
        assert!(rig.text(waits).is_some() && rig.text(SERVER_GONE).is_none());
        rig.resource::<Lobby>().is_signaling_lost = true;
        rig.settle();
        assert!(rig.text(waits).is_some() && rig.text(SERVER_GONE).is_some());
        rig.resource::<Lobby>().is_signaling_lost = false;
        rig.resource::<Room>().is_impaired = true;
        rig.settle();
        assert!(rig.text(waits).is_some() && rig.text(IMPAIRED).is_some());
    }

    #[test]
    fn spectators_are_listed_below_the_players_in_one_line() {
        let peer = |number, name: &str, is_spectator| LobbyPeer {
            id: PeerId::from_u128(number),
            name: name.into(),
            is_ready: false,
            seats: 1,
            is_in_match: false,
            is_spectator,
            is_hidden: false,
            is_quiet: false,
            refusal: None,
            reaches: Vec::new(),
            rtt: None,
            jitter: std::time::Duration::ZERO,
            route: Route::Unknown,
        };
        let mut lobby = Lobby::default();
        lobby.peers = vec![peer(1, "Bob", false), peer(2, "Sue the Spectator", true)];
        let (room, settings) = (Room::default(), Settings::default());
        let both = shown(&lobby, &room, &settings);
        let names: Vec<&str> = both.rows.iter().map(|row| &*row.name).collect();
        assert_eq!(names, [" (you)", "Bob"]);
        assert_eq!(both.spectators, "Sitting out: Sue the ..");
        lobby.is_spectator = true;
        let others = shown(&lobby, &room, &settings);
        assert_eq!((others.rows.len(), &*others.spectators), (1, "Sitting out: you, Sue the .."));
    }

    #[test]
    fn a_name_is_shortened_to_make_room_for_its_mark() {
        assert_eq!(marked("Ann", " (owner)", 18), "Ann (owner)");
        assert_eq!(marked("A very long name indeed", " (owner)", 18), "A very l.. (owner)");
        assert_eq!(marked("A very long name indeed", "", 18), "A very long name..");
    }
}
