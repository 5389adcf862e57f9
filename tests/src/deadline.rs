//! Waiting for a condition instead of sleeping for luck.

use std::{
    thread,
    time::{Duration, Instant},
};

/// The time between two looks at a condition: far shorter than anything that a test measures.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Looks until `condition` yields a value.
///
/// # Panics
///
/// If it has not after `patience`; the message names `what` never came.
pub fn wait_for<T>(what: &str, patience: Duration, condition: impl FnMut() -> Option<T>) -> T {
    wait_at_most(patience, condition)
        .unwrap_or_else(|| panic!("timed out after {patience:?} waiting for {what}"))
}

/// Looks until `condition` yields a value; `None` if it has not after `patience`.
pub(crate) fn wait_at_most<T>(
    patience: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        let value = condition();
        if value.is_some() || Instant::now() >= deadline {
            return value;
        }
        thread::sleep(POLL_INTERVAL);
    }
}
