//! How long handlers take, by kind of actor: a histogram of 64 buckets, two to each doubling, that all actors of a kind
//! share, so that a million sessions cost one.
//!
//! While its handlers are quick, one message in sixteen is timed and counts for all sixteen.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many buckets there are. The last one takes everything from 3.2 s up.
const BUCKETS: usize = 64;

/// Handler times of one kind.
pub(crate) struct KindMeter {
    buckets: [AtomicU64; BUCKETS],
}

impl Default for KindMeter {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl KindMeter {
    /// Counts `weight` handlers that took `spent`.
    pub(crate) fn record(&self, spent: Duration, weight: u64) {
        self.buckets[bucket(spent)].fetch_add(weight, Relaxed);
    }

    pub(crate) fn read(&self) -> KindLatency {
        KindLatency { counts: std::array::from_fn(|at| self.buckets[at].load(Relaxed)) }
    }
}

/// The meters of all kinds. Cheap to clone; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct KindMeters(Arc<Mutex<BTreeMap<&'static str, Arc<KindMeter>>>>);

impl KindMeters {
    /// The meter of a kind.
    pub(crate) fn of(&self, kind: &'static str) -> Arc<KindMeter> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default())
    }

    pub(crate) fn read(&self) -> BTreeMap<&'static str, KindLatency> {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.iter().map(|(kind, meter)| (*kind, meter.read())).collect()
    }
}

/// How long the handlers of one kind of actor took.
#[derive(Clone, PartialEq, Eq)]
pub struct KindLatency {
    counts: [u64; BUCKETS],
}

impl KindLatency {
    /// How many handlers were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time that `share` of the handlers (0.5: half of them) stayed below, to the upper end of its bucket. `None`
    /// if nothing was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let mut left = (total as f64 * share.clamp(0.0, 1.0)).ceil() as u64;
        for (at, count) in self.counts.iter().enumerate() {
            left = left.saturating_sub(*count);
            if left == 0 && *count > 0 {
                return Some(upper_end(at));
            }
        }
        Some(upper_end(BUCKETS - 1))
    }

    /// The buckets that hold anything: their upper ends, and how many handlers fell into them.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let counts = self.counts.iter().copied().enumerate();
        counts.filter(|(_, count)| *count > 0).map(|(at, count)| (upper_end(at), count))
    }
}

impl fmt::Debug for KindLatency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.buckets()).finish()
    }
}

/// Two buckets to each doubling: the highest bit, and the one below it.
fn bucket(spent: Duration) -> usize {
    let nanos = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX).max(2);
    let high = nanos.ilog2();
    let below = (nanos >> (high - 1)) & 1;
    (high as usize * 2 + below as usize).min(BUCKETS - 1)
}

/// The first time that is too long for a bucket.
fn upper_end(at: usize) -> Duration {
    let (high, below) = (at / 2, at as u64 % 2);
    Duration::from_nanos((1 << high) + (below + 1) * ((1 << high) / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lies_below_the_upper_end_of_its_bucket_and_above_the_one_before() {
        for nanos in [2, 3, 4, 5, 6, 7, 8, 1_000, 1_499, 1_500, 65_535, 65_536, 999_999_999, 3_000_000_000] {
            let spent = Duration::from_nanos(nanos);
            let at = bucket(spent);
            assert!(spent < upper_end(at), "{nanos}");
            assert!(at == 2 || upper_end(at - 1) <= spent, "{nanos}");
        }
        assert_eq!(bucket(Duration::ZERO), bucket(Duration::from_nanos(2)));
        assert_eq!(bucket(Duration::from_secs(3600)), BUCKETS - 1);
    }

    #[test]
    fn quantiles_come_from_the_counts() {
        let meter = KindMeter::default();
        assert_eq!(meter.read().quantile(0.5), None);
        meter.record(Duration::from_micros(1), 98);
        meter.record(Duration::from_millis(5), 2);
        let read = meter.read();
        assert_eq!(read.count(), 100);
        assert_eq!(read.quantile(0.5), Some(upper_end(bucket(Duration::from_micros(1)))));
        assert_eq!(read.quantile(0.99), Some(upper_end(bucket(Duration::from_millis(5)))));
        assert_eq!(read.buckets().map(|(_, count)| count).collect::<Vec<_>>(), [98, 2]);
    }

    #[test]
    fn one_kind_has_one_meter() {
        let kinds = KindMeters::default();
        kinds.of("session").record(Duration::from_micros(3), 1);
        kinds.of("session").record(Duration::from_micros(3), 1);
        kinds.of("channel");
        let counts: Vec<_> = kinds.read().into_iter().map(|(kind, read)| (kind, read.count())).collect();
        assert_eq!(counts, [("channel", 0), ("session", 2)]);
    }
}
