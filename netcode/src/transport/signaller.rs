//! Our way to the signaling server, in place of matchbox's own.
//!
//! Once connected it never fails: a lost server must not end a match that runs on data channels, and matchbox
//! may panic where its signaller ends in the middle of a handshake. It withholds `PeerLeft`, which only says that
//! a peer's WebSocket closed, and a second `IdAssigned`, on which matchbox panics.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{
    future::{Either, pending, select},
    pin_mut,
};
use futures_timer::Delay;
use matchbox_socket::{
    PeerEvent, PeerId, PeerRequest, PeerSignal, SignalingError, Signaller, SignallerBuilder,
    async_trait::async_trait,
};

use super::{
    TransportError,
    platform::{Incoming, Socket},
    sdp::Candidates,
    signals::{BadSignal, Signals},
};

/// A server that has not answered by then will not; a player should be told rather than wait.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// What the signaller and its message loop tell the transport.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(Arc<Mutex<Notices>>);

#[derive(Debug, Default)]
struct Notices {
    error: Option<TransportError>,
    is_lost: bool,
    is_over: bool,
    bad_signals: u32,
    /// Peers with which a handshake began.
    met: Vec<PeerId>,
    /// Peers that the server knows no more.
    left: Vec<PeerId>,
}

impl Watch {
    fn with<T>(&self, work: impl FnOnce(&mut Notices) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the first error: later ones follow from it.
    fn fail(&self, error: TransportError) {
        self.with(|notices| {
            notices.error.get_or_insert(error);
        });
    }

    fn lose(&self) {
        self.with(|notices| notices.is_lost = true);
    }

    /// Notes that the message loop is over as soon as what this returns is dropped.
    pub(super) fn while_running(&self) -> impl Send + 'static + use<> {
        OverWhenDropped(self.clone())
    }

    /// Whether the server was lost since the last call.
    pub(super) fn take_lost(&self) -> bool {
        self.with(|notices| std::mem::take(&mut notices.is_lost))
    }

    /// Signals that no WebRTC stack sends, since the last call.
    pub(super) fn take_bad_signals(&self) -> u32 {
        self.with(|notices| std::mem::take(&mut notices.bad_signals))
    }

    /// With whom a handshake began since the last call, and who left the server since.
    pub(super) fn take_comings_and_goings(&self) -> (Vec<PeerId>, Vec<PeerId>) {
        self.with(|notices| (std::mem::take(&mut notices.met), std::mem::take(&mut notices.left)))
    }

    /// Why the transport is of no more use, once it is.
    pub(super) fn take_failure(&self) -> Option<TransportError> {
        self.with(|notices| {
            let is_over = std::mem::take(&mut notices.is_over);
            notices.error.take().or(is_over.then_some(TransportError::Closed))
        })
    }
}

struct OverWhenDropped(Watch);

impl Drop for OverWhenDropped {
    fn drop(&mut self) {
        self.0.with(|notices| notices.is_over = true);
    }
}

/// Makes the signaller for one room.
#[derive(Debug)]
pub(super) struct RoomSignallerBuilder {
    pub(super) watch: Watch,
    pub(super) candidates: Candidates,
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl SignallerBuilder for RoomSignallerBuilder {
    async fn new_signaller(
        &self,
        _attempts: Option<u16>,
        room_url: String,
    ) -> Result<Box<dyn Signaller>, SignalingError> {
        match enter(&room_url).await {
            Ok((socket, first)) => Ok(Box::new(RoomSignaller {
                socket: Some(socket),
                first: Some(first),
                watch: self.watch.clone(),
                signals: Signals::new(self.candidates),
            })),
            Err(error) => {
                let words = error.to_string();
                self.watch.fail(error);
                Err(SignalingError::UserImplementationError(words))
            }
        }
    }
}

/// Connects, and waits for the id: only with it are we in the room.
async fn enter(url: &str) -> Result<(Socket, PeerEvent), TransportError> {
    let unreachable = || TransportError::Unreachable { url: server_of(url).to_owned() };
    let entering = async {
        let mut socket = Socket::connect(url)
            .await
            .map_err(|refused| refused.map_or_else(unreachable, TransportError::Refused))?;
        loop {
            match socket.next().await {
                Incoming::Text(text) => {
                    if let Ok(event @ PeerEvent::IdAssigned(_)) = serde_json::from_str(&text) {
                        return Ok((socket, event));
                    }
                }
                Incoming::Other => {}
                Incoming::Closed(Some(words)) => return Err(TransportError::Refused(words)),
                Incoming::Closed(None) => return Err(unreachable()),
            }
        }
    };
    pin_mut!(entering);
    match select(entering, Delay::new(CONNECT_WITHIN)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(unreachable()),
    }
}

/// The part of a URL that names the server.
fn server_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |index| index + 3);
    url[authority..].find('/').map_or(url, |index| &url[..authority + index])
}

struct RoomSignaller {
    socket: Option<Socket>,
    first: Option<PeerEvent>,
    watch: Watch,
    signals: Signals,
}

impl RoomSignaller {
    /// What matchbox gets to see of what the server says.
    fn follow(&mut self, event: PeerEvent) -> Option<PeerEvent> {
        match event {
            PeerEvent::IdAssigned(_) => None,
            PeerEvent::PeerLeft(peer) => {
                self.watch.with(|notices| notices.left.push(peer));
                None
            }
            PeerEvent::NewPeer(peer) => {
                self.signals.forget(peer);
                self.watch.with(|notices| notices.met.push(peer));
                Some(event)
            }
            PeerEvent::Signal { sender, data } => {
                let is_offer = matches!(data, PeerSignal::Offer(_));
                match self.signals.incoming(sender, data) {
                    Ok(Some(data)) => {
                        if is_offer {
                            self.watch.with(|notices| notices.met.push(sender));
                        }
                        Some(PeerEvent::Signal { sender, data })
                    }
                    Ok(None) => None,
                    Err(BadSignal) => {
                        self.watch.with(|notices| notices.bad_signals += 1);
                        None
                    }
                }
            }
        }
    }

    fn lose(&mut self) {
        self.socket = None;
        self.watch.lose();
    }
}

#[cfg_attr(not(target_arch = "wasm32"), async_trait)]
#[cfg_attr(target_arch = "wasm32", async_trait(?Send))]
impl Signaller for RoomSignaller {
    async fn send(&mut self, request: PeerRequest) -> Result<(), SignalingError> {
        let request = match request {
            PeerRequest::Signal { receiver, data } => match self.signals.outgoing(receiver, data) {
                Some(data) => PeerRequest::Signal { receiver, data },
                None => return Ok(()),
            },
            PeerRequest::KeepAlive => request,
        };
        if let Some(socket) = &mut self.socket
            && let Ok(text) = serde_json::to_string(&request)
            && !socket.send(text).await
        {
            self.lose();
        }
        Ok(())
    }

    async fn next_message(&mut self) -> Result<PeerEvent, SignalingError> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            let Some(socket) = &mut self.socket else { return pending().await };
            match socket.next().await {
                Incoming::Text(text) => match serde_json::from_str(&text) {
                    Ok(event) => {
                        if let Some(event) = self.follow(event) {
                            return Ok(event);
                        }
                    }
                    Err(_) => self.watch.with(|notices| notices.bad_signals += 1),
                },
                Incoming::Other => {}
                Incoming::Closed(_) => self.lose(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_named_without_its_rooms() {
        assert_eq!(server_of("ws://host:3536/v1/rooms/a?next=2"), "ws://host:3536");
        assert_eq!(server_of("ws://host"), "ws://host");
        assert_eq!(server_of("nonsense"), "nonsense");
    }

    #[test]
    fn the_first_error_is_the_one_that_is_told() {
        let watch = Watch::default();
        assert_eq!(watch.take_failure(), None);
        watch.fail(TransportError::Refused("full".into()));
        watch.fail(TransportError::Closed);
        drop(watch.while_running());
        assert_eq!(watch.take_failure(), Some(TransportError::Refused("full".into())));
        assert_eq!(watch.take_failure(), None);
        watch.lose();
        assert!(watch.take_lost() && !watch.take_lost());
    }
}
