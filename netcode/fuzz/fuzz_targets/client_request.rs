//! What clients send to the signaling server, a line each: an address at which somebody comes, or a message.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signaling::testing::fuzz::client_requests(bytes));
