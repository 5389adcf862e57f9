//! Properties of every datagram, every log of inputs and every message for ggrs, checked with
//! arbitrary ones.

use proptest::{collection::vec, option, prelude::*, test_runner::RngSeed};

use super::{
    Inputs, MAX_INPUT_FRAMES, Stream,
    datagram::{Datagram, DatagramHeader, InputRun, Millis},
    input_stream::InputStream,
    sending::{HEADER_BYTES, STREAM_BYTES},
};
use crate::{
    packed_input::{MAX_INPUT_BYTES, PackedInput},
    transport::MAX_DATAGRAM_BYTES,
};

/// The same cases in each run; more with `PROPTEST_CASES`.
pub(crate) fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    }
}

fn header() -> impl Strategy<Value = DatagramHeader> {
    any::<(u32, u32, u32, u16, u16, u16, i8)>().prop_map(
        |(match_number, epoch, frame, sent, echo, held_ms, lead_quarters)| DatagramHeader {
            match_number,
            epoch,
            frame,
            sent_ms: Millis::new(sent),
            echo_ms: Millis::new(echo),
            held_ms,
            lead_quarters,
        },
    )
}

fn input() -> impl Strategy<Value = PackedInput> {
    vec(any::<u8>(), 0..=MAX_INPUT_BYTES)
        .prop_map(|bytes| PackedInput::from_bytes(&bytes).expect("it is short enough"))
}

/// Streams with up to this many runs each.
pub(crate) fn streams(runs: usize) -> impl Strategy<Value = Vec<Stream>> {
    let run = (any::<u8>(), input()).prop_map(|(frames, input)| InputRun { frames, input });
    let stream = (any::<u8>(), any::<u32>(), vec(run, 0..=runs))
        .prop_map(|(seat, first, runs)| Stream { seat, first, runs });
    vec(stream, 0..=15usize)
}

fn inputs() -> impl Strategy<Value = Inputs> {
    let has = vec(prop_oneof![any::<u32>(), 0..40u32], 0..=30usize);
    (0..20u32, has, streams(20)).prop_map(|(confirmed, has, streams)| Inputs {
        confirmed,
        has,
        streams,
    })
}

/// Inputs of a seat, frame by frame: some are held for a while, some are not.
fn pressed() -> impl Strategy<Value = Vec<PackedInput>> {
    let held = (input(), 1..40usize);
    vec(held, 0..12)
        .prop_map(|held| held.into_iter().flat_map(|(input, frames)| vec![input; frames]).collect())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_datagram_comes_back(header in header(), inputs in option::of(inputs())) {
        let datagram = Datagram { header, inputs };
        let mut bytes = Vec::new();
        prop_assert_eq!(datagram.encode(&mut bytes), Ok(()));
        prop_assert_eq!(Datagram::decode(&bytes), Ok(datagram));
    }

    #[test]
    fn any_bytes_are_a_datagram_that_comes_back_or_none(
        bytes in vec(any::<u8>(), 0..=MAX_DATAGRAM_BYTES),
    ) {
        if let Ok(datagram) = Datagram::decode(&bytes) {
            let mut again = Vec::new();
            prop_assert_eq!(datagram.encode(&mut again), Ok(()));
            prop_assert!(again.len() <= bytes.len(), "what is decoded has no shorter form");
            prop_assert_eq!(Datagram::decode(&again), Ok(datagram));
        }
    }

    #[test]
    fn our_inputs_fit_a_datagram_and_begin_where_they_should(
        header in header(), pressed in pressed(), skipped in 0..200usize, seats in 1..=16usize,
        lag in 0..20_000u32,
    ) {
        let mut ours = InputStream::default();
        pressed.iter().for_each(|&input| ours.push(input));
        let from = skipped.min(pressed.len());
        let max_bytes = MAX_DATAGRAM_BYTES - HEADER_BYTES - STREAM_BYTES;
        let stream = ours.wire_stream(0, from as u32, max_bytes, MAX_INPUT_FRAMES);
        let stream = stream.unwrap_or_default();
        let sent: Vec<PackedInput> = stream.inputs().collect();
        prop_assert!(pressed[from..].starts_with(&sent));
        prop_assert!(sent.len() <= MAX_INPUT_FRAMES && (from == pressed.len()) == sent.is_empty());
        // Far behind, in a match of 16 players.
        let frame = header.frame.max(lag);
        let has = vec![frame - lag; seats - 1];
        let streams = vec![Stream { seat: 15, first: frame - lag, ..stream }];
        let inputs = Some(Inputs { confirmed: frame - lag / 2, has, streams });
        let mut bytes = Vec::new();
        let header = DatagramHeader { frame, ..header };
        prop_assert_eq!(Datagram { header, inputs }.encode(&mut bytes), Ok(()));
        prop_assert!(bytes.len() <= MAX_DATAGRAM_BYTES, "{} bytes", bytes.len());
    }
}
