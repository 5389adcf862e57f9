//! TCP connections: their options, and the end of a connection whose client stops reading.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{Instant, Sleep, sleep_until},
};

use super::patience::Patience;
use crate::platform::limit_unsent;

/// The most bytes that the system keeps for a client that has not acknowledged them (Linux doubles
/// the number for its own bookkeeping): enough for 15 Mbit/s at a round trip of 100 ms, and a bound
/// for a client that first reads a lot and then nothing.
pub(crate) const SEND_BUFFER_BYTES: usize = 192 * 1024;

/// A TCP connection whose client must keep reading, unless the demand is lifted.
#[derive(Debug)]
pub(crate) struct Tcp {
    stream: TcpStream,
    demand: Option<Box<Demand>>,
}

#[derive(Debug)]
struct Demand {
    patience: Patience,
    /// Wakes the task when patience runs out; `None` until the client first makes us wait.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Tcp {
    /// Takes over an accepted connection. A client that reads nothing for `patience` is cut off.
    pub(crate) fn new(stream: TcpStream, patience: Duration) -> Self {
        let demand = Demand { patience: Patience::new(patience), alarm: None };
        Self { stream, demand: Some(Box::new(demand)) }
    }

    /// Lets the client read as slowly as it likes from now on: from here on, the WebSocket's own
    /// limits apply.
    pub(super) fn lift_demand(&mut self) {
        self.demand = None;
    }

    /// Returns the result of writing, or an error if the client has made us wait for too long.
    fn watch(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Some(demand) = &mut self.demand else { return written };
        if let Poll::Ready(Ok(bytes)) = &written {
            demand.patience.take(*bytes, Instant::now());
        }
        if written.is_ready() || !demand.is_over(cx) {
            return written;
        }
        // The client does not read what has already been sent, so an orderly close could not reach
        // it, and the system would keep the data for minutes. If the system rejects this option, it
        // does keep the data.
        let _ = self.stream.set_zero_linger();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Demand {
    /// Returns whether patience has run out with a client that is not reading. If it has not, the
    /// task is woken when it does.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let end = self.patience.wait(Instant::now());
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if alarm.deadline() != end {
            alarm.as_mut().reset(end);
        }
        alarm.as_mut().poll(cx).is_ready()
    }
}

/// Sets the socket options of all connections that `listener` accepts. On Linux, connections
/// inherit them, which saves three system calls for each. This is untested on other systems: where
/// connections do not inherit the options, they cost more time and memory.
///
/// # Errors
///
/// If the system rejects one of them. Connections then cost more time or memory, but work.
pub(crate) fn tune(listener: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    // Signals are small and urgent.
    socket.set_tcp_nodelay(true)?;
    limit_unsent(&socket)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_connections_inherit_the_options_of_their_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port is free");
        tune(&listener).expect("these options exist");
        let address = listener.local_addr().expect("it is bound");
        let _client = TcpStream::connect(address).await.expect("it listens");
        let (accepted, _) = listener.accept().await.expect("a client has connected");
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().expect("the option exists"));
        let send_buffer = socket.send_buffer_size().expect("the option exists");
        assert!((SEND_BUFFER_BYTES..=2 * SEND_BUFFER_BYTES).contains(&send_buffer));
    }
}
