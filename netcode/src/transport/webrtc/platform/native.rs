//! A native program.

use std::{
    net::{IpAddr, ToSocketAddrs},
    pin::Pin,
    time::Duration,
};

use async_tungstenite::{
    WebSocketStream,
    smol::{ConnectStream, connect_async},
    tungstenite::{
        Error, Message,
        http::{Response, Uri},
    },
};
use futures::{FutureExt, StreamExt, channel::oneshot};

use super::{Closing, Incoming};

/// Whether a WebSocket can be opened to this address at all.
pub(in crate::transport) fn is_address(url: &str) -> bool {
    url.parse::<Uri>().is_ok()
}

/// How often a blocked thread checks whether it may go on.
const GLANCE: Duration = Duration::from_millis(5);

/// A WebSocket that says goodbye when it is dropped: the server keeps the place of a peer whose
/// connection breaks.
pub(in crate::transport) struct Socket {
    stream: WebSocketStream<ConnectStream>,
    says_goodbye: bool,
}

impl Socket {
    /// Opens a WebSocket; the error is what the server said, if it said anything.
    pub(in crate::transport) async fn connect(url: &str) -> Result<Self, Option<String>> {
        match connect_async(url).await {
            Ok((stream, _)) => Ok(Self { stream, says_goodbye: true }),
            Err(Error::Http(response)) => Err(Some(said(&response))),
            Err(_) => Err(None),
        }
    }

    /// Sends a text; false if the connection is over.
    pub(in crate::transport) async fn send(&mut self, text: String) -> bool {
        self.stream.send(Message::text(text)).await.is_ok()
    }

    pub(in crate::transport) async fn next(&mut self) -> Incoming {
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => Incoming::Text(text.as_str().to_owned()),
            Some(Ok(Message::Close(frame))) => {
                let closing = frame
                    .map(|frame| Closing::new(frame.code.into(), frame.reason.as_str().to_owned()));
                Incoming::Closed(closing.unwrap_or_default())
            }
            Some(Ok(_)) => Incoming::Other,
            Some(Err(_)) | None => Incoming::Closed(Closing::default()),
        }
    }

    /// Says goodbye, and waits until the server has received it. May be cancelled, and called
    /// again.
    pub(in crate::transport) async fn close(&mut self) {
        // The second call fails, when there is nothing left to do but wait.
        let _ = self.stream.close(None).await;
        // If data lies unread when the program ends, the system resets the connection, and the last
        // data sent is lost.
        while let Some(Ok(message)) = self.stream.next().await {
            if message.is_close() {
                break;
            }
        }
    }

    /// Drops the connection without a goodbye, as if it broke.
    pub(in crate::transport) fn break_off(mut self) {
        self.says_goodbye = false;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.says_goodbye {
            // At once or never: a frame of a few bytes goes out unless the connection is stuck, and
            // then it is as good as broken.
            let _ = self.stream.close(None).now_or_never();
        }
    }
}

/// The peer connections of one socket. They close when they are dropped, so there is nothing to be
/// done about them.
#[derive(Debug)]
pub(in crate::transport) struct Connections;

impl Connections {
    /// Starts without connections. Where they may lead only through TURN servers, the reading of
    /// candidates ensures it.
    pub(in crate::transport) fn new(_is_relay_only: bool) -> Self {
        Self
    }

    /// Notes the connections that `work` makes.
    pub(in crate::transport) fn note<T>(&mut self, work: impl FnOnce() -> T) -> T {
        work()
    }
}

/// Whether another peer connection can be made. Always true here: a system reports that it has none
/// left only when it is asked for one.
pub(in crate::transport) fn has_connections_left() -> bool {
    true
}

/// Looks up the addresses of hosts, on a thread of its own because the system blocks the caller.
pub(in crate::transport) fn resolve(
    hosts: Vec<String>,
) -> Option<impl Future<Output = Vec<IpAddr>>> {
    let (sender, addresses) = oneshot::channel();
    let look_up = move || {
        // The port does not matter, and an unknown host has no address.
        let of_host = |host: &String| (host.as_str(), 0).to_socket_addrs().into_iter().flatten();
        let found = hosts.iter().flat_map(of_host).map(|address| address.ip()).collect();
        // If it took too long, the receiver is gone.
        let _ = sender.send(found);
    };
    // If no thread can be started, there are no addresses.
    let _ = std::thread::Builder::new().name("netcode-resolver".into()).spawn(look_up);
    Some(async move { addresses.await.unwrap_or_default() })
}

/// Blocks this thread until `is_so` is true of the time waited so far, but for no more than about
/// `at_most`.
pub(in crate::transport) fn hold_up(at_most: Duration, is_so: impl Fn(Duration) -> bool) {
    let mut waited = Duration::ZERO;
    while waited < at_most && !is_so(waited) {
        std::thread::sleep(GLANCE);
        waited += GLANCE;
    }
}

/// A future that is kept and polled from time to time.
pub(in crate::transport) type Kept<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(in crate::transport) fn keep<T>(future: impl Future<Output = T> + Send + 'static) -> Kept<T> {
    Box::pin(future)
}

/// What an HTTP refusal says.
fn said(response: &Response<Option<Vec<u8>>>) -> String {
    let body = response.body().as_deref().map(String::from_utf8_lossy);
    match body.as_deref().map(str::trim).filter(|body| !body.is_empty()) {
        Some(body) => body.chars().take(200).collect(),
        None => format!("the server answered {}", response.status()),
    }
}

/// Runs a room's work on a thread of its own, however slowly the game draws.
///
/// `while_running` is dropped when the work is over, also if it panics or no thread can be started.
pub(in crate::transport) fn run(
    work: impl Future<Output = ()> + Send + 'static,
    while_running: impl Send + 'static,
) {
    let thread = std::thread::Builder::new().name("netcode-webrtc".into());
    let _ = thread.spawn(move || {
        let _while_running = while_running;
        futures::executor::block_on(work);
    });
}
