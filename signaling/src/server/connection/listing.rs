//! A client that watches the list of public rooms.

use std::mem;

use tokio::{
    select,
    time::{Instant, sleep, timeout},
};

use super::{
    ending::End,
    receiving::{Received, handle_frame},
    writing::{Outgoing, write},
};
use crate::{
    protocol::Refusal,
    server::{
        limits::{Bucket, Rate},
        shared::Shared,
        stream::{ClientSocket, Incoming},
    },
};

/// How often a client may request the list of rooms: nobody looks more than once a second.
const LIST_RATE: Rate = Rate { per_second: 1, at_once: 5 };

/// Sends the list of public rooms: at once, and each time the client has sent a text.
pub(super) async fn list(socket: &mut ClientSocket, game: &str, shared: &Shared) -> End {
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
        // This applies to every kind of frame, so that no other kind can be sent faster.
        sleep(asked.use_up(1, LIST_RATE, Instant::now())).await;
        is_asked = matches!(incoming, Ok(Incoming::Text(_)));
        match handle_frame(incoming, socket, shared).await {
            Received::Message | Received::Request => {}
            Received::Ping(payload) => {
                if let Err(end) = write(socket, &Outgoing::Pong(payload), shared).await {
                    return end;
                }
            }
            Received::End(end) => return end,
        }
    }
}
