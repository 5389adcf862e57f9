//! Why a server does not start, in words for the operator.

use std::{io, net::SocketAddr, path::PathBuf};

use thiserror::Error;

use super::stream::TlsError;

/// Why a server does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another program listens there.
    #[error(
        "port {} is in use: stop the other program, or choose another port (0 takes any free one)",
        address.port()
    )]
    PortInUse {
        /// Where the server was to listen.
        address: SocketAddr,
    },
    /// The system does not let this user listen there.
    #[error("no permission to listen on {address}: choose a port above 1023")]
    NoPermission {
        /// Where the server was to listen.
        address: SocketAddr,
    },
    /// It cannot be listened there for another reason.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where the server was to listen.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The folder to serve is not a folder.
    #[error("the web root {} is not a folder", path.display())]
    WebRoot {
        /// What was given.
        path: PathBuf,
    },
    /// Redis cannot be used.
    #[error("cannot use the Redis at {url}: {reason}. Is it running, and is the address right?")]
    Redis {
        /// What was given, without a password.
        url: String,
        /// What Redis or the system said.
        reason: String,
    },
    /// There is no TLS, though the settings want it.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A limit makes no sense.
    #[error("{rule}")]
    BadLimit {
        /// What is asked of it.
        rule: &'static str,
    },
}
