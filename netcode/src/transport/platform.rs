//! What differs between native and browser: the WebSocket to the signaling server, and where futures run.

/// One thing that comes out of a [`Socket`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A text message.
    Text(String),
    /// Something that signaling does not use.
    Other,
    /// The connection is over, for this reason if the server gave one.
    Closed(Option<String>),
}

pub(super) use imp::{Kept, Socket, keep, run};

#[cfg(not(target_arch = "wasm32"))]
mod imp {
    use std::pin::Pin;

    use async_tungstenite::{
        WebSocketStream,
        smol::{ConnectStream, connect_async},
        tungstenite::{Error, Message, http::Response},
    };
    use futures::StreamExt;
    use matchbox_socket::MessageLoopFuture;

    use super::Incoming;

    pub(in super::super) struct Socket(WebSocketStream<ConnectStream>);

    impl Socket {
        /// Opens a WebSocket; the error is what the server said, if it said anything.
        pub(in super::super) async fn connect(url: &str) -> Result<Self, Option<String>> {
            match connect_async(url).await {
                Ok((stream, _)) => Ok(Self(stream)),
                Err(Error::Http(response)) => Err(Some(said(&response))),
                Err(_) => Err(None),
            }
        }

        /// Sends a text; false if the connection is over.
        pub(in super::super) async fn send(&mut self, text: String) -> bool {
            self.0.send(Message::text(text)).await.is_ok()
        }

        pub(in super::super) async fn next(&mut self) -> Incoming {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => Incoming::Text(text.as_str().to_owned()),
                Some(Ok(Message::Close(frame))) => {
                    let reason = frame.map(|frame| frame.reason.as_str().to_owned());
                    Incoming::Closed(reason.filter(|reason| !reason.is_empty()))
                }
                Some(Ok(_)) => Incoming::Other,
                Some(Err(_)) | None => Incoming::Closed(None),
            }
        }
    }

    /// A future that is polled now and then.
    pub(in super::super) type Kept<T> = Pin<Box<dyn Future<Output = T> + Send>>;

    pub(in super::super) fn keep<T>(future: impl Future<Output = T> + Send + 'static) -> Kept<T> {
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

    /// Runs the message loop on a thread of its own: the game may draw as slowly as it likes.
    ///
    /// `while_running` is dropped when the loop is over, also where it panics or no thread can be had.
    pub(in super::super) fn run(
        message_loop: MessageLoopFuture,
        while_running: impl Send + 'static,
    ) {
        let thread = std::thread::Builder::new().name("netcode-webrtc".into());
        let _ = thread.spawn(move || {
            let _while_running = while_running;
            // How it ended is known to the signaller, in words.
            let _ = futures::executor::block_on(message_loop);
        });
    }
}

#[cfg(target_arch = "wasm32")]
mod imp {
    use std::pin::Pin;

    use futures::{SinkExt, StreamExt};
    use matchbox_socket::MessageLoopFuture;
    use pharos::{Events, Filter, Observable};
    use send_wrapper::SendWrapper;
    use ws_stream_wasm::{WsEvent, WsMessage, WsMeta, WsStream};

    use super::Incoming;

    pub(in super::super) struct Socket {
        stream: WsStream,
        closed: Events<WsEvent>,
    }

    impl Socket {
        /// Opens a WebSocket; the error is what the server said, if it said anything.
        pub(in super::super) async fn connect(url: &str) -> Result<Self, Option<String>> {
            let (mut meta, stream) = WsMeta::connect(url, None).await.map_err(|_| None)?;
            let closed =
                meta.observe(Filter::Pointer(WsEvent::is_closed).into()).await.map_err(|_| None)?;
            Ok(Self { stream, closed })
        }

        /// Sends a text; false if the connection is over.
        pub(in super::super) async fn send(&mut self, text: String) -> bool {
            self.stream.send(WsMessage::Text(text)).await.is_ok()
        }

        pub(in super::super) async fn next(&mut self) -> Incoming {
            match self.stream.next().await {
                Some(WsMessage::Text(text)) => Incoming::Text(text),
                Some(WsMessage::Binary(_)) => Incoming::Other,
                None => Incoming::Closed(self.close_reason().await),
            }
        }

        async fn close_reason(&mut self) -> Option<String> {
            match self.closed.next().await {
                Some(WsEvent::Closed(close)) => {
                    Some(close.reason).filter(|reason| !reason.is_empty())
                }
                _ => None,
            }
        }
    }

    /// A future that is polled now and then. A page has one thread, so it may well be sent to another.
    pub(in super::super) type Kept<T> = SendWrapper<Pin<Box<dyn Future<Output = T>>>>;

    pub(in super::super) fn keep<T>(future: impl Future<Output = T> + 'static) -> Kept<T> {
        SendWrapper::new(Box::pin(future))
    }

    /// Runs the message loop between the frames of the page.
    ///
    /// `while_running` is dropped when the loop is over.
    pub(in super::super) fn run(
        message_loop: MessageLoopFuture,
        while_running: impl Send + 'static,
    ) {
        wasm_bindgen_futures::spawn_local(async move {
            let _while_running = while_running;
            // How it ended is known to the signaller, in words.
            let _ = message_loop.await;
        });
    }
}
