//! A peer with `ggrs` over the channel that `matchbox_socket` makes for it, as in their own
//! examples.

use std::{
    sync::atomic::Ordering,
    thread::{self, JoinHandle},
};

use demo_game::input::Input;
use ggrs::{
    Config, DesyncDetection, GgrsRequest, P2PSession, PredictRepeatLast, SessionBuilder,
    SessionState,
};
use matchbox_socket::{PeerId, RtcIceServerConfig, WebRtcSocket, WebRtcSocketBuilder};

use super::pace::{self, FPS, Signals};
use crate::script::Script;

/// The settings of the examples of both libraries.
const INPUT_DELAY: usize = 2;
const WINDOW: usize = 8;
const CHECKSUM_INTERVAL: u32 = 30;

#[derive(Debug)]
struct Stock;

impl Config for Stock {
    type Input = Input;
    type InputPredictor = PredictRepeatLast;
    type State = u64;
    type Address = PeerId;
}

/// Plays in `room` until the measurement is over.
pub(super) fn play(room: &str, peers: usize, seat: u8, signals: &Signals) {
    let (mut socket, message_loop) = WebRtcSocketBuilder::new(room)
        .ice_server(RtcIceServerConfig { urls: Vec::new(), username: None, credential: None })
        .add_unreliable_channel()
        .build();
    let looping: JoinHandle<_> = thread::spawn(move || futures::executor::block_on(message_loop));
    let script = Script::new(seat);
    let mut session: Option<P2PSession<Stock>> = None;
    let (mut state, mut frame, mut is_playing) = (0u64, 0u32, false);
    pace::run(signals, seat, || {
        if session.is_none() {
            // The session needs all peers, so it starts once all of them are connected.
            let _ = socket.try_update_peers();
            session = start(&mut socket, peers);
        }
        let Some(session) = &mut session else { return };
        session.poll_remote_clients();
        session.events().for_each(drop);
        if session.current_state() != SessionState::Running {
            return;
        }
        if !is_playing {
            is_playing = true;
            signals.playing.fetch_add(1, Ordering::Relaxed);
        }
        for handle in session.local_player_handles() {
            // The session is running, so it takes an input of a local player.
            let _ = session.add_local_input(handle, script.at(frame));
        }
        let before = session.current_frame();
        fulfil(session.advance_frame().unwrap_or_default(), &mut state);
        let is_played = session.current_frame() > before;
        frame += u32::from(is_played);
        signals.frames.fetch_add(u32::from(is_played), Ordering::Relaxed);
    });
    drop(session);
    drop(socket);
    // The loop ends with the socket; how it ends does not matter any more.
    let _ = looping.join();
}

fn start(socket: &mut WebRtcSocket, peers: usize) -> Option<P2PSession<Stock>> {
    let players = socket.players();
    if players.len() < peers {
        return None;
    }
    let channel = socket.take_channel(0).ok()?;
    let mut builder = SessionBuilder::<Stock>::new()
        .with_num_players(peers)
        .and_then(|builder| builder.with_fps(FPS as usize))
        .ok()?
        .with_input_delay(INPUT_DELAY)
        .with_max_prediction_window(WINDOW)
        .with_desync_detection_mode(DesyncDetection::On { interval: CHECKSUM_INTERVAL });
    for (handle, player) in players.into_iter().enumerate() {
        builder = builder.add_player(player, handle).ok()?;
    }
    builder.start_p2p_session(channel).ok()
}

fn fulfil(requests: Vec<GgrsRequest<Stock>>, state: &mut u64) {
    for request in requests {
        match request {
            GgrsRequest::SaveGameState { cell, frame } => {
                cell.save(frame, Some(*state), Some(u128::from(*state)));
            }
            GgrsRequest::LoadGameState { cell, .. } => *state = cell.load().unwrap_or_default(),
            GgrsRequest::AdvanceFrame { inputs } => {
                for (input, _) in inputs {
                    *state = state.wrapping_mul(31).wrapping_add(u64::from(input.bits()));
                }
            }
        }
    }
}
