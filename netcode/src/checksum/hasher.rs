//! The hash of one value: a few multiplications for a few numbers, the same on every platform.
//!
//! It guards against mistakes, not against cheats: a peer that tampers with its world can tamper
//! with its hash just as well.

/// Odd, and without a pattern in its bits: 2⁶⁴ divided by the golden ratio, as in Fibonacci
/// hashing.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes what is written to it. The same bytes, split into different writes, have a different
/// hash.
#[derive(Clone, Debug)]
pub(crate) struct ValueHasher {
    state: u64,
}

impl ValueHasher {
    /// Creates a hasher for a value of `owner`: equal values of two owners have different hashes.
    #[inline]
    pub(crate) fn new(owner: u64) -> Self {
        let mut hasher = Self { state: MULTIPLIER };
        hasher.mix(owner);
        hasher
    }

    /// Mixes a word into the state. Each step is invertible. So two different states stay different
    /// after the same word, and one state becomes two different ones with two different words.
    #[inline]
    fn mix(&mut self, word: u64) {
        self.state = (self.state ^ word).wrapping_mul(MULTIPLIER);
        self.state ^= self.state >> 32;
    }

    /// Adds bytes.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            // The rest has at most seven bytes, so the last byte is free for its length.
            word[7] = rest.len() as u8;
            self.mix(u64::from_le_bytes(word));
        }
    }

    /// Returns the hash. Every bit of it depends on every bit of the state: this is the last step
    /// of Austin Appleby's `MurmurHash3`.
    #[inline]
    pub(crate) fn finish(&self) -> u64 {
        let mut hash = self.state;
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ (hash >> 33)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(owner: u64, writes: &[&[u8]]) -> u64 {
        let mut hasher = ValueHasher::new(owner);
        for bytes in writes {
            hasher.write(bytes);
        }
        hasher.finish()
    }

    #[test]
    fn a_hash_is_the_same_forever() {
        // The number was computed by another implementation. Every build must compute it, natively
        // and in a browser.
        assert_eq!(hash(1, &[&[1, 2, 3], &[4; 20]]), 947_596_669_739_135_033);
    }

    #[test]
    fn owner_order_and_length_matter() {
        let one = hash(1, &[&[5; 4]]);
        assert_ne!(one, hash(2, &[&[5; 4]]));
        assert_ne!(hash(1, &[&[1], &[2]]), hash(1, &[&[2], &[1]]));
        assert_ne!(hash(1, &[&[0; 3]]), hash(1, &[&[0; 4]]));
        assert_ne!(hash(1, &[&[0; 8]]), hash(1, &[&[0; 16]]));
        assert_ne!(hash(1, &[]), hash(1, &[&[0]]));
    }

    #[test]
    fn each_bit_of_a_value_changes_half_of_the_hash() {
        let mut changed = 0;
        for bit in 0..64 {
            for owner in 0..100 {
                let value = owner * 77;
                let (one, other) = (value, value ^ (1u64 << bit));
                let hashes = [one, other].map(|value| hash(owner, &[&value.to_le_bytes()]));
                changed += (hashes[0] ^ hashes[1]).count_ones();
            }
        }
        let mean = f64::from(changed) / 6400.0;
        assert!((30.0..34.0).contains(&mean), "{mean} of 64 bits");
    }

    #[test]
    fn sums_of_hashes_see_swapped_values_and_do_not_cancel() {
        let sum = |pairs: &[(u64, u8)]| {
            pairs.iter().fold(0u64, |sum, &(id, value)| sum.wrapping_add(hash(id, &[&[value]])))
        };
        assert_ne!(sum(&[(1, 5), (2, 6)]), sum(&[(1, 6), (2, 5)]));
        assert_ne!(sum(&[(1, 5), (2, 5)]), sum(&[(1, 6), (2, 6)]));
        assert_eq!(sum(&[(1, 5), (2, 6)]), sum(&[(2, 6), (1, 5)]));
    }
}
