//! Messages that our client reads from the signaling server, one in each line.
#![no_main]

#[path = "../../tests/it/stack.rs"]
mod stack;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    stack::assert_usable(&netcode::testing::fuzz::server_events(bytes));
});
