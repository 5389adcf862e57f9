//! One peer's WebSocket, from its first message to the close frame.
//!
//! Reads requests, writes what the hub queued, and ends the connection when the peer is silent, sends too much or
//! reads too little. Nothing that a peer sends can end anything but its own connection.

use std::{
    io, mem,
    pin::pin,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    select,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, info};
use tungstenite::{
    Utf8Bytes,
    protocol::frame::coding::{Control, Data, OpCode},
};
use uuid::Uuid;

use super::{
    Shared,
    address::{Address, Wish},
    counters::Counter,
    hub::{Parting, Visit, Visitor},
    local::text,
    outbox::{OutboxReader, outbox},
    rate::{Bucket, Rate},
    socket::{Incoming, Socket, SocketError},
    stream::Stream,
    turn,
};
use crate::{
    lobby::{RoomEvent, RoomRequest},
    protocol::{PeerEvent, PeerId, PeerKey, PeerRequest, Refusal},
};

/// How long a connection that we end stays open, so that the peer can read why: a few round trips of the worst links.
/// Less than the time that a server which is being stopped gives its connections.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// The WebSocket of a client.
pub(super) type ClientSocket = Socket<Stream>;

/// How often a list of rooms is asked for: every second is as often as a person looks.
const LIST_RATE: Rate = Rate { per_second: 1, at_once: 5 };

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

/// Serves one WebSocket, as its address asks, or says why not.
pub(crate) async fn serve(
    mut socket: ClientSocket,
    address: Result<Address, Refusal>,
    shared: &Shared,
) {
    let end = match address {
        Ok(Address::Stock(wish)) => meet(&mut socket, &wish, stranger(shared), shared).await,
        Ok(Address::V1 { wish, key, token }) => {
            let visitor = visitor(key, token.as_deref(), shared);
            meet(&mut socket, &wish, visitor, shared).await
        }
        Ok(Address::List { game }) => list(&mut socket, &game, shared).await,
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

/// One of matchbox's clients, whom nobody will know again.
fn stranger(shared: &Shared) -> Visitor {
    Visitor {
        peer: PeerId(Uuid::new_v4()),
        is_lasting: false,
        connection: shared.connections.fetch_add(1, Relaxed),
        is_v1: false,
        resume: None,
    }
}

/// One of ours. It is who its key says, so that it stays the same over several connections; without one it is a new one.
fn visitor(key: Option<PeerKey>, token: Option<&str>, shared: &Shared) -> Visitor {
    let stranger = stranger(shared);
    let peer = key.map_or(stranger.peer, PeerKey::peer);
    let resume = token.and_then(|token| shared.hub.read_token(token, peer, unix_millis()));
    Visitor { peer, is_lasting: key.is_some(), is_v1: true, resume, ..stranger }
}

/// Enters the room and stays there until something ends it.
async fn meet(socket: &mut ClientSocket, wish: &Wish, visitor: Visitor, shared: &Shared) -> End {
    let (outbox, queue, mut sent_off) = outbox(shared.config.max_queued_bytes);
    if visitor.is_v1 && outbox.push(welcome(visitor.peer, shared)).is_err() {
        return End::Refused(Refusal::TooSlow);
    }
    let visit = match shared.hub.enter(&visitor, wish, outbox).await {
        Ok(visit) => visit,
        Err(refusal) => return End::Refused(refusal),
    };
    drop(visitor);
    shared.health.counters.count(Counter::Joined);
    info!(room = visit.room.0, peer = %visit.peer, "joined");
    shared.hub.give_token(&visit, unix_millis()).await;
    let end = select! {
        biased;
        () = shared.stopped() => End::Refused(Refusal::ServerStopping),
        refusal = &mut sent_off => End::Refused(refusal.unwrap_or(Refusal::TooSlow)),
        end = exchange(socket, &visit, queue, shared) => end,
    };
    info!(room = visit.room.0, peer = %visit.peer, reason = end.name(), "left");
    if end != End::Refused(Refusal::ServerStopping) || shared.hub.is_shared() {
        // Where nobody else has the rooms, a stopping server tells nobody that the others leave: they have not left each other.
        shared.hub.leave(&visit, end.parting(), unix_millis()).await;
    }
    end
}

/// Shows the list of public rooms: at once, and whenever the client says something.
async fn list(socket: &mut ClientSocket, game: &str, shared: &Shared) -> End {
    let mut asked = Bucket::new(Instant::now());
    let idle_timeout = shared.config.idle_timeout;
    loop {
        let rooms = match shared.hub.list(game).await {
            Ok(rooms) => text(&RoomEvent::Rooms(rooms)),
            Err(down) => return End::Refused(down.into()),
        };
        match timeout(idle_timeout, write(socket, &Outgoing::Text(rooms))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Broken,
            Err(_) => return End::Refused(Refusal::Silent),
        }
        let incoming = select! {
            biased;
            () = shared.stopped() => return End::Refused(Refusal::ServerStopping),
            incoming = timeout(idle_timeout, socket.receive()) => incoming,
        };
        match incoming {
            Ok(Ok(Incoming::Close(_))) => return End::Left,
            Ok(Ok(_)) => sleep(asked.use_up(1, LIST_RATE, Instant::now())).await,
            Ok(Err(SocketError::TooLong(_))) => return End::Refused(Refusal::MessageTooLong),
            Ok(Err(_)) => return End::Broken,
            Err(_) => return End::Refused(Refusal::Silent),
        }
    }
}

/// Milliseconds since 1970: a time that other processes know, too.
pub(super) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl End {
    /// For the log.
    fn name(&self) -> &'static str {
        match self {
            Self::Left => "closed",
            Self::Broken => "broken",
            Self::Refused(refusal) => refusal.sentence(),
        }
    }

    /// Whether the peer may be meant to come again.
    fn parting(&self) -> Parting {
        match self {
            Self::Broken | Self::Refused(Refusal::Silent | Refusal::ServerStopping) => {
                Parting::Lost
            }
            Self::Left | Self::Refused(_) => Parting::Left,
        }
    }
}

/// What a peer of ours reads before its id: the queue begins with it.
fn welcome(peer: PeerId, shared: &Shared) -> Utf8Bytes {
    text(&turn::welcome(&shared.config, peer, SystemTime::now()))
}

/// Passes messages both ways.
async fn exchange(
    socket: &mut ClientSocket,
    visit: &Visit,
    mut queue: OutboxReader,
    shared: &Shared,
) -> End {
    let idle_timeout = shared.config.idle_timeout;
    // A token is made new once half of its time is over, and when the room has another owner, as soon as the peer says something.
    let token_for = shared.config.resume_time / 2;
    let mut token_until = Instant::now() + token_for;
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
                match take_in(incoming, socket, visit, shared).await {
                    Taken::Message if now >= token_until || shared.hub.needs_token(visit) => {
                        shared.hub.give_token(visit, unix_millis()).await;
                        token_until = now + token_for;
                        continue;
                    }
                    Taken::Message => continue,
                    Taken::Ping(payload) => Outgoing::Pong(payload),
                    Taken::End(end) => return end,
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

/// What is to be done about something that came.
enum Taken {
    /// Nothing more.
    Message,
    Ping(Vec<u8>),
    End(End),
}

/// Follows what came from the peer.
async fn take_in(
    incoming: Result<Incoming, SocketError>,
    socket: &mut ClientSocket,
    visit: &Visit,
    shared: &Shared,
) -> Taken {
    match incoming {
        Ok(Incoming::Text(message)) => receive(&message, visit, shared).await,
        Ok(Incoming::Binary) => shared.health.counters.count(Counter::DroppedBinary),
        Ok(Incoming::Pong | Incoming::Part) => {}
        Ok(Incoming::Ping(payload)) => return Taken::Ping(payload),
        Ok(Incoming::Close(payload)) => {
            let answer = socket.send(OpCode::Control(Control::Close), &payload);
            // Who is gone needs none.
            let _ = timeout(CLOSE_GRACE, answer).await;
            return Taken::End(End::Left);
        }
        Err(SocketError::TooLong(_)) => return Taken::End(End::Refused(Refusal::MessageTooLong)),
        Err(error) => {
            debug!(%error, "a broken WebSocket");
            return Taken::End(End::Broken);
        }
    }
    Taken::Message
}

/// Does what a peer asks for.
async fn receive(text: &str, visit: &Visit, shared: &Shared) {
    match read(text, visit) {
        Ok(Said::Here) => {}
        Ok(Said::Signal { receiver, message }) => {
            shared.hub.signal(visit, receiver, message).await;
        }
        Ok(Said::Room(request)) => shared.hub.ask(visit, &request).await,
        Err(_) => shared.health.counters.count(Counter::DroppedUnreadable),
    }
}

/// What a peer said.
#[derive(Debug)]
pub(super) enum Said {
    /// Only that it is there.
    Here,
    /// This, a complete event, shall go to that peer.
    Signal { receiver: PeerId, message: Utf8Bytes },
    /// Something about its room.
    Room(RoomRequest),
}

/// The request that matchbox does not know.
#[derive(Deserialize)]
enum OwnRequest {
    Room(RoomRequest),
}

/// Reads a peer's message.
pub(super) fn read(message: &str, visit: &Visit) -> serde_json::Result<Said> {
    let request = match serde_json::from_str(message) {
        Ok(request) => request,
        Err(_) if visit.is_v1 => {
            let OwnRequest::Room(request) = serde_json::from_str(message)?;
            return Ok(Said::Room(request));
        }
        Err(error) => return Err(error),
    };
    Ok(match request {
        PeerRequest::<&RawValue>::KeepAlive => Said::Here,
        PeerRequest::Signal { receiver, data } => {
            let message = text(&PeerEvent::Signal { sender: visit.peer, data });
            Said::Signal { receiver, message }
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
