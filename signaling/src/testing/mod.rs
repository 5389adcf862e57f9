//! What tests and fuzzers call, in this crate and beside it.

#[cfg(feature = "server")]
pub mod fuzz;
#[cfg(test)]
pub(crate) mod properties;
#[cfg(all(test, feature = "server"))]
#[path = "../../tests/it/redis_server.rs"]
#[expect(dead_code, reason = "here it is not stopped")]
pub(crate) mod redis_server;
