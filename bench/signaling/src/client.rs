//! A client that is as lean as possible, so that its cost is not mistaken for the server's.

use std::{io, net::SocketAddr, time::Duration};

use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

/// A peer that is not in its room within this time does not count as joined.
const JOIN_WITHIN: Duration = Duration::from_secs(20);
/// Bytes that it reads at a time: signals are rare, and there are thousands of clients.
const READ_BUFFER_BYTES: usize = 2 * 1024;

pub(crate) type Sender = SplitSink<WebSocketStream<TcpStream>, Message>;
pub(crate) type Receiver = SplitStream<WebSocketStream<TcpStream>>;

/// A peer in a room.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
}

impl Client {
    /// Enters a room, and waits until the server has assigned an id.
    pub(crate) async fn join(server: SocketAddr, path: &str) -> io::Result<Self> {
        let joining = async {
            let stream = TcpStream::connect(server).await?;
            stream.set_nodelay(true)?;
            let config =
                WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0);
            let url = format!("ws://{server}{path}");
            let (socket, _) = client_async_with_config(url, stream, Some(config))
                .await
                .map_err(io::Error::other)?;
            let (sender, receiver) = socket.split();
            let mut client = Self { id: String::new(), sender, receiver };
            client.id = client.next_event("IdAssigned").await?;
            Ok(client)
        };
        timeout(JOIN_WITHIN, joining).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Waits until the server announces a peer in the room. Returns that peer's id.
    pub(crate) async fn meet(&mut self) -> io::Result<String> {
        timeout(JOIN_WITHIN, self.next_event("NewPeer"))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn next_event(&mut self, event: &str) -> io::Result<String> {
        while let Some(message) = self.receiver.next().await {
            let Message::Text(text) = message.map_err(io::Error::other)? else { continue };
            let value: Value = serde_json::from_str(&text)?;
            if let Some(id) = value[event].as_str() {
                return Ok(id.to_owned());
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Sends `data` to a peer in the room.
pub(crate) async fn signal(sender: &mut Sender, receiver: &str, data: &str) -> io::Result<()> {
    let text = format!(r#"{{"Signal":{{"receiver":"{receiver}","data":{data}}}}}"#);
    sender.send(Message::text(text)).await.map_err(io::Error::other)
}

/// Sends a keep-alive, as matchbox's clients do.
pub(crate) async fn keep_alive(sender: &mut Sender) -> io::Result<()> {
    sender.send(Message::text("\"KeepAlive\"")).await.map_err(io::Error::other)
}
