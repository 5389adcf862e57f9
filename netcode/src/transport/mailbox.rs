//! The socket that ggrs sees: two queues, filled and emptied by us once a frame.

use std::sync::{Arc, Mutex, PoisonError};

use ggrs::{Message, NonBlockingSocket};
use signaling::protocol::PeerId;

/// Messages that wait between two frames at most, in each direction: 64 for each of 15 peers, a second of silence made good at once.
const MAX_WAITING: usize = 1024;

/// Messages on their way between the transport and the session.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    inbox: Vec<(PeerId, Message)>,
    outbox: Vec<(PeerId, Message)>,
}

impl Mailbox {
    /// Hands a message to the session; false where too many wait already.
    pub(crate) fn deliver(&mut self, from: PeerId, message: Message) -> bool {
        let room = self.inbox.len() < MAX_WAITING;
        if room {
            self.inbox.push((from, message));
        }
        room
    }

    /// Whether anything waits to be sent to `to`.
    pub(crate) fn has_for(&self, to: PeerId) -> bool {
        self.outbox.iter().any(|(peer, _)| *peer == to)
    }

    /// Moves everything for `to` out of the outbox, in order.
    pub(crate) fn take_for(&mut self, to: PeerId, messages: &mut Vec<Message>) {
        messages.clear();
        messages.extend(
            self.outbox.extract_if(.., |(peer, _)| *peer == to).map(|(_, message)| message),
        );
    }
}

/// A mailbox that the transport and the ggrs session both hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedMailbox(Arc<Mutex<Mailbox>>);

impl SharedMailbox {
    /// Works on the mailbox. Both holders live on the main thread, so the lock is always free.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Mailbox) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl NonBlockingSocket<PeerId> for SharedMailbox {
    fn send_to(&mut self, msg: &Message, addr: &PeerId) {
        self.with(|mailbox| {
            // A session that nobody empties any more must not fill the memory. ggrs repeats what matters.
            if mailbox.outbox.len() < MAX_WAITING {
                mailbox.outbox.push((*addr, msg.clone()));
            }
        });
    }

    fn receive_all_messages(&mut self) -> Vec<(PeerId, Message)> {
        self.with(|mailbox| mailbox.inbox.drain(..).collect())
    }
}
