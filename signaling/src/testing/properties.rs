//! What the property tests of this crate have in common.

use proptest::{prelude::ProptestConfig, test_runner::RngSeed};

/// The same cases in each run; more with `PROPTEST_CASES`.
pub(crate) fn same_cases() -> ProptestConfig {
    let (failure_persistence, rng_seed) = (None, RngSeed::Fixed(1));
    ProptestConfig { failure_persistence, rng_seed, ..ProptestConfig::default() }
}
