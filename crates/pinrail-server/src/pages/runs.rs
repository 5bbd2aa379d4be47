//! `/runs`: searched and listed; `/runs/compare?run=A&run=B` leads to the two side by side.

use std::collections::BTreeMap;

use pinrail_api::problem::{Code, Problem};
use pinrail_dashboard::page::Nav;
use pinrail_dashboard::runs::{Asked, Row, Runs};
use pinrail_domain::id::{DeploymentId, EventSeq, RunId};
use pinrail_domain::journal::Event;
use pinrail_domain::time::Timestamp;

use super::answer::see_other;
use super::form;
use super::links::opens;
use crate::api::runs::list::{self, Query};
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

/// Runs of a page: what a person looks through before narrowing the search down.
const RUNS: usize = 50;
/// A run's last events, among which its scores are looked for: scores come when it is over, or nearly.
const SCORED_MAX: u64 = 16;

pub async fn list(call: Call) -> Result<Runs, Problem> {
    let asked: Asked = form::query(&call)?;
    let query = to_query(&asked, call.state.clock.now())?;
    let found = list::gather(&call, query).await?;
    let items = with_scores(&call, found.items).await?;
    let agents = match opens(&call, Nav::Rail) {
        true => call.control().snapshot().world.agents.keys().cloned().collect(),
        false => Vec::new(),
    };
    Ok(Runs { asked, items, next: found.next, searched: found.searched, agents })
}

/// Leads to two runs side by side, as they were ticked or typed.
pub async fn compare(call: Call) -> Answer {
    let query = call.head.uri.query().unwrap_or_default();
    let named = query.split('&').filter_map(|pair| pair.strip_prefix("run="));
    let runs: Vec<&str> =
        named.map(|run| run.trim_matches(['+', ' '])).filter(|run| !run.is_empty()).collect();
    let [a, b] = runs[..] else {
        let detail = format!("two runs are compared; {} were named", runs.len());
        return Err(Problem::new(Code::BadRequest, detail)
            .next_step("go back, tick two runs of the list, and send it again"));
    };
    let id = |text: &str| text.parse::<RunId>().map_err(|error| crate::call::bad_name(error.to_string()));
    Ok(see_other(&format!("/runs/{}/compare/{}", id(a)?, id(b)?)))
}

/// Runs with the newest of their scores.
pub async fn with_scores(call: &Call, runs: Vec<pinrail_api::runs::Run>) -> Result<Vec<Row>, Problem> {
    let tenants = call.tenants()?;
    let mut rows = Vec::with_capacity(runs.len());
    for run in runs {
        let from = EventSeq(run.summary.next.0.saturating_sub(SCORED_MAX).max(1));
        let limit = usize::try_from(SCORED_MAX).unwrap_or(usize::MAX);
        let events = call.control().runs().events(run.run, &tenants, from, limit).await;
        let events = events.map_err(|error| problem::store(&error))?.unwrap_or_default();
        let mut scores = BTreeMap::new();
        for recorded in events {
            if let Event::Score { name, value, comment: _ } = recorded.event {
                scores.insert(name, value);
            }
        }
        rows.push(Row { run, scores });
    }
    Ok(rows)
}

fn to_query(asked: &Asked, now: Timestamp) -> Result<Query, Problem> {
    let since = asked.since.as_deref().map(|text| time("since", text, now)).transpose()?;
    let until = asked.until.as_deref().map(|text| time("until", text, now)).transpose()?;
    let kind = asked.kind.as_deref();
    Ok(Query {
        agent: parsed("agent", &asked.agent)?,
        release: asked.release.as_deref().map(|text| text.trim().to_owned()),
        deployment: parsed("deployment", &asked.deployment)?.map(DeploymentId),
        status: parsed("status", &asked.status)?,
        outcome: word("outcome", &asked.outcome)?,
        session: parsed("session", &asked.session)?,
        tenant: parsed("tenant", &asked.tenant)?,
        text: asked.text.clone(),
        single: match kind {
            Some("single") => Some(true),
            Some("managed") => Some(false),
            Some("shadow" | "gate") | None => None,
            Some(other) => return Err(wrong(format!("kind: there is no kind `{other}` of runs"))),
        },
        shadow: kind == Some("shadow"),
        gate: kind == Some("gate"),
        since,
        until,
        before: parsed("before", &asked.before)?,
        limit: Some(RUNS),
    })
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: &Option<String>,
) -> Result<Option<T>, Problem> {
    let parsed = text.as_deref().map(|text| text.trim().parse()).transpose();
    parsed.map_err(|error| wrong(format!("{name}: {error}")))
}

fn word<T: serde::de::DeserializeOwned>(name: &str, text: &Option<String>) -> Result<Option<T>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let read = serde_json::from_value(serde_json::Value::String(text.clone()));
    read.map(Some).map_err(|error| wrong(format!("{name}: {error}")))
}

/// Reads `2h` (that long ago), `2026-11-20`, RFC 3339, or Unix milliseconds.
fn time(name: &str, text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let text = text.trim();
    let refuse = || {
        wrong(format!("{name}: `{text}` is no time: write 90s, 15m, 2h or 7d ago, 2026-11-20, or RFC 3339"))
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        "w" => Some(604_800_000),
        _ => None,
    };
    if let (Some(unit_ms), Ok(count)) = (unit_ms, count.parse::<u64>()) {
        return Ok(Timestamp(now.0.saturating_sub(count.saturating_mul(unit_ms))));
    }
    if unit.is_empty() {
        return count.parse().map(Timestamp).map_err(|_| refuse());
    }
    let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let at = text.parse::<jiff::Timestamp>().ok().or_else(|| day().map(|day| day.timestamp()));
    at.and_then(|at| u64::try_from(at.as_millisecond()).ok()).map(Timestamp).ok_or_else(refuse)
}

fn wrong(detail: String) -> Problem {
    Problem::new(Code::BadRequest, detail).next_step("correct the search and send it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = Timestamp(1_795_212_000_000);
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(time("since", text, now).ok().map(|at| at.0), expected, "{text}");
        };
        check("2h", Some(now.0 - 7_200_000));
        check(" 90s ", Some(now.0 - 90_000));
        check("2026-11-20", Some(1_795_132_800_000));
        check("2026-11-20T00:00:01Z", Some(1_795_132_801_000));
        check("1795132800000", Some(1_795_132_800_000));
        check("yesterday", None);
        check("h", None);
        check("99999999999999999999", None);
    }
}
