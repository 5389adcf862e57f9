//! The server over real sockets, one module per capability.

#[cfg(target_os = "linux")]
mod downloads;
mod floods;
mod hostile;
mod http;
mod ice_servers;
mod joining;
mod keeping_out;
mod limits;
mod lost_keys;
mod many;
mod matchbox;
mod operation;
mod outages;
mod redis_server;
mod rig;
mod rooms;
mod running_matches;
mod shutdown;
mod static_files;
mod strangers;
mod tickets;
mod tls;
mod websocket;
