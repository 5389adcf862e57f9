//! The stream of a client's connection: TCP, with or without TLS.

mod tcp;
mod patience;
mod tls;
mod socket;

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

#[cfg(test)]
pub(crate) use self::tcp::SEND_BUFFER_BYTES;
pub use self::tls::{Certificate, TlsError};
pub(crate) use self::{
    socket::{Incoming, Socket, SocketError},
    tcp::{Tcp, tune},
    tls::Handshake,
};

/// The WebSocket of a client.
pub(crate) type ClientSocket = Socket<Stream>;

/// A connection. The state of TLS is about a kilobyte and is boxed, so that plain connections do
/// not pay for it.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Tcp),
    Tls(Box<TlsStream<Tcp>>),
}

/// Runs the same expression for either variant.
macro_rules! either {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream.get_mut() {
            Stream::Plain($inner) => $call,
            Stream::Tls($inner) => $call,
        }
    };
}

impl Stream {
    /// See [`Tcp::lift_demand`].
    pub(crate) fn lift_demand(&mut self) {
        match self {
            Self::Plain(tcp) => tcp.lift_demand(),
            Self::Tls(stream) => stream.get_mut().0.lift_demand(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, inner => Pin::new(inner).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, inner => Pin::new(inner).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, inner => Pin::new(inner).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(inner) => inner.is_write_vectored(),
            Self::Tls(inner) => inner.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, inner => Pin::new(inner).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[test]
    fn a_plain_connection_costs_no_memory_for_tls_or_the_demand() {
        assert!(size_of::<Stream>() <= size_of::<TcpStream>() + 2 * size_of::<usize>());
    }
}
