//! Attacks on a server, which its other peers must not notice.

use std::{io, net::SocketAddr, time::Duration};

use futures::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    SIGNAL_BYTES,
    client::{Client, signal},
};

/// The number of connections of each kind at once.
const CROWD: usize = 200;

/// A kind of attack.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attack {
    /// Peers that never read their messages.
    SlowReaders,
    /// Connections that begin a request and never end it.
    HalfOpen,
    /// Connections that vanish as soon as they are open.
    Vanishing,
    /// Peers that all join one room at once.
    OneRoom,
}

impl Attack {
    pub(crate) const ALL: [Self; 4] =
        [Self::SlowReaders, Self::HalfOpen, Self::Vanishing, Self::OneRoom];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SlowReaders => "slow readers",
            Self::HalfOpen => "half-open sockets",
            Self::Vanishing => "connect and vanish",
            Self::OneRoom => "one room at once",
        }
    }

    /// Attacks the server until the task is aborted.
    pub(crate) fn launch(self, server: SocketAddr) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                let all = (0..CROWD).map(|index| async move {
                    // If a server refuses them, it does what it should.
                    let _ = match self {
                        Self::SlowReaders => slow_reader(server, index).await,
                        Self::HalfOpen => half_open(server).await,
                        Self::Vanishing => vanish(server).await,
                        Self::OneRoom => crowd_in(server).await,
                    };
                });
                join_all(all).await;
                sleep(Duration::from_millis(100)).await;
            }
        })
    }
}

/// One peer sends, and the other one never reads.
async fn slow_reader(server: SocketAddr, index: usize) -> io::Result<()> {
    let path = format!("/slow-{index}");
    let mut writer = Client::join(server, &path).await?;
    let reader = Client::join(server, &path).await?;
    let data = format!("\"{}\"", "x".repeat(SIGNAL_BYTES));
    for _ in 0..500 {
        signal(&mut writer.sender, &reader.id, &data).await?;
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn half_open(server: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(b"GET /half HTTP/1.1\r\nHost: here\r\nUpgrade: webso").await?;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    Ok(())
}

async fn vanish(server: SocketAddr) -> io::Result<()> {
    for _ in 0..5 {
        drop(Client::join(server, "/vanishing").await?);
    }
    Ok(())
}

async fn crowd_in(server: SocketAddr) -> io::Result<()> {
    let _client = Client::join(server, "/crowd").await?;
    sleep(Duration::from_secs(1)).await;
    Ok(())
}
