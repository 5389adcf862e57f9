//! Entry points for tests and fuzzers, in this crate and outside it.

#[cfg(feature = "server")]
pub mod fuzz;
#[cfg(test)]
pub(crate) mod properties;
#[cfg(all(test, feature = "server"))]
#[path = "../../tests/it/redis_server.rs"]
#[expect(dead_code, reason = "unit tests do not stop it")]
pub(crate) mod redis_server;
