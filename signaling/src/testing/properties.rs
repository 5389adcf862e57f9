//! The configuration that the property tests of this crate share.

use proptest::{prelude::ProptestConfig, test_runner::RngSeed};

/// Runs the same cases each time; more of them with `PROPTEST_CASES`.
pub(crate) fn same_cases() -> ProptestConfig {
    let (failure_persistence, rng_seed) = (None, RngSeed::Fixed(1));
    ProptestConfig { failure_persistence, rng_seed, ..ProptestConfig::default() }
}
