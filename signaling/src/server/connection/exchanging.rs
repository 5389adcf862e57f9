//! A peer in its room: messages pass both ways until something ends the connection.

use std::{mem, pin::pin};

use tokio::{
    select,
    time::{Instant, sleep_until},
};
use tracing::info;

use super::{
    budget::SendBudget,
    ending::{End, end_connection},
    entering::RoomConnection,
    receiving::{Received, handle_frame},
    requests::handle_text,
    writing::{Outgoing, write},
};
use crate::{
    protocol::Refusal,
    server::{
        hub::JoinedPeer,
        limits::{Silence, SilenceStep},
        local::OutboxReader,
        shared::{Shared, steady_millis, unix_millis},
        stream::{ClientSocket, Incoming, SocketError},
    },
};

impl RoomConnection {
    /// Serves the peer in its room until something ends the connection.
    pub(crate) async fn run(&mut self, shared: &Shared) {
        let Self { socket, joined, queue, close_reason } = self;
        let end = select! {
            biased;
            () = shared.stopped() => End::Refused(Refusal::ServerStopping),
            refusal = close_reason => End::Refused(refusal.unwrap_or(Refusal::TooSlow)),
            end = exchange(socket, joined, queue, shared) => end,
        };
        // Frees the messages that the peer will not receive, before the connection closes.
        queue.close();
        info!(room = joined.room().0, peer = %joined.peer, reason = end.name(), "left");
        if end != End::Refused(Refusal::ServerStopping) || shared.hub.is_shared() {
            // If no other process has the rooms, a stopping server does not announce that peers
            // leave, because they do not leave each other.
            shared.hub.leave(joined, end.departure(), steady_millis()).await;
        }
        end_connection(socket, &end, shared).await;
    }
}

/// Passes messages both ways.
async fn exchange(
    socket: &mut ClientSocket,
    joined: &JoinedPeer,
    queue: &mut OutboxReader,
    shared: &Shared,
) -> End {
    let idle_timeout = shared.config.idle_timeout;
    // A token is renewed at the peer's next message once half of its lifetime is over, or once the
    // peer has become the owner or is no longer the owner.
    let token_for = shared.config.resume_time / 2;
    let mut token_until = Instant::now() + token_for;
    let mut silence = Silence::new(idle_timeout, Instant::now());
    let mut budget = SendBudget::new(Instant::now());
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
                // Boxed, so that a silent peer's task holds no memory for handling a message: 384
                // of 1,792 bytes.
                let received = Box::pin(handle(incoming, socket, joined, shared)).await;
                let pause = budget.pause_after(bytes, &received, now, shared);
                if !pause.is_zero() {
                    is_paused = true;
                    alarm.as_mut().reset(now + pause);
                }
                match received {
                    Received::Message | Received::Request
                        if now >= token_until || shared.hub.needs_token(joined) =>
                    {
                        shared.hub.give_token(joined, unix_millis()).await;
                        token_until = now + token_for;
                        continue;
                    }
                    Received::Message | Received::Request => continue,
                    Received::Ping(payload) => Outgoing::Pong(payload),
                    Received::End(end) => return end,
                }
            }
            () = &mut alarm => {
                if mem::take(&mut is_paused) {
                    // The peer was not silent; we did not read.
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

/// Handles what the peer sent.
async fn handle(
    incoming: Result<Incoming, SocketError>,
    socket: &mut ClientSocket,
    joined: &JoinedPeer,
    shared: &Shared,
) -> Received {
    match incoming {
        Ok(Incoming::Text(message)) => handle_text(&message, joined, shared).await,
        incoming => handle_frame(incoming, socket, shared).await,
    }
}
