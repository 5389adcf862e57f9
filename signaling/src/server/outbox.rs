//! The queue of messages that wait for one peer, bounded in bytes.
//!
//! Bytes and not messages are counted because they are what fills memory: a few long messages or many short ones.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::{mpsc, oneshot};
use tungstenite::Utf8Bytes;

use crate::protocol::Refusal;

/// What a queued message costs besides its text: its place in the queue and its allocation.
const OVERHEAD_BYTES: usize = 64;

/// A new queue that holds up to `max_bytes`. The last part resolves when the [`Outbox`] is closed, to the reason, or dropped.
pub(crate) fn outbox(max_bytes: usize) -> (Outbox, OutboxReader, oneshot::Receiver<Refusal>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (open, closed) = oneshot::channel();
    let queued_bytes = Arc::new(AtomicUsize::new(0));
    let outbox = Outbox {
        sender,
        queued_bytes: Arc::clone(&queued_bytes),
        max_bytes,
        open: Mutex::new(Some(open)),
    };
    let reader = OutboxReader { receiver, queued_bytes };
    (outbox, reader, closed)
}

/// The end of the queue that is filled.
#[derive(Debug)]
pub(crate) struct Outbox {
    sender: mpsc::UnboundedSender<Utf8Bytes>,
    queued_bytes: Arc<AtomicUsize>,
    max_bytes: usize,
    /// Tells why the peer is sent off, even while the connection is stuck in writing to it; until then.
    open: Mutex<Option<oneshot::Sender<Refusal>>>,
}

/// The message does not fit, or nobody reads the queue any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undeliverable;

impl Outbox {
    pub(crate) fn push(&self, message: Utf8Bytes) -> Result<(), Undeliverable> {
        let bytes = cost(&message);
        // Whoever fills it holds the lock on all queues, so nothing can come between the check and the addition.
        if self.queued_bytes.load(Relaxed) + bytes > self.max_bytes {
            return Err(Undeliverable);
        }
        self.queued_bytes.fetch_add(bytes, Relaxed);
        self.sender.send(message).map_err(|_| Undeliverable)
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

/// The end of the queue that is emptied.
#[derive(Debug)]
pub(crate) struct OutboxReader {
    receiver: mpsc::UnboundedReceiver<Utf8Bytes>,
    queued_bytes: Arc<AtomicUsize>,
}

impl OutboxReader {
    /// The next message; `None` once the [`Outbox`] is gone and everything in it was read. May be cancelled.
    pub(crate) async fn next(&mut self) -> Option<Utf8Bytes> {
        let message = self.receiver.recv().await?;
        self.queued_bytes.fetch_sub(cost(&message), Relaxed);
        Some(message)
    }

    /// The next message, if there is one now.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn try_next(&mut self) -> Option<Utf8Bytes> {
        let message = self.receiver.try_recv().ok()?;
        self.queued_bytes.fetch_sub(cost(&message), Relaxed);
        Some(message)
    }
}

fn cost(message: &Utf8Bytes) -> usize {
    message.len() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
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
        drop(reader);
        assert_eq!(outbox.push("a".into()), Err(Undeliverable));
        outbox.close(Refusal::Kicked);
        outbox.close(Refusal::TooSlow);
        assert_eq!(closed.try_recv(), Ok(Refusal::Kicked), "the first reason counts");
    }
}
