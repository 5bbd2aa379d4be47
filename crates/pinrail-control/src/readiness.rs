//! Readiness: could everything be taken back right now, and would everyone hear of it?
//!
//! One table, [`INDICATORS`], one function per row. A row whose objective can't be judged says `unknown` and why; only what
//! was seen to be amiss counts as missed. An indicator reads and never changes anything, so asking is safe at any time.

use std::collections::BTreeSet;
use std::pin::Pin;

use pinrail_domain::id::ProviderName;

use crate::Control;

mod acknowledgement;
mod divergence;
mod drain;
mod drift;
mod drill;
mod models;
mod providers;
mod spaces;
mod target;

/// What the control plane can't know by itself.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Providers whose key isn't set where the server runs.
    pub keyless_providers: BTreeSet<ProviderName>,
    /// The models that were called here since the server began; looked at by readiness alone.
    pub called: Vec<Called>,
}

/// A model that was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    pub provider: ProviderName,
    pub snapshot: String,
    /// Since when and why calls are kept away from it; none where they go through.
    pub left_alone: Option<String>,
}

/// One thing that a rollback depends on, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indicator {
    pub name: &'static str,
    pub objective: &'static str,
    pub seen: Seen,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub observed: String,
    pub met: Met,
    /// What is amiss, or why nothing is known: one sentence each.
    pub why: Vec<String>,
    pub next_step: Option<String>,
}

/// Whether an objective is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    Yes,
    No,
    /// There is nothing to judge it by.
    Unknown,
}

/// A row of the table.
struct Row {
    name: &'static str,
    objective: &'static str,
    look: for<'a> fn(&'a Control, &'a Surroundings) -> Look<'a>,
}

type Look<'a> = Pin<Box<dyn Future<Output = Seen> + Send + 'a>>;

/// The indicators, in the order in which a person on call needs them.
static INDICATORS: &[Row] = &[
    Row {
        name: "rollback target",
        objective: "whatever serves can be rolled back to a release that can be called",
        look: |control, around| Box::pin(target::look(control, around)),
    },
    Row {
        name: "models",
        objective: "what is known of each warm model was read within 90 days",
        look: |control, around| Box::pin(async { models::look(control, around) }),
    },
    Row {
        name: "providers",
        objective: "calls go through to every warm model that was called",
        look: |control, around| Box::pin(async { providers::look(control, around) }),
    },
    Row {
        name: "drift",
        objective: "nothing that is served has changed behind its pin",
        look: |control, _| Box::pin(async { drift::look(&control.snapshot().world) }),
    },
    Row {
        name: "divergence",
        objective: "no member is lapsed, or behind for more than 1 s",
        look: |control, _| Box::pin(divergence::look(control)),
    },
    Row {
        name: "acknowledgement",
        objective: "p99 of the newest flips' acknowledgements ≤ 50 ms",
        look: |control, _| Box::pin(acknowledgement::look(control)),
    },
    Row {
        name: "drain",
        objective: "no run goes on for more than 1 h on what was rolled back or superseded",
        look: |control, _| Box::pin(drain::look(control)),
    },
    Row {
        name: "time to a consistent previous state",
        objective: "a drill of the last 7 days took everything back, all views checked, within 250 ms",
        look: |control, _| Box::pin(drill::look(control)),
    },
    Row {
        name: "consistency of each space",
        objective: "every record that was verified in the last 7 days is what was written",
        look: |control, _| Box::pin(spaces::look(control)),
    },
];

/// Things named one by one; beyond that, how many more there are.
const NAMED_MAX: usize = 20;

impl Control {
    /// Looks at every indicator.
    pub async fn readiness(&self, around: &Surroundings) -> Vec<Indicator> {
        let mut indicators = Vec::with_capacity(INDICATORS.len());
        for Row { name, objective, look } in INDICATORS {
            indicators.push(Indicator { name, objective, seen: look(self, around).await });
        }
        indicators
    }
}

impl Seen {
    fn met(observed: impl Into<String>) -> Seen {
        Seen { observed: observed.into(), met: Met::Yes, why: Vec::new(), next_step: None }
    }

    fn missed(observed: impl Into<String>, why: Vec<String>, next_step: impl Into<String>) -> Seen {
        let next_step = Some(next_step.into());
        Seen { observed: observed.into(), met: Met::No, why: shortened(why), next_step }
    }

    fn unknown(why: impl Into<String>) -> Seen {
        let observed = "nothing to judge by".to_owned();
        Seen { observed, met: Met::Unknown, why: vec![why.into()], next_step: None }
    }
}

fn shortened(mut why: Vec<String>) -> Vec<String> {
    let more = why.len().saturating_sub(NAMED_MAX);
    why.truncate(NAMED_MAX);
    if more > 0 {
        why.push(format!("and {more} more"));
    }
    why
}

/// A span of time for a sentence.
fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests;
