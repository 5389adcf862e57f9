//! Waiting for a condition instead of sleeping for luck.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How often a condition is looked at: far below what any test measures.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Looks until `condition` yields a value.
///
/// # Panics
///
/// When it has not after `patience`; the message names `what` never came.
pub fn wait_for<T>(what: &str, patience: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "within {patience:?} there was never {what}");
        thread::sleep(POLL_INTERVAL);
    }
}
