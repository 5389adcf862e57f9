//! The queue of messages that wait for one peer, bounded in bytes.
//!
//! Bytes and not messages are counted because they are what fills memory: a few long messages or
//! many short ones. A channel would keep room for some messages all the time, which counts with
//! thousands of peers that are told nothing for minutes.
//!
//! What other peers send (signals) never fills the queue: it may take up three quarters of it, and
//! where that is too little, the sender that has the most waiting loses its latest. So a flood
//! costs its own sender, and neither the receiver nor any other peer that signals to it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, oneshot};
use tungstenite::Utf8Bytes;

use crate::protocol::{PeerId, Refusal};

/// What a queued message costs besides its text: its place in the queue and its allocation.
const OVERHEAD_BYTES: usize = 64;

/// A new queue that holds up to `max_bytes`. The last part resolves when the [`Outbox`] is closed,
/// to the reason, or dropped.
pub(crate) fn new_outbox(max_bytes: usize) -> (Outbox, OutboxReader, oneshot::Receiver<Refusal>) {
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
    /// Tells why the peer is sent off, even while the connection is stuck in writing to it; until
    /// then.
    open: Mutex<Option<oneshot::Sender<Refusal>>>,
}

/// The message does not fit, or nobody reads the queue any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undeliverable;

impl Outbox {
    pub(crate) fn push(&self, message: Utf8Bytes) -> Result<(), Undeliverable> {
        self.push_queued(Queued { message, kind: Kind::Event })
    }

    /// Adds a message that says everything of something. One that was added before, and not read
    /// yet, is not worth reading any more, so that many changes in a row do not fill the queue.
    pub(crate) fn push_state(&self, message: Utf8Bytes) -> Result<(), Undeliverable> {
        self.push_queued(Queued { message, kind: Kind::State })
    }

    /// Adds a signal of that sender, if it gets a place. Returns how many signals were dropped:
    /// this one, or others that had to make way.
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

    /// How many bytes of signals may wait; the rest of the queue is kept for what the server itself
    /// says.
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

    /// Sends the peer off. Only the first reason counts.
    pub(crate) fn close(&self, refusal: Refusal) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(open) = open {
            // A connection that is gone need not be told.
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
    /// The next message; `None` once the [`Outbox`] is gone and everything in it was read. May be
    /// cancelled.
    pub(crate) async fn next(&mut self) -> Option<Utf8Bytes> {
        loop {
            {
                let mut waiting = self.queue.lock();
                let message = waiting.pop();
                if message.is_some() || waiting.is_over {
                    return message;
                }
            }
            // What is added before this waits leaves a permit.
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
    /// How many of them are signals, by their sender.
    of_senders: Vec<(PeerId, usize)>,
    /// Whether one of them is a state; there are never two.
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
            // Its memory goes, too.
            (self.messages, self.of_senders) = (VecDeque::new(), Vec::new());
        }
        Some(queued.message)
    }

    /// Counts a message no longer, as it is not in the queue any more.
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

    /// Whether there was one.
    fn remove_last(&mut self, kind: Kind) -> bool {
        let at = self.messages.iter().rposition(|queued| queued.kind == kind);
        let removed = at.and_then(|at| self.messages.remove(at));
        if let Some(removed) = &removed {
            self.forget(removed);
        }
        removed.is_some()
    }

    /// Drops signals of those who have more waiting than the sender would have, until it has a
    /// place for `bytes` or there are none. Returns how many were dropped, and whether there is a
    /// place.
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
    /// What the server says once.
    Event,
    /// What the server says of something as a whole.
    State,
    /// What that peer sent.
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
            assert_eq!(reader.next().await, Some(message.into()), "in the order of their news");
        }
        assert_eq!(reader.try_next(), None);
        // What was taken out does not count any more.
        for _ in 0..3 {
            assert_eq!(outbox.push("message".into()), Ok(()));
        }
    }

    #[tokio::test]
    async fn a_flood_of_signals_costs_its_own_sender() {
        let [greedy, modest, late] = [1, 2, 3].map(PeerId::from_u128);
        let (outbox, mut reader, _closed) = new_outbox(16 * (OVERHEAD_BYTES + 1));
        let dropped: u64 = (0..100).map(|_| outbox.push_signal(greedy, "g".into())).sum();
        assert_eq!(dropped, 100 - 12, "a quarter is kept for the server");
        assert_eq!(outbox.push("s".into()), Ok(()));
        // Each gets as much as the others, at the cost of the one that has most.
        for (sender, message) in [(modest, "m"), (late, "l")].repeat(4) {
            assert_eq!(outbox.push_signal(sender, message.into()), 1);
        }
        for sender in [greedy, modest, late] {
            assert_eq!(outbox.push_signal(sender, "x".into()), 1, "nobody has more than it");
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
            // Lets the reader empty the queue, and wait.
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
