//! How many retries a provider gets, over all calls.
//!
//! A bucket of thousandths of a retry: every call puts a share of one in, time puts some in, each retry takes one out.
//! Calls alone can't fill it beyond [`KEPT`] of its floor, so that a quiet hour doesn't pay for a storm.

use std::time::Duration;

use pinrail_domain::provider::RetryBudget;
use pinrail_domain::time::Ticks;

/// What is left to spend.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Thousandths of retries.
    left: u64,
    at: Ticks,
}

/// How much of the floor is kept.
const KEPT: Duration = Duration::from_secs(10);
const ONE: u64 = 1_000;

impl Budget {
    /// Begins full.
    pub fn new(settings: &RetryBudget, now: Ticks) -> Budget {
        Budget { left: most(settings), at: now }
    }

    /// A call is made: it brings its share.
    pub fn called(&mut self, settings: &RetryBudget, now: Ticks) {
        self.refill(settings, now);
        // A share in basis points of a thousand thousandths.
        self.add(u64::from(settings.share.bps()) / 10, settings);
    }

    /// Takes a retry out, if there is one.
    pub fn take(&mut self, settings: &RetryBudget, now: Ticks) -> bool {
        self.refill(settings, now);
        let enough = self.left >= ONE;
        if enough {
            self.left -= ONE;
        }
        enough
    }

    fn refill(&mut self, settings: &RetryBudget, now: Ticks) {
        let us = now.us_since(self.at);
        // Whole thousandths alone, so that many looks don't lose what is between them.
        let due = us.saturating_mul(u64::from(settings.per_second)) / ONE;
        if due > 0 {
            self.at = now;
            self.add(due, settings);
        }
    }

    fn add(&mut self, thousandths: u64, settings: &RetryBudget) {
        self.left = self.left.saturating_add(thousandths).min(most(settings));
    }
}

/// At least one retry: a share without a floor must be able to come together.
fn most(settings: &RetryBudget) -> u64 {
    u64::from(settings.per_second).saturating_mul(KEPT.as_secs()).max(u64::from(settings.share.bps() > 0))
        * ONE
}

#[cfg(test)]
mod tests {
    use pinrail_domain::share::Share;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes in whichever order, no more is spent than was there and came in.
        #[test]
        fn retries_never_outrun_their_share(
            bps in 0..=10_000_u64,
            per_second in 0..50_u32,
            steps in prop::collection::vec((any::<bool>(), 0..2_000_u64), 1..400),
        ) {
            let settings = RetryBudget { share: Share::from_bps(bps).unwrap(), per_second };
            let mut budget = Budget::new(&settings, Ticks(0));
            let (mut calls, mut retries, mut ms) = (0_u64, 0_u64, 0_u64);
            for (is_call, wait) in steps {
                ms += wait;
                let now = Ticks(ms * 1_000_000);
                if is_call {
                    calls += 1;
                    budget.called(&settings, now);
                } else if budget.take(&settings, now) {
                    retries += 1;
                }
                let came = most(&settings) + calls * bps / 10 + ms * u64::from(per_second);
                prop_assert!(retries * ONE <= came, "{retries} of {calls} calls in {ms} ms");
            }
        }
    }

    #[test]
    fn a_quiet_provider_has_its_floor_and_a_budget_of_nothing_gives_nothing() {
        let none = RetryBudget { share: Share::NONE, per_second: 0 };
        let mut budget = Budget::new(&none, Ticks(0));
        budget.called(&none, Ticks(0));
        assert!(!budget.take(&none, Ticks(u64::MAX)));
        let floor = RetryBudget { share: Share::NONE, per_second: 1 };
        let mut budget = Budget::new(&floor, Ticks(0));
        let taken = (0..100).filter(|_| budget.take(&floor, Ticks(0))).count();
        assert_eq!(taken, 10);
        // Looking often loses nothing.
        let mut found = 0;
        for us in 0..1_000_u64 {
            found += usize::from(budget.take(&floor, Ticks(us * 1_000_000)));
        }
        assert_eq!(found, 0);
        assert!(budget.take(&floor, Ticks(1_000_000_000)));
        let share = RetryBudget { share: Share::from_bps(2_500).unwrap(), per_second: 0 };
        let mut budget = Budget::new(&share, Ticks(0));
        assert!(budget.take(&share, Ticks(0)));
        let mut got = 0;
        for _ in 0..40 {
            budget.called(&share, Ticks(0));
            got += usize::from(budget.take(&share, Ticks(0)));
        }
        assert_eq!(got, 10);
    }
}
