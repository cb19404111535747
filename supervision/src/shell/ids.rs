//! Tables keyed by numbers that we count up ourselves: nobody outside can choose them, so a hash need not be secret.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Spreads a counter over the bits of a hash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CounterHasher(u64);

/// An odd number near 2^64 divided by the golden ratio: consecutive numbers land far apart.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for CounterHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(SPREAD);
    }
}

/// A table by such numbers.
pub(crate) type ById<T> = HashMap<u64, T, BuildHasherDefault<CounterHasher>>;
