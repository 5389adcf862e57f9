//! What the signaller and the transport tell each other: they run in different threads.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    task::{Poll, Waker},
};

use matchbox_socket::PeerId;
use signaling::lobby::{RoomEvent, RoomRequest};

use super::{TransportError, room_news::RoomNews};

/// Requests that wait for the server at most: more than a player makes while it is away.
const MAX_ASKS: usize = 32;

/// What the signaller and its message loop tell the transport.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(Arc<Mutex<Notices>>);

#[derive(Debug, Default)]
struct Notices {
    error: Option<TransportError>,
    is_lost: bool,
    is_back: bool,
    is_over: bool,
    /// We leave the room.
    is_leaving: bool,
    /// The server was told, and has answered or had the time to.
    has_left: bool,
    /// Who is connected to us now, whatever the server says of it.
    connected: Vec<PeerId>,
    bad_signals: u32,
    /// What peers did, in order.
    steps: Vec<(PeerId, PeerStep)>,
    /// What the server told of the room.
    room: RoomNews,
    /// What it is to be asked for, in order, and who waits for that or for our departure.
    asks: VecDeque<RoomRequest>,
    waker: Option<Waker>,
}

/// What a peer did, as the server tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerStep {
    /// A handshake with it began.
    Met,
    /// The server knows it no more.
    Left,
    /// It is connected to us, and at the server again.
    Returned,
}

impl Watch {
    fn with<T>(&self, work: impl FnOnce(&mut Notices) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the first error: later ones follow from it.
    pub(super) fn fail(&self, error: TransportError) {
        self.with(|notices| {
            notices.error.get_or_insert(error);
        });
    }

    pub(super) fn lose(&self) {
        self.with(|notices| notices.is_lost = true);
    }

    /// Notes that the message loop is over as soon as what this returns is dropped.
    pub(super) fn while_running(&self) -> impl Send + 'static + use<> {
        OverWhenDropped(self.clone())
    }

    /// Whether the server was lost since the last call.
    pub(super) fn take_lost(&self) -> bool {
        self.with(|notices| std::mem::take(&mut notices.is_lost))
    }

    /// Whether the server was reached again since the last call.
    pub(super) fn take_back(&self) -> bool {
        self.with(|notices| std::mem::take(&mut notices.is_back))
    }

    /// Has the server told that we leave the room, and do not come back.
    pub(super) fn leave(&self) {
        let waker = self.with(|notices| {
            notices.is_leaving = true;
            notices.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether we leave the room, and do not come back.
    pub(super) fn is_leaving(&self) -> bool {
        self.with(|notices| notices.is_leaving)
    }

    /// Waits until we leave the room. Nobody may wait for requests meanwhile.
    pub(super) async fn leaving(&self) {
        poll_fn(|context| {
            self.with(|notices| {
                if notices.is_leaving {
                    return Poll::Ready(());
                }
                notices.waker = Some(context.waker().clone());
                Poll::Pending
            })
        })
        .await;
    }

    /// Notes that the server was told that we leave, if it is there.
    pub(super) fn note_departure(&self) {
        self.with(|notices| notices.has_left = true);
    }

    /// Whether nothing more will be said to the server: it was told that we leave, or is not there.
    pub(super) fn has_left(&self) -> bool {
        self.with(|notices| notices.has_left || notices.is_over)
    }

    /// Notes who is connected to us.
    pub(super) fn note_connected(&self, peers: impl Iterator<Item = PeerId>) {
        self.with(|notices| {
            notices.connected.clear();
            notices.connected.extend(peers);
        });
    }

    pub(super) fn is_connected(&self, peer: PeerId) -> bool {
        self.with(|notices| notices.connected.contains(&peer))
    }

    /// Whether nobody is connected to us.
    pub(super) fn is_alone(&self) -> bool {
        self.with(|notices| notices.connected.is_empty())
    }

    /// Notes that the server was reached again.
    pub(super) fn return_to_server(&self) {
        self.with(|notices| notices.is_back = true);
    }

    /// Notes what the server tells of the room.
    pub(super) fn tell_room(&self, event: RoomEvent) {
        if !self.with(|notices| notices.room.push(event)) {
            self.count_bad_signal();
        }
    }

    /// What the server told of the room since the last call.
    pub(super) fn take_room(&self) -> impl Iterator<Item = RoomEvent> + use<> {
        self.with(|notices| notices.room.take())
    }

    /// Has the server asked for something, as soon as it is there. What is too much is dropped.
    pub(super) fn ask(&self, request: RoomRequest) {
        let waker = self.with(|notices| {
            if notices.asks.len() < MAX_ASKS {
                notices.asks.push_back(request);
            }
            notices.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for the next request; `None` once there are no more, as we leave. It stays until it [was sent](Self::ask_was_sent): who
    /// waits may be dropped at any time.
    pub(super) async fn next_ask(&self) -> Option<RoomRequest> {
        poll_fn(|context| {
            self.with(|notices| match notices.asks.front() {
                Some(request) => Poll::Ready(Some(request.clone())),
                None if notices.is_leaving => Poll::Ready(None),
                None => {
                    notices.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            })
        })
        .await
    }

    /// The next request is on its way.
    pub(super) fn ask_was_sent(&self) {
        self.with(|notices| notices.asks.pop_front());
    }

    /// Counts something that no server of ours and no WebRTC stack says.
    pub(super) fn count_bad_signal(&self) {
        self.with(|notices| notices.bad_signals += 1);
    }

    /// Signals that no WebRTC stack sends, since the last call.
    pub(super) fn take_bad_signals(&self) -> u32 {
        self.with(|notices| std::mem::take(&mut notices.bad_signals))
    }

    /// What peers did since the last call, in order.
    pub(super) fn take_steps(&self) -> Vec<(PeerId, PeerStep)> {
        self.with(|notices| std::mem::take(&mut notices.steps))
    }

    pub(super) fn note(&self, peer: PeerId, step: PeerStep) {
        self.with(|notices| {
            let mut steps = notices.steps.iter().rev();
            // A peer that comes back sends many signals, each of which says so.
            if steps.find(|(other, _)| *other == peer) != Some(&(peer, step)) {
                notices.steps.push((peer, step));
            }
        });
    }

    /// Why the transport is of no more use, once it is.
    pub(super) fn take_failure(&self) -> Option<TransportError> {
        self.with(|notices| {
            let is_over = std::mem::take(&mut notices.is_over);
            notices.error.take().or(is_over.then_some(TransportError::Closed))
        })
    }
}

struct OverWhenDropped(Watch);

impl Drop for OverWhenDropped {
    fn drop(&mut self) {
        self.0.with(|notices| notices.is_over = true);
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, executor::LocalPool, task::LocalSpawnExt};

    use super::*;

    #[test]
    fn requests_wait_in_order_until_they_are_sent_and_are_not_too_many() {
        let watch = Watch::default();
        let next =
            || watch.next_ask().now_or_never().map(|request| request.expect("nobody leaves"));
        assert_eq!(next(), None);
        watch.ask(RoomRequest::SetReady(true));
        for _ in 0..1000 {
            watch.ask(RoomRequest::Start);
        }
        assert_eq!(next(), Some(RoomRequest::SetReady(true)));
        assert_eq!(next(), Some(RoomRequest::SetReady(true)), "who waited was dropped");
        for _ in 1..MAX_ASKS {
            watch.ask_was_sent();
            assert_eq!(next(), Some(RoomRequest::Start));
        }
        watch.ask_was_sent();
        assert_eq!(next(), None);
    }

    #[test]
    fn who_leaves_is_heard_of_after_its_requests() {
        let watch = Watch::default();
        watch.ask(RoomRequest::Start);
        watch.leave();
        let next = || watch.next_ask().now_or_never();
        assert_eq!(next(), Some(Some(RoomRequest::Start)));
        watch.ask_was_sent();
        assert_eq!(next(), Some(None));
        assert!(watch.is_leaving() && !watch.has_left());
        watch.note_departure();
        assert!(watch.has_left());
    }

    #[test]
    fn who_waits_is_woken_by_a_departure() {
        let mut pool = LocalPool::new();
        let [asked, alone] = [(); 2].map(|()| Watch::default());
        let (waiting, leaving) = (asked.clone(), alone.clone());
        let spawner = pool.spawner();
        let next = spawner.spawn_local_with_handle(async move { waiting.next_ask().await });
        let leaving = spawner.spawn_local_with_handle(async move { leaving.leaving().await });
        pool.run_until_stalled();
        asked.leave();
        alone.leave();
        pool.run_until_stalled();
        assert_eq!(next.expect("the pool runs").now_or_never(), Some(None));
        assert_eq!(leaving.expect("the pool runs").now_or_never(), Some(()));
    }

    #[test]
    fn a_message_loop_that_is_over_tells_the_server_nothing_any_more() {
        let watch = Watch::default();
        drop(watch.while_running());
        assert!(watch.has_left());
    }

    #[test]
    fn the_first_error_is_the_one_that_is_told() {
        let watch = Watch::default();
        assert_eq!(watch.take_failure(), None);
        watch.fail(TransportError::Refused("full".into()));
        watch.fail(TransportError::Closed);
        drop(watch.while_running());
        assert_eq!(watch.take_failure(), Some(TransportError::Refused("full".into())));
        assert_eq!(watch.take_failure(), None);
        watch.lose();
        assert!(watch.take_lost() && !watch.take_lost());
    }
}
