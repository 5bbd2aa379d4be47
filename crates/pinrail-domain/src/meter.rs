//! A histogram of durations or sizes that many threads add to without waiting for each other.
//!
//! Bounds are fixed, so that what was counted before and after, here and elsewhere, can be added up. A reading isn't one
//! moment's: what is added meanwhile may be in a bucket and not yet in the sum. Nothing added is ever lost.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts values by the first bound that they don't exceed.
#[derive(Debug)]
pub struct Meter {
    bounds: &'static [u64],
    /// One more than there are bounds: what exceeds them all.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What a meter counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub bounds: &'static [u64],
    /// By bound, each counted once; the last exceeds all bounds.
    pub buckets: Vec<u64>,
    pub sum: u64,
}

/// Durations of model calls, in microseconds: 5 ms to 5 minutes.
pub const CALL_US: &[u64] = &[
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    20_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
];
/// What the gateway adds to a call, in microseconds: 50 µs to 100 ms.
pub const OVERHEAD_US: &[u64] =
    &[50, 100, 150, 200, 300, 500, 750, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000];
/// Operations of the store, in microseconds: 100 µs to 10 s.
pub const STORE_US: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];
/// Writes of a batch.
pub const BATCH: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000];

impl Meter {
    /// `bounds` rise.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Meter {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Meter { bounds, buckets, sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn add(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn read(&self) -> Reading {
        self.each(|count| count.load(Ordering::Relaxed))
    }

    /// What was counted so far, which from here on isn't counted here.
    #[must_use]
    pub fn take(&self) -> Reading {
        self.each(|count| count.swap(0, Ordering::Relaxed))
    }

    /// Adds what was counted elsewhere by the same bounds.
    ///
    /// # Panics
    /// When the bounds are others.
    pub fn add_all(&self, other: &Reading) {
        assert!(std::ptr::eq(self.bounds, other.bounds), "what is added up has the same bounds");
        for (bucket, count) in self.buckets.iter().zip(&other.buckets) {
            bucket.fetch_add(*count, Ordering::Relaxed);
        }
        self.sum.fetch_add(other.sum, Ordering::Relaxed);
    }

    fn each(&self, read: impl Fn(&AtomicU64) -> u64) -> Reading {
        Reading {
            bounds: self.bounds,
            buckets: self.buckets.iter().map(&read).collect(),
            sum: read(&self.sum),
        }
    }
}

impl Reading {
    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_the_first_bucket_that_holds_it() {
        const BOUNDS: &[u64] = &[10, 100];
        let check = |value: u64, bucket: usize| {
            let meter = Meter::new(BOUNDS);
            meter.add(value);
            let mut buckets = vec![0; 3];
            buckets[bucket] = 1;
            assert_eq!(meter.read(), Reading { bounds: BOUNDS, buckets, sum: value }, "{value}");
        };
        check(0, 0);
        check(10, 0);
        check(11, 1);
        check(100, 1);
        check(101, 2);
    }

    #[test]
    fn what_is_taken_is_elsewhere_and_nowhere_twice() {
        let (from, to) = (Meter::new(BATCH), Meter::new(BATCH));
        from.add(3);
        to.add(7_000);
        to.add_all(&from.take());
        from.add(4);
        assert_eq!((to.read().count(), to.read().sum), (2, 7_003));
        assert_eq!((from.read().count(), from.read().sum), (1, 4));
    }

    #[test]
    fn bounds_rise() {
        for bounds in [CALL_US, OVERHEAD_US, STORE_US, BATCH] {
            assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "{bounds:?}");
        }
    }
}
