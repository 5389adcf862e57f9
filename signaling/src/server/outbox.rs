//! The queue of messages that wait for one peer, bounded in bytes.
//!
//! Bytes and not messages are counted because they are what fills memory: a few long messages or many short ones. A channel would keep room
//! for some messages all the time, which counts with thousands of peers that are told nothing for minutes.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, oneshot};
use tungstenite::Utf8Bytes;

use crate::protocol::Refusal;

/// What a queued message costs besides its text: its place in the queue and its allocation.
const OVERHEAD_BYTES: usize = 64;

/// A new queue that holds up to `max_bytes`. The last part resolves when the [`Outbox`] is closed, to the reason, or dropped.
pub(crate) fn outbox(max_bytes: usize) -> (Outbox, OutboxReader, oneshot::Receiver<Refusal>) {
    let (open, closed) = oneshot::channel();
    let queue = Arc::<Queue>::default();
    let outbox = Outbox { queue: Arc::clone(&queue), max_bytes, open: Mutex::new(Some(open)) };
    (outbox, OutboxReader { queue }, closed)
}

/// The end of the queue that is filled.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Arc<Queue>,
    max_bytes: usize,
    /// Tells why the peer is sent off, even while the connection is stuck in writing to it; until then.
    open: Mutex<Option<oneshot::Sender<Refusal>>>,
}

/// The message does not fit, or nobody reads the queue any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undeliverable;

impl Outbox {
    pub(crate) fn push(&self, message: Utf8Bytes) -> Result<(), Undeliverable> {
        self.push_queued(Queued { message, is_state: false })
    }

    /// Adds a message that says everything of something. One that was added before, and not read yet, is not worth reading any more: so many
    /// changes in a row do not fill the queue.
    pub(crate) fn push_state(&self, message: Utf8Bytes) -> Result<(), Undeliverable> {
        self.push_queued(Queued { message, is_state: true })
    }

    fn push_queued(&self, queued: Queued) -> Result<(), Undeliverable> {
        {
            let mut waiting = self.queue.lock();
            if waiting.is_over {
                return Err(Undeliverable);
            }
            if queued.is_state {
                waiting.remove_state();
            }
            let bytes = queued.cost();
            if waiting.bytes + bytes > self.max_bytes {
                return Err(Undeliverable);
            }
            waiting.bytes += bytes;
            waiting.has_state |= queued.is_state;
            waiting.messages.push_back(queued);
        }
        self.queue.changed.notify_one();
        Ok(())
    }

    /// Sends the peer off. Only the first reason counts.
    pub(crate) fn close(&self, refusal: Refusal) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(open) = open {
            // Who is gone needs not be told.
            let _ = open.send(refusal);
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.queue.lock().is_over = true;
        self.queue.changed.notify_one();
    }
}

/// The end of the queue that is emptied.
#[derive(Debug)]
pub(crate) struct OutboxReader {
    queue: Arc<Queue>,
}

impl OutboxReader {
    /// The next message; `None` once the [`Outbox`] is gone and everything in it was read. May be cancelled.
    pub(crate) async fn next(&mut self) -> Option<Utf8Bytes> {
        loop {
            {
                let mut waiting = self.queue.lock();
                let message = waiting.pop();
                if message.is_some() || waiting.is_over {
                    return message;
                }
            }
            // Whoever adds something before this waits leaves a permit.
            self.queue.changed.notified().await;
        }
    }

    /// Takes nothing any more, and gives back what was not read.
    pub(crate) fn close(&mut self) {
        *self.queue.lock() = Waiting { is_over: true, ..Waiting::default() };
    }

    /// The next message, if there is one now.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn try_next(&mut self) -> Option<Utf8Bytes> {
        self.queue.lock().pop()
    }
}

impl Drop for OutboxReader {
    fn drop(&mut self) {
        self.close();
    }
}

/// What both ends share.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// Something was added, or the filling end is gone.
    changed: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here can be left half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Queued>,
    bytes: usize,
    /// Whether one of them is a state; there are never two.
    has_state: bool,
    /// One of the ends is gone.
    is_over: bool,
}

impl Waiting {
    fn pop(&mut self) -> Option<Utf8Bytes> {
        let queued = self.messages.pop_front()?;
        self.bytes -= queued.cost();
        self.has_state &= !queued.is_state;
        if self.messages.is_empty() {
            // Its memory goes, too.
            self.messages = VecDeque::new();
        }
        Some(queued.message)
    }

    fn remove_state(&mut self) {
        if !self.has_state {
            return;
        }
        let at = self.messages.iter().rposition(|queued| queued.is_state);
        if let Some(old) = at.and_then(|at| self.messages.remove(at)) {
            self.bytes -= old.cost();
            self.has_state = false;
        }
    }
}

#[derive(Debug)]
struct Queued {
    message: Utf8Bytes,
    is_state: bool,
}

impl Queued {
    fn cost(&self) -> usize {
        self.message.len() + OVERHEAD_BYTES
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_full_queue_takes_no_more_until_it_is_read() {
        let (outbox, mut reader, mut closed) = outbox(2 * (OVERHEAD_BYTES + 1));
        for _ in 0..3 {
            assert_eq!(outbox.push("a".into()), Ok(()));
            assert_eq!(outbox.push("bb".into()), Err(Undeliverable));
            assert_eq!(outbox.push("b".into()), Ok(()));
            assert_eq!(outbox.push("".into()), Err(Undeliverable));
            assert_eq!(reader.next().await, Some("a".into()));
            assert_eq!(reader.next().await, Some("b".into()));
        }
        assert_eq!(outbox.push("a".into()), Ok(()));
        reader.close();
        assert_eq!(reader.next().await, None);
        assert_eq!(outbox.push("a".into()), Err(Undeliverable));
        outbox.close(Refusal::Kicked);
        outbox.close(Refusal::TooSlow);
        assert_eq!(closed.try_recv(), Ok(Refusal::Kicked), "the first reason counts");
    }

    #[tokio::test]
    async fn of_what_a_peer_has_not_read_only_the_latest_state_is_kept() {
        let (outbox, mut reader, _closed) = outbox(3 * (OVERHEAD_BYTES + 7));
        assert_eq!(outbox.push("before".into()), Ok(()));
        for state in 0..1000 {
            assert_eq!(outbox.push_state(format!("s{state}").into()), Ok(()));
        }
        assert_eq!(outbox.push("after".into()), Ok(()));
        assert_eq!(outbox.push_state("latest".into()), Ok(()));
        for message in ["before", "after", "latest"] {
            assert_eq!(reader.next().await, Some(message.into()), "in the order of their news");
        }
        assert_eq!(reader.try_next(), None);
        // What was taken out does not count any more.
        for _ in 0..3 {
            assert_eq!(outbox.push("message".into()), Ok(()));
        }
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_a_message_and_by_the_end() {
        let (outbox, mut reader, _closed) = outbox(1000);
        let reading = tokio::spawn(async move {
            let mut read = Vec::new();
            while let Some(message) = reader.next().await {
                read.push(message);
            }
            read
        });
        for message in ["a", "b", "c"] {
            // Lets the reader empty the queue, and wait.
            tokio::task::yield_now().await;
            outbox.push(message.into()).expect("there is room");
        }
        drop(outbox);
        assert_eq!(reading.await.expect("no panic"), ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn a_cancelled_wait_loses_nothing() {
        let (outbox, mut reader, _closed) = outbox(1000);
        {
            let mut waiting = std::pin::pin!(reader.next());
            let is_there = poll_fn(|cx| waiting.as_mut().poll(cx).is_ready().into()).await;
            assert!(!is_there, "nothing was sent");
            outbox.push("late".into()).expect("there is room");
        }
        assert_eq!(reader.next().await, Some("late".into()));
    }
}
