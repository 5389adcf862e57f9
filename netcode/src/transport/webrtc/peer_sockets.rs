//! A matchbox socket of its own for each peer that is met.
//!
//! matchbox never gives up a handshake, keeps its peer connection with it, and panics where a
//! system or a browser has no connection left. A socket for one peer alone can be dropped, and all
//! that belongs to that peer with it; and what panics in there ends nothing but this one handshake.

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
    MessageLoopFuture, PeerEvent, PeerId, PeerRequest, RtcIceServerConfig, SignalingError,
    Signaller, SignallerBuilder, WebRtcSocket, WebRtcSocketBuilder, async_trait::async_trait,
};

use super::platform;

/// Makes the sockets, and passes signals to them.
pub(super) struct PeerSockets {
    ice_server: RtcIceServerConfig,
    loops: UnboundedSender<MessageLoopFuture>,
    requests: UnboundedSender<PeerRequest>,
    /// What each socket is yet to hear.
    events: Vec<(PeerId, UnboundedSender<PeerEvent>)>,
}

/// What runs the sockets, and what they want to say.
pub(super) struct SocketEnds {
    /// To be passed to [`run_loops`].
    pub(super) loops: UnboundedReceiver<MessageLoopFuture>,
    /// Signals for the peers.
    pub(super) requests: UnboundedReceiver<PeerRequest>,
}

impl PeerSockets {
    /// None yet; all of them will use these STUN and TURN servers.
    pub(super) fn new(ice_server: RtcIceServerConfig) -> (Self, SocketEnds) {
        let (loop_sender, loops) = unbounded();
        let (request_sender, requests) = unbounded();
        let events = Vec::new();
        let sockets = Self { ice_server, loops: loop_sender, requests: request_sender, events };
        (sockets, SocketEnds { loops, requests })
    }

    /// Makes a socket that begins the handshake which follows from these events. It lives until it
    /// is dropped.
    pub(super) fn open(&mut self, peer: PeerId, first: Vec<PeerEvent>) -> WebRtcSocket {
        self.close(peer);
        let (sender, events) = unbounded();
        let signaller = PeerSignaller { events, requests: self.requests.clone() };
        // Nobody is asked for this address: the signaller is there already.
        let (socket, message_loop) = WebRtcSocketBuilder::new("ws://none")
            .ice_server(self.ice_server.clone())
            .signaller_builder(Arc::new(Ready(Mutex::new(Some(signaller)))))
            .signaling_keep_alive_interval(None)
            .add_unreliable_channel()
            .add_reliable_channel()
            .build();
        for event in first {
            // The receiver is in the message loop.
            let _ = sender.unbounded_send(event);
        }
        self.events.push((peer, sender));
        // Should nobody run it, the game is gone.
        let _ = self.loops.unbounded_send(message_loop);
        socket
    }

    /// Lets the socket of the peer hear this.
    pub(super) fn pass(&self, peer: PeerId, event: PeerEvent) {
        if let Some((_, sender)) = self.events.iter().find(|(other, _)| *other == peer) {
            // A socket that is over hears nothing any more.
            let _ = sender.unbounded_send(event);
        }
    }

    /// Lets the socket of the peer hear no more. It ends when the game drops it.
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

/// Runs one. How it ends is seen at its socket; a panic of matchbox ends it like anything else.
async fn run_loop(message_loop: MessageLoopFuture, is_relay_only: bool) {
    let mut connections = platform::Connections::new(is_relay_only);
    let mut running = pin!(AssertUnwindSafe(message_loop).catch_unwind());
    let _ = poll_fn(|context| connections.note(|| running.as_mut().poll(context))).await;
}

/// Gives matchbox the signaller that is there already.
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

/// What matchbox takes for its way to the server: it hears of one peer, and speaks to that one.
struct PeerSignaller {
    events: UnboundedReceiver<PeerEvent>,
    requests: UnboundedSender<PeerRequest>,
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Signaller for PeerSignaller {
    async fn send(&mut self, request: PeerRequest) -> Result<(), SignalingError> {
        // We have left the room if nobody passes it on.
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
