//! How long a model will be served. Days begin at midnight UTC; on its last day's date a model is retired.

use serde::{Deserialize, Serialize};

use super::catalogue::Catalogue;
use super::date::DAY_MS;
use crate::time::Timestamp;

/// How many days before its end a model counts as retiring soon: the shortest notice that Anthropic
/// promises, so every warning has time to be heeded.
pub const RETIRING_SOON_DAYS: u64 = 60;

/// Where a model stands between its release and its end, as far as the catalogue knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "lifecycle", rename_all = "snake_case")]
pub enum Lifecycle {
    /// Listed, with no end in sight.
    Active,
    /// Its end is announced, or its provider advises against it. `since` is `None` when the catalogue
    /// knows the end but not the day of the announcement.
    Deprecated { since: Option<Timestamp>, retires: Option<Timestamp> },
    /// It ends within [`RETIRING_SOON_DAYS`]; a day that has begun counts as left.
    RetiringSoon { at: Timestamp, days_left: u64 },
    /// It is no longer served.
    Retired { at: Timestamp },
    /// The catalogue has no entry for it, so nothing is known.
    Unlisted,
}

impl Catalogue {
    /// Where a model stands at `now`. A region in front of an id makes no difference.
    #[must_use]
    pub fn lifecycle(&self, provider: &str, id: &str, now: Timestamp) -> Lifecycle {
        let entry = self.providers.get(provider).and_then(|provider| {
            let (_, plain) = provider.split_region(id);
            provider.entries.get(id).or_else(|| provider.entries.get(plain))
        });
        let Some(entry) = entry else { return Lifecycle::Unlisted };
        let since = entry.deprecated.map(|date| date.start()).filter(|since| *since <= now);
        let retires = entry.retires.map(|date| date.start());
        match retires {
            Some(at) if at <= now => Lifecycle::Retired { at },
            Some(at) if at.ms_since(now) <= RETIRING_SOON_DAYS * DAY_MS => {
                Lifecycle::RetiringSoon { at, days_left: at.ms_since(now).div_ceil(DAY_MS) }
            }
            Some(_) => Lifecycle::Deprecated { since, retires },
            None if since.is_some() => Lifecycle::Deprecated { since, retires },
            None => Lifecycle::Active,
        }
    }
}
