//! One peer's WebSocket, from its first message to the close frame.
//!
//! Reads requests, writes what the hub queued, and ends the connection when the peer is silent, sends too much or
//! reads too little. Nothing that a peer sends can end anything but its own connection.

use std::{io, mem, pin::pin, sync::atomic::Ordering::Relaxed, time::Duration};

use serde_json::value::RawValue;
use tokio::{
    select,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::debug;
use tungstenite::{
    Utf8Bytes,
    protocol::frame::coding::{Control, Data, OpCode},
};
use uuid::Uuid;

use super::{
    Shared,
    counters::Counter,
    hub::Command,
    outbox::{OutboxReader, outbox},
    rate::Bucket,
    rooms::RoomKey,
    socket::{Incoming, Socket, SocketError},
    stream::Stream,
};
use crate::protocol::{PeerEvent, PeerId, PeerKey, PeerRequest, Refusal};

/// How long a connection that we end stays open, so that the peer can read why: a few round trips of the worst links.
/// Less than the time that a server which is being stopped gives its connections.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// The WebSocket of a client.
pub(super) type ClientSocket = Socket<Stream>;

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The peer closed it.
    Left,
    /// It broke, or the peer broke the WebSocket protocol.
    Broken,
    /// We end it.
    Refused(Refusal),
}

/// Serves one WebSocket: in `room`, or to say why not.
///
/// The peer is who `key` says, so that it stays the same over several connections; without one it is a new one.
pub(crate) async fn serve(
    mut socket: ClientSocket,
    room: Result<RoomKey, Refusal>,
    key: Option<PeerKey>,
    shared: &Shared,
) {
    let peer = key.map_or_else(|| PeerId(Uuid::new_v4()), PeerKey::peer);
    let end = match room {
        Ok(room) => meet(&mut socket, peer, room, shared).await,
        Err(refusal) => End::Refused(refusal),
    };
    debug!(?end, "connection ended");
    match end {
        End::Left => {}
        End::Broken => shared.health.counters.count(Counter::Broken),
        End::Refused(refusal) => {
            shared.health.counters.count(Counter::Refused(refusal));
            close(socket, refusal).await;
        }
    }
}

/// Enters the room and stays there until something ends it.
async fn meet(socket: &mut ClientSocket, peer: PeerId, room: RoomKey, shared: &Shared) -> End {
    let connection = shared.connections.fetch_add(1, Relaxed);
    let (outbox, queue, mut sent_off) = outbox(shared.config.max_queued_bytes);
    let join = |answer| Command::Join { peer, connection, room, outbox, answer };
    if let Err(refusal) = shared.ask(join).await {
        return End::Refused(refusal);
    }
    shared.health.counters.count(Counter::Joined);
    let end = select! {
        biased;
        () = shared.stopped() => return End::Refused(Refusal::ServerStopping),
        _ = &mut sent_off => End::Refused(Refusal::TooSlow),
        end = exchange(socket, peer, queue, shared) => end,
    };
    // Without a hub there is no room left to leave. A stopping server tells nobody that the others leave (above):
    // they have not left each other.
    let _ = shared.hub.send(Command::Leave { peer, connection }).await;
    end
}

/// Passes messages both ways.
async fn exchange(
    socket: &mut ClientSocket,
    peer: PeerId,
    mut queue: OutboxReader,
    shared: &Shared,
) -> End {
    let idle_timeout = shared.config.idle_timeout;
    let mut silence = Silence::new(idle_timeout, Instant::now());
    let mut sent = Bucket::new(Instant::now());
    // A peer that sends too fast is not read for a while.
    let mut is_paused = false;
    let mut alarm = pin!(sleep_until(silence.next_alarm()));
    loop {
        let outgoing = select! {
            message = queue.next() => match message {
                Some(message) => Outgoing::Text(message),
                None => return End::Refused(Refusal::TooSlow),
            },
            incoming = socket.receive(), if !is_paused => {
                let now = Instant::now();
                silence.heard(now);
                let cost = cost(socket.frame_bytes());
                let pause = sent.use_up(cost, shared.config.message_rate, now);
                if !pause.is_zero() {
                    shared.health.counters.count(Counter::Slowed);
                    is_paused = true;
                    alarm.as_mut().reset(now + pause);
                }
                match incoming {
                    Ok(Incoming::Text(text)) => {
                        receive(&text, peer, shared).await;
                        continue;
                    }
                    Ok(Incoming::Binary) => {
                        shared.health.counters.count(Counter::DroppedBinary);
                        continue;
                    }
                    Ok(Incoming::Pong | Incoming::Part) => continue,
                    Ok(Incoming::Ping(payload)) => Outgoing::Pong(payload),
                    Ok(Incoming::Close(payload)) => {
                        let answer = socket.send(OpCode::Control(Control::Close), &payload);
                        // Who is gone needs none.
                        let _ = timeout(CLOSE_GRACE, answer).await;
                        return End::Left;
                    }
                    Err(SocketError::TooLong(_)) => return End::Refused(Refusal::MessageTooLong),
                    Err(error) => {
                        debug!(%error, "a broken WebSocket");
                        return End::Broken;
                    }
                }
            }
            () = &mut alarm => {
                if mem::take(&mut is_paused) {
                    // It was not silent, we did not listen.
                    silence.heard(Instant::now());
                    alarm.as_mut().reset(silence.next_alarm());
                    continue;
                }
                let step = silence.step(Instant::now());
                alarm.as_mut().reset(silence.next_alarm());
                match step {
                    SilenceStep::Wait => continue,
                    SilenceStep::Ask => Outgoing::Ping,
                    SilenceStep::GiveUp => return End::Refused(Refusal::Silent),
                }
            }
        };
        // While we write we do not listen, so a peer that reads nothing counts as silent.
        match timeout(idle_timeout, write(socket, &outgoing)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Broken,
            Err(_) => return End::Refused(Refusal::Silent),
        }
    }
}

/// What so many bytes count for: up to a KiB is one message, and more is several.
pub(super) fn cost(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u32::MAX)
}

/// What the server sends while a connection lasts.
enum Outgoing {
    Text(Utf8Bytes),
    Ping,
    Pong(Vec<u8>),
}

async fn write(socket: &mut ClientSocket, outgoing: &Outgoing) -> io::Result<()> {
    match outgoing {
        Outgoing::Text(text) => socket.send(OpCode::Data(Data::Text), text.as_bytes()).await,
        Outgoing::Ping => socket.send(OpCode::Control(Control::Ping), &[]).await,
        Outgoing::Pong(payload) => socket.send(OpCode::Control(Control::Pong), payload).await,
    }
}

/// Acts on a text from the peer. What is not a request is counted and dropped.
async fn receive(text: &str, peer: PeerId, shared: &Shared) {
    match read(text, peer) {
        Ok(Some(command)) => {
            // Without a hub the server is stopping, which ends this connection anyway.
            let _ = shared.hub.send(command).await;
        }
        Ok(None) => {}
        Err(_) => shared.health.counters.count(Counter::DroppedUnreadable),
    }
}

/// What a peer asks for; nothing if it only says that it is there.
pub(super) fn read(text: &str, peer: PeerId) -> serde_json::Result<Option<Command>> {
    Ok(match serde_json::from_str(text)? {
        PeerRequest::<&RawValue>::KeepAlive => None,
        PeerRequest::Signal { receiver, data } => {
            let event = PeerEvent::Signal { sender: peer, data };
            let message = serde_json::to_string(&event).expect("raw JSON is valid JSON");
            Some(Command::Signal { sender: peer, receiver, message: Utf8Bytes::from(message) })
        }
    })
}

/// Says why, and waits a moment for the peer to hear it: to close at once, with unread data, would destroy the close
/// frame on its way.
async fn close(mut socket: ClientSocket, refusal: Refusal) {
    let mut frame = refusal.close_code().to_be_bytes().to_vec();
    frame.extend_from_slice(refusal.sentence().as_bytes());
    let farewell = async {
        if socket.send(OpCode::Control(Control::Close), &frame).await.is_err() {
            return;
        }
        if refusal == Refusal::MessageTooLong {
            // The message lies unread in the way of everything behind it, so the peer's answer cannot be awaited.
            sleep(CLOSE_GRACE).await;
        }
        while !matches!(socket.receive().await, Ok(Incoming::Close(_)) | Err(_)) {}
    };
    // Who does not answer is cut off.
    let _ = timeout(CLOSE_GRACE, farewell).await;
}

/// Decides when a silent peer is asked whether it is there, and when it is given up.
#[derive(Debug)]
struct Silence {
    timeout: Duration,
    heard_at: Instant,
    is_asked: bool,
}

/// What a silence that has lasted until now asks for.
#[derive(Debug, PartialEq, Eq)]
enum SilenceStep {
    Wait,
    Ask,
    GiveUp,
}

impl Silence {
    fn new(timeout: Duration, now: Instant) -> Self {
        Self { timeout, heard_at: now, is_asked: false }
    }

    fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.is_asked = false;
    }

    fn step(&mut self, now: Instant) -> SilenceStep {
        if now < self.next_alarm() {
            return SilenceStep::Wait;
        }
        if self.is_asked {
            return SilenceStep::GiveUp;
        }
        self.is_asked = true;
        SilenceStep::Ask
    }

    /// When to take the next [`step`](Self::step), unless something is heard before.
    fn next_alarm(&self) -> Instant {
        let halves = if self.is_asked { 2 } else { 1 };
        self.heard_at + self.timeout / 2 * halves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_for_its_kibibytes_begun_ones_included() {
        let costs = [0, 1, 1024, 1025, 2048, 65_536].map(cost);
        assert_eq!(costs, [1, 1, 1, 2, 2, 64]);
    }

    #[test]
    fn silence_is_asked_at_half_time_and_given_up_at_full_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::new(Duration::from_secs(60), start);
        assert_eq!(silence.step(at(29)), SilenceStep::Wait);
        assert_eq!(silence.step(at(30)), SilenceStep::Ask);
        assert_eq!(silence.step(at(59)), SilenceStep::Wait);
        silence.heard(at(59));
        assert_eq!(silence.step(at(60)), SilenceStep::Wait);
        assert_eq!(silence.step(at(89)), SilenceStep::Ask);
        assert_eq!(silence.next_alarm(), at(119));
        assert_eq!(silence.step(at(119)), SilenceStep::GiveUp);
    }
}
