//! Properties of every datagram, every log of inputs and every message for ggrs, checked with
//! arbitrary ones.

use proptest::{collection::vec, option, prelude::*, test_runner::RngSeed};

use super::{
    MAX_INPUT_FRAMES,
    datagram::{Datagram, DatagramHeader, InputRun, Inputs, Millis},
    ggrs_message::{GgrsBody, inputs_in},
    input_log::InputLog,
};
use crate::{packed_input::MAX_INPUT_BYTES, transport::MAX_DATAGRAM_BYTES};

/// The same cases in each run; more with `PROPTEST_CASES`.
pub(crate) fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    }
}

fn header() -> impl Strategy<Value = DatagramHeader> {
    any::<(u32, u32, u16, u16, u16, i8)>().prop_map(
        |(epoch, frame, sent, echo, held_ms, lead_quarters)| DatagramHeader {
            epoch,
            frame,
            sent_ms: Millis::new(sent),
            echo_ms: Millis::new(echo),
            held_ms,
            lead_quarters,
        },
    )
}

pub(crate) fn inputs() -> impl Strategy<Value = Inputs> {
    let run = (any::<u8>(), vec(any::<u8>(), 0..=MAX_INPUT_BYTES))
        .prop_map(|(frames, input)| InputRun { frames, input });
    (any::<i16>(), any::<i16>(), vec(run, 0..=MAX_INPUT_FRAMES))
        .prop_map(|(first, wanted, runs)| Inputs { first, wanted, runs })
}

/// Inputs of a machine, frame by frame: some are held for a while, some are not.
fn pressed() -> impl Strategy<Value = Vec<Vec<u8>>> {
    (0..=MAX_INPUT_BYTES).prop_flat_map(|size| {
        let held = (vec(any::<u8>(), size), 1..40usize);
        vec(held, 0..12).prop_map(|held| {
            held.into_iter().flat_map(|(input, frames)| vec![input; frames]).collect()
        })
    })
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
        header in header(), pressed in pressed(), skipped in 0..200usize,
    ) {
        let mut log = InputLog::default();
        pressed.iter().for_each(|input| log.push(input));
        let from = skipped.min(pressed.len()).max(pressed.len().saturating_sub(150));
        let runs = log.runs(from as u32, MAX_DATAGRAM_BYTES - 64, MAX_INPUT_FRAMES, <[u8]>::to_vec);
        let sent: Vec<&Vec<u8>> = runs
            .iter()
            .flat_map(|run| std::iter::repeat_n(&run.input, usize::from(run.frames)))
            .collect();
        prop_assert!(pressed[from..].iter().zip(&sent).all(|(pressed, sent)| pressed == *sent));
        prop_assert!(sent.len() <= MAX_INPUT_FRAMES && (from == pressed.len()) == sent.is_empty());
        let inputs = Some(Inputs { first: i16::MIN, wanted: i16::MIN, runs });
        let mut bytes = Vec::new();
        prop_assert_eq!(Datagram { header, inputs }.encode(&mut bytes), Ok(()));
        prop_assert!(bytes.len() <= MAX_DATAGRAM_BYTES, "{} bytes", bytes.len());
    }

    #[test]
    fn ggrs_gets_the_inputs_that_were_given(
        base in vec(any::<u8>(), 0..=MAX_INPUT_BYTES), pressed in pressed(),
        first in 0..1_000_000u32, acked in 0..1_000_000u32,
    ) {
        let body = GgrsBody::inputs(4, first, acked, &base, pressed.iter().map(|input| &input[..]));
        let message = body.close();
        prop_assert!(message.is_ok());
        let opened = message.and_then(|message| GgrsBody::open(&message));
        prop_assert_eq!(&opened, &Ok(body));
        let Ok(GgrsBody::Input { bytes, .. }) = opened else { panic!("these are inputs") };
        prop_assert_eq!(inputs_in(&base, &bytes), Ok(pressed));
    }
}
