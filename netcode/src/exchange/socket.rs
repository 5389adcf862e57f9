//! The exchange as ggrs sees it: a socket, whose messages are read and made here and never travel.

use std::sync::{Arc, Mutex, PoisonError};

use ggrs::{Message, NonBlockingSocket};
use signaling::protocol::PeerId;

use super::{
    Exchange, MAX_QUESTIONS,
    ggrs_message::{GgrsBody, inputs_in},
};
use crate::packed_input::PackedInput;

impl Exchange {
    /// Reads a message of our own session to a peer.
    fn take_ggrs_message(&mut self, to: PeerId, message: &Message) {
        match GgrsBody::open(message) {
            Ok(GgrsBody::SyncRequest { random }) => {
                if let Some(peer) = self.peer(to)
                    && peer.questions.len() < MAX_QUESTIONS
                {
                    peer.questions.push(random);
                }
            }
            Ok(GgrsBody::Input { first, bytes, .. }) => {
                if let Ok(first) = u32::try_from(first) {
                    self.note_ours(first, &bytes);
                }
            }
            // Clocks, acknowledgements and repetitions are the exchange's own work.
            Ok(_) | Err(_) => {}
        }
    }

    fn note_ours(&mut self, first: u32, bytes: &[u8]) {
        let begin = *self.ours_begin.get_or_insert(first);
        // The default input. ggrs writes the first inputs as differences from it, and later ones as
        // differences from the input that was acknowledged last.
        let zeros = vec![0; self.rules.local_seats * PackedInput::SIZE];
        while self.ours.end() < begin {
            self.ours.push(&zeros);
        }
        let base = if first == begin { Some(&zeros[..]) } else { self.ours.get(first - 1) };
        let Some(inputs) = base.and_then(|base| inputs_in(base, bytes).ok()) else { return };
        for (frame, input) in (first..).zip(&inputs) {
            if frame == self.ours.end() {
                self.ours.push(input);
            }
        }
    }

    /// Makes the messages that our session is to receive now.
    fn messages_for_ggrs(&mut self) -> Vec<(PeerId, Message)> {
        self.play_on_for_leavers();
        let (seats, is_open) = (self.rules.seats, self.is_open);
        let mut messages = Vec::new();
        for peer in self.peers.iter_mut().filter(|peer| peer.is_here) {
            let answers = peer.questions.drain(..).map(|random| GgrsBody::SyncReply { random });
            let news = if is_open { peer.inputs.news(seats) } else { None };
            let said = answers.chain(news).filter_map(|body| body.close().ok());
            messages.extend(said.map(|message| (peer.id, message)));
        }
        messages
    }
}

/// An exchange that the connection and the session both hold.
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

impl NonBlockingSocket<PeerId> for SharedExchange {
    fn send_to(&mut self, message: &Message, to: &PeerId) {
        self.with(|exchange| exchange.take_ggrs_message(*to, message));
    }

    fn receive_all_messages(&mut self) -> Vec<(PeerId, Message)> {
        self.with(Exchange::messages_for_ggrs).unwrap_or_default()
    }
}
