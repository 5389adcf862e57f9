//! Requests of clients to the signaling server, one in each line: the address at which a client
//! enters, or a message.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| signaling::testing::fuzz::client_requests(bytes));
