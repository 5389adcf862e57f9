//! The state that all connections of a server share: its settings, its rooms, and whether it is
//! shutting down.

use std::{
    sync::{Arc, LazyLock, atomic::AtomicU64},
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, time::Instant};

use super::{config::ServerConfig, counters::Health, hub::Hub, limits::Sources};

/// How long connections have to end once the server stops: short enough for the process to end
/// within the two seconds that are promised.
pub(super) const STOP_GRACE: Duration = Duration::from_millis(1500);

/// The phases of a server's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It accepts peers.
    Serving,
    /// It serves the peers in its rooms, and accepts no others.
    Draining,
    /// It disconnects all peers.
    Stopping,
}

/// The state that all connections of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) config: ServerConfig,
    pub(super) hub: Hub,
    pub(super) health: Arc<Health>,
    pub(super) sources: Arc<Sources>,
    pub(super) phase: watch::Receiver<Phase>,
    /// The number of connections so far, from which each connection gets its number.
    pub(super) connections: AtomicU64,
}

impl Shared {
    /// Resolves once the server begins to disconnect its peers.
    pub(super) async fn stopped(&self) {
        // The sender is dropped only with the server, so an error also means that the server stops.
        let _ = self.phase.clone().wait_for(|phase| *phase == Phase::Stopping).await;
    }

    /// Returns whether the server accepts peers.
    pub(super) fn is_serving(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }
}

/// Milliseconds since the first call in this process: a monotonic clock, whose values mean nothing
/// to other processes.
pub(super) fn steady_millis() -> u64 {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(FIRST.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970: a clock that all processes share.
pub(super) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
