//! Whether what is stored is what was written, from the last verification of each space.

use std::collections::BTreeMap;

use pinrail_domain::state::Space;
use pinrail_domain::time::Timestamp;

use super::{Seen, span};
use crate::Control;
use crate::state::verify::Verdict;

/// A verification says nothing about what the disk did since; weekly is a good measure.
const FRESH_MS: u64 = 7 * 24 * 3_600_000;

pub async fn look(control: &Control) -> Seen {
    judge(&control.states().verdicts(), control.inner.clock.now())
}

fn judge(verdicts: &BTreeMap<Space, Verdict>, now: Timestamp) -> Seen {
    let Some(oldest) = verdicts.values().map(|verdict| verdict.at).min() else {
        return Seen::unknown("no space was verified since the server started: `pinrail state verify` does");
    };
    let damaged: Vec<String> = verdicts
        .values()
        .filter(|verdict| !verdict.is_whole())
        .map(|verdict| {
            format!("{} of {}: {} damaged records", verdict.space, verdict.space.tenant, verdict.damaged)
        })
        .collect();
    let ago = span(now.ms_since(oldest));
    let observed = format!("{} spaces verified, the first {ago} ago", verdicts.len());
    if !damaged.is_empty() {
        return Seen::missed(observed, damaged, "restore the store from a backup; keep the damaged file");
    }
    if now.ms_since(oldest) > FRESH_MS {
        return Seen::unknown(format!("{observed}: that is good for 7 days; `pinrail state verify`"));
    }
    Seen::met(observed)
}
