//! Waits for a condition instead of sleeping and hoping for the best.

use std::{
    thread,
    time::{Duration, Instant},
};

/// The interval between two checks of a condition: far shorter than anything that a test measures.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Checks `condition` until it yields a value.
///
/// # Panics
///
/// If it yields none within `patience`; the message names `what` the test waited for.
pub fn wait_for<T>(what: &str, patience: Duration, condition: impl FnMut() -> Option<T>) -> T {
    wait_at_most(patience, condition)
        .unwrap_or_else(|| panic!("timed out after {patience:?} waiting for {what}"))
}

/// Checks `condition` until it yields a value; `None` if it yields none within `patience`.
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
