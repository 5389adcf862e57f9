//! One peer's WebSocket, from its first message to the close frame.
//!
//! Reads requests, writes what the hub queued, and ends the connection when the peer is silent,
//! sends too much or reads too little. What a peer sends can end no connection but its own.

use std::{
    mem,
    pin::pin,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    select,
    sync::oneshot,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, info};
use tungstenite::{
    Utf8Bytes,
    protocol::frame::coding::{Control, Data, OpCode},
};
use uuid::Uuid;

use super::{
    address::{Address, Wish},
    counters::Counter,
    credentials::Resume,
    hub::{Parting, Visit, Visitor},
    limits::{Bucket, Rate, Silence, SilenceStep, message_cost},
    local::{OutboxReader, outbox, text},
    shared::{Shared, steady_millis, unix_millis},
    stream::{ClientSocket, Incoming, SocketError},
};
use crate::{
    lobby::RoomRequest,
    protocol::{PeerEvent, PeerId, PeerKey, PeerRequest, Refusal},
};

/// How long a connection that we end stays open, so that the peer can read why: a few round trips
/// of the worst links. Less than the time that a stopping server gives its connections.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

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

/// Somebody who is in a room: all that stays in memory for as long.
#[derive(Debug)]
pub(crate) struct Guest {
    socket: ClientSocket,
    visit: Visit,
    queue: OutboxReader,
    sent_off: oneshot::Receiver<Refusal>,
}

/// Does what the address of a new WebSocket asks for, or says why not. A peer with proof that it
/// was in a room comes back to that one. Returns a peer that is in a room now; all else is over.
pub(crate) async fn receive_guest(
    mut socket: ClientSocket,
    address: Result<(Address, Option<Resume>), Refusal>,
    shared: &Shared,
) -> Option<Guest> {
    let met = match address {
        Ok((Address::Stock(wish), _)) => meet(&wish, stranger(shared), shared).await,
        Ok((Address::V1 { wish, key, .. }, resume)) => {
            meet(&wish, visitor(key, resume, shared), shared).await
        }
        Ok((Address::List { game }, _)) => Err(list(&mut socket, &game, shared).await),
        Err(refusal) => Err(End::Refused(refusal)),
    };
    match met {
        Ok((visit, queue, sent_off)) => Some(Guest { socket, visit, queue, sent_off }),
        Err(end) => {
            part(&mut socket, &end, shared).await;
            None
        }
    }
}

/// Ends a connection, and says why.
async fn part(socket: &mut ClientSocket, end: &End, shared: &Shared) {
    debug!(?end, "connection ended");
    match *end {
        End::Left => {}
        End::Broken => shared.health.counters.count(Counter::Broken),
        End::Refused(refusal) => {
            shared.health.counters.count(Counter::Refused(refusal));
            close(socket, refusal).await;
        }
    }
}

/// One of matchbox's clients, which nobody will know again.
fn stranger(shared: &Shared) -> Visitor {
    Visitor {
        peer: PeerId(Uuid::new_v4()),
        is_lasting: false,
        connection: shared.connections.fetch_add(1, Relaxed),
        is_v1: false,
        resume: None,
    }
}

/// One of ours. It has the id that follows from its key, so that it stays the same peer over
/// several connections; without a key it is a new one.
fn visitor(key: Option<PeerKey>, resume: Option<Resume>, shared: &Shared) -> Visitor {
    let stranger = stranger(shared);
    let peer = key.map_or(stranger.peer, PeerKey::peer);
    Visitor { peer, is_lasting: key.is_some(), is_v1: true, resume, ..stranger }
}

/// Enters the room.
async fn meet(
    wish: &Wish,
    visitor: Visitor,
    shared: &Shared,
) -> Result<(Visit, OutboxReader, oneshot::Receiver<Refusal>), End> {
    let (outbox, queue, sent_off) = outbox(shared.config.max_queued_bytes);
    if visitor.is_v1 && outbox.push(welcome(visitor.peer, shared)).is_err() {
        return Err(End::Refused(Refusal::TooSlow));
    }
    let visit = shared.hub.enter(&visitor, wish, outbox).await.map_err(End::Refused)?;
    shared.health.counters.count(Counter::Joined);
    info!(room = visit.room().0, peer = %visit.peer, "joined");
    shared.hub.give_token(&visit, unix_millis()).await;
    Ok((visit, queue, sent_off))
}

impl Guest {
    /// Stays in the room until something ends it.
    pub(crate) async fn stay(&mut self, shared: &Shared) {
        let Self { socket, visit, queue, sent_off } = self;
        let end = select! {
            biased;
            () = shared.stopped() => End::Refused(Refusal::ServerStopping),
            refusal = sent_off => End::Refused(refusal.unwrap_or(Refusal::TooSlow)),
            end = exchange(socket, visit, queue, shared) => end,
        };
        // What it was not sent is not kept while it says goodbye.
        queue.close();
        info!(room = visit.room().0, peer = %visit.peer, reason = end.name(), "left");
        if end != End::Refused(Refusal::ServerStopping) || shared.hub.is_shared() {
            // Where nobody else has the rooms, a stopping server tells no peer that the other peers
            // leave: they have not left each other.
            shared.hub.leave(visit, end.parting(), steady_millis()).await;
        }
        part(socket, &end, shared).await;
    }
}

/// Shows the list of public rooms: at once, and whenever the client has sent a text.
async fn list(socket: &mut ClientSocket, game: &str, shared: &Shared) -> End {
    let mut asked = Bucket::new(Instant::now());
    let idle_timeout = shared.config.idle_timeout;
    let mut is_asked = true;
    loop {
        if mem::take(&mut is_asked) {
            let rooms = match shared.hub.list(game, Instant::now()).await {
                Ok(list) => list.event,
                Err(down) => return End::Refused(down.into()),
            };
            if let Err(end) = write(socket, &Outgoing::Text(rooms), shared).await {
                return end;
            }
        }
        let incoming = select! {
            biased;
            () = shared.stopped() => return End::Refused(Refusal::ServerStopping),
            incoming = timeout(idle_timeout, socket.receive()) => incoming,
        };
        let Ok(incoming) = incoming else { return End::Refused(Refusal::Silent) };
        // Whatever it is, so that nothing else can be sent faster.
        sleep(asked.use_up(1, LIST_RATE, Instant::now())).await;
        is_asked = matches!(incoming, Ok(Incoming::Text(_)));
        match take_in(incoming, socket, shared).await {
            Taken::Message | Taken::Request => {}
            Taken::Ping(payload) => {
                if let Err(end) = write(socket, &Outgoing::Pong(payload), shared).await {
                    return end;
                }
            }
            Taken::End(end) => return end,
        }
    }
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
            // Nobody can make another one's network slow and have its place.
            Self::Broken
            | Self::Refused(Refusal::Silent | Refusal::TooSlow | Refusal::ServerStopping) => {
                Parting::Lost
            }
            Self::Left | Self::Refused(_) => Parting::Left,
        }
    }
}

/// What a peer of ours reads before its id: the queue begins with it.
fn welcome(peer: PeerId, shared: &Shared) -> Utf8Bytes {
    text(&shared.config.ice_settings().welcome(peer, SystemTime::now()))
}

/// Passes messages both ways.
async fn exchange(
    socket: &mut ClientSocket,
    visit: &Visit,
    queue: &mut OutboxReader,
    shared: &Shared,
) -> End {
    let idle_timeout = shared.config.idle_timeout;
    // A token is made new once half of its time is over, and when the room has another owner, as
    // soon as the peer says something.
    let token_for = shared.config.resume_time / 2;
    let mut token_until = Instant::now() + token_for;
    let mut silence = Silence::new(idle_timeout, Instant::now());
    let mut allowance = Allowance::new(Instant::now());
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
                let bytes = socket.frame_bytes();
                let taken = match incoming {
                    Ok(Incoming::Text(message)) => receive(&message, visit, shared).await,
                    incoming => take_in(incoming, socket, shared).await,
                };
                let pause = allowance.use_up(bytes, &taken, now, shared);
                if !pause.is_zero() {
                    is_paused = true;
                    alarm.as_mut().reset(now + pause);
                }
                match taken {
                    Taken::Message | Taken::Request
                        if now >= token_until || shared.hub.needs_token(visit) =>
                    {
                        shared.hub.give_token(visit, unix_millis()).await;
                        token_until = now + token_for;
                        continue;
                    }
                    Taken::Message | Taken::Request => continue,
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
        if let Err(end) = write(socket, &outgoing, shared).await {
            return end;
        }
    }
}

/// How much of what a peer may send it has used up.
struct Allowance {
    messages: Bucket,
    requests: Bucket,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { messages: Bucket::new(now), requests: Bucket::new(now) }
    }

    /// How long the peer is not to be heard after a frame of that many bytes, in which was this.
    fn use_up(&mut self, bytes: usize, taken: &Taken, now: Instant, shared: &Shared) -> Duration {
        let (config, counters) = (&shared.config, &shared.health.counters);
        let pause = self.messages.use_up(message_cost(bytes), config.message_rate, now);
        if !pause.is_zero() {
            counters.count(Counter::Slowed);
        }
        if !matches!(taken, Taken::Request) {
            return pause;
        }
        let pause_of_requests = self.requests.use_up(1, config.room_request_rate, now);
        if !pause_of_requests.is_zero() {
            counters.count(Counter::RequestsSlowed);
        }
        pause.max(pause_of_requests)
    }
}

/// What the server sends while a connection lasts.
enum Outgoing {
    Text(Utf8Bytes),
    Ping,
    Pong(Vec<u8>),
}

async fn write(socket: &mut ClientSocket, outgoing: &Outgoing, shared: &Shared) -> Result<(), End> {
    let (opcode, payload) = match outgoing {
        Outgoing::Text(text) => (OpCode::Data(Data::Text), text.as_bytes()),
        Outgoing::Ping => (OpCode::Control(Control::Ping), &[][..]),
        Outgoing::Pong(payload) => (OpCode::Control(Control::Pong), &payload[..]),
    };
    // While we write we do not listen, so a peer that reads nothing counts as silent.
    match timeout(shared.config.idle_timeout, socket.send(opcode, payload)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Broken),
        Err(_) => Err(End::Refused(Refusal::Silent)),
    }
}

/// What is to be done about something that came.
enum Taken {
    /// Nothing more.
    Message,
    /// Nothing more; it was about the room, so everybody in it may have heard of it.
    Request,
    Ping(Vec<u8>),
    End(End),
}

/// Follows what came from the peer, unless it is a text.
async fn take_in(
    incoming: Result<Incoming, SocketError>,
    socket: &mut ClientSocket,
    shared: &Shared,
) -> Taken {
    match incoming {
        Ok(Incoming::Binary) => shared.health.counters.count(Counter::DroppedBinary),
        Ok(Incoming::Text(_) | Incoming::Pong | Incoming::Part) => {}
        Ok(Incoming::Ping(payload)) => return Taken::Ping(payload),
        Ok(Incoming::Close(payload)) => {
            let answer = socket.send(OpCode::Control(Control::Close), &payload);
            // A peer that is gone needs none.
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
async fn receive(text: &str, visit: &Visit, shared: &Shared) -> Taken {
    match read(text, visit) {
        Ok(Said::Here) => {}
        Ok(Said::Signal { receiver, message }) => {
            shared.hub.signal(visit, receiver, message).await;
        }
        Ok(Said::Room(request)) => {
            shared.hub.ask(visit, &request).await;
            return Taken::Request;
        }
        Err(_) => shared.health.counters.count(Counter::DroppedUnreadable),
    }
    Taken::Message
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

/// Says why, and waits a moment for the peer to hear it: to close at once, with unread data, would
/// destroy the close frame on its way.
async fn close(socket: &mut ClientSocket, refusal: Refusal) {
    let mut frame = refusal.close_code().to_be_bytes().to_vec();
    frame.extend_from_slice(refusal.sentence().as_bytes());
    let farewell = async {
        if socket.send(OpCode::Control(Control::Close), &frame).await.is_err() {
            return;
        }
        if refusal == Refusal::MessageTooLong {
            // The message lies unread in the way of everything behind it, so the peer's answer
            // cannot be awaited.
            sleep(CLOSE_GRACE).await;
        }
        while !matches!(socket.receive().await, Ok(Incoming::Close(_)) | Err(_)) {}
    };
    // A peer that does not answer is cut off.
    let _ = timeout(CLOSE_GRACE, farewell).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_whose_network_is_bad_has_not_left() {
        for refusal in Refusal::ALL {
            let is_lost = End::Refused(refusal).parting() == Parting::Lost;
            let is_network =
                matches!(refusal, Refusal::Silent | Refusal::TooSlow | Refusal::ServerStopping);
            assert_eq!(is_lost, is_network, "{refusal:?}");
        }
        assert_eq!(
            [End::Left, End::Broken].map(|end| end.parting()),
            [Parting::Left, Parting::Lost]
        );
    }
}
