//! A native program.

use std::pin::Pin;

use async_tungstenite::{
    WebSocketStream,
    smol::{ConnectStream, connect_async},
    tungstenite::{Error, Message, http::Response},
};
use futures::{FutureExt, StreamExt};

use super::{Closing, Incoming};

/// A WebSocket, which says goodbye when it is dropped: the server keeps the places of those whose connection breaks.
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

    /// Says goodbye, and waits for the server to have heard it. May be cancelled, and called again.
    pub(in crate::transport) async fn close(&mut self) {
        if self.stream.close(None).await.is_ok() {
            // Should something lie unread when the program ends, the system resets the connection, and what was sent last is lost.
            while let Some(Ok(_)) = self.stream.next().await {}
        }
    }

    /// Goes without a goodbye, as if the connection broke.
    pub(in crate::transport) fn break_off(mut self) {
        self.says_goodbye = false;
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.says_goodbye {
            // At once or never: a frame of a few bytes goes out unless the connection is stuck, and then it is as good as broken.
            let _ = self.stream.close(None).now_or_never();
        }
    }
}

/// A future that is polled now and then.
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

/// Runs what a room takes on a thread of its own: the game may draw as slowly as it likes.
///
/// `while_running` is dropped when that is over, also where it panics or no thread can be had.
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
