//! Claims that a peer makes about itself and that no other peer can check: the effect of each is
//! bounded, and it is counted under its reason.

use netcode::testing::Stepper;

use crate::{
    hostile::{WIRE_VERSION, datagram},
    support::{assert_agreement, build, busy, stats},
};

#[test]
fn a_claim_to_lack_our_inputs_does_not_lengthen_our_delay() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(240);
    assert_eq!(stats(stepper.app(0)).input_delay, 1);
    for update in 0..600u16 {
        let frame = stats(stepper.app(0)).frames;
        let mut claim = datagram(1, frame, -1, -8, &[]);
        // By the peer's clock, newer than everything that the peer itself sends.
        claim[8..10].copy_from_slice(&(20_000 + 17 * update).to_le_bytes());
        stepper.inject_datagram(1, 0, &claim);
        stepper.update();
    }
    let stats = stats(stepper.app(0));
    assert_eq!(stats.input_delay, 1);
    assert!(stats.dropped.false_lag >= 590, "{:?}", stats.dropped);
    assert_agreement(&stepper, 20);
}

#[test]
fn a_wrong_checksum_counts_once_however_often_it_is_sent() {
    let mut stepper = Stepper::in_match(2, build(busy));
    stepper.updates(60);
    for _ in 0..30 {
        // The checksums of frame 210, which no peer has reached yet.
        stepper.inject_control(1, 0, &[WIRE_VERSION, 3, 1, 210, 1, 7, 0]);
        stepper.updates(4);
    }
    stepper.updates(120);
    let stats = stats(stepper.app(0));
    assert_eq!(stats.desyncs, 1);
    // All false ones but the first, and the true one that follows.
    assert_eq!(stats.dropped.repeated_checksum, 30, "{:?}", stats.dropped);
}
