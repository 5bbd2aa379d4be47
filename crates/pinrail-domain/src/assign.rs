//! Which side of a canary a unit is on (I10).
//!
//! `bucket = XXH3-64(seed = the deployment's salt, the unit's UTF-8 bytes) mod 10 000`, and the unit is on the
//! candidate while `bucket < weight in basis points`. So the same unit always gives the same answer for one
//! deployment, raising the weight only ever adds units, and two deployments split the same units
//! independently. The golden vectors in `docs/golden/buckets.json` are for other languages.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::RunId;
use crate::share::Share;

/// A deployment's own seed for the hash. Stored as 16 hex digits, as JSON numbers can't hold 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub u64);

/// The bucket of a unit, 0 to 9 999.
#[must_use]
pub fn bucket(salt: Salt, unit: &str) -> u16 {
    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(unit.as_bytes(), salt.0);
    u16::try_from(hash % u64::from(Share::BPS_MAX)).expect("a remainder of 10 000 fits 16 bits")
}

/// The bucket of a run among those of which a candidate may answer a copy, 0 to 9 999.
///
/// `XXH3-64(seed = the deployment's salt, "shadow/" and the run's id) mod 10 000`. The prefix keeps it apart from
/// assignment, where a run without a session is a unit of the same name: else the runs that a weight leaves to what
/// is active would never be the ones that a share of copies picks.
#[must_use]
pub fn shadow_bucket(salt: Salt, run: RunId) -> u16 {
    bucket(salt, &format!("shadow/{run}"))
}

/// Whether a bucket is on the candidate at this weight.
#[must_use]
pub fn on_candidate(bucket: u16, weight: Share) -> bool {
    bucket < weight.bps()
}

impl fmt::Display for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Salt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Salt, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if text.len() != 16 {
            return Err(serde::de::Error::custom("a salt is 16 hex digits"));
        }
        u64::from_str_radix(&text, 16).map(Salt).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_are_the_golden_ones() {
        #[derive(Deserialize)]
        struct Golden {
            salt: Salt,
            unit: String,
            bucket: u16,
        }
        let golden: Vec<Golden> =
            serde_json::from_str(include_str!("../../../docs/golden/buckets.json")).unwrap();
        assert!(golden.len() >= 8);
        for Golden { salt, unit, bucket: expected } in golden {
            assert_eq!(bucket(salt, &unit), expected, "{salt} {unit}");
        }
    }

    #[test]
    fn a_weight_takes_its_share_of_units() {
        let taken = (0..100_000)
            .filter(|n| on_candidate(bucket(Salt(7), &format!("session-{n}")), "5%".parse().unwrap()))
            .count();
        // Six standard deviations of a binomial with n = 100 000, p = 0.05 are 414.
        assert!(taken.abs_diff(5_000) < 414, "{taken}");
    }

    #[test]
    fn a_share_of_copies_picks_its_part_of_the_runs_whatever_the_weight_left() {
        let (salt, five) = (Salt(11), "5%".parse().unwrap());
        let runs = (0..100_000_u128).map(|n| RunId::from_parts(1_800_000_000_000, n));
        let live: Vec<RunId> =
            runs.filter(|run| !on_candidate(bucket(salt, &run.to_string()), five)).collect();
        let copied = live.iter().filter(|run| on_candidate(shadow_bucket(salt, **run), five)).count();
        // Six standard deviations.
        assert!(copied.abs_diff(live.len() / 20) < 414, "{copied} of {}", live.len());
    }

    proptest! {
        /// I10: deterministic, and raising the weight never moves a unit off the candidate.
        #[test]
        fn raising_a_weight_only_adds(salt: u64, unit in ".{0,40}", low in 0_u64..=10_000, high in 0_u64..=10_000) {
            let (low, high) = (low.min(high), low.max(high));
            let bucket = bucket(Salt(salt), &unit);
            prop_assert_eq!(bucket, super::bucket(Salt(salt), &unit));
            let at = |bps| on_candidate(bucket, Share::from_bps(bps).unwrap());
            prop_assert!(!at(low) || at(high));
            prop_assert!(!at(0) && at(10_000));
        }
    }
}
