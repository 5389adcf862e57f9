//! Matches of `ggrs`, paced as `bevy_ggrs` 0.22 paces them, in real time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use demo_game::input::Input;
use ggrs::{
    Config, GgrsRequest, Message, NonBlockingSocket, P2PSession, PlayerType, PredictRepeatLast,
    SessionBuilder, SessionState,
};
use netcode::testing::BadNetwork;

use super::{
    Case, FPS, SEED,
    outcome::{Outcome, Played},
};
use crate::script::Script;

const FRAME: Duration = Duration::from_nanos(1_000_000_000 / FPS as u64);
/// The factor of `bevy_ggrs` by which a peer that is ahead lengthens its steps.
const SLOWED: f64 = 1.1;
/// By default ggrs gives up on a peer after 2 s of silence. Here it never does, so that the match
/// can be counted to its end.
const NEVER: Duration = Duration::from_secs(3600);
/// An update that is later than this spoils the measurement: the limit exceeds the jitter of every
/// network here.
const MOST_LATE: Duration = Duration::from_millis(100);
/// How long sessions may take to find each other, before anything is counted.
const MEETING: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct Stock;

impl Config for Stock {
    type Input = Input;
    type InputPredictor = PredictRepeatLast;
    type State = Vec<Played>;
    type Address = usize;
}

/// The packets that one machine sent and received.
#[derive(Debug, Default)]
struct Mail {
    sent: Vec<(usize, Vec<u8>)>,
    received: Vec<(usize, Message)>,
}

#[derive(Clone, Debug, Default)]
struct Mailbox(Arc<Mutex<Mail>>);

impl Mailbox {
    fn with<T>(&self, work: impl FnOnce(&mut Mail) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl NonBlockingSocket<usize> for Mailbox {
    fn send_to(&mut self, message: &Message, to: &usize) {
        // In matchbox's encoding.
        let bytes = bincode::serde::encode_to_vec(message, bincode::config::standard());
        if let Ok(bytes) = bytes {
            self.with(|mail| mail.sent.push((*to, bytes)));
        }
    }

    fn receive_all_messages(&mut self) -> Vec<(usize, Message)> {
        self.with(|mail| std::mem::take(&mut mail.received))
    }
}

struct Peer {
    session: P2PSession<Stock>,
    mailbox: Mailbox,
    script: Script,
    /// The last frame for which an input was given.
    given: Option<i32>,
    state: Vec<Played>,
    owed: f64,
}

struct Match {
    peers: Vec<Peer>,
    network: BadNetwork,
    outcome: Outcome,
    /// The frame of each peer when counting began.
    began_at: Vec<i32>,
}

/// Plays all cases at once. Returns their outcomes in the same order.
///
/// # Errors
///
/// If ggrs refuses a session, or this machine is too slow for all these matches.
pub(super) fn play(
    cases: &[Case],
    delay: usize,
    seconds: u32,
) -> Result<Vec<Outcome>, &'static str> {
    let matches: Option<Vec<Match>> =
        cases.iter().map(|case| Match::new(*case, delay, seconds)).collect();
    let mut matches = matches.ok_or("ggrs refused a session")?;
    let start = Instant::now();
    let mut due = Duration::ZERO;
    let mut counts_from = None;
    loop {
        thread::sleep(due.saturating_sub(start.elapsed()));
        // If this thread is late, packets are late by as much.
        if counts_from.is_some() && start.elapsed() > due + MOST_LATE {
            return Err("this machine was busy with something else; run it again");
        }
        due += FRAME;
        let now = start.elapsed();
        let is_counted = counts_from.is_some();
        for each in &mut matches {
            each.update(now, is_counted);
        }
        if counts_from.is_none() && (now > MEETING || matches.iter().all(Match::is_running)) {
            counts_from = Some(now);
            matches.iter_mut().for_each(Match::begin);
        }
        if counts_from.is_some_and(|from| now - from >= Duration::from_secs(seconds.into())) {
            return Ok(matches.into_iter().map(|each| each.finish(delay)).collect());
        }
    }
}

impl Match {
    fn new(case: Case, delay: usize, seconds: u32) -> Option<Self> {
        let peers: Option<Vec<Peer>> =
            (0..case.peers).map(|index| Peer::new(index, case.peers, delay)).collect();
        Some(Self {
            peers: peers?,
            network: BadNetwork::new(case.peers, case.conditions, SEED),
            outcome: Outcome::new(case.peers, seconds),
            began_at: Vec::new(),
        })
    }

    fn is_running(&self) -> bool {
        self.peers.iter().all(|peer| peer.session.current_state() == SessionState::Running)
    }

    fn begin(&mut self) {
        self.began_at = self.peers.iter().map(|peer| peer.session.current_frame()).collect();
    }

    /// One update of every peer.
    fn update(&mut self, now: Duration, is_counted: bool) {
        let Self { peers, network, outcome, .. } = self;
        network.deliver(now, |from, to, bytes| {
            let message = bincode::serde::decode_from_slice(bytes, bincode::config::standard());
            if let Ok((message, _)) = message {
                peers[to].mailbox.with(|mail| mail.received.push((from, message)));
            }
        });
        for (index, peer) in peers.iter_mut().enumerate() {
            peer.update(now, index, is_counted, outcome);
            for (to, bytes) in peer.mailbox.with(|mail| std::mem::take(&mut mail.sent)) {
                network.send(now, index, to, &bytes);
            }
        }
    }

    fn finish(mut self, delay: usize) -> Outcome {
        self.outcome.delay = delay as f32;
        for (index, peer) in self.peers.iter().enumerate() {
            let before = self.began_at.get(index).copied().unwrap_or(0);
            self.outcome.frames[index] = (peer.session.current_frame() - before) as u32;
        }
        self.outcome
    }
}

impl Peer {
    fn new(index: usize, peers: usize, delay: usize) -> Option<Self> {
        let mut builder = SessionBuilder::<Stock>::new()
            .with_num_players(peers)
            .and_then(|builder| builder.with_fps(FPS as usize))
            .ok()?
            .with_input_delay(delay)
            .with_disconnect_timeout(NEVER)
            .with_disconnect_notify_delay(NEVER);
        for handle in 0..peers {
            let player =
                if handle == index { PlayerType::Local } else { PlayerType::Remote(handle) };
            builder = builder.add_player(player, handle).ok()?;
        }
        let mailbox = Mailbox::default();
        let session = builder.start_p2p_session(mailbox.clone()).ok()?;
        let script = Script::new(index as u8);
        let state = vec![Played::default(); peers];
        Some(Self { session, mailbox, script, given: None, state, owed: 0.0 })
    }

    fn update(&mut self, now: Duration, index: usize, is_counted: bool, outcome: &mut Outcome) {
        self.session.poll_remote_clients();
        self.session.events().for_each(drop);
        if self.session.current_state() != SessionState::Running {
            return;
        }
        let slowed = if self.session.frames_ahead() > 0 { SLOWED } else { 1.0 };
        self.owed += 1.0 / slowed;
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            self.step(now, index, is_counted, outcome);
        }
        for (seat, played) in self.state.iter().enumerate() {
            outcome.show(now, index, seat, played.changes);
        }
    }

    fn step(&mut self, now: Duration, index: usize, is_counted: bool, outcome: &mut Outcome) {
        let before = self.session.current_frame();
        // The latency of a key counts from when it is read, however long the session waits.
        if self.given.replace(before) != Some(before) && self.script.changes_at(before as u32) {
            outcome.press(now, index);
        }
        // The session is running and the player is local, so the session takes the input.
        let _ = self.session.add_local_input(index, self.script.at(before as u32));
        let requests = self.session.advance_frame().unwrap_or_default();
        for request in requests {
            match request {
                GgrsRequest::SaveGameState { cell, frame } => {
                    cell.save(frame, Some(self.state.clone()), None);
                }
                GgrsRequest::LoadGameState { cell, frame } => {
                    self.state = cell.load().unwrap_or_default();
                    if is_counted {
                        outcome.rollbacks.push((before - frame) as u32);
                    }
                }
                GgrsRequest::AdvanceFrame { inputs } => {
                    for (played, (input, _)) in self.state.iter_mut().zip(inputs) {
                        played.step(input);
                    }
                }
            }
        }
        if self.session.current_frame() == before {
            outcome.stalls += u32::from(is_counted);
        }
    }
}
