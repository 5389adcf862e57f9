//! The one owner of the rooms: takes commands from all connections, in turn, and fills the peers' queues.
//!
//! A single owner needs no lock that could be poisoned or held for too long, and its bounded, fair command channel
//! makes a connection that floods wait for its own turn instead of everybody else's.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use tokio::sync::{mpsc, oneshot};
use tracing::debug;
use tungstenite::Utf8Bytes;

use super::{
    counters::Health,
    outbox::Outbox,
    rooms::{Delivery, RoomKey, RoomLimits, Rooms},
};
use crate::protocol::{PeerId, Refusal};

/// What a connection asks of the hub.
#[derive(Debug)]
pub(crate) enum Command {
    /// Would a peer be let into this room now?
    Check { room: RoomKey, answer: oneshot::Sender<Result<(), Refusal>> },
    /// Let `peer` in; everything for it goes into `outbox`, its id first. Should it be there already, its earlier connection is
    /// dead, whether we know it or not.
    Join {
        peer: PeerId,
        connection: u64,
        room: RoomKey,
        outbox: Outbox,
        answer: oneshot::Sender<Result<(), Refusal>>,
    },
    /// Pass `message`, a complete event, to `receiver`.
    Signal { sender: PeerId, receiver: PeerId, message: Utf8Bytes },
    /// `peer` is gone, unless it came back over another connection.
    Leave { peer: PeerId, connection: u64 },
}

/// The rooms and the queues of the peers in them.
#[derive(Debug)]
pub(crate) struct Hub {
    rooms: Rooms,
    outboxes: HashMap<PeerId, (u64, Outbox)>,
    health: Arc<Health>,
}

impl Hub {
    pub(crate) fn new(limits: RoomLimits, health: Arc<Health>) -> Self {
        Self { rooms: Rooms::new(limits), outboxes: HashMap::new(), health }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Carries out commands until nobody is left who could give one.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.recv().await {
            self.handle(command);
            self.health.rooms.store(self.rooms.room_count(), Relaxed);
            self.health.peers.store(self.rooms.peer_count(), Relaxed);
        }
    }

    /// Carries out one command.
    pub(super) fn handle(&mut self, command: Command) {
        match command {
            Command::Check { room, answer } => {
                // Who no longer waits for the answer needs none.
                let _ = answer.send(self.rooms.check(&room));
            }
            Command::Join { peer, connection, room, outbox, answer } => {
                self.join(peer, &room, (connection, outbox), answer);
            }
            Command::Signal { sender, receiver, message } => {
                match self.rooms.route(sender, receiver) {
                    Ok(()) => {
                        if !self.push(receiver, message) {
                            self.leave(receiver);
                        }
                    }
                    Err(reason) => {
                        debug!(?reason, "signal dropped");
                        self.health.counters.count(reason.into());
                    }
                }
            }
            Command::Leave { peer, connection } => {
                if self.outboxes.get(&peer).is_none_or(|&(present, _)| present == connection) {
                    self.leave(peer);
                }
            }
        }
    }

    fn join(
        &mut self,
        peer: PeerId,
        room: &RoomKey,
        outbox: (u64, Outbox),
        answer: oneshot::Sender<Result<(), Refusal>>,
    ) {
        let was_here = self.outboxes.remove(&peer).is_some();
        let mut farewell = was_here.then(|| self.rooms.leave(peer)).flatten();
        match self.rooms.join(peer, room) {
            Ok(deliveries) => {
                let [_, welcome] = &deliveries;
                if let Some(farewell) = &mut farewell {
                    // To whom it comes back need not hear that it left.
                    farewell.to.retain(|other| !welcome.to.contains(other));
                }
                self.outboxes.insert(peer, outbox);
                self.deliver(farewell.into_iter().chain(deliveries).collect());
                if answer.send(Ok(())).is_err() {
                    self.leave(peer);
                }
            }
            Err(refusal) => {
                self.deliver(farewell.into_iter().collect());
                // Who no longer waits for the answer needs none.
                let _ = answer.send(Err(refusal));
            }
        }
    }

    fn leave(&mut self, peer: PeerId) {
        self.outboxes.remove(&peer);
        let delivery = self.rooms.leave(peer);
        self.deliver(delivery.into_iter().collect());
    }

    /// Hands out the deliveries. A peer whose queue is full leaves, which the others are told in turn.
    fn deliver(&mut self, mut deliveries: VecDeque<Delivery>) {
        while let Some(delivery) = deliveries.pop_front() {
            let message = serde_json::to_string(&delivery.event).expect("an event is valid JSON");
            let message = Utf8Bytes::from(message);
            for peer in delivery.to {
                if !self.push(peer, message.clone()) {
                    deliveries.extend(self.rooms.leave(peer));
                }
            }
        }
    }

    /// False if the peer's queue is full; the queue is gone then, by which its connection knows that it must end.
    fn push(&mut self, peer: PeerId, message: Utf8Bytes) -> bool {
        let is_pushed =
            self.outboxes.get(&peer).is_some_and(|(_, outbox)| outbox.push(message).is_ok());
        if !is_pushed {
            self.outboxes.remove(&peer);
        }
        is_pushed
    }
}
