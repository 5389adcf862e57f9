//! What the owner of a room can do in the lobby: lock it, list it and kick players; and the
//! server's denials.

use bevy::prelude::*;
use netcode::prelude::*;
use netcode::{Denial, PeerId, Room, RoomDenied};

use super::choice::Choice;
use super::current_match::{CurrentMatch, ShownDenial};
use super::focus::Focus;
use super::items::{Item, ItemLabel, spawn_item};
use super::widgets::{GAP, set_text, shortened};

/// Order of the first of the owner's items: after the items that everybody has.
const FIRST_ORDER: u8 = 5;
/// Maximum number of players that are offered for kicking: all others that fit into a room of this
/// game; a server may list more.
const MAX_KICKED: usize = 7;
/// Length of the longest name on an item: three such items and one more fit into a row.
const NAME_SHOWN: usize = 8;
/// Seconds that a denial is shown: long enough to read a short sentence twice.
const DENIAL_SECONDS: f32 = 5.0;

/// The owner's items. They are rebuilt when different items are to be shown.
#[derive(Component, Default)]
pub(super) struct OwnerItems {
    shown: Shown,
}

/// Which items are shown.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
enum Shown {
    /// No items: the player does not own the room.
    #[default]
    Nothing,
    /// The items for the room, and one for kicking if there is anybody to kick.
    Room { has_others: bool },
    /// The players that can be kicked. This is a second step, because kicking also locks the room.
    Others(Vec<(PeerId, String)>),
}

/// The space for the items.
pub(super) fn space() -> impl Bundle {
    (
        OwnerItems::default(),
        Node { column_gap: px(GAP), row_gap: px(GAP), flex_wrap: FlexWrap::Wrap, ..default() },
    )
}

/// The players that we can kick: everybody else, if the room is ours.
fn others(room: &Room, lobby: &Lobby) -> Option<Vec<(PeerId, String)>> {
    let local = lobby.local_id.filter(|&local| room.is_owner(local))?;
    let members = &room.state.as_ref()?.members;
    let others = members.iter().filter(|member| member.id != local);
    let name = |id, name: &str| match lobby.peers.iter().find(|peer| peer.id == id) {
        Some(peer) => peer.name.clone(),
        None if name.is_empty() => "a player".to_owned(),
        None => name.to_owned(),
    };
    Some(others.map(|member| (member.id, name(member.id, &member.name))).collect())
}

fn wanted(room: &Room, lobby: &Lobby, is_kicking: bool) -> Shown {
    match others(room, lobby) {
        None => Shown::Nothing,
        Some(others) if is_kicking && !others.is_empty() => Shown::Others(others),
        Some(others) => Shown::Room { has_others: !others.is_empty() },
    }
}

/// Shows the items that the owner has now.
pub(super) fn refresh(
    mut commands: Commands,
    (room, lobby): (Res<Room>, Res<Lobby>),
    mut current: ResMut<CurrentMatch>,
    mut spaces: Query<(Entity, &mut OwnerItems, Option<&Children>)>,
    items: Query<(&Item, &Children)>,
    mut labels: Query<&mut Text, With<ItemLabel>>,
    mut focus: ResMut<Focus>,
) {
    let wanted = wanted(&room, &lobby, current.is_kicking);
    if current.is_kicking && !matches!(wanted, Shown::Others(_)) {
        // Nobody is left to kick, or the room is no longer ours.
        current.is_kicking = false;
    }
    for (entity, mut space, children) in &mut spaces {
        if space.shown != wanted {
            let is_inside = |focused: Entity| children.is_some_and(|it| it.contains(&focused));
            let had_focus = focus.entity.is_some_and(is_inside);
            let mut harmless = None;
            commands.entity(entity).despawn_children().with_children(|row| {
                harmless = spawn_items(row, &wanted);
            });
            // Otherwise, the first item of the screen gets it.
            if had_focus && harmless.is_some() {
                focus.entity = harmless;
            }
            space.shown.clone_from(&wanted);
        }
    }
    let Some(state) = &room.state else { return };
    for (item, children) in &items {
        let words = match item.choice {
            Choice::ToggleLock if state.is_locked => "Unlock",
            Choice::ToggleLock => "Lock",
            Choice::TogglePublic if state.is_public => "Make private",
            Choice::TogglePublic => "Make public",
            _ => continue,
        };
        for child in children {
            if let Ok(mut label) = labels.get_mut(*child) {
                set_text(&mut label, words);
            }
        }
    }
}

/// Spawns the items. Returns the one that begins or cancels a kick, if there is one: it changes
/// nothing in the room.
fn spawn_items(row: &mut ChildSpawnerCommands, shown: &Shown) -> Option<Entity> {
    let mut harmless = None;
    let mut order = FIRST_ORDER;
    let mut spawn = |choice, words: &str| {
        let item = spawn_item(row, Item { choice, order }, words);
        if matches!(choice, Choice::SetKicking(_)) {
            harmless = Some(item);
        }
        order += 1;
    };
    match shown {
        Shown::Nothing => {}
        Shown::Room { has_others } => {
            spawn(Choice::ToggleLock, " ");
            spawn(Choice::TogglePublic, " ");
            if *has_others {
                spawn(Choice::SetKicking(true), "Kick...");
            }
        }
        Shown::Others(others) => {
            for (id, name) in others.iter().take(MAX_KICKED) {
                spawn(Choice::Kick(*id), &shortened(name, NAME_SHOWN));
            }
            spawn(Choice::SetKicking(false), "Cancel");
        }
    }
    harmless
}

/// The room in a word or two, above its code.
pub(super) fn caption(room: &Room) -> &'static str {
    match &room.state {
        Some(state) if state.is_locked => "Locked room",
        Some(state) if state.is_public => "Public room",
        Some(_) => "Private room",
        None => "Room",
    }
}

/// Shows a denial of the server for a while.
pub(super) fn note_denials(
    time: Res<Time<Real>>,
    mut denied: MessageReader<RoomDenied>,
    mut current: ResMut<CurrentMatch>,
) {
    if let Some(&RoomDenied(denial)) = denied.read().last() {
        current.denied = Some(ShownDenial { denial, seconds_left: DENIAL_SECONDS });
        // The player no longer waits for a place.
        if denial == Denial::NoPlace {
            current.ready_at = None;
        }
    } else if let Some(denied) = &mut current.bypass_change_detection().denied {
        denied.seconds_left -= time.delta_secs();
        if denied.seconds_left <= 0.0 {
            current.denied = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use netcode::{Place, RoomMember, RoomState};

    use super::super::rig::Rig;
    use super::*;

    #[test]
    fn the_focus_is_on_nothing_harmful_after_a_kick() {
        let mut rig = Rig::new((1280, 720));
        rig.show_full_lobby();
        rig.resource::<CurrentMatch>().is_kicking = true;
        rig.settle();
        for _ in 0..5 {
            rig.press(KeyCode::ArrowDown);
        }
        assert!(matches!(rig.focused(), Some(Choice::Kick(_))), "{:?}", rig.focused());
        rig.press(KeyCode::Enter);
        assert_eq!(rig.focused(), Some(Choice::SetKicking(true)), "there are others to kick");
        let mut room = rig.resource::<Room>();
        room.state.as_mut().unwrap().members.truncate(1);
        rig.settle();
        assert_eq!(rig.focused(), Some(Choice::ToggleReady), "nobody is left to kick");
    }

    #[test]
    fn only_the_owner_kicks_and_only_in_a_second_step() {
        let [ann, bob] = [1, 2].map(PeerId::from_u128);
        let member = |id, name: &str| RoomMember {
            id,
            name: name.into(),
            place: Place::Player,
            is_ready: false,
            is_here: true,
        };
        let state = RoomState {
            name: "DAM3R".into(),
            owner: Some(ann),
            members: vec![member(ann, "Ann"), member(bob, "Bob")],
            ..RoomState::default()
        };
        let mut room = Room::default();
        let lobby = |id| {
            let mut lobby = Lobby::default();
            lobby.local_id = Some(id);
            lobby
        };
        assert_eq!(wanted(&room, &lobby(ann), true), Shown::Nothing);
        room.state = Some(state);
        assert_eq!(wanted(&room, &lobby(bob), true), Shown::Nothing);
        assert_eq!(wanted(&room, &lobby(ann), false), Shown::Room { has_others: true });
        let others = vec![(bob, "Bob".to_owned())];
        assert_eq!(wanted(&room, &lobby(ann), true), Shown::Others(others));
        room.state.as_mut().unwrap().members.pop();
        assert_eq!(wanted(&room, &lobby(ann), true), Shown::Room { has_others: false });
    }
}
