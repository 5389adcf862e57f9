//! Fingerprints of states, and a set of them that takes little memory.

use std::hash::{Hash, Hasher};

/// A hasher that is fast and good enough: a state counts as seen by 64 bits.
#[derive(Default)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed ^ (mixed >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(word.into());
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(word.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }
}

pub(super) fn fingerprint(value: &impl Hash) -> u64 {
    let mut hasher = Mix::default();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A set of fingerprints: a table that is searched from the place that a number names on.
#[derive(Default)]
pub(super) struct Seen {
    /// Their number is a power of two; 0 is an empty slot.
    slots: Vec<u64>,
    len: usize,
}

impl Seen {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the fingerprint is new.
    pub(super) fn insert(&mut self, print: u64) -> bool {
        if 8 * self.len >= 7 * self.slots.len() {
            let larger = vec![0; (2 * self.slots.len()).max(1024)];
            let old = std::mem::replace(&mut self.slots, larger);
            for print in old.into_iter().filter(|print| *print != 0) {
                let slot = self.slot(print);
                self.slots[slot] = print;
            }
        }
        let print = print.max(1);
        let slot = self.slot(print);
        let is_new = self.slots[slot] == 0;
        self.slots[slot] = print;
        self.len += usize::from(is_new);
        is_new
    }

    /// Where a fingerprint is, or belongs.
    fn slot(&self, print: u64) -> usize {
        let last = self.slots.len() - 1;
        let mut slot = print as usize & last;
        while self.slots[slot] != 0 && self.slots[slot] != print {
            slot = (slot + 1) & last;
        }
        slot
    }
}
