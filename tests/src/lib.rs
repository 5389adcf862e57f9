//! The parts that the end-to-end tests are made of: a server of their own, peers as processes,
//! pages in a real browser, real bad networks, and waits that name what they waited for.
//!
//! Everything here panics when it cannot do its work, because its only callers are tests.
#![forbid(unsafe_code)]

mod browser;
mod deadline;
mod foresight;
mod inspection;
mod network;
mod peer;
mod report;
pub mod resident;
mod server;
mod service;
mod skip;
mod turn;
mod webdriver;

pub use crate::browser::{Browser, Cover, Page, web_dist};
pub use crate::deadline::wait_for;
pub use crate::foresight::lasts;
pub use crate::inspection::PeerConnection;
pub use crate::network::{Machine, Network};
pub use crate::peer::{Peer, PeerSettings};
pub use crate::report::{Report, assert_agreement};
pub use crate::server::TestServer;
pub use crate::service::{Balancer, ServerProcess};
pub use crate::turn::TurnServer;
