//! What a provider's table in `pinrail.toml` says of trouble: `failover`, `breaker` and `retry_budget`.

use std::collections::BTreeMap;

use pinrail_domain::id::ProviderName;
use pinrail_domain::provider::{Breaker, ProviderSpec, RetryBudget};
use pinrail_domain::share::Share;

use super::project::PROJECT_FILE;
use super::section::Section;

/// Reads the settings into a provider's others.
pub fn read(section: &Section<'_>, spec: &mut ProviderSpec) {
    spec.failover = section.get("failover").unwrap_or_default();
    spec.breaker = section.table("breaker", |table| Some(breaker(table))).unwrap_or_default();
    spec.retry_budget = section.table("retry_budget", |table| Some(budget(table))).unwrap_or_default();
}

/// Refuses failovers to providers that the file doesn't have.
pub fn check_failovers(file: &Section<'_>, providers: &BTreeMap<ProviderName, ProviderSpec>) {
    for (name, spec) in providers {
        let fault = |what: String| file.refuse_in("providers", &format!("{name}.failover"), &what);
        for other in &spec.failover {
            if other == name {
                fault(format!("names `{other}`, which is the provider itself"));
            } else if !providers.contains_key(other) {
                let names = providers.keys().map(ProviderName::as_str);
                let hint = super::nearest(other.as_str(), names);
                let hint = hint.map(|like| format!("; did you mean `{like}`?")).unwrap_or_default();
                fault(format!("names `{other}`, which is not in {PROJECT_FILE}{hint}"));
            }
        }
    }
}

fn breaker(table: &Section<'_>) -> Breaker {
    let Breaker { failures, share, calls_min, window_ms, open_ms, open_ms_max } = Breaker::default();
    Breaker {
        failures: table.get("failures").unwrap_or(failures),
        share: share_of(table).unwrap_or(share),
        calls_min: table.get("calls_min").unwrap_or(calls_min),
        window_ms: table.get("window_ms").unwrap_or(window_ms),
        open_ms: table.get("open_ms").unwrap_or(open_ms),
        open_ms_max: table.get("open_ms_max").unwrap_or(open_ms_max),
    }
}

fn budget(table: &Section<'_>) -> RetryBudget {
    let RetryBudget { share, per_second } = RetryBudget::default();
    RetryBudget {
        share: share_of(table).unwrap_or(share),
        per_second: table.get("per_second").unwrap_or(per_second),
    }
}

fn share_of(table: &Section<'_>) -> Option<Share> {
    let text: String = table.get("share")?;
    text.parse().map_err(|bad| table.refuse("share", &format!("is {bad}"))).ok()
}
