//! The server over real sockets, one module per capability.

mod hostile;
mod joining;
mod limits;
mod operation;
mod rig;
mod shutdown;
mod static_files;
mod tickets;
mod tls;
mod websocket;
