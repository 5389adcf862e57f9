//! The network overlay: the state of the session, drawn over the game with Bevy UI, and keys that
//! make the network worse.

use std::{fmt::Write, time::Duration};

use bevy::{
    input::{ButtonInput, keyboard::KeyCode},
    prelude::{
        App, BackgroundColor, Color, Commands, Component, DetectChanges, Entity, GlobalZIndex,
        IntoScheduleConfigs, MessageWriter, Node, Plugin, PositionType, Query, Real, Res, ResMut,
        Resource, Text, TextColor, TextFont, Time, UiRect, Update, Val, With, resource_changed,
    },
};

use super::SessionStats;
use crate::{
    membership::{Lobby, SessionState, SetConditions},
    transport::{LinkConditions, Route},
};

/// Short enough to show changes, long enough for the numbers to be read.
const REFRESH: Duration = Duration::from_millis(250);
/// Large enough to be read, and small enough to cover little of the game.
const FONT_SIZE: f32 = 12.0;
/// Number of presets in a line: the longest line with three of them still fits a phone.
const PRESETS_IN_LINE: usize = 3;
const PRESET_KEYS: [KeyCode; 6] = [
    KeyCode::Digit1,
    KeyCode::Digit2,
    KeyCode::Digit3,
    KeyCode::Digit4,
    KeyCode::Digit5,
    KeyCode::Digit6,
];

/// Draws the network overlay: F3 opens and closes it, and while it is open, keys 1 to 6 choose a
/// network preset.
///
/// Needs Bevy's UI and keyboard input, which `DefaultPlugins` adds. To use other keys, change
/// [`OverlayState`] yourself; set its `is_typing` while a player types text. To draw something
/// above the overlay, give it a `GlobalZIndex` above [`Z_INDEX`](Self::Z_INDEX).
#[derive(Clone, Copy, Debug, Default)]
pub struct NetcodeOverlayPlugin;

impl NetcodeOverlayPlugin {
    /// The `GlobalZIndex` of the overlay: above everything that a game does not deliberately put
    /// above it, with room for dialogs above.
    pub const Z_INDEX: i32 = 1_000_000;
}

impl Plugin for NetcodeOverlayPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<OverlayState>().add_systems(
            Update,
            (read_keys, open_or_close.run_if(resource_changed::<OverlayState>), refresh).chain(),
        );
    }
}

/// Resource: whether the overlay is open, and which network preset is chosen.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OverlayState {
    /// Whether the overlay is drawn.
    pub is_open: bool,
    /// Index into [`LinkConditions::presets`].
    pub preset: usize,
    /// Set this while a player types text, so that keys 1 to 6 do not choose a preset. F3 still
    /// works.
    pub is_typing: bool,
}

#[derive(Component, Debug, Default)]
struct OverlayPanel {
    refreshed_at: Duration,
}

fn read_keys(
    keys: Res<ButtonInput<KeyCode>>,
    mut state: ResMut<OverlayState>,
    mut conditions: MessageWriter<SetConditions>,
) {
    if keys.just_pressed(KeyCode::F3) {
        state.is_open = !state.is_open;
    }
    if !state.is_open || state.is_typing {
        return;
    }
    for (preset, &(_, values)) in LinkConditions::presets().iter().enumerate() {
        if PRESET_KEYS.get(preset).is_some_and(|&key| keys.just_pressed(key)) {
            state.preset = preset;
            conditions.write(SetConditions(values));
        }
    }
}

fn open_or_close(
    mut commands: Commands,
    state: Res<OverlayState>,
    panels: Query<Entity, With<OverlayPanel>>,
) {
    if !state.is_open {
        for panel in &panels {
            commands.entity(panel).despawn();
        }
    } else if panels.is_empty() {
        commands.spawn((
            OverlayPanel::default(),
            Text::default(),
            TextFont::from_font_size(FONT_SIZE),
            TextColor(Color::srgb(0.85, 0.95, 1.0)),
            Node {
                position_type: PositionType::Absolute,
                // Games keep their scores at the top.
                bottom: Val::Px(8.0),
                left: Val::Px(8.0),
                padding: UiRect::all(Val::Px(8.0)),
                ..Node::default()
            },
            // The game stays visible behind it.
            BackgroundColor(Color::srgba(0.0, 0.02, 0.05, 0.6)),
            GlobalZIndex(NetcodeOverlayPlugin::Z_INDEX),
        ));
    }
}

fn refresh(
    time: Res<Time<Real>>,
    session: Res<SessionState>,
    stats: Res<SessionStats>,
    lobby: Res<Lobby>,
    state: Res<OverlayState>,
    mut panels: Query<(&mut OverlayPanel, &mut Text)>,
) {
    let now = time.elapsed();
    for (mut panel, mut text) in &mut panels {
        let is_new = text.0.is_empty();
        if is_new || state.is_changed() || now.saturating_sub(panel.refreshed_at) >= REFRESH {
            panel.refreshed_at = now;
            text.0 = describe(&session, &stats, &lobby, state.preset);
        }
    }
}

/// The overlay as text; short lines, so that it fits a phone.
fn describe(session: &SessionState, stats: &SessionStats, lobby: &Lobby, preset: usize) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let mut line = |words: std::fmt::Arguments| {
        let _ = writeln!(text, "{words}");
    };
    let state = match session {
        SessionState::Ended(_) => "ended".to_owned(),
        state => format!("{state:?}").to_lowercase(),
    };
    line(format_args!("NETWORK  {state}"));
    line(format_args!("frame      {}", stats.frames));
    line(format_args!("confirmed  {}   stable {}", stats.confirmed_frames, stats.stable_frames));
    line(format_args!(
        "rollback   {} last, {} deepest, {} in all",
        stats.last_rollback, stats.max_rollback, stats.rollbacks
    ));
    line(format_args!("stalls     {}   desyncs {}", stats.stalls, stats.desyncs));
    line(format_args!("delay      {} frames   lead {:+.1}", stats.input_delay, stats.lead_frames));
    line(format_args!(
        "out        {:.0} packets/s  {:.1} kB/s",
        stats.datagrams_out_per_s,
        stats.bytes_out_per_s / 1000.0
    ));
    line(format_args!(
        "in         {:.0} packets/s  {:.1} kB/s",
        stats.datagrams_in_per_s,
        stats.bytes_in_per_s / 1000.0
    ));
    let most = stats.dropped.by_reason().into_iter().max_by_key(|&(_, count)| count);
    let most = most.filter(|&(_, count)| count > 0).map(|(reason, _)| reason);
    let mostly = most.map_or_else(String::new, |reason| format!("   mostly {reason}"));
    line(format_args!("dropped    {}{mostly}", stats.dropped.total()));
    for peer in &lobby.peers {
        let rtt =
            peer.rtt.map_or_else(|| "-".into(), |rtt| format!("{:.0}", rtt.as_secs_f32() * 1000.0));
        let absence = match (peer.is_quiet, peer.is_hidden) {
            (true, _) => "  QUIET",
            (false, true) => "  HIDDEN",
            (false, false) => "",
        };
        let jitter = peer.jitter.as_secs_f32() * 1000.0;
        let route = match peer.route {
            Route::Unknown => "",
            Route::Direct => "  direct",
            Route::Relayed => "  relayed",
        };
        line(format_args!("{}: {rtt} ms +/- {jitter:.0}{route}{absence}", peer.name));
    }
    let presets: Vec<String> = (0..)
        .zip(LinkConditions::presets())
        .map(|(index, (name, _))| {
            let mark = if index == preset { '>' } else { ' ' };
            format!("{mark}[{}] {name}", index + 1)
        })
        .collect();
    for presets in presets.chunks(PRESETS_IN_LINE) {
        line(format_args!("{}", presets.join(" ")));
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use signaling::protocol::PeerId;

    use super::*;
    use crate::{diagnostics::DroppedPackets, membership::LobbyPeer};

    #[test]
    fn the_overlay_shows_what_matters_in_short_lines() {
        let stats =
            SessionStats { frames: 7, stalls: 3, input_delay: 2, ..SessionStats::default() };
        let text = describe(&SessionState::Running, &stats, &Lobby::default(), 2);
        for part in ["running", "stalls     3", "delay      2 frames", ">[3] wifi", " [1] none"] {
            assert!(text.contains(part), "{part:?} is missing in:\n{text}");
        }
        assert!(text.lines().all(|line| line.len() <= 44), "{text}");
        assert!(text.lines().count() <= 11, "it covers the game:\n{text}");
    }

    #[test]
    fn the_most_frequent_reason_for_dropped_packets_is_named_in_a_short_line() {
        let line = |dropped| {
            let stats = SessionStats { dropped, ..SessionStats::default() };
            let text = describe(&SessionState::Running, &stats, &Lobby::default(), 0);
            text.lines().find(|line| line.starts_with("dropped")).map(str::to_owned)
        };
        assert_eq!(line(DroppedPackets::default()).as_deref(), Some("dropped    0"));
        let dropped = DroppedPackets { false_lag: 2, bad_echo: 7, ..DroppedPackets::default() };
        assert_eq!(line(dropped).as_deref(), Some("dropped    9   mostly bad echo"));
        for (reason, _) in dropped.by_reason() {
            assert!("dropped    999999   mostly ".len() + reason.len() <= 44, "{reason}");
        }
    }

    #[test]
    fn the_route_to_a_peer_is_shown_once_it_is_known() {
        let line = |route| {
            let peer = LobbyPeer {
                id: PeerId::from_u128(1),
                name: "Bo".into(),
                is_ready: true,
                seats: 1,
                is_in_match: true,
                is_spectator: false,
                is_hidden: false,
                is_quiet: false,
                refusal: None,
                reaches: Vec::new(),
                rtt: None,
                jitter: Duration::ZERO,
                route,
            };
            let mut lobby = Lobby::default();
            lobby.peers.push(peer);
            let text = describe(&SessionState::Running, &SessionStats::default(), &lobby, 0);
            text.lines().find(|line| line.starts_with("Bo")).map(str::to_owned)
        };
        assert_eq!(line(Route::Unknown).as_deref(), Some("Bo: - ms +/- 0"));
        assert_eq!(line(Route::Direct).as_deref(), Some("Bo: - ms +/- 0  direct"));
        assert_eq!(line(Route::Relayed).as_deref(), Some("Bo: - ms +/- 0  relayed"));
    }
}
