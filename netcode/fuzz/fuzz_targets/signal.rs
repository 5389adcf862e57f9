//! A session description or a candidate from another peer.
#![no_main]

#[path = "../../tests/it/stack.rs"]
mod stack;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    stack::assert_usable(&netcode::testing::fuzz::signal(bytes));
});
