//! The signaling server as a process of its own: `server REDIS_URL`. It prints its address, and
//! runs until it is killed.

use std::{
    io::{Write, stdout},
    net::{Ipv4Addr, SocketAddr},
};

use signaling::server::{Rate, Secret, Server, ServerConfig};

/// The same secret for all processes of a service, so that each accepts the tokens of all others.
const RESUME_SECRET: &str = "the same one for all of them";

fn main() {
    let redis = std::env::args().nth(1);
    let config = ServerConfig {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        resume_secret: Some(Secret(RESUME_SECRET.to_owned())),
        redis: redis.map(Secret),
        // Tests may read the list of rooms as often as they like.
        join_rate: Rate { per_second: 1_000_000, at_once: 1_000_000 },
        ..ServerConfig::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("the system has threads for a runtime");
    runtime.block_on(async {
        let server = Server::bind(config).await.expect("the server listens");
        // A write fails only if the test has ended; then nobody needs the address, and this process
        // is killed.
        let _ = writeln!(stdout(), "{}", server.local_addr());
        server.run(std::future::pending()).await;
    });
}
