//! A window without a GPU, for tests: the real screens, laid out by Bevy, with a room and a match
//! that tests make up.

use std::time::Duration;

use bevy::MinimalPlugins;
use bevy::ecs::component::Mutable;
use bevy::input::keyboard::{Key, KeyboardInput};
use bevy::input::{ButtonState, InputPlugin};
use bevy::prelude::*;
use bevy::text::TextPlugin;
use bevy::time::TimeUpdateStrategy;
use bevy::ui::{UiGlobalTransform, UiPlugin};
use bevy::window::{PrimaryWindow, WindowResized, WindowResolution};
use netcode::prelude::*;
use netcode::{
    AskRoom, ListRooms, LobbyPeer, OverlayState, PeerId, Place, Rename, Room, RoomDenied, RoomList,
    RoomMember, RoomState, Route, SetConditions, SetSpectating,
};

use super::choice::Choice;
use super::current_match::{CurrentMatch, MatchKind};
use super::focus::Focus;
use super::items::Item;
use super::scroll::Scrolled;
use super::settings::Settings;
use crate::DuelPlugin;
use crate::bots::Bots;
use crate::devices::UsedControls;
use crate::room_address::RoomAddress;
use crate::screen::Screen;
use crate::sim::{MatchState, SeatTimes};

/// Windows of every kind: of a desktop, of a full screen, small, and of a phone.
pub(super) const WINDOWS: [(u32, u32); 5] =
    [(1280, 720), (1920, 1080), (640, 360), (360, 640), (390, 844)];
/// The server of all rooms here.
const SERVER: &str = "ws://127.0.0.1:3536";
/// Our own id in the room.
const US: PeerId = PeerId::from_u128(1);

/// The screens in a window that nobody sees.
pub(super) struct Rig {
    pub(super) app: App,
}

/// Something on the screen, in physical pixels.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) what: String,
    pub(super) area: Rect,
}

impl Rig {
    /// Shows the menu in a window of this size.
    pub(super) fn new((width, height): (u32, u32)) -> Self {
        let mut app = App::new();
        let resolution = WindowResolution::new(width, height);
        app.add_plugins((
            MinimalPlugins,
            AssetPlugin::default(),
            InputPlugin,
            TransformPlugin,
            WindowPlugin { primary_window: Some(Window { resolution, ..default() }), ..default() },
        ))
        .init_asset::<Image>()
        .init_asset::<TextureAtlasLayout>()
        .add_plugins((TextPlugin, UiPlugin, crate::present::plugin_without_gpu))
        .insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_millis(16)));
        add_session(&mut app);
        app.insert_resource(Settings {
            name: "Marguerite Long!".into(),
            server: SERVER.into(),
            bots: 1,
            strangers: 2,
            ..default()
        });
        super::add_screens(&mut app);
        app.finish();
        app.cleanup();
        let mut rig = Self { app };
        rig.settle();
        rig
    }

    /// Renders frames until everything has its place.
    pub(super) fn settle(&mut self) {
        for _ in 0..4 {
            self.app.update();
        }
    }

    pub(super) fn resource<T: Resource<Mutability = Mutable>>(&mut self) -> Mut<'_, T> {
        self.app.world_mut().resource_mut::<T>()
    }

    pub(super) fn show(&mut self, screen: Screen) {
        *self.resource::<Screen>() = screen;
        self.settle();
    }

    /// Changes the size of the window, without rendering a frame.
    pub(super) fn resize(&mut self, (width, height): (u32, u32)) {
        let world = self.app.world_mut();
        let mut windows = world.query_filtered::<(Entity, &mut Window), With<PrimaryWindow>>();
        let (window, mut size) = windows.single_mut(world).expect("the rig has one window");
        size.resolution.set_physical_resolution(width, height);
        let (width, height) = (width as f32, height as f32);
        world.write_message(WindowResized { window, width, height });
    }

    /// Presses and releases a key, and lets the game react.
    pub(super) fn press(&mut self, key_code: KeyCode) {
        for state in [ButtonState::Pressed, ButtonState::Released] {
            let logical_key = Key::Unidentified(bevy::input::keyboard::NativeKey::Unidentified);
            self.app.world_mut().write_message(KeyboardInput {
                key_code,
                logical_key,
                state,
                text: None,
                repeat: false,
                window: Entity::PLACEHOLDER,
            });
            self.app.update();
        }
        self.settle();
    }

    /// The choice of the focused item.
    pub(super) fn focused(&mut self) -> Option<Choice> {
        let entity = self.app.world().resource::<Focus>().entity?;
        self.app.world().get::<Item>(entity).map(|item| item.choice)
    }

    /// Shows the lobby of a room that is ours, with three other players and a spectator.
    pub(super) fn show_full_lobby(&mut self) {
        let address = RoomAddress::named(SERVER, "DAM3R");
        self.resource::<CurrentMatch>().kind = Some(MatchKind::Online(address));
        let names = ["Bartholomew Long", "Wilhelmina Longe", "Maximilian Longs", "Sue the Spectat"];
        let peers: Vec<_> =
            (2_u8..).zip(names).map(|(number, name)| peer(number, name, number == 5)).collect();
        let member = |id, name: &str| RoomMember {
            id,
            name: name.into(),
            place: Place::Player,
            is_ready: false,
            is_here: true,
        };
        let us = std::iter::once(member(US, "Marguerite Long!"));
        let members = us.chain(peers.iter().map(|peer| member(peer.id, &peer.name))).collect();
        let state = RoomState { name: "DAM3R".into(), owner: Some(US), members, ..default() };
        self.resource::<Room>().state = Some(state);
        let mut lobby = self.resource::<Lobby>();
        lobby.local_id = Some(US);
        lobby.local_seats = 1;
        lobby.peers = peers;
        *self.resource::<SessionState>() = SessionState::Gathering;
        self.show(Screen::Lobby);
    }

    /// Shows a match of four players, in its countdown.
    pub(super) fn show_full_match(&mut self) {
        let names =
            ["Marguerite Long!", "Bartholomew Long", "Wilhelmina Longe", "Maximilian Longs"];
        *self.resource::<Roster>() = roster(&names);
        *self.resource::<SeatTimes>() = SeatTimes::at_start(names.map(|_| SeatState::Peer));
        self.app.insert_resource(MatchState::new(4));
        self.resource::<CurrentMatch>().kind = Some(MatchKind::Bots(3));
        self.show(Screen::Match);
    }

    /// Gives the seats these states, from the frame `first` on. The first seat is ours.
    pub(super) fn change_seats(&mut self, first: u32, states: &[SeatState]) {
        let roster = self.resource::<Roster>().with_states(states);
        *self.resource::<Roster>() = roster;
        let mut times = self.resource::<SeatTimes>();
        *times = times.changed_at(first, states.iter().copied());
    }

    /// Lets the match stand still, or run.
    pub(super) fn pause(&mut self, pause: Option<Pause>) {
        let roster = self.resource::<Roster>().with_pause(pause);
        *self.resource::<Roster>() = roster;
        self.settle();
    }

    /// Shows the frame before `next`.
    pub(super) fn show_frame(&mut self, next: u32) {
        self.resource::<SimFrame>().0 = next;
        self.settle();
    }

    /// The texts that are shown, without empty ones.
    pub(super) fn texts(&mut self) -> Vec<Shown> {
        let world = self.app.world_mut();
        let mut texts = world.query::<(&Text, &ComputedNode, &UiGlobalTransform)>();
        let texts = texts.iter(world);
        let texts = texts.filter(|(text, node, _)| !text.0.trim().is_empty() && !node.is_empty());
        texts.map(|(text, node, at)| Shown { what: text.0.clone(), area: area(node, at) }).collect()
    }

    /// The items that are shown, in the order of the focus.
    pub(super) fn items(&mut self) -> Vec<Shown> {
        let world = self.app.world_mut();
        let mut items = world.query::<(&Item, &ComputedNode, &UiGlobalTransform)>();
        let items = items.iter(world).filter(|(_, node, _)| !node.is_empty());
        let mut items = Vec::from_iter(items);
        items.sort_by_key(|(item, ..)| item.order);
        let shown = |(item, node, at): (&Item, &ComputedNode, &UiGlobalTransform)| Shown {
            what: format!("{:?}", item.choice),
            area: area(node, at),
        };
        items.into_iter().map(shown).collect()
    }

    /// Where the focused item is.
    pub(super) fn focused_area(&mut self) -> Rect {
        let entity = self.resource::<Focus>().entity.expect("an item has the focus");
        let world = self.app.world();
        let node = world.get::<ComputedNode>(entity).expect("an item is a node");
        area(node, world.get::<UiGlobalTransform>(entity).expect("a node has a place"))
    }

    /// The choices on the screen, in the order of the focus.
    pub(super) fn choices(&mut self) -> Vec<Choice> {
        let world = self.app.world_mut();
        let mut items: Vec<_> = world.query::<&Item>().iter(world).collect();
        items.sort_by_key(|item| item.order);
        items.into_iter().map(|item| item.choice).collect()
    }

    /// The first text that contains `part`.
    pub(super) fn text(&mut self, part: &str) -> Option<Shown> {
        self.texts().into_iter().find(|text| text.what.contains(part))
    }

    /// Asserts that the window shows everything, and that no text lies on another one.
    pub(super) fn assert_fits(&mut self, case: &str) {
        let world = self.app.world_mut();
        let mut pages = world.query_filtered::<&ComputedNode, With<Scrolled>>();
        for page in pages.iter(world) {
            let (all, seen) = (page.content_size(), page.size());
            assert!(all.y <= seen.y + 1.0, "{case}: {seen} show {all}");
        }
        let window = self.window();
        let (texts, items) = (self.texts(), self.items());
        for Shown { what, area } in texts.iter().chain(&items) {
            let inside = area.min.cmpge(window.min).all() && area.max.cmple(window.max).all();
            assert!(inside && !area.is_empty(), "{case}: {what:?} is at {area:?} of {window:?}");
        }
        for (index, one) in texts.iter().enumerate() {
            for other in &texts[index + 1..] {
                let shared = one.area.intersect(other.area).size();
                assert!(shared.min_element() < 1.0, "{case}: {one:?} lies on {other:?}");
            }
        }
    }

    pub(super) fn window_entity(&mut self) -> Entity {
        let world = self.app.world_mut();
        let mut windows = world.query_filtered::<Entity, With<PrimaryWindow>>();
        windows.single(world).expect("the rig has one window")
    }

    /// The area of the window.
    pub(super) fn window(&mut self) -> Rect {
        let world = self.app.world_mut();
        let mut windows = world.query_filtered::<&Window, With<PrimaryWindow>>();
        let size = windows.single(world).expect("the rig has one window").physical_size();
        Rect::from_corners(Vec2::ZERO, size.as_vec2())
    }
}

fn area(node: &ComputedNode, transform: &UiGlobalTransform) -> Rect {
    Rect::from_center_size(transform.translation, node.size())
}

/// Adds what the screens read of the session, without a session.
fn add_session(app: &mut App) {
    app.init_resource::<Lobby>()
        .init_resource::<Room>()
        .init_resource::<RoomList>()
        .init_resource::<Roster>()
        .init_resource::<SimFrame>()
        .init_resource::<SeatTimes>()
        .init_resource::<NetcodeConfig>()
        .init_resource::<SessionState>()
        .init_resource::<SessionStats>()
        .init_resource::<OverlayState>()
        .init_resource::<Bots>()
        .init_resource::<UsedControls>()
        .add_message::<SessionChanged>()
        .add_message::<RoomDenied>()
        .add_message::<AskRoom>()
        .add_message::<JoinRoom>()
        .add_message::<LeaveRoom>()
        .add_message::<LeaveMatch>()
        .add_message::<PauseMatch>()
        .add_message::<ListRooms>()
        .add_message::<Rename>()
        .add_message::<SetConditions>()
        .add_message::<SetReady>()
        .add_message::<SetSpectating>()
        .add_message::<StartLocal>();
}

/// Another peer in the room, about which the list has much to show.
pub(super) fn peer(number: u8, name: &str, is_spectator: bool) -> LobbyPeer {
    LobbyPeer {
        id: PeerId::from_u128(number.into()),
        name: name.into(),
        is_ready: false,
        seats: 1,
        is_in_match: false,
        is_spectator,
        is_hidden: false,
        is_quiet: number == 3,
        refusal: None,
        reaches: Vec::new(),
        rtt: Some(Duration::from_millis(123)),
        jitter: Duration::ZERO,
        route: Route::Relayed,
    }
}

/// The roster of a local match of players with these names.
fn roster(names: &[&str]) -> Roster {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, DuelPlugin::default()));
    let seats = names.iter().map(ToString::to_string).collect();
    app.world_mut().write_message(StartLocal { seats, seed: 1, sync_test: None });
    app.update();
    app.update();
    app.world().resource::<Roster>().clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_screen_without_a_room_fits_every_window() {
        for window in WINDOWS {
            let mut rig = Rig::new(window);
            rig.assert_fits(&format!("the menu in {window:?}"));
            rig.show(Screen::Join);
            rig.assert_fits(&format!("the search in {window:?}"));
        }
    }
}
