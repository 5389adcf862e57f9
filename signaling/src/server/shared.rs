//! What all connections of a server share: its settings, its rooms, and whether it is being
//! stopped.

use std::{
    sync::{Arc, LazyLock, atomic::AtomicU64},
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, time::Instant};

use super::{config::ServerConfig, counters::Health, hub::Hub, limits::Sources};

/// How long connections have to end once the server is told to stop; with it the process is gone
/// within two seconds.
pub(super) const STOP_GRACE: Duration = Duration::from_millis(1500);

/// How far a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It lets peers in.
    Serving,
    /// It serves those who are in, and lets nobody else in.
    Draining,
    /// It tells everybody to go.
    Stopping,
}

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) config: ServerConfig,
    pub(super) hub: Hub,
    pub(super) health: Arc<Health>,
    pub(super) sources: Arc<Sources>,
    pub(super) phase: watch::Receiver<Phase>,
    /// Connections so far: each has its number.
    pub(super) connections: AtomicU64,
}

impl Shared {
    /// Resolves once the server is told to stop.
    pub(super) async fn stopped(&self) {
        // The sender is only gone when the server is, so an error means the same.
        let _ = self.phase.clone().wait_for(|phase| *phase == Phase::Stopping).await;
    }

    /// Whether the server has not been told to stop.
    pub(super) fn is_serving(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }
}

/// Milliseconds since this process first asked: a time that nobody sets back or forward, and that
/// is of no use to other processes.
pub(super) fn steady_millis() -> u64 {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(FIRST.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970: a time that other processes know, too.
pub(super) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
