//! With a secret, whoever opens a WebSocket brings a ticket that is signed with it.

use std::time::{SystemTime, UNIX_EPOCH};

use signaling::{
    protocol::{PeerEvent, Refusal},
    server::{ANY_ROOM, ServerConfig, TicketSecret},
};

use crate::rig::{TestServer, assert_closed, config, program};

const SECRET: &str = "a secret that nobody knows";

fn secret() -> TicketSecret {
    SECRET.parse().expect("it is long enough")
}

/// A time that the test does not see the end of, and one that is over.
fn expiries() -> (u64, u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set").as_secs();
    (now + 3600, now - 1)
}

async fn start() -> TestServer {
    TestServer::start(ServerConfig { ticket_secret: Some(secret()), ..config() }).await
}

#[tokio::test]
async fn who_has_a_ticket_for_the_room_enters_by_any_door() {
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
async fn who_has_none_is_refused_in_words_and_counted() {
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
    // Who asks for no room needs none.
    assert_eq!(server.get("/health").await.status, 200);
}

#[tokio::test]
async fn the_list_is_for_those_who_may_enter_any_room() {
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
async fn the_program_makes_tickets_that_its_server_takes() {
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
