//! Properties of every datagram and every stream of inputs, checked with arbitrary ones.

use proptest::{collection::vec, option, prelude::*, test_runner::RngSeed};

use super::{
    Inputs, MAX_INPUT_FRAMES, Stream,
    datagram::{Datagram, DatagramHeader, InputRun, Millis},
    input_stream::InputStream,
    sending::{HEADER_BYTES, STREAM_BYTES, cut},
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
    let input = (0..=MAX_INPUT_BYTES).prop_flat_map(|size| vec(any::<u8>(), 0..=size));
    let input =
        input.prop_map(|bytes| PackedInput::from_bytes(&bytes).expect("it is short enough"));
    let held = (input, 1..40usize);
    vec(held, 0..40)
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
        header in header(), pressed in vec(pressed(), 1..=15usize), skipped in 0..200usize,
        lag in 0..20_000u32,
    ) {
        let seats = pressed.len();
        let mut streams = Vec::new();
        for (seat, pressed) in pressed.iter().enumerate() {
            let mut ours = InputStream::default();
            pressed.iter().for_each(|&input| ours.push(input));
            let from = skipped.min(pressed.len());
            let runs = ours.wire_runs(from as u32, MAX_INPUT_FRAMES);
            prop_assert_eq!(runs.is_empty(), from == pressed.len());
            streams.push(Stream { seat: seat as u8, first: from as u32, runs });
        }
        streams.retain(|stream| !stream.runs.is_empty());
        // All inputs of a machine together are no longer than the longest one of a seat may be.
        let fits = |stream: &Stream| {
            stream.runs.iter().all(|run| run.input.length() <= MAX_INPUT_BYTES / seats)
        };
        streams.retain(fits);
        let whole = streams.clone();
        cut(&mut streams, MAX_DATAGRAM_BYTES - HEADER_BYTES - seats * STREAM_BYTES);
        for (stream, whole) in streams.iter().zip(&whole) {
            prop_assert!(!stream.runs.is_empty() && whole.runs.starts_with(&stream.runs));
        }
        // Far behind, in a match of 16 players.
        let frame = header.frame.max(lag);
        streams.iter_mut().for_each(|stream| stream.first = frame - lag);
        let has = vec![frame - lag; 15];
        let inputs = Some(Inputs { confirmed: frame - lag / 2, has, streams });
        let mut bytes = Vec::new();
        let header = DatagramHeader { frame, ..header };
        prop_assert_eq!(Datagram { header, inputs }.encode(&mut bytes), Ok(()));
        prop_assert!(bytes.len() <= MAX_DATAGRAM_BYTES, "{} bytes", bytes.len());
    }
}
