//! How long a client may stop reading the response that it requested.
//!
//! Waiting uses up patience, and each byte that the client reads restores some of it. So a client
//! that reads nothing is dropped soon, a client that reads a byte now and then is dropped only a
//! little later, and a slow client that keeps reading is never dropped.

use std::time::Duration;

use tokio::time::Instant;

/// The least that a client must read to keep its connection, in bytes a second: less than the 6 kB
/// that a peer in a match sends, so that nobody who could play is dropped.
const MIN_BYTES_PER_SECOND: u32 = 4 * 1024;

/// The remaining patience with one client.
#[derive(Debug)]
pub(super) struct Patience {
    most: Duration,
    left: Duration,
    waiting_since: Option<Instant>,
}

impl Patience {
    pub(super) fn new(most: Duration) -> Self {
        Self { most, left: most, waiting_since: None }
    }

    /// Notes that the client is not reading. Returns when patience will run out.
    pub(super) fn wait(&mut self, now: Instant) -> Instant {
        *self.waiting_since.get_or_insert(now) + self.left
    }

    /// Notes that the client read this many bytes.
    pub(super) fn take(&mut self, bytes: usize, now: Instant) {
        if let Some(since) = self.waiting_since.take() {
            self.left = self.left.saturating_sub(now.saturating_duration_since(since));
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let regained = Duration::from_secs(1) * bytes / MIN_BYTES_PER_SECOND;
        self.left = self.most.min(self.left + regained);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(30);

    /// Returns how long a client that reads `bytes` every `interval` keeps its connection, up to an
    /// hour.
    fn tolerated_for(bytes: usize, interval: Duration) -> Duration {
        let (start, hour) = (Instant::now(), Duration::from_secs(3600));
        let mut patience = Patience::new(MOST);
        let mut now = start;
        while now - start < hour {
            let end = patience.wait(now);
            if end <= now + interval {
                return end - start;
            }
            now += interval;
            patience.take(bytes, now);
        }
        hour
    }

    #[test]
    fn a_client_that_reads_nothing_is_dropped_on_time() {
        let start = Instant::now();
        let mut patience = Patience::new(MOST);
        // It does not matter how often this is called.
        for second in 0..30 {
            assert_eq!(patience.wait(start + Duration::from_secs(second)), start + MOST);
        }
        assert_eq!(tolerated_for(0, Duration::from_secs(1)), MOST);
    }

    #[test]
    fn a_slow_client_keeps_its_connection_and_one_that_hardly_reads_does_not() {
        let hour = Duration::from_secs(3600);
        assert_eq!(tolerated_for(4 * 1024, Duration::from_secs(1)), hour);
        // This is how a send buffer drains: a lot at once, and long waits in between.
        assert_eq!(tolerated_for(100 * 1024, Duration::from_secs(20)), hour);
        assert!(tolerated_for(1, Duration::from_millis(100)) < MOST * 2);
        assert!(tolerated_for(2 * 1024, Duration::from_secs(1)) < MOST * 3);
    }

    #[test]
    fn patience_is_restored_up_to_its_limit() {
        let start = Instant::now();
        let mut patience = Patience::new(MOST);
        patience.take(1 << 30, start);
        assert_eq!(patience.wait(start), start + MOST);
        let later = start + Duration::from_secs(25);
        patience.take(8 * 1024, later);
        assert_eq!(patience.wait(later), later + Duration::from_secs(7));
        // A server that was halted itself does not drop a client that is reading.
        let much_later = later + Duration::from_secs(1000);
        patience.take(40 * 1024, much_later);
        assert_eq!(patience.wait(much_later), much_later + Duration::from_secs(10));
    }
}
