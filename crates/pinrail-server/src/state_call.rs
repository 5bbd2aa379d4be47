//! Calls about state: who reads and as of when, who writes, and what refusals mean.
//!
//! A reader is a run (`?run=` or the header `x-pinrail-run`: it sees its own deployment's writes, and what it reads
//! is noted), somebody who looks through a deployment's eyes (`?deployment=`), or everybody, who sees what is
//! committed. A writer is a run, an open data job (`deployment`), or an operator with a fact (`external` without a
//! run); the last two need the scope `deploy`. With a run, the tenant is the run's, and a run of a tenant that the
//! caller may not see does not exist (I11); without one, it is the call's.

use std::error::Error;
use std::sync::Arc;

use axum::extract::Query;
use http::Uri;
use http::header::HeaderName;
use pinrail_api::problem::{Code, Problem};
use pinrail_api::state::{ReadBy, WrittenBy};
use pinrail_control::state::{
    AsOf, Authorised, BadMoment, BadParents, NoWriter, ReadError, Reader, WriteAs, WriteError,
};
use pinrail_domain::id::{DeploymentId, LedgerSeq, RunId, StateSeq, TenantId};
use pinrail_domain::journal::Stamp;
use pinrail_domain::key::Scope;
use pinrail_domain::time::Timestamp;
use serde::de::DeserializeOwned;

use crate::call::{Call, bad_name};
use crate::problem;

/// Who reads, for which tenant.
pub struct Eyes {
    pub tenant: TenantId,
    pub reader: Reader,
    /// The run that reads, if one does.
    pub run: Option<Arc<Stamp>>,
}

/// Who writes, for which tenant.
#[derive(Clone)]
pub struct Pen {
    pub tenant: TenantId,
    pub hand: Hand,
}

/// In whose name something is written.
#[derive(Clone)]
pub enum Hand {
    /// What a run concluded.
    Run(Arc<Stamp>),
    /// A fact that a run was told.
    Told(Arc<Stamp>),
    /// An open data job.
    Job(DeploymentId),
    /// A fact that an operator loads.
    Operator,
}

/// A query without further parameters.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoMore {}

/// Names the run that a call is made for.
pub const RUN: HeaderName = HeaderName::from_static("x-pinrail-run");
/// The query's parameters that say who reads; the others are the endpoint's own.
const READ_BY: [&str; 3] = ["run", "deployment", "as_of"];
const WRITTEN_BY: [&str; 3] = ["run", "deployment", "external"];

impl Call {
    /// Who reads, by the query and the headers; with the query's other parameters.
    pub async fn eyes<T: DeserializeOwned>(&self) -> Result<(Eyes, T), Problem> {
        let (by, rest) = split(&self.head.uri, &READ_BY);
        let by: ReadBy = parameters(&by)?;
        let rest = parameters(&rest)?;
        Ok((self.eyes_of(by).await?, rest))
    }

    /// Who reads.
    pub async fn eyes_of(&self, by: ReadBy) -> Result<Eyes, Problem> {
        let as_of = by.as_of.as_deref().map(as_of).transpose()?.unwrap_or_default();
        let run = self.run_named(by.run)?;
        match (run, by.deployment) {
            (Some(_), Some(_)) => Err(Problem::new(
                Code::BadRequest,
                "a read names a run and a deployment; a run sees through its own deployment's eyes",
            )
            .next_step("name one of them")),
            (Some(run), None) => {
                let stamp = self.run_stamp(run).await?;
                let reader = Reader {
                    own: Some(stamp.deployment),
                    run: Some((stamp.run, stamp.agent.clone())),
                    as_of,
                };
                Ok(Eyes { tenant: stamp.tenant.clone(), reader, run: Some(stamp) })
            }
            (None, own) => {
                if let Some(own) = own
                    && !self.control().snapshot().world.deployments.contains_key(&own)
                {
                    return Err(no_deployment(own));
                }
                Ok(Eyes { tenant: self.tenant(None)?, reader: Reader { own, run: None, as_of }, run: None })
            }
        }
    }

    /// Who writes.
    pub async fn pen(&self, by: WrittenBy) -> Result<Pen, Problem> {
        let WrittenBy { run, deployment, external } = by;
        // What the body names counts for more than what a client sends with all its requests.
        let run = match (run, deployment) {
            (None, Some(_)) => None,
            (run, _) => self.run_named(run)?,
        };
        if deployment.is_some() && (run.is_some() || external) {
            return Err(nobody_writes("a data job's write names neither a run nor `external`"));
        }
        if let Some(run) = run {
            let stamp = self.run_stamp(run).await?;
            if !self.caller().may(Scope::Run) {
                return Err(missing_scope(Scope::Run, "write in a run's name"));
            }
            let tenant = stamp.tenant.clone();
            let hand = if external { Hand::Told(stamp) } else { Hand::Run(stamp) };
            return Ok(Pen { tenant, hand });
        }
        let hand = match (deployment, external) {
            (Some(job), _) => Hand::Job(job),
            (None, true) => Hand::Operator,
            (None, false) => return Err(nobody_writes("the request doesn't say in whose name it writes")),
        };
        if !self.caller().may(Scope::Deploy) {
            return Err(missing_scope(Scope::Deploy, "write in a data job's or an operator's name"));
        }
        Ok(Pen { tenant: self.tenant(None)?, hand })
    }

    /// Who writes, by the query and the headers, where there is no body; with the query's other parameters.
    pub async fn pen_in_query<T: DeserializeOwned>(&self) -> Result<(Pen, T), Problem> {
        let (by, rest) = split(&self.head.uri, &WRITTEN_BY);
        let rest = parameters(&rest)?;
        Ok((self.pen(parameters(&by)?).await?, rest))
    }

    /// The author of what a pen writes. A data job stays open until the answer is dropped.
    pub async fn author(&self, pen: &Pen) -> Result<Authorised, Problem> {
        self.control().states().author(pen.hand.write_as()).await.map_err(no_writer)
    }

    /// The run that the caller may act for, by its id (I11).
    pub async fn run_stamp(&self, run: RunId) -> Result<Arc<Stamp>, Problem> {
        let found = self.control().runs().stamp(run, &self.tenants()?).await;
        found.map_err(|error| problem::store(&error))?.ok_or_else(|| self.no_run(run))
    }

    /// The run that the request names: what it says itself, else its header.
    fn run_named(&self, said: Option<RunId>) -> Result<Option<RunId>, Problem> {
        let header = match self.header(&RUN)? {
            None | Some("") => None,
            Some(text) => {
                let run: RunId = text.parse().map_err(|error| bad_name(format!("header {RUN}: {error}")))?;
                Some(run)
            }
        };
        Ok(said.or(header))
    }
}

impl Hand {
    #[must_use]
    pub fn write_as(&self) -> WriteAs<'_> {
        match self {
            Hand::Run(stamp) => WriteAs::Run(stamp),
            Hand::Told(stamp) => WriteAs::Told(stamp),
            Hand::Job(deployment) => WriteAs::Job(*deployment),
            Hand::Operator => WriteAs::Operator,
        }
    }

    /// The run that writes, if one does.
    #[must_use]
    pub fn run(&self) -> Option<&Arc<Stamp>> {
        match self {
            Hand::Run(stamp) | Hand::Told(stamp) => Some(stamp),
            Hand::Job(_) | Hand::Operator => None,
        }
    }
}

/// What a failed read means to its caller.
pub fn read_error(error: ReadError) -> Problem {
    let detail = problem::chain(&error);
    match error {
        ReadError::Moment(BadMoment::Future { asked: _, newest }) => {
            Problem::new(Code::FutureMoment, detail)
                .next_step(
                    "leave as_of out (--as-of) to see what is there now, or give a `moment` from an earlier answer",
                )
                .fact("newest", newest.to_string())
        }
        ReadError::Moment(BadMoment::Collected { floor }) => Problem::new(Code::Collected, detail)
            .next_step(format!("look at {floor} or later; `pinrail ledger show` (GET /api/v1/ledger) says what gc took"))
            .fact("floor", floor.to_string()),
        ReadError::Store(error) => problem::store(&error),
    }
}

/// What a refused or failed write means to its caller.
pub fn write_error<E: Error + 'static>(error: WriteError<E>, refused: impl FnOnce(E) -> Problem) -> Problem {
    let detail = problem::chain(&error);
    match error {
        WriteError::Refused(error) => refused(error),
        WriteError::Writer(error) => no_writer(error),
        WriteError::KeyReused => problem::key_reused(),
        WriteError::Contended => Problem::new(Code::Contended, detail)
            .next_step("send the request again, with the same Idempotency-Key"),
        WriteError::Store(error) => problem::store(&error),
    }
}

/// What it means that a record can't name those parents.
pub fn bad_parents(error: BadParents) -> Problem {
    let problem = Problem::new(Code::BadParents, problem::chain(&error));
    match error {
        BadParents::TooMany(_) => {
            problem.next_step("write a record that sums them up, and name that as the parent")
        }
        BadParents::NoParent(seq) => problem
            .next_step("name records by the `seq` that reads of this tenant's state gave")
            .fact("parent", seq.0),
    }
}

/// What it means that nothing can be written in a data job's name.
pub fn no_writer(error: NoWriter) -> Problem {
    let detail = problem::chain(&error);
    match error {
        NoWriter::NoDeployment(id) => no_deployment(id),
        NoWriter::NoJob(id) => Problem::new(Code::NotAnIngest, detail)
            .next_step(
                "write in a run's name (\"run\", --run), or open a data job: `pinrail deploy open --ingest NAME` (POST \
                 /api/v1/deployments)",
            )
            .fact("deployment", id.0),
        NoWriter::Closed(id) => Problem::new(Code::DeploymentClosed, detail)
            .next_step("open another data job: `pinrail deploy open --ingest NAME` (POST /api/v1/deployments)")
            .fact("deployment", id.0),
        NoWriter::Gate(run) => Problem::new(Code::GateRun, detail)
            .next_step("write in the name of a live run (POST /api/v1/runs makes one)")
            .fact("run", run.to_string()),
    }
}

/// Reads `now`, `STATE.LEDGER`, `state:N`, `ledger:N`, RFC 3339, or Unix milliseconds.
pub fn as_of(text: &str) -> Result<AsOf, Problem> {
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    let read = || {
        if text == "now" {
            return Some(AsOf::Now);
        }
        if let Some(seq) = text.strip_prefix("state:") {
            return number(seq).map(|seq| AsOf::State(StateSeq(seq)));
        }
        if let Some(seq) = text.strip_prefix("ledger:") {
            return number(seq).map(|seq| AsOf::Ledger(LedgerSeq(seq)));
        }
        if let Ok(moment) = text.parse() {
            return Some(AsOf::Moment(moment));
        }
        if let Some(ms) = number(text) {
            return Some(AsOf::Time(Timestamp(ms)));
        }
        // In a query, an unescaped plus is a space.
        let at: jiff::Timestamp = text.replace(' ', "+").parse().ok()?;
        Some(AsOf::Time(Timestamp(u64::try_from(at.as_millisecond()).ok()?)))
    };
    read().ok_or_else(|| {
        let shown = &text[..text.floor_char_boundary(100)];
        Problem::new(Code::BadRequest, format!("as_of `{shown}` is no point in time")).next_step(
            "give `now`, a `moment` from an answer (1200.87), state:N, ledger:N, a time such as 2026-11-20T21:57:17Z, or \
             Unix milliseconds",
        )
    })
}

/// The query in two: the parameters with these names, and the rest.
fn split(uri: &Uri, names: &[&str]) -> (String, String) {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let (by, rest): (Vec<&str>, Vec<&str>) =
        pairs.partition(|pair| names.contains(&pair.split('=').next().unwrap_or_default()));
    (by.join("&"), rest.join("&"))
}

fn parameters<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let bad = |detail: String| {
        Problem::new(Code::BadRequest, detail.to_lowercase())
            .next_step("GET /openapi.json lists the parameters of each address")
    };
    let uri: Uri =
        format!("/?{query}").parse().map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
    match Query::<T>::try_from_uri(&uri) {
        Ok(Query(parameters)) => Ok(parameters),
        Err(rejection) => Err(bad(problem::chain(&rejection))),
    }
}

fn nobody_writes(detail: &str) -> Problem {
    Problem::new(Code::BadRequest, detail).next_step(
        "name the run that writes (\"run\", --run), or an open data job (\"deployment\", --deployment), or say that it is \
         a fact from outside (\"external\": true, --external)",
    )
}

fn missing_scope(scope: Scope, to: &str) -> Problem {
    Problem::new(Code::Forbidden, format!("this key lacks the scope {scope}, which it takes to {to}"))
        .next_step(format!(
            "use a key with that scope: `pinrail key create NAME --scope {scope}` (POST /api/v1/keys)"
        ))
}

fn no_deployment(id: DeploymentId) -> Problem {
    problem::not_found(
        format!("deployment {id}"),
        "list them: `pinrail deployment list` (GET /api/v1/deployments)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_of_reads_places_moments_and_times() {
        let check = |text: &str, expected: Option<AsOf>| assert_eq!(as_of(text).ok(), expected, "{text}");
        check("now", Some(AsOf::Now));
        check("12.3", Some(AsOf::Moment("12.3".parse().unwrap())));
        check("state:12", Some(AsOf::State(StateSeq(12))));
        check("ledger:12", Some(AsOf::Ledger(LedgerSeq(12))));
        check("1795132800000", Some(AsOf::Time(Timestamp(1_795_132_800_000))));
        check("2026-11-20T00:00:00Z", Some(AsOf::Time(Timestamp(1_795_132_800_000))));
        check("2026-11-20T01:00:00 01:00", Some(AsOf::Time(Timestamp(1_795_132_800_000))));
        for bad in ["", "yesterday", "state:", "state:x", "12.", "-1", "1960-01-01T00:00:00Z", "ledger:+1"] {
            check(bad, None);
        }
    }
}
