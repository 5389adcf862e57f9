//! `SplitMix64` (Steele, Lea and Flood, 2014): seeded random numbers for networks and sync tests.
//! The simulation does not use it: its generator is the game's own, and rolls back.

/// Added to the state for each number. It is odd, so that the state takes all values.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns the next number, and advances the state.
pub(crate) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(STEP);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_reference() {
        // The first outputs of Vigna's splitmix64.c for the seed 1234567.
        let mut state = 1_234_567;
        let numbers = [next(&mut state), next(&mut state)];
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }
}
