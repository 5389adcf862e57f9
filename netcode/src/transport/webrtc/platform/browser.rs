//! A page in a browser.

use std::{future::Ready, net::IpAddr, pin::Pin, time::Duration};

use futures::{SinkExt, StreamExt};
use pharos::{Events, Filter, Observable};
use ws_stream_wasm::{WsEvent, WsMessage, WsMeta, WsStream};

use super::{Closing, Incoming};

/// Whether a WebSocket can be opened to this address at all. Always true here: a browser rewrites
/// characters that an address cannot have.
pub(in crate::transport) fn is_address(_url: &str) -> bool {
    true
}

pub(in crate::transport) struct Socket {
    stream: WsStream,
    closed: Events<WsEvent>,
}

impl Socket {
    /// Opens a WebSocket; the error is what the server said, if it said anything.
    pub(in crate::transport) async fn connect(url: &str) -> Result<Self, Option<String>> {
        let (mut meta, stream) = WsMeta::connect(url, None).await.map_err(|_| None)?;
        let closed =
            meta.observe(Filter::Pointer(WsEvent::is_closed).into()).await.map_err(|_| None)?;
        Ok(Self { stream, closed })
    }

    /// Sends a text; false if the connection is over.
    pub(in crate::transport) async fn send(&mut self, text: String) -> bool {
        self.stream.send(WsMessage::Text(text)).await.is_ok()
    }

    pub(in crate::transport) async fn next(&mut self) -> Incoming {
        match self.stream.next().await {
            Some(WsMessage::Text(text)) => Incoming::Text(text),
            Some(WsMessage::Binary(_)) => Incoming::Other,
            None => Incoming::Closed(self.closing().await),
        }
    }

    /// Does nothing: the browser says goodbye once this is dropped.
    pub(in crate::transport) async fn close(&mut self) {}

    /// Drops the connection. A browser always says goodbye.
    pub(in crate::transport) fn break_off(self) {}

    async fn closing(&mut self) -> Closing {
        match self.closed.next().await {
            Some(WsEvent::Closed(close)) => Closing::new(close.code, close.reason),
            _ => Closing::default(),
        }
    }
}

/// Returns nothing: a page looks up no addresses, because the browser itself sends only to TURN
/// servers where that is required.
pub(in crate::transport) fn resolve(_hosts: Vec<String>) -> Option<Ready<Vec<IpAddr>>> {
    None
}

/// Does nothing: a page cannot be blocked.
pub(in crate::transport) fn hold_up(_: Duration, _: impl Fn(Duration) -> bool) {}

/// A future that is kept and polled from time to time.
pub(in crate::transport) type Kept<T> = Pin<Box<dyn Future<Output = T>>>;

pub(in crate::transport) fn keep<T>(future: impl Future<Output = T> + 'static) -> Kept<T> {
    Box::pin(future)
}

/// Runs a room's work between the frames of the page.
///
/// `while_running` is dropped when the work is over.
pub(in crate::transport) fn run(
    work: impl Future<Output = ()> + 'static,
    while_running: impl Send + 'static,
) {
    wasm_bindgen_futures::spawn_local(async move {
        let _while_running = while_running;
        work.await;
    });
}
