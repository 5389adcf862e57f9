//! The network between the machines: every link delays, loses, doubles and reorders datagrams, and
//! is cut for a time. Reliable messages wait until the link is there again, and keep their order.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use signaling::protocol::PeerId;

use crate::{
    random,
    transport::{Channel, Transport, TransportEvent},
};

/// A lost packet of a reliable channel is sent again after this time.
const RESEND_AFTER: Duration = Duration::from_millis(120);

/// A set of machines: a bit for each.
pub(super) type Bits = u16;

pub(super) const ALL: Bits = Bits::MAX;

/// The id of a machine.
pub(super) fn peer(machine: usize) -> PeerId {
    PeerId::from_u128(machine as u128 + 1)
}

/// Nothing of these machines reaches those, until then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) from: Bits,
    pub(super) to: Bits,
    pub(super) until: Duration,
}

/// How bad a link is in one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    delay_ms: u64,
    jitter_ms: u64,
    /// When the last reliable message arrives.
    last_reliable: Duration,
}

#[derive(Debug)]
struct Packet {
    due: Duration,
    from: usize,
    channel: Channel,
    bytes: Box<[u8]>,
}

/// What a machine receives.
#[derive(Debug, Default)]
struct Place {
    packets: Vec<Packet>,
    events: Vec<(Duration, TransportEvent)>,
    has_crashed: bool,
}

#[derive(Debug, Default)]
struct State {
    seed: u64,
    now: Duration,
    loss_percent: u64,
    doubled_percent: u64,
    links: Vec<Vec<Link>>,
    cuts: Vec<Cut>,
    places: Vec<Place>,
}

/// The network that all machines share.
#[derive(Clone, Debug, Default)]
pub(super) struct Network(Arc<Mutex<State>>);

/// The place of one machine in it.
struct Port {
    network: Network,
    machine: usize,
}

impl Network {
    /// A perfect network between `count` machines, all of which are connected.
    pub(super) fn new(seed: u64, count: usize) -> Self {
        let place = |machine: usize| {
            let others = (0..count).filter(|&other| other != machine);
            let connected = others.map(|other| TransportEvent::Connected(peer(other)));
            let events = [TransportEvent::Opened(peer(machine))].into_iter().chain(connected);
            Place { events: events.map(|it| (Duration::ZERO, it)).collect(), ..Place::default() }
        };
        let places = (0..count).map(place).collect();
        let links = vec![vec![Link::default(); count]; count];
        Self(Arc::new(Mutex::new(State { seed, links, places, ..State::default() })))
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn transport(&self, machine: usize) -> Box<dyn Transport> {
        Box::new(Port { network: self.clone(), machine })
    }

    pub(super) fn set_now(&self, now: Duration) {
        self.with(|state| {
            state.now = now;
            state.cuts.retain(|cut| cut.until > now);
        });
    }

    /// Makes the links as bad as real ones.
    pub(super) fn make_bad(&self) {
        self.with(|state| {
            let worst = [10, 30, 60][state.random(3) as usize];
            for from in 0..state.places.len() {
                for to in 0..state.places.len() {
                    let (delay_ms, jitter_ms) = (5 + state.random(worst), state.random(worst));
                    let link = &mut state.links[from][to];
                    (link.delay_ms, link.jitter_ms) = (delay_ms, jitter_ms);
                }
            }
        });
    }

    pub(super) fn set_loss(&self, loss_percent: u64, doubled_percent: u64) {
        self.with(|state| {
            (state.loss_percent, state.doubled_percent) = (loss_percent, doubled_percent);
        });
    }

    pub(super) fn cut(&self, cut: Cut) {
        self.with(|state| state.cuts.push(cut));
    }

    /// Ends all cuts.
    pub(super) fn heal(&self) {
        self.with(|state| state.cuts.clear());
    }

    /// A machine neither sends nor receives any more.
    pub(super) fn crash(&self, machine: usize) {
        self.with(|state| {
            state.places[machine] = Place { has_crashed: true, ..Place::default() };
        });
    }

    /// The other machines see at this time that the channels to a machine are closed.
    pub(super) fn close(&self, machine: usize, at: Duration) {
        self.with(|state| {
            for (other, place) in state.places.iter_mut().enumerate() {
                if other != machine && !place.has_crashed {
                    place.events.push((at, TransportEvent::Disconnected(peer(machine))));
                }
            }
        });
    }

    /// The number of packets that are under way.
    pub(super) fn len(&self) -> usize {
        self.with(|state| state.places.iter().map(|place| place.packets.len()).sum())
    }
}

impl State {
    fn random(&mut self, below: u64) -> u64 {
        random::next(&mut self.seed) % below
    }

    fn is_cut(&self, from: usize, to: usize) -> bool {
        let cuts = |cut: &Cut| cut.from >> from & 1 == 1 && cut.to >> to & 1 == 1;
        self.cuts.iter().any(cuts)
    }

    fn send(&mut self, from: usize, to: usize, channel: Channel, bytes: &[u8]) {
        if self.places[to].has_crashed || self.places[from].has_crashed {
            return;
        }
        let is_reliable = channel != Channel::Datagrams;
        if !is_reliable && (self.is_cut(from, to) || self.is_lost()) {
            return;
        }
        let copies = 1 + usize::from(!is_reliable && self.random(100) < self.doubled_percent);
        for _ in 0..copies {
            let Link { delay_ms, jitter_ms, last_reliable } = self.links[from][to];
            let delay = delay_ms + if jitter_ms > 0 { self.random(jitter_ms) } else { 0 };
            let mut due = self.now + Duration::from_millis(delay);
            if is_reliable {
                while self.is_lost() {
                    due += RESEND_AFTER;
                }
                due = due.max(last_reliable);
                self.links[from][to].last_reliable = due;
            }
            let bytes = bytes.into();
            self.places[to].packets.push(Packet { due, from, channel, bytes });
        }
    }

    fn is_lost(&mut self) -> bool {
        self.loss_percent > 0 && self.random(100) < self.loss_percent
    }

    fn receive(&mut self, to: usize, now: Duration, events: &mut Vec<TransportEvent>) {
        let machines = 0..self.places.len();
        let cut = Vec::from_iter(machines.map(|from| self.is_cut(from, to)));
        let place = &mut self.places[to];
        let due_events = place.events.extract_if(.., |(due, _)| *due <= now);
        events.extend(due_events.map(|(_, event)| event));
        let arrives = |packet: &mut Packet| {
            let has_to_wait = cut[packet.from] && packet.channel != Channel::Datagrams;
            packet.due <= now && !has_to_wait
        };
        let mut arrived = Vec::from_iter(place.packets.extract_if(.., arrives));
        // Packets that arrive at the same time keep their order.
        arrived.sort_by_key(|packet| packet.due);
        for Packet { from, channel, bytes, .. } in arrived.into_iter().filter(|it| !cut[it.from]) {
            events.push(TransportEvent::Received { from: peer(from), channel, bytes });
        }
    }
}

impl Transport for Port {
    fn poll(&mut self, now: Duration, events: &mut Vec<TransportEvent>) {
        self.network.with(|state| state.receive(self.machine, now, events));
    }

    fn send(&mut self, _now: Duration, to: PeerId, channel: Channel, bytes: &[u8]) {
        self.network.with(|state| {
            if let Some(to) = (0..state.places.len()).find(|&it| peer(it) == to) {
                state.send(self.machine, to, channel, bytes);
            }
        });
    }
}
