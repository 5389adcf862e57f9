//! With a ticket secret, each WebSocket needs a ticket that is signed with it.

use std::time::{SystemTime, UNIX_EPOCH};

use signaling::{
    protocol::{PeerEvent, PeerKey, Refusal},
    server::{ANY_ROOM, ServerConfig, TicketSecret},
};

use crate::rig::{TestServer, assert_closed, config, program};

const SECRET: &str = "a secret that nobody knows";

fn secret() -> TicketSecret {
    SECRET.parse().expect("it is long enough")
}

/// Returns a time that comes long after the test, and one that has passed.
fn expiries() -> (u64, u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set").as_secs();
    (now + 3600, now - 1)
}

async fn start() -> TestServer {
    TestServer::start(ServerConfig { ticket_secret: Some(secret()), ..config() }).await
}

#[tokio::test]
async fn a_ticket_for_a_room_works_at_every_address_of_the_room() {
    let server = start().await;
    let (later, _) = expiries();
    let (one, all) = (secret().ticket("duel", later), secret().ticket(ANY_ROOM, later));
    let mut first = server.join(&format!("/duel?ticket={one}")).await;
    let second = server.join(&format!("/v1/rooms/duel?ticket={all}")).await;
    assert_eq!(first.next().await, PeerEvent::NewPeer(second.id));
    let mut paired = server.join(&format!("/lucky?next=2&ticket={all}")).await;
    let other = server.join(&format!("/v1/rooms/lucky?ticket={all}&next=2")).await;
    assert_eq!(paired.next().await, PeerEvent::NewPeer(other.id));
}

#[tokio::test]
async fn a_client_without_a_valid_ticket_is_refused_in_words_and_counted() {
    let server = start().await;
    let (later, earlier) = expiries();
    let of_another: TicketSecret = "the secret of somebody else".parse().expect("long enough");
    let queries = [
        String::new(),
        "?ticket=".to_owned(),
        format!("?ticket={}", secret().ticket("other", later)),
        format!("?ticket={}", secret().ticket("duel", earlier)),
        format!("?ticket={}", of_another.ticket("duel", later)),
    ];
    for query in &queries {
        let refused = server.refusal(&format!("/duel{query}")).await;
        assert_eq!(refused, (401, format!("{}\n", Refusal::Ticket)), "{query}");
        let mut socket = server.open(&format!("/v1/rooms/duel{query}")).await;
        assert_closed(&mut socket, Refusal::Ticket).await;
    }
    server.await_count("refused_ticket", 2 * queries.len() as u64).await;
    let metrics = server.get("/metrics").await;
    assert!(metrics.text().contains("signaling_refused_total{reason=\"ticket\"} 10\n"));
    // A client that asks for no room needs no ticket.
    assert_eq!(server.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_peer_that_returns_by_a_token_needs_a_ticket_for_that_room() {
    let server = start().await;
    let (later, _) = expiries();
    let ticket = |room: &str| format!("ticket={}", secret().ticket(room, later));
    let key = PeerKey::new(7).to_query();
    let mut peer = server.join(&format!("/v1/rooms/duel?{key}&{}", ticket("duel"))).await;
    let token = peer.token().await;
    let back = |path: &str, room| format!("/v1/{path}?{key}&token={token}&{}", ticket(room));
    for (path, room) in [("rooms/other", "other"), ("create", "other"), ("rooms/duel", "other")] {
        let mut socket = server.open(&back(path, room)).await;
        assert_closed(&mut socket, Refusal::Ticket).await;
    }
    for room in ["duel", ANY_ROOM] {
        let mut again = server.join(&back("rooms/other", room)).await;
        assert_eq!(again.sees("its room", |_| true).await.name, "duel");
    }
}

#[tokio::test]
async fn a_peer_that_returns_to_strangers_needs_the_ticket_that_it_came_with() {
    let server = start().await;
    let (later, _) = expiries();
    for (path, room) in [
        ("rooms/lucky?next=2", "lucky"),
        ("quick?players=2", ANY_ROOM),
        ("create?capacity=2", ANY_ROOM),
    ] {
        let ticket = secret().ticket(room, later);
        let path = format!("/v1/{path}&{}&ticket={ticket}", PeerKey::new(7).to_query());
        let mut peer = server.join(&path).await;
        let name = peer.sees("its room", |_| true).await.name;
        let token = peer.token().await;
        let mut again = server.join(&format!("{path}&token={token}")).await;
        assert_eq!(again.sees("its room", |_| true).await.name, name, "{path}");
    }
}

#[tokio::test]
async fn the_list_requires_a_ticket_for_any_room() {
    let server = start().await;
    let (later, _) = expiries();
    let (one, all) = (secret().ticket("duel", later), secret().ticket(ANY_ROOM, later));
    for (query, status) in
        [("", 401), (&*format!("&ticket={one}"), 401), (&*format!("&ticket={all}"), 200)]
    {
        let response = server.get(&format!("/v1/rooms?game=a{query}")).await;
        assert_eq!(response.status, status, "{query}");
    }
    let mut socket = server.open("/v1/list?game=a").await;
    assert_closed(&mut socket, Refusal::Ticket).await;
    server.open(&format!("/v1/list?game=a&ticket={all}")).await;
}

#[tokio::test]
async fn the_program_makes_tickets_that_its_server_accepts() {
    let server = start().await;
    let ticket = |secret: &str| {
        program(&["ticket", "--room", "duel", "--valid-for", "3600"])
            .env("SIGNALING__TICKET_SECRET", secret)
            .output()
            .expect("the program runs")
    };
    let made = ticket(SECRET);
    assert!(made.status.success() && made.stderr.is_empty(), "{made:?}");
    let made = String::from_utf8(made.stdout).expect("text");
    server.join(&format!("/duel?ticket={}", made.trim_end())).await;

    let refused = ticket("too short");
    let words = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2));
    assert!(words.contains("16") && !words.contains("too short"), "{words}");
}
