//! Datagrams of a connected peer in the middle of a match, each preceded by its length in two
//! bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| netcode::testing::fuzz::datagrams(bytes));
