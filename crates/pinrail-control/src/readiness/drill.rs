//! How fast everything is consistent again after a rollback, from drills.

use pinrail_domain::time::Timestamp;

use super::{Seen, span};
use crate::Control;
use crate::drill::Drill;

/// Older than this, a drill says nothing about today: releases, data and load are others by then.
const FRESH_MS: u64 = 7 * 24 * 3_600_000;
/// Milliseconds that the way back may take, with room for a sync of a slow disk.
const CONSISTENT_MS_MAX: u64 = 250;

pub async fn look(control: &Control) -> Seen {
    match control.last_drill().await {
        Ok(last) => judge(last.as_ref(), control.inner.clock.now()),
        Err(error) => Seen::unknown(format!("the last drill cannot be read: {error}")),
    }
}

fn judge(last: Option<&Drill>, now: Timestamp) -> Seen {
    let Some(drill) = last else {
        return Seen::unknown("no drill was held yet: `pinrail readiness --drill` holds one");
    };
    let ago = now.ms_since(drill.at);
    let took = format!("{}.{:02} ms", drill.consistent_us / 1_000, drill.consistent_us % 1_000 / 10);
    let observed = format!("last drill {took}, {} ago", span(ago));
    if ago > FRESH_MS {
        return Seen::unknown(format!("{observed}: a drill is good for 7 days; `pinrail readiness --drill`"));
    }
    if !drill.went_well() {
        let next = "look at the server's log and at `pinrail state verify`, then hold another drill";
        return Seen::missed(observed, drill.faults.clone(), next);
    }
    if drill.consistent_us > CONSISTENT_MS_MAX * 1_000 {
        let why = vec![format!("it took longer than {CONSISTENT_MS_MAX} ms")];
        return Seen::missed(
            observed,
            why,
            "look at the disk with `pinrail doctor`, then hold another drill",
        );
    }
    Seen::met(observed)
}
