//! How connections end, and how the peer learns the reason.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::debug;
use tungstenite::protocol::frame::coding::{Control, OpCode};

use crate::{
    protocol::Refusal,
    server::{
        counters::Counter,
        hub::Departure,
        shared::Shared,
        stream::{ClientSocket, Incoming},
    },
};

/// How long a connection that we end stays open, so that the peer can read the reason: a few round
/// trips on the worst links, and less than the time that a stopping server gives its connections.
pub(super) const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The peer closed it.
    Left,
    /// It broke, or the peer broke the WebSocket protocol.
    Broken,
    /// We end it for this reason.
    Refused(Refusal),
}

impl End {
    /// The reason, for the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Left => "closed",
            Self::Broken => "broken",
            Self::Refused(refusal) => refusal.sentence(),
        }
    }

    /// Returns whether the peer left, or is likely to come back.
    pub(super) fn departure(&self) -> Departure {
        match self {
            // If these counted as leaving, a peer could slow down another peer's network and then
            // take its place.
            Self::Broken
            | Self::Refused(Refusal::Silent | Refusal::TooSlow | Refusal::ServerStopping) => {
                Departure::Lost
            }
            Self::Left | Self::Refused(_) => Departure::Left,
        }
    }
}

/// Ends a connection, and tells the peer why.
pub(super) async fn end_connection(socket: &mut ClientSocket, end: &End, shared: &Shared) {
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

/// Sends the reason, and waits a moment for the peer to read it: closing at once, with unread data,
/// would destroy the close frame on its way.
async fn close(socket: &mut ClientSocket, refusal: Refusal) {
    let mut frame = refusal.close_code().to_be_bytes().to_vec();
    frame.extend_from_slice(refusal.sentence().as_bytes());
    let farewell = async {
        if socket.send(OpCode::Control(Control::Close), &frame).await.is_err() {
            return;
        }
        if refusal == Refusal::MessageTooLong {
            // The unread message blocks everything behind it, so we cannot wait for the peer's
            // answer.
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
    fn a_peer_with_a_bad_network_is_lost_and_has_not_left() {
        for refusal in Refusal::ALL {
            let is_lost = End::Refused(refusal).departure() == Departure::Lost;
            let is_network =
                matches!(refusal, Refusal::Silent | Refusal::TooSlow | Refusal::ServerStopping);
            assert_eq!(is_lost, is_network, "{refusal:?}");
        }
        assert_eq!(
            [End::Left, End::Broken].map(|end| end.departure()),
            [Departure::Left, Departure::Lost]
        );
    }
}
