//! The queue of messages that wait for one peer, with a limit in bytes.
//!
//! The limit counts bytes and not messages, because it is bytes that fill memory, in a few long
//! messages or in many short ones. A channel would always reserve space for some messages, which
//! adds up with thousands of peers that receive nothing for minutes.
//!
//! Signals from other peers never fill the queue: they may use three quarters of it, and when that
//! is full, the sender with the most waiting loses its latest signal. So a flood hurts its own
//! sender, but neither the receiver nor any other peer that sends signals to it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, oneshot};
use tungstenite::Utf8Bytes;

use crate::protocol::{PeerId, Refusal};

/// The cost of a queued message in addition to its text: its entry in the queue and its allocation.
const OVERHEAD_BYTES: usize = 64;

/// Makes a queue that holds up to `max_bytes`. The third part resolves to the reason when the
/// [`Outbox`] is closed, and to an error when it is dropped.
pub(crate) fn new_outbox(max_bytes: usize) -> (Outbox, OutboxReader, oneshot::Receiver<Refusal>) {
    let (open, closed) = oneshot::channel();
    let queue = Arc::<Queue>::default();
    let outbox = Outbox { queue: Arc::clone(&queue), max_bytes, open: Mutex::new(Some(open)) };
    (outbox, OutboxReader { queue }, closed)
}

/// The writing end of the queue.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Arc<Queue>,
    max_bytes: usize,
    /// Sends the reason for disconnecting the peer, even while the connection is stuck in writing
    /// to it. `None` after that.
    open: Mutex<Option<oneshot::Sender<Refusal>>>,
}

/// The message does not fit, or nobody reads the queue any longer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undeliverable;

impl Outbox {
    pub(crate) fn push(&self, message: Utf8Bytes) -> Result<(), Undeliverable> {
        self.push_queued(Queued { message, kind: Kind::Event })
    }

    /// Adds a message that describes a complete state. An earlier state that has not been read yet
    /// is removed as obsolete, so that many changes in a row do not fill the queue.
    pub(crate) fn push_state(&self, message: Utf8Bytes) -> Result<(), Undeliverable> {
        self.push_queued(Queued { message, kind: Kind::State })
    }

    /// Adds a signal from this sender, if there is space for it. Returns how many signals were
    /// dropped: this one, or others that had to make way.
    pub(crate) fn push_signal(&self, sender: PeerId, message: Utf8Bytes) -> u64 {
        let queued = Queued { message, kind: Kind::Signal(sender) };
        let dropped = {
            let mut waiting = self.queue.lock();
            if waiting.is_over {
                return 0;
            }
            let (dropped, has_space) =
                waiting.make_space_for(sender, queued.cost(), self.max_signal_bytes());
            if !has_space {
                return dropped + 1;
            }
            waiting.push(queued);
            dropped
        };
        self.queue.changed.notify_one();
        dropped
    }

    /// The number of bytes of signals that may wait. The rest of the queue is for messages from the
    /// server itself.
    fn max_signal_bytes(&self) -> usize {
        self.max_bytes - self.max_bytes / 4
    }

    fn push_queued(&self, queued: Queued) -> Result<(), Undeliverable> {
        {
            let mut waiting = self.queue.lock();
            if waiting.is_over {
                return Err(Undeliverable);
            }
            if queued.kind == Kind::State {
                waiting.remove_state();
            }
            if waiting.bytes + queued.cost() > self.max_bytes {
                return Err(Undeliverable);
            }
            waiting.push(queued);
        }
        self.queue.changed.notify_one();
        Ok(())
    }

    /// Disconnects the peer. Only the first reason counts.
    pub(crate) fn close(&self, refusal: Refusal) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(open) = open {
            // A connection that has ended already needs no reason.
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

/// The reading end of the queue.
#[derive(Debug)]
pub(crate) struct OutboxReader {
    queue: Arc<Queue>,
}

impl OutboxReader {
    /// Waits for the next message; returns `None` once the [`Outbox`] is gone and everything in it
    /// has been read. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Utf8Bytes> {
        loop {
            {
                let mut waiting = self.queue.lock();
                let message = waiting.pop();
                if message.is_some() || waiting.is_over {
                    return message;
                }
            }
            // A message that is added before this call leaves a permit.
            self.queue.changed.notified().await;
        }
    }

    /// Accepts no more messages, and frees those that have not been read.
    pub(crate) fn close(&mut self) {
        *self.queue.lock() = Waiting { is_over: true, ..Waiting::default() };
    }

    /// Returns the next message, if there is one now.
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

/// The state that both ends share.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// A message was added, or the writing end is gone.
    changed: Notify,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No operation on it can stop halfway.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Queued>,
    bytes: usize,
    /// The bytes of waiting signals, by sender.
    of_senders: Vec<(PeerId, usize)>,
    /// Whether one of the messages is a state; there are never two.
    has_state: bool,
    /// One of the ends is gone.
    is_over: bool,
}

impl Waiting {
    fn push(&mut self, queued: Queued) {
        let bytes = queued.cost();
        self.bytes += bytes;
        match queued.kind {
            Kind::Event => {}
            Kind::State => self.has_state = true,
            Kind::Signal(sender) => {
                match self.of_senders.iter_mut().find(|(other, _)| *other == sender) {
                    Some((_, waiting)) => *waiting += bytes,
                    None => self.of_senders.push((sender, bytes)),
                }
            }
        }
        self.messages.push_back(queued);
    }

    fn pop(&mut self) -> Option<Utf8Bytes> {
        let queued = self.messages.pop_front()?;
        self.forget(&queued);
        if self.messages.is_empty() {
            // This frees the memory, too.
            (self.messages, self.of_senders) = (VecDeque::new(), Vec::new());
        }
        Some(queued.message)
    }

    /// Removes a message that has left the queue from the counts.
    fn forget(&mut self, queued: &Queued) {
        let bytes = queued.cost();
        self.bytes -= bytes;
        match queued.kind {
            Kind::Event => {}
            Kind::State => self.has_state = false,
            Kind::Signal(sender) => self.of_senders.retain_mut(|(other, waiting)| {
                if *other == sender {
                    *waiting -= bytes;
                }
                *waiting > 0
            }),
        }
    }

    fn remove_state(&mut self) {
        if self.has_state {
            self.remove_last(Kind::State);
        }
    }

    /// Removes the last message of this kind, and returns whether there was one.
    fn remove_last(&mut self, kind: Kind) -> bool {
        let at = self.messages.iter().rposition(|queued| queued.kind == kind);
        let removed = at.and_then(|at| self.messages.remove(at));
        if let Some(removed) = &removed {
            self.forget(removed);
        }
        removed.is_some()
    }

    /// Drops signals of senders that have more waiting than this sender would have, until there is
    /// space for `bytes` or no such sender is left. Returns how many were dropped, and whether
    /// there is space.
    fn make_space_for(&mut self, sender: PeerId, bytes: usize, most: usize) -> (u64, bool) {
        let mut dropped = 0;
        while self.of_senders.iter().map(|(_, waiting)| waiting).sum::<usize>() + bytes > most {
            let own = self.of_senders.iter().find(|(other, _)| *other == sender);
            let own = own.map_or(0, |(_, waiting)| *waiting) + bytes;
            let most_waiting = self.of_senders.iter().max_by_key(|(_, waiting)| *waiting);
            let greedy = most_waiting.filter(|(_, waiting)| *waiting > own).map(|(peer, _)| *peer);
            match greedy {
                Some(greedy) if self.remove_last(Kind::Signal(greedy)) => dropped += 1,
                _ => return (dropped, false),
            }
        }
        (dropped, true)
    }
}

#[derive(Debug)]
struct Queued {
    message: Utf8Bytes,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// An event that the server reports once.
    Event,
    /// A complete state that the server reports.
    State,
    /// A signal from that peer.
    Signal(PeerId),
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
    async fn a_full_queue_accepts_nothing_until_it_is_read() {
        let (outbox, mut reader, mut closed) = new_outbox(2 * (OVERHEAD_BYTES + 1));
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
    async fn only_the_latest_unread_state_is_kept() {
        let (outbox, mut reader, _closed) = new_outbox(3 * (OVERHEAD_BYTES + 7));
        assert_eq!(outbox.push("before".into()), Ok(()));
        for state in 0..1000 {
            assert_eq!(outbox.push_state(format!("s{state}").into()), Ok(()));
        }
        assert_eq!(outbox.push("after".into()), Ok(()));
        assert_eq!(outbox.push_state("latest".into()), Ok(()));
        for message in ["before", "after", "latest"] {
            assert_eq!(
                reader.next().await,
                Some(message.into()),
                "in the order in which they were added"
            );
        }
        assert_eq!(reader.try_next(), None);
        // Removed messages no longer count.
        for _ in 0..3 {
            assert_eq!(outbox.push("message".into()), Ok(()));
        }
    }

    #[tokio::test]
    async fn a_flood_of_signals_hurts_only_its_own_sender() {
        let [greedy, modest, late] = [1, 2, 3].map(PeerId::from_u128);
        let (outbox, mut reader, _closed) = new_outbox(16 * (OVERHEAD_BYTES + 1));
        let dropped: u64 = (0..100).map(|_| outbox.push_signal(greedy, "g".into())).sum();
        assert_eq!(dropped, 100 - 12, "a quarter is kept for the server");
        assert_eq!(outbox.push("s".into()), Ok(()));
        // Each sender gets as much space as the others, at the cost of the one that has the most.
        for (sender, message) in [(modest, "m"), (late, "l")].repeat(4) {
            assert_eq!(outbox.push_signal(sender, message.into()), 1);
        }
        for sender in [greedy, modest, late] {
            assert_eq!(outbox.push_signal(sender, "x".into()), 1, "no sender has more waiting");
        }
        let mut read = String::new();
        while let Some(message) = reader.try_next() {
            read.push_str(&message);
        }
        assert_eq!(read, "ggggsmlmlmlml");
        assert_eq!(outbox.push_signal(greedy, "g".into()), 0, "all were read");
        let too_long = "x".repeat(20 * OVERHEAD_BYTES);
        assert_eq!(outbox.push_signal(late, too_long.into()), 1);
    }

    #[tokio::test]
    async fn a_waiting_reader_is_woken_by_a_message_and_by_the_end() {
        let (outbox, mut reader, _closed) = new_outbox(1000);
        let reading = tokio::spawn(async move {
            let mut read = Vec::new();
            while let Some(message) = reader.next().await {
                read.push(message);
            }
            read
        });
        for message in ["a", "b", "c"] {
            // Lets the reader empty the queue and wait.
            tokio::task::yield_now().await;
            outbox.push(message.into()).expect("there is room");
        }
        drop(outbox);
        assert_eq!(reading.await.expect("no panic"), ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn a_cancelled_wait_loses_nothing() {
        let (outbox, mut reader, _closed) = new_outbox(1000);
        {
            let mut waiting = std::pin::pin!(reader.next());
            let is_there = poll_fn(|cx| waiting.as_mut().poll(cx).is_ready().into()).await;
            assert!(!is_there, "nothing was sent");
            outbox.push("late".into()).expect("there is room");
        }
        assert_eq!(reader.next().await, Some("late".into()));
    }
}
