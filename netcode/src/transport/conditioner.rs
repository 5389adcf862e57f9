//! A bad network on purpose: latency, jitter, loss, duplicates, reordering and a rate. Pure and
//! seeded.
//!
//! It acts on what this peer sends; only an [`Outage`] also acts on what it receives. Set the same
//! conditions on both sides for a symmetric link.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use signaling::protocol::PeerId;

use super::Channel;
use crate::random;

/// At most this many packets are held back; any more are lost, as in a router's full queue.
const MAX_QUEUED: usize = 4096;

/// Datagrams that would wait longer than this for a slow link are lost.
const MAX_BACKLOG: Duration = Duration::from_secs(1);

/// How bad the network is, in the direction away from this peer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkConditions {
    /// One-way delay of every packet: half of the round-trip time.
    pub latency: Duration,
    /// Up to this much is added to the delay, differently for each packet.
    pub jitter: Duration,
    /// Share of datagrams that are lost, 0.0 to 1.0. On the reliable channels, messages are late
    /// instead of lost.
    pub loss: f32,
    /// Share of datagrams that arrive twice, 0.0 to 1.0.
    pub duplicates: f32,
    /// Share of datagrams that are held back by a further `jitter` plus 20 ms, and so overtaken,
    /// 0.0 to 1.0.
    pub reorder: f32,
    /// Bytes per second that the link carries; `None` means no limit.
    pub bytes_per_s: Option<u32>,
    /// Whether the network is down.
    pub outage: Outage,
}

/// In which directions the network is down. Datagrams are lost, and reliable messages arrive once
/// it is up again. The connection to the signaling server is not affected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outage {
    /// It is up.
    #[default]
    None,
    /// Nothing that this peer sends arrives.
    Sending,
    /// Nothing arrives at this peer.
    Receiving,
    /// Neither: the cable is pulled.
    Both,
}

impl LinkConditions {
    /// The network as it is.
    pub const NONE: Self = Self {
        latency: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: 0.0,
        duplicates: 0.0,
        reorder: 0.0,
        bytes_per_s: None,
        outage: Outage::None,
    };
    /// A cable: 2 ms round trip, no loss.
    pub const LAN: Self = Self {
        latency: Duration::from_millis(1),
        jitter: Duration::from_micros(300),
        ..Self::NONE
    };
    /// A busy home Wi-Fi: 30 ms round trip, 10 ms jitter, 1 % loss.
    pub const WIFI: Self = Self {
        latency: Duration::from_millis(15),
        jitter: Duration::from_millis(10),
        loss: 0.01,
        duplicates: 0.001,
        reorder: 0.01,
        ..Self::NONE
    };
    /// A phone on the move: 80 ms round trip, 25 ms jitter, 2 % loss, 250 kB/s.
    pub const MOBILE_4G: Self = Self {
        latency: Duration::from_millis(40),
        jitter: Duration::from_millis(25),
        loss: 0.02,
        duplicates: 0.002,
        reorder: 0.02,
        bytes_per_s: Some(250_000),
        ..Self::NONE
    };
    /// London to New York: 90 ms round trip, 5 ms jitter, 0.5 % loss.
    pub const TRANSATLANTIC: Self = Self {
        latency: Duration::from_millis(45),
        jitter: Duration::from_millis(5),
        loss: 0.005,
        ..Self::NONE
    };
    /// Everything at once: 200 ms round trip, 40 ms jitter, 10 % loss, duplicates and reordering,
    /// 60 kB/s.
    pub const AWFUL: Self = Self {
        latency: Duration::from_millis(100),
        jitter: Duration::from_millis(40),
        loss: 0.10,
        duplicates: 0.02,
        reorder: 0.05,
        bytes_per_s: Some(60_000),
        ..Self::NONE
    };

    /// All presets by name, best first.
    #[must_use]
    pub fn presets() -> &'static [(&'static str, Self)] {
        &[
            ("none", Self::NONE),
            ("lan", Self::LAN),
            ("wifi", Self::WIFI),
            ("4g", Self::MOBILE_4G),
            ("transatlantic", Self::TRANSATLANTIC),
            ("awful", Self::AWFUL),
        ]
    }
}

impl Default for LinkConditions {
    fn default() -> Self {
        Self::NONE
    }
}

/// What becomes of a packet that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It will arrive.
    OnItsWay,
    /// It was lost by chance.
    Lost,
    /// The link already had as much under way as it holds.
    Overflowed,
}

/// A packet that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The packet's number among all packets, in the order in which they were sent. Both copies of
    /// a doubled packet have the same number.
    pub(crate) number: u64,
    pub(crate) to: PeerId,
    pub(crate) channel: Channel,
    pub(crate) bytes: Box<[u8]>,
}

#[derive(Debug)]
struct Queued {
    due: Duration,
    delivery: Delivery,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.delivery.number).cmp(&(other.due, other.delivery.number))
    }
}

/// Delays, loses and repeats packets.
#[derive(Debug)]
pub(crate) struct Conditioner {
    conditions: LinkConditions,
    queue: BinaryHeap<Reverse<Queued>>,
    /// Reliable messages that were due while the network was down.
    stuck: VecDeque<Delivery>,
    /// When the latest control message to each peer is due: control stays in order.
    control_due: Vec<(PeerId, Duration)>,
    /// When the link will have carried everything sent so far.
    link_free: Duration,
    number: u64,
    random: u64,
}

impl Conditioner {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            conditions: LinkConditions::NONE,
            queue: BinaryHeap::new(),
            stuck: VecDeque::new(),
            control_due: Vec::new(),
            link_free: Duration::ZERO,
            number: 0,
            random: seed,
        }
    }

    pub(crate) fn set(&mut self, conditions: LinkConditions) {
        self.conditions = conditions;
    }

    /// Forgets all peers that packets were sent to: the room was left.
    pub(crate) fn forget_peers(&mut self) {
        self.stuck.clear();
        self.control_due.clear();
        self.link_free = Duration::ZERO;
    }

    /// Takes a packet that is to be sent.
    pub(crate) fn push(
        &mut self,
        now: Duration,
        to: PeerId,
        channel: Channel,
        bytes: &[u8],
    ) -> Fate {
        // A router's queue fills up: packets that arrive then are lost, and cost the link nothing.
        let is_slow = self.conditions.bytes_per_s.is_some();
        if is_slow && channel == Channel::Datagrams && self.link_free > now + MAX_BACKLOG {
            return Fate::Overflowed;
        }
        self.number += 1;
        let mut due = self.leave_link(now, bytes.len()) + self.delay();
        match channel {
            Channel::Datagrams => {
                if self.chance(self.conditions.loss) {
                    return Fate::Lost;
                }
                if self.chance(self.conditions.reorder) {
                    due += self.conditions.jitter + Duration::from_millis(20);
                }
                if self.chance(self.conditions.duplicates) {
                    let again = due + self.delay();
                    self.enqueue(again, to, channel, bytes);
                }
            }
            Channel::Control | Channel::Bulk => {
                // A lost segment is sent again after about a round trip.
                if self.chance(self.conditions.loss) {
                    due += 2 * self.conditions.latency + self.conditions.jitter;
                }
                // On the ordered channel, everything behind it waits.
                if channel == Channel::Control {
                    due = self.in_order(to, due);
                }
            }
        }
        self.enqueue(due, to, channel, bytes)
    }

    /// The next packet that is due, if any.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<Delivery> {
        let is_down = matches!(self.conditions.outage, Outage::Sending | Outage::Both);
        if !is_down && let Some(delivery) = self.stuck.pop_front() {
            return Some(delivery);
        }
        while self.queue.peek()?.0.due <= now {
            let Reverse(Queued { delivery, .. }) = self.queue.pop()?;
            if !is_down {
                return Some(delivery);
            }
            if delivery.channel != Channel::Datagrams {
                self.stuck.push_back(delivery);
            }
        }
        None
    }

    /// Whether nothing arrives here.
    pub(crate) fn is_deaf(&self) -> bool {
        matches!(self.conditions.outage, Outage::Receiving | Outage::Both)
    }

    /// When the next packet is due, if any is under way.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.queue.peek().map(|Reverse(queued)| queued.due)
    }

    fn enqueue(&mut self, due: Duration, to: PeerId, channel: Channel, bytes: &[u8]) -> Fate {
        // On the reliable channels nothing is lost, and only the session bounds what is sent.
        if channel == Channel::Datagrams && self.queue.len() >= MAX_QUEUED {
            return Fate::Overflowed;
        }
        let delivery = Delivery { number: self.number, to, channel, bytes: bytes.into() };
        self.queue.push(Reverse(Queued { due, delivery }));
        Fate::OnItsWay
    }

    fn in_order(&mut self, to: PeerId, due: Duration) -> Duration {
        if let Some((_, latest)) = self.control_due.iter_mut().find(|(peer, _)| *peer == to) {
            *latest = due.max(*latest);
            *latest
        } else {
            self.control_due.push((to, due));
            due
        }
    }

    /// When the packet has left, given the rate of the link.
    fn leave_link(&mut self, now: Duration, bytes: usize) -> Duration {
        let Some(rate) = self.conditions.bytes_per_s.filter(|&rate| rate > 0) else { return now };
        let takes = Duration::from_secs_f64(bytes as f64 / f64::from(rate));
        self.link_free = self.link_free.max(now) + takes;
        self.link_free
    }

    fn delay(&mut self) -> Duration {
        let share = self.random_unit();
        self.conditions.latency + self.conditions.jitter.mul_f32(share)
    }

    fn chance(&mut self, share: f32) -> bool {
        share > 0.0 && self.random_unit() < share
    }

    /// A random share of 1.
    fn random_unit(&mut self) -> f32 {
        (random::next(&mut self.random) >> 40) as f32 / (1u32 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId::from_u128(7);

    fn deliver(conditioner: &mut Conditioner, now: Duration) -> Vec<u8> {
        std::iter::from_fn(|| conditioner.pop(now)).map(|delivery| delivery.bytes[0]).collect()
    }

    fn send(conditions: LinkConditions, channel: Channel, count: u8) -> Vec<u8> {
        let mut conditioner = Conditioner::new(1);
        conditioner.set(conditions);
        for number in 0..count {
            conditioner.push(Duration::from_millis(u64::from(number)), PEER, channel, &[number]);
        }
        deliver(&mut conditioner, Duration::from_secs(60))
    }

    #[test]
    fn without_conditions_all_passes_at_once_and_in_order() {
        let mut conditioner = Conditioner::new(1);
        for number in 0..100 {
            conditioner.push(Duration::ZERO, PEER, Channel::Datagrams, &[number]);
        }
        assert_eq!(deliver(&mut conditioner, Duration::ZERO), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_arrives_before_its_latency() {
        let mut conditioner = Conditioner::new(1);
        conditioner
            .set(LinkConditions { latency: Duration::from_millis(50), ..LinkConditions::NONE });
        conditioner.push(Duration::ZERO, PEER, Channel::Datagrams, &[1]);
        assert!(deliver(&mut conditioner, Duration::from_millis(49)).is_empty());
        assert_eq!(deliver(&mut conditioner, Duration::from_millis(50)), [1]);
    }

    #[test]
    fn datagrams_are_lost_doubled_and_overtaken_as_often_as_configured() {
        let lossy =
            send(LinkConditions { loss: 0.5, ..LinkConditions::NONE }, Channel::Datagrams, 200);
        assert!((60..140).contains(&lossy.len()), "{} of 200 arrived", lossy.len());
        let doubled = send(
            LinkConditions { duplicates: 0.5, ..LinkConditions::NONE },
            Channel::Datagrams,
            200,
        );
        assert!((260..340).contains(&doubled.len()), "{} of 200 arrived", doubled.len());
        let jittery = LinkConditions { jitter: Duration::from_millis(20), ..LinkConditions::NONE };
        assert!(!send(jittery, Channel::Datagrams, 200).is_sorted());
        assert!(
            send(LinkConditions { loss: 1.0, ..LinkConditions::NONE }, Channel::Datagrams, 9)
                .is_empty()
        );
    }

    #[test]
    fn in_an_outage_datagrams_are_lost_and_reliable_messages_wait() {
        for (outage, is_deaf, is_mute) in [
            (Outage::Sending, false, true),
            (Outage::Receiving, true, false),
            (Outage::Both, true, true),
        ] {
            let mut conditioner = Conditioner::new(1);
            let set = |conditioner: &mut Conditioner, outage| {
                conditioner.set(LinkConditions { outage, ..LinkConditions::NONE });
            };
            conditioner.push(Duration::ZERO, PEER, Channel::Datagrams, &[0]);
            set(&mut conditioner, outage);
            assert_eq!(conditioner.is_deaf(), is_deaf);
            conditioner.push(Duration::ZERO, PEER, Channel::Control, &[1]);
            conditioner.push(Duration::ZERO, PEER, Channel::Control, &[2]);
            let arrived = deliver(&mut conditioner, Duration::ZERO);
            assert_eq!(arrived.is_empty(), is_mute);
            set(&mut conditioner, Outage::None);
            conditioner.push(Duration::ZERO, PEER, Channel::Control, &[3]);
            let later = deliver(&mut conditioner, Duration::ZERO);
            assert_eq!(later, if is_mute { vec![1, 2, 3] } else { vec![3] });
        }
    }

    #[test]
    fn control_arrives_whole_and_in_order_on_the_worst_network() {
        assert_eq!(
            send(LinkConditions::AWFUL, Channel::Control, 200),
            (0..200).collect::<Vec<_>>()
        );
    }

    #[test]
    fn bulk_arrives_whole_on_the_worst_network_and_waits_for_nothing_sent_before_it() {
        let mut arrived = send(LinkConditions::AWFUL, Channel::Bulk, 200);
        assert!(!arrived.is_sorted());
        arrived.sort_unstable();
        assert_eq!(arrived, (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn a_lost_bulk_message_delays_no_control_message() {
        let latency = Duration::from_millis(50);
        let lossy = LinkConditions { latency, loss: 1.0, ..LinkConditions::NONE };
        let mut conditioner = Conditioner::new(1);
        conditioner.set(lossy);
        conditioner.push(Duration::ZERO, PEER, Channel::Bulk, &[1]);
        conditioner.set(LinkConditions { loss: 0.0, ..lossy });
        conditioner.push(Duration::ZERO, PEER, Channel::Control, &[2]);
        conditioner.push(Duration::ZERO, PEER, Channel::Bulk, &[3]);
        assert_eq!(deliver(&mut conditioner, latency), [2, 3]);
        assert!(deliver(&mut conditioner, latency * 3 - Duration::from_millis(1)).is_empty());
        assert_eq!(deliver(&mut conditioner, latency * 3), [1]);
    }

    #[test]
    fn a_slow_link_delays_what_it_cannot_carry() {
        let mut conditioner = Conditioner::new(1);
        conditioner.set(LinkConditions { bytes_per_s: Some(1000), ..LinkConditions::NONE });
        conditioner.push(Duration::ZERO, PEER, Channel::Datagrams, &[1; 500]);
        conditioner.push(Duration::ZERO, PEER, Channel::Datagrams, &[2; 500]);
        assert_eq!(deliver(&mut conditioner, Duration::from_millis(600)), [1]);
        assert_eq!(deliver(&mut conditioner, Duration::from_secs(1)), [2]);
    }

    #[test]
    fn an_overloaded_link_loses_datagrams_instead_of_falling_behind() {
        let mut conditioner = Conditioner::new(1);
        conditioner.set(LinkConditions { bytes_per_s: Some(1000), ..LinkConditions::NONE });
        for _ in 0..100 {
            conditioner.push(Duration::ZERO, PEER, Channel::Datagrams, &[1; 100]);
        }
        conditioner.push(Duration::ZERO, PEER, Channel::Control, &[2; 100]);
        let arrived = deliver(&mut conditioner, Duration::from_millis(1300));
        assert!((10..=12).contains(&arrived.len()), "{} arrived", arrived.len());
        assert_eq!(arrived.last(), Some(&2));
    }

    #[test]
    fn the_same_seed_gives_the_same_network() {
        let once = send(LinkConditions::AWFUL, Channel::Datagrams, 200);
        assert_eq!(once, send(LinkConditions::AWFUL, Channel::Datagrams, 200));
    }
}
