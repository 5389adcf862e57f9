//! Connections that enter, are refused, replace each other and leave at the same time, step by step
//! and in any order. In the end, the counts of this process must match the peers that are there.
//! Tested with an in-memory store and with Redis.

use std::{
    collections::HashMap,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures::{FutureExt, future::join_all};
use proptest::{collection::vec, prelude::*};
use tokio::{
    sync::oneshot::{Receiver, error::TryRecvError},
    task::yield_now,
    time::timeout,
};

use super::faulty_store::FaultyStore;
use super::*;
use crate::{
    server::{
        address::{Address, Wish},
        local::{OutboxReader, new_outbox},
        store::RedisStore,
    },
    testing::{properties::same_cases, redis_server::RedisServer},
};

const GRACE: Duration = Duration::from_secs(15);
const DEADLINE: Duration = Duration::from_secs(60);
const PEERS: u8 = 3;
const PATHS: [&str; 6] = [
    "/v1/rooms/a",
    "/v1/rooms/a?game=other",
    "/v1/rooms/b",
    "/v1/rooms/c",
    "/v1/rooms/c?existing=1",
    "/v1/quick?players=1",
];

/// A connection that is in a room.
struct Client {
    joined: JoinedPeer,
    queue: OutboxReader,
    close_reason: Receiver<Refusal>,
}

impl Client {
    fn is_closed(&mut self) -> bool {
        self.close_reason.try_recv() != Err(TryRecvError::Empty)
    }
}

fn wish(path: &str) -> Wish {
    let (path, query) =
        path.split_once('?').map_or((path, None), |(path, rest)| (path, Some(rest)));
    match Address::parse(path, query) {
        Ok(Address::V1 { wish, .. } | Address::Stock(wish)) => wish,
        _ => panic!("{path} is an address"),
    }
}

async fn come(hub: &Hub, number: u128, connection: u64, path: &str) -> Result<Client, Refusal> {
    let wish = wish(path);
    let peer = PeerId::from_u128(number);
    let joining = JoiningPeer { peer, is_lasting: true, connection, is_v1: true, resume: None };
    let (outbox, queue, close_reason) = new_outbox(100_000);
    let joined = hub.enter(&joining, &wish, outbox).await?;
    Ok(Client { joined, queue, close_reason })
}

fn limits() -> RoomLimits {
    RoomLimits {
        max_rooms: 4,
        max_peers: 3,
        max_peers_per_room: 2,
        grace: GRACE,
        resume_for: Duration::from_secs(3600),
    }
}

fn hub(store: Arc<dyn Store>, local: Arc<Local>, process: u64, limits: RoomLimits) -> Hub {
    Hub::new(store, local, limits, (ProcessId(process), Signer::new(b"secret")), Arc::default())
}

/// One step of a scene.
#[derive(Debug, Clone)]
enum Move {
    /// A peer enters by another connection.
    Come { peer: u8, path: usize },
    /// The connection that has been in a room for longest ends.
    Go(Departure),
    /// One of the running tasks advances by a step.
    Step(usize),
    /// Another process takes this one for dead, marks one of its peers as absent, and dies.
    Mark { peer: u8 },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let come = (0..PEERS, 0..PATHS.len()).prop_map(|(peer, path)| Move::Come { peer, path });
    let go = prop_oneof![Just(Departure::Left), Just(Departure::Lost)].prop_map(Move::Go);
    let step = (0..8usize).prop_map(Move::Step);
    let mark = (0..PEERS).prop_map(|peer| Move::Mark { peer });
    vec(prop_oneof![4 => come, 2 => go, 16 => step, 1 => mark], 0..200)
}

/// A running task.
type Task<'a> = Pin<Box<dyn Future<Output = Option<Client>> + 'a>>;

/// The state of one process, and all tasks that run in it.
struct Scene<'a> {
    hub: &'a Hub,
    store: &'a FaultyStore,
    local: &'a Local,
    clients: Vec<Client>,
    tasks: Vec<Task<'a>>,
    connections: u64,
    now: u64,
}

impl<'a> Scene<'a> {
    fn play(&mut self, next: Move) {
        match next {
            Move::Come { peer, path } => {
                self.connections += 1;
                let (hub, connection) = (self.hub, self.connections);
                let coming = come(hub, u128::from(peer) + 1, connection, PATHS[path]);
                self.tasks.push(Box::pin(async move { coming.await.ok() }));
            }
            Move::Go(departure) => {
                if !self.clients.is_empty() {
                    let client = self.clients.remove(0);
                    self.go(client, departure);
                }
            }
            Move::Step(number) => {
                if !self.tasks.is_empty() {
                    self.step(number % self.tasks.len());
                }
            }
            Move::Mark { peer } => self.mark(PeerId::from_u128(u128::from(peer) + 1)),
        }
    }

    fn mark(&self, peer: PeerId) {
        for room in self.store.rooms.rooms() {
            let id = room.id();
            let load =
                self.store.rooms.load(id).now_or_never().expect("memory is always available");
            let stored = load.expect("it is there").expect("somebody is in it");
            let mut to = Room::clone(&stored.room);
            let effects = to.mark_absent_unless_away(peer, random());
            let change = Change { id, from: Some(&stored), to, effects, beside: &[] };
            let swapped = self.store.rooms.swap(change).now_or_never();
            assert_eq!(swapped, Some(Ok(true)));
        }
    }

    fn go(&mut self, mut client: Client, departure: Departure) {
        let (hub, now) = (self.hub, self.now);
        self.tasks.push(Box::pin(async move {
            hub.leave(&mut client.joined, departure, now).await;
            None
        }));
    }

    fn step(&mut self, at: usize) {
        let polled = self.tasks[at].as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(client) = polled {
            drop(self.tasks.remove(at));
            self.clients.extend(client);
        }
    }

    /// Runs until no task is left and all connections that must end have ended.
    fn settle(&mut self) {
        loop {
            while let Some(at) = self.tasks.len().checked_sub(1) {
                self.tasks.rotate_left(1);
                self.step(at);
            }
            let closed: Vec<_> = self.clients.extract_if(.., Client::is_closed).collect();
            if closed.is_empty() {
                return;
            }
            closed.into_iter().for_each(|client| self.go(client, Departure::Left));
        }
    }

    /// Ticks as often as it takes to remove every peer whose time is over.
    fn wait_for_grace(&mut self) {
        for _ in 0..8 {
            self.now += millis(GRACE);
            let (hub, now) = (self.hub, self.now);
            self.tasks.push(Box::pin(async move {
                hub.tick(now).await;
                None
            }));
            self.settle();
        }
    }

    fn assert_sound(&self) {
        let mut peers_in: HashMap<RoomId, i64> = HashMap::new();
        for client in &self.clients {
            let (peer, room) = (client.joined.peer, client.joined.room());
            *peers_in.entry(room.clone()).or_default() += 1;
            assert!(self.local.is_in(peer, room), "{peer} is in {room:?}");
            let rooms = self.store.rooms.rooms();
            let room = rooms.iter().find(|other| other.id() == room).expect("its room is there");
            assert!(room.members().iter().any(|member| member.id == peer), "{room:?} has {peer}");
        }
        assert_eq!(self.local.count(), self.clients.len());
        assert_eq!(self.store.subscriptions(), peers_in, "one for each peer that is there");
        assert_eq!(self.hub.health.rooms.load(Relaxed), peers_in.len());
        for room in self.store.rooms.rooms() {
            for member in room.members() {
                assert!(self.local.is_in(member.id, room.id()), "{member:?} of {room:?} is here");
            }
        }
    }
}

proptest! {
    #![proptest_config(same_cases())]

    #[test]
    fn the_counts_match_what_is_there_after_any_order_of_steps(
        moves in moves(),
        loses_one_of in 2..20u32,
    ) {
        let local = Arc::new(Local::default());
        let store = FaultyStore::new(Arc::clone(&local), ProcessId(1));
        let store = Arc::new(store.losing_one_of(loses_one_of));
        let hub = hub(store.clone(), local.clone(), 1, limits());
        let (clients, tasks, connections, now) = (Vec::new(), Vec::new(), 0, 0);
        let (hub, store, local) = (&hub, &*store, &*local);
        let mut scene = Scene { hub, store, local, clients, tasks, connections, now };
        moves.into_iter().for_each(|next| scene.play(next));
        scene.settle();
        scene.wait_for_grace();
        scene.assert_sound();
        for client in std::mem::take(&mut scene.clients) {
            scene.go(client, Departure::Lost);
        }
        scene.settle();
        scene.wait_for_grace();
        scene.assert_sound();
        prop_assert!(scene.store.rooms.rooms().is_empty(), "nobody is left");
    }
}

/// However far the check of a stranger has got when the room that it found fills up.
#[tokio::test]
async fn a_group_that_fills_up_during_the_check_refuses_no_stranger() {
    for steps in 0..8 {
        let local = Arc::new(Local::default());
        let store = Arc::new(FaultyStore::new(Arc::clone(&local), ProcessId(1)));
        let hub = hub(store, local, 1, RoomLimits { max_rooms: 1000, ..limits() });
        let Ok(_first) = come(&hub, 1, 1, "/pairs?next=2").await else { panic!("it is empty") };
        let wish = wish("/pairs?next=2");
        let mut check = Box::pin(hub.check(&wish));
        for _ in 0..steps {
            if check.as_mut().now_or_never().is_some() {
                return;
            }
        }
        let Ok(_second) = come(&hub, 2, 2, "/pairs?next=2").await else { panic!("has a place") };
        assert_eq!(check.await, Ok(()), "after {steps} steps");
    }
    panic!("the check takes more steps than were tried");
}

/// Two processes with one peer each in a room, and one key that repeatedly enters two rooms at the
/// first process at once.
#[tokio::test]
async fn a_key_in_two_rooms_at_once_cuts_no_process_off() {
    let test = "a_key_in_two_rooms_at_once_cuts_no_process_off";
    let Some(redis) = RedisServer::start(test) else { return };
    let mut hubs = Vec::new();
    for process in 1..=2 {
        let local = Arc::new(Local::default());
        let process_id = ProcessId(process);
        let store = RedisStore::connect(&redis.url(), process_id, Arc::clone(&local), GRACE).await;
        let limits = RoomLimits { max_rooms: 1000, max_peers: 1000, ..limits() };
        hubs.push(hub(store.expect("Redis runs"), local, process, limits));
    }
    let [here, there] = &hubs[..] else { panic!("two") };
    let home = "/v1/rooms/home?game=real";
    let Ok(mut resident) = come(here, 1, 0, home).await else { panic!("it is empty") };
    let Ok(friend) = come(there, 2, 0, home).await else { panic!("there is a place") };
    for round in 0..60 {
        let number = 100 + u128::from(round);
        let elsewhere = format!("/v1/rooms/x{round}");
        let tries =
            [("/v1/rooms/home?game=other", 1), (&*elsewhere, 2)].map(|(path, connection)| {
                async move {
                    // The second one is some steps late.
                    for _ in 0..round * (connection - 1) {
                        yield_now().await;
                    }
                    come(here, number, connection, path).await.ok()
                }
            });
        for mut client in join_all(tries).await.into_iter().flatten() {
            here.leave(&mut client.joined, Departure::Left, 0).await;
        }
    }
    assert_eq!(here.health.rooms.load(Relaxed), 1, "home");
    there.ask(&friend.joined, &RoomRequest::Rename("as before".into())).await;
    let hears = async {
        while !resident.queue.next().await.expect("it is connected").contains("as before") {}
    };
    timeout(DEADLINE, hears).await.expect("the process still receives the changes of the room");
}
