//! What a player claims of itself and cannot be taken at its word for: each claim is bounded, and
//! counted under its reason.

use netcode::testing::Stepper;

use crate::{
    hostile::WIRE_VERSION,
    support::{build, busy, stats},
};

#[test]
fn a_wrong_checksum_counts_once_however_often_it_is_said() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(60);
    for _ in 0..30 {
        // Of frame 210, in which nobody is yet.
        stepper.inject_control(1, 0, &[WIRE_VERSION, 3, 1, 210, 1, 7]);
        stepper.updates(4);
    }
    stepper.updates(120);
    let stats = stats(stepper.app(0));
    assert_eq!(stats.desyncs, 1);
    // All but the first, and then the true one.
    assert_eq!(stats.dropped.repeated_checksum, 30, "{:?}", stats.dropped);
}
