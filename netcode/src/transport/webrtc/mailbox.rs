//! The state that the signaller and the transport share, as they run on different threads.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use matchbox_socket::{PeerId, WebRtcSocket};
use signaling::lobby::{RoomEvent, RoomRequest};

use super::{
    meetings::Meeting,
    peer_steps::{PeerStep, PeerSteps},
    room_news::RoomNews,
};
use crate::transport::TransportError;

/// At most this many requests wait for the server: more than a player makes while the server is
/// away.
const MAX_ASKS: usize = 32;
/// No more peers are met while this many tasks wait for the signaller, which takes them at once
/// unless it is stuck sending something.
const MAX_HANDSHAKE_TASKS: usize = 64;

/// What the signaller and its message loop share with the transport.
#[derive(Clone, Debug, Default)]
pub(super) struct Mailbox(Arc<Mutex<Mail>>);

#[derive(Debug, Default)]
struct Mail {
    error: Option<TransportError>,
    is_lost: bool,
    is_back: bool,
    is_over: bool,
    /// We are leaving the room.
    is_leaving: bool,
    /// We have told the server that we leave, and it has answered or had time to.
    has_left: bool,
    /// The peers that are connected to us now, whatever the server says about them.
    connected: Vec<PeerId>,
    bad_signals: u32,
    /// What peers did at the server.
    steps: PeerSteps,
    /// The server's news of the room.
    room: RoomNews,
    /// Requests to the server, in order.
    asks: VecDeque<RoomRequest>,
    /// Tasks of the signaller that concern one peer each, in order.
    handshake_tasks: VecDeque<HandshakeTask>,
    /// The sockets of peers whose handshakes have begun.
    sockets: Vec<(PeerId, WebRtcSocket)>,
    /// Wakes the signaller, which waits for a task.
    waker: Option<Waker>,
}

/// A task of the signaller that concerns one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandshakeTask {
    /// Begin a handshake.
    Meet(Meeting),
    /// Forget the peer's handshake that has begun: the connection is over, or was given up.
    Forget(PeerId),
}

/// The next task of the signaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SignallerTask {
    Handshake(HandshakeTask),
    /// Send the server this request. It stays until it [was sent](Mailbox::ask_was_sent): the
    /// future that sends it may be dropped at any time.
    Ask(RoomRequest),
    /// Tell the server that we leave.
    Leave,
}

impl Mailbox {
    fn with<T>(&self, work: impl FnOnce(&mut Mail) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the first error: later ones follow from it.
    pub(super) fn fail(&self, error: TransportError) {
        self.with(|mail| {
            mail.error.get_or_insert(error);
        });
    }

    pub(super) fn note_server_lost(&self) {
        self.with(|mail| mail.is_lost = true);
    }

    /// Returns a guard: once it is dropped, the message loop counts as over.
    pub(super) fn while_running(&self) -> impl Send + 'static + use<> {
        OverWhenDropped(self.clone())
    }

    /// Whether the server was lost since the last call.
    pub(super) fn take_server_lost(&self) -> bool {
        self.with(|mail| std::mem::take(&mut mail.is_lost))
    }

    /// Whether the server was reached again since the last call.
    pub(super) fn take_server_back(&self) -> bool {
        self.with(|mail| std::mem::take(&mut mail.is_back))
    }

    /// Makes the signaller tell the server that we leave the room for good.
    pub(super) fn leave(&self) {
        let waker = self.with(|mail| {
            mail.is_leaving = true;
            mail.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether we are leaving the room for good.
    pub(super) fn is_leaving(&self) -> bool {
        self.with(|mail| mail.is_leaving)
    }

    /// Notes that the server knows that we leave, if it is there.
    pub(super) fn note_departure(&self) {
        self.with(|mail| mail.has_left = true);
    }

    /// Whether nothing more will be sent to the server: the signaller has left, or its message loop
    /// is over.
    pub(super) fn has_left(&self) -> bool {
        self.with(|mail| mail.has_left || mail.is_over)
    }

    /// Notes which peers are connected to us.
    pub(super) fn note_connected(&self, peers: impl Iterator<Item = PeerId>) {
        self.with(|mail| {
            mail.connected.clear();
            mail.connected.extend(peers);
        });
    }

    pub(super) fn is_connected(&self, peer: PeerId) -> bool {
        self.with(|mail| mail.connected.contains(&peer))
    }

    /// Whether no peer is connected to us.
    pub(super) fn is_alone(&self) -> bool {
        self.with(|mail| mail.connected.is_empty())
    }

    /// Notes that the server was reached again.
    pub(super) fn note_server_back(&self) {
        self.with(|mail| mail.is_back = true);
    }

    /// Notes the server's news of the room.
    pub(super) fn note_room_event(&self, event: RoomEvent) {
        if !self.with(|mail| mail.room.push(event)) {
            self.count_bad_signal();
        }
    }

    /// Takes the server's news of the room since the last call.
    pub(super) fn take_room(&self) -> impl Iterator<Item = RoomEvent> + use<> {
        self.with(|mail| mail.room.take())
    }

    /// Sends the server a request as soon as the server is there. If too many requests wait
    /// already, it is dropped.
    pub(super) fn ask(&self, request: RoomRequest) {
        let waker = self.with(|mail| {
            if mail.asks.len() < MAX_ASKS {
                mail.asks.push_back(request);
            }
            mail.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Returns the next task of the signaller. Requests wait until it is at the server.
    pub(super) fn poll_task(
        &self,
        is_at_server: bool,
        context: &Context<'_>,
    ) -> Poll<SignallerTask> {
        self.with(|mail| {
            if let Some(task) = mail.handshake_tasks.pop_front() {
                return Poll::Ready(SignallerTask::Handshake(task));
            }
            match mail.asks.front().filter(|_| is_at_server) {
                Some(request) => Poll::Ready(SignallerTask::Ask(request.clone())),
                None if mail.is_leaving => Poll::Ready(SignallerTask::Leave),
                None => {
                    mail.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
    }

    /// Gives the signaller a task that concerns one peer.
    pub(super) fn add_task(&self, task: HandshakeTask) {
        let waker = self.with(|mail| {
            mail.handshake_tasks.push_back(task);
            mail.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the signaller has too much to do for more peers to be met.
    pub(super) fn is_busy(&self) -> bool {
        self.with(|mail| mail.handshake_tasks.len() >= MAX_HANDSHAKE_TASKS)
    }

    /// Hands over the socket of a peer whose handshake has begun with the peer's latest signals.
    pub(super) fn hand_over(&self, peer: PeerId, socket: WebRtcSocket) {
        self.with(|mail| {
            mail.steps.begin(peer);
            mail.sockets.push((peer, socket));
        });
    }

    /// Takes the sockets of peers whose handshakes have begun since the last call.
    pub(super) fn take_sockets(&self) -> Vec<(PeerId, WebRtcSocket)> {
        self.with(|mail| std::mem::take(&mut mail.sockets))
    }

    /// Removes the next request, which is on its way.
    pub(super) fn ask_was_sent(&self) {
        self.with(|mail| mail.asks.pop_front());
    }

    /// Counts a message that no server of ours and no WebRTC stack sends.
    pub(super) fn count_bad_signal(&self) {
        self.with(|mail| mail.bad_signals = mail.bad_signals.saturating_add(1));
    }

    /// Takes the number of messages since the last call that no server of ours and no WebRTC stack
    /// sends.
    pub(super) fn take_bad_signals(&self) -> u32 {
        self.with(|mail| std::mem::take(&mut mail.bad_signals))
    }

    /// Takes what peers did since the last call, in order, and the number of peers whose news was
    /// lost because there were too many.
    pub(super) fn take_steps(&self) -> (Vec<(PeerId, PeerStep)>, u32) {
        self.with(|mail| mail.steps.take())
    }

    pub(super) fn note(&self, peer: PeerId, step: PeerStep) {
        self.with(|mail| mail.steps.note(peer, step));
    }

    /// Takes the reason why the transport can no longer be used, once it has failed.
    pub(super) fn take_failure(&self) -> Option<TransportError> {
        self.with(|mail| {
            let is_over = std::mem::take(&mut mail.is_over);
            mail.error.take().or(is_over.then_some(TransportError::Closed))
        })
    }
}

struct OverWhenDropped(Mailbox);

impl Drop for OverWhenDropped {
    fn drop(&mut self) {
        self.0.with(|mail| mail.is_over = true);
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;

    /// The next task of the signaller while it is at the server.
    fn next_task(mailbox: &Mailbox) -> Option<SignallerTask> {
        match mailbox.poll_task(true, &Context::from_waker(Waker::noop())) {
            Poll::Ready(task) => Some(task),
            Poll::Pending => None,
        }
    }

    fn peer(number: u128) -> PeerId {
        PeerId(signaling::protocol::PeerId::from_u128(number).0)
    }

    #[test]
    fn requests_wait_in_order_until_they_are_sent_and_their_number_is_bounded() {
        let mailbox = Mailbox::default();
        assert_eq!(next_task(&mailbox), None);
        mailbox.ask(RoomRequest::SetReady(true));
        for _ in 0..1000 {
            mailbox.ask(RoomRequest::Start);
        }
        let ready = Some(SignallerTask::Ask(RoomRequest::SetReady(true)));
        assert_eq!(next_task(&mailbox), ready);
        assert_eq!(next_task(&mailbox), ready, "it was not sent");
        for _ in 1..MAX_ASKS {
            mailbox.ask_was_sent();
            assert_eq!(next_task(&mailbox), Some(SignallerTask::Ask(RoomRequest::Start)));
        }
        mailbox.ask_was_sent();
        assert_eq!(next_task(&mailbox), None);
    }

    #[test]
    fn a_departure_comes_after_the_requests_unless_the_server_is_away() {
        let mailbox = Mailbox::default();
        mailbox.ask(RoomRequest::Start);
        mailbox.leave();
        let away = mailbox.poll_task(false, &Context::from_waker(Waker::noop()));
        assert_eq!(away, Poll::Ready(SignallerTask::Leave));
        assert_eq!(next_task(&mailbox), Some(SignallerTask::Ask(RoomRequest::Start)));
        mailbox.ask_was_sent();
        assert_eq!(next_task(&mailbox), Some(SignallerTask::Leave));
        assert!(mailbox.is_leaving() && !mailbox.has_left());
        mailbox.note_departure();
        assert!(mailbox.has_left());
    }

    #[test]
    fn every_new_task_wakes_the_signaller() {
        struct Alarm(std::sync::atomic::AtomicBool);
        impl Wake for Alarm {
            fn wake(self: Arc<Self>) {
                self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let task = HandshakeTask::Forget(peer(1));
        let causes: [&dyn Fn(&Mailbox); 3] =
            [&|mailbox| mailbox.leave(), &|mailbox| mailbox.ask(RoomRequest::Start), &|mailbox| {
                mailbox.add_task(task);
            }];
        for cause in causes {
            let (mailbox, alarm) = (Mailbox::default(), Arc::new(Alarm(false.into())));
            let waker = Waker::from(Arc::clone(&alarm));
            assert!(mailbox.poll_task(true, &Context::from_waker(&waker)).is_pending());
            cause(&mailbox);
            assert!(alarm.0.load(std::sync::atomic::Ordering::Relaxed));
        }
    }

    #[test]
    fn a_message_loop_that_is_over_sends_the_server_nothing_more() {
        let mailbox = Mailbox::default();
        drop(mailbox.while_running());
        assert!(mailbox.has_left());
    }

    #[test]
    fn the_first_error_is_the_one_that_is_reported() {
        let mailbox = Mailbox::default();
        assert_eq!(mailbox.take_failure(), None);
        mailbox.fail(TransportError::Refused("full".into()));
        mailbox.fail(TransportError::Closed);
        drop(mailbox.while_running());
        assert_eq!(mailbox.take_failure(), Some(TransportError::Refused("full".into())));
        assert_eq!(mailbox.take_failure(), None);
        mailbox.note_server_lost();
        assert!(mailbox.take_server_lost() && !mailbox.take_server_lost());
    }
}
