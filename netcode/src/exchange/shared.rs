//! An exchange that the connection and the session both hold.

use std::sync::{Arc, Mutex, PoisonError};

use super::Exchange;

/// The exchange of the match that is played, if there is one.
#[derive(Clone, Default)]
pub(crate) struct SharedExchange(Arc<Mutex<Option<Exchange>>>);

impl SharedExchange {
    pub(crate) fn new(exchange: Exchange) -> Self {
        Self(Arc::new(Mutex::new(Some(exchange))))
    }

    /// Calls `work` with the exchange, if there is one. Both holders live on the main thread, so
    /// the lock is always free.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Exchange) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(work)
    }
}
