//! Why a server cannot start, in words for the operator.

use std::{io, net::SocketAddr, path::PathBuf};

use thiserror::Error;

use super::stream::TlsError;

/// Why a server cannot start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another program is listening there.
    #[error(
        "port {} is in use: stop the other program, or choose another port (0 takes any free one)",
        address.port()
    )]
    PortInUse {
        /// Where the server should listen.
        address: SocketAddr,
    },
    /// The system does not allow this user to listen there.
    #[error("no permission to listen on {address}: choose a port above 1023")]
    NoPermission {
        /// Where the server should listen.
        address: SocketAddr,
    },
    /// The server cannot listen there for another reason.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where the server should listen.
        address: SocketAddr,
        /// What the system reported.
        source: io::Error,
    },
    /// The folder to serve is not a folder.
    #[error(
        "the web root {} is not a folder; name the one with the page's index.html, for example the \
         web-dist that `cargo xtask web` makes",
        path.display()
    )]
    WebRoot {
        /// The configured path.
        path: PathBuf,
    },
    /// Redis cannot be used.
    #[error("cannot use the Redis at {url}: {reason}. Is it running, and is the address right?")]
    Redis {
        /// The configured URL, without a password.
        url: String,
        /// What Redis or the system reported.
        reason: String,
    },
    /// TLS is configured but cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A setting makes no sense.
    #[error("{rule}")]
    BadLimit {
        /// The rule that it breaks.
        rule: &'static str,
    },
}
