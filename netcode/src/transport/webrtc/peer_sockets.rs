//! One matchbox socket for each peer that is met.
//!
//! matchbox never gives up a handshake, keeps its peer connection with it, and panics where a
//! system or a browser has no connection left. A socket for a single peer can be dropped with
//! everything that belongs to that peer, and a panic in it ends only that one handshake.

use std::{
    fmt, mem,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};

use futures::{
    FutureExt, StreamExt,
    channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
    future::{pending, poll_fn},
    stream::FuturesUnordered,
};
use matchbox_socket::{
    ChannelConfig, MessageLoopFuture, PeerEvent, PeerId, PeerRequest, RtcIceServerConfig,
    SignalingError, Signaller, SignallerBuilder, WebRtcSocket, WebRtcSocketBuilder,
    async_trait::async_trait,
};

use super::platform;

/// Nothing is lost, and nothing waits for what was sent before it. matchbox has no name for this
/// kind of channel.
const RELIABLE_AND_UNORDERED: ChannelConfig =
    ChannelConfig { ordered: false, max_retransmits: None };

/// Makes the sockets, and passes signals to them.
pub(super) struct PeerSockets {
    ice_server: RtcIceServerConfig,
    loops: UnboundedSender<MessageLoopFuture>,
    requests: UnboundedSender<PeerRequest>,
    /// Where the events for each socket are sent.
    events: Vec<(PeerId, UnboundedSender<PeerEvent>)>,
}

/// The other ends of the sockets: their message loops, and the signals that they send.
pub(super) struct SocketEnds {
    /// To be passed to [`run_loops`].
    pub(super) loops: UnboundedReceiver<MessageLoopFuture>,
    /// Signals for the peers.
    pub(super) requests: UnboundedReceiver<PeerRequest>,
}

impl PeerSockets {
    /// Starts without sockets; all of them will use these STUN and TURN servers.
    pub(super) fn new(ice_server: RtcIceServerConfig) -> (Self, SocketEnds) {
        let (loop_sender, loops) = unbounded();
        let (request_sender, requests) = unbounded();
        let events = Vec::new();
        let sockets = Self { ice_server, loops: loop_sender, requests: request_sender, events };
        (sockets, SocketEnds { loops, requests })
    }

    /// Makes a socket that begins the handshake with the events in `first`. It lives until it is
    /// dropped.
    pub(super) fn open(&mut self, peer: PeerId, first: Vec<PeerEvent>) -> WebRtcSocket {
        self.close(peer);
        let (sender, events) = unbounded();
        let signaller = PeerSignaller { events, requests: self.requests.clone() };
        // This address is never used: the signaller exists already.
        let (socket, message_loop) = WebRtcSocketBuilder::new("ws://none")
            .ice_server(self.ice_server.clone())
            .signaller_builder(Arc::new(Ready(Mutex::new(Some(signaller)))))
            .signaling_keep_alive_interval(None)
            .add_unreliable_channel()
            .add_reliable_channel()
            .add_channel(RELIABLE_AND_UNORDERED)
            .build();
        for event in first {
            // The receiver is in the message loop.
            let _ = sender.unbounded_send(event);
        }
        self.events.push((peer, sender));
        // If nothing runs the loop, the game is gone.
        let _ = self.loops.unbounded_send(message_loop);
        socket
    }

    /// Passes an event to the socket of the peer.
    pub(super) fn pass(&self, peer: PeerId, event: PeerEvent) {
        if let Some((_, sender)) = self.events.iter().find(|(other, _)| *other == peer) {
            // A socket that is over receives nothing more.
            let _ = sender.unbounded_send(event);
        }
    }

    /// Passes no more events to the socket of the peer. It ends when the game drops it.
    pub(super) fn close(&mut self, peer: PeerId) {
        self.events.retain(|(other, _)| *other != peer);
    }
}

/// Runs the message loops until all of them are over and no more can come.
pub(super) async fn run_loops(
    mut loops: UnboundedReceiver<MessageLoopFuture>,
    is_relay_only: bool,
) {
    let mut running = FuturesUnordered::new();
    let mut is_complete = false;
    poll_fn(|context| {
        while let Poll::Ready(next) =
            if is_complete { Poll::Pending } else { loops.poll_next_unpin(context) }
        {
            match next {
                Some(message_loop) => running.push(run_loop(message_loop, is_relay_only)),
                None => is_complete = true,
            }
        }
        while let Poll::Ready(Some(())) = running.poll_next_unpin(context) {}
        if is_complete && running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Runs one message loop. How the loop ends shows at its socket; a panic of matchbox ends it like
/// anything else.
async fn run_loop(message_loop: MessageLoopFuture, is_relay_only: bool) {
    let mut connections = platform::Connections::new(is_relay_only);
    let mut running = pin!(AssertUnwindSafe(message_loop).catch_unwind());
    let _ = poll_fn(|context| connections.note(|| running.as_mut().poll(context))).await;
}

/// Gives matchbox the signaller that exists already.
struct Ready(Mutex<Option<PeerSignaller>>);

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready")
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl SignallerBuilder for Ready {
    async fn new_signaller(
        &self,
        _attempts: Option<u16>,
        _room_url: String,
    ) -> Result<Box<dyn Signaller>, SignalingError> {
        let signaller = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        match signaller {
            Some(signaller) => Ok(Box::new(signaller)),
            // matchbox asks once.
            None => Err(SignalingError::UserImplementationError("asked twice".into())),
        }
    }
}

/// What matchbox takes for its connection to the server: it receives and sends the signals of one
/// peer.
struct PeerSignaller {
    events: UnboundedReceiver<PeerEvent>,
    requests: UnboundedSender<PeerRequest>,
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Signaller for PeerSignaller {
    async fn send(&mut self, request: PeerRequest) -> Result<(), SignalingError> {
        // If this fails, we have left the room.
        let _ = self.requests.unbounded_send(request);
        Ok(())
    }

    /// Never fails: matchbox panics where its signaller ends in the middle of a handshake.
    async fn next_message(&mut self) -> Result<PeerEvent, SignalingError> {
        match self.events.next().await {
            Some(event) => Ok(event),
            None => pending().await,
        }
    }
}
