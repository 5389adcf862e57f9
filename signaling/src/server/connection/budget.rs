//! How much a peer may send, and for how long the server stops reading from it after it sent more.

use std::time::Duration;

use tokio::time::Instant;

use super::receiving::Received;
use crate::server::{
    counters::Counter,
    limits::{Bucket, message_cost},
    shared::Shared,
};

/// How much of its limits a peer has used up.
pub(super) struct SendBudget {
    messages: Bucket,
    requests: Bucket,
}

impl SendBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self { messages: Bucket::new(now), requests: Bucket::new(now) }
    }

    /// Returns for how long to stop reading from the peer after a frame with this many bytes, which
    /// was handled as `received`.
    pub(super) fn pause_after(
        &mut self,
        bytes: usize,
        received: &Received,
        now: Instant,
        shared: &Shared,
    ) -> Duration {
        let (config, counters) = (&shared.config, &shared.health.counters);
        let pause = self.messages.use_up(message_cost(bytes), config.message_rate, now);
        if !pause.is_zero() {
            counters.count(Counter::Slowed);
        }
        if !matches!(received, Received::Request) {
            return pause;
        }
        let pause_of_requests = self.requests.use_up(1, config.room_request_rate, now);
        if !pause_of_requests.is_zero() {
            counters.count(Counter::RequestsSlowed);
        }
        pause.max(pause_of_requests)
    }
}
