//! `/state/space`: one space, as of any moment, through anybody's eyes.

use std::collections::BTreeMap;

use pinrail_api::problem::{Code, Problem};
use pinrail_api::spaces::Record;
use pinrail_control::state::inspect::Which;
use pinrail_control::state::{AsOf, ReadError, Reader, compare};
use pinrail_dashboard::space::{Asked, Browse, ChangedKey, Compared, Mark};
use pinrail_domain::deployment::{Deployment, Status};
use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq, TenantId};
use pinrail_domain::state::{Content, Layer, Moment, Space, StateKey};
use pinrail_domain::time::Timestamp;
use serde::Deserialize;

use crate::api;
use crate::call::Call;
use crate::pages::form;
use crate::problem;
use crate::state_call::{as_of, read_error};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    space: String,
    tenant: Option<TenantId>,
    deployment: Option<DeploymentId>,
    as_of: Option<String>,
    /// Where the slider stands: its right end is now.
    seq: Option<u64>,
    key: Option<StateKey>,
    #[serde(default)]
    history: bool,
    #[serde(default)]
    after: StateSeq,
    compare: Option<String>,
    #[serde(default)]
    verify: bool,
}

/// What the space's index says, as of now.
struct Facts {
    kept: u64,
    first: StateSeq,
    newest: StateSeq,
    /// Ascending.
    writers: Vec<DeploymentId>,
}

/// Deployments whose ledger entries are marked: more would be a list that nobody reads.
const MARKED_MAX: usize = 20;
/// Changed keys that are shown with their values.
const CHANGED_MAX: usize = 100;
/// Records on one page: each has its value with it.
const RECORDS: usize = 50;

pub async fn show(call: Call) -> Result<Browse, Problem> {
    let query: Query = form::query(&call)?;
    let space = api::state::space(call.tenant(query.tenant.clone())?, &query.space)?;
    let facts = facts(&call, &space).await?;
    let marks = marks(&call, &facts.writers).await?;
    let first = StateSeq(facts.first.0.saturating_sub(1));
    let last = marks.iter().map(|mark| mark.moment.state).fold(facts.newest, StateSeq::max);
    let asked_for = match (query.as_of, query.seq) {
        (Some(text), _) => Some(text).filter(|text| text != "now"),
        (None, Some(seq)) if seq < last.0 => Some(format!("state:{seq}")),
        (None, Some(_) | None) => None,
    };
    let reader = Reader {
        own: query.deployment,
        run: None,
        as_of: asked_for.as_deref().map(as_of).transpose()?.unwrap_or_default(),
    };
    known(&call, query.deployment)?;
    let asked = Asked {
        deployment: query.deployment,
        as_of: asked_for,
        key: query.key.as_ref().map(ToString::to_string),
        history: query.history,
        compare: query.compare.clone(),
    };
    let compared = match &query.compare {
        Some(from) => Some(compared(&call, &space, as_of(from)?, &reader, query.key.as_ref()).await?),
        None => None,
    };
    let verified = if query.verify { Some(api::state::verify::gather(&call, &space).await?) } else { None };
    let which = Which { key: query.key, history: query.history, after: query.after, limit: RECORDS };
    let records = api::state::records::gather(&call, &space, &reader, which).await?;
    let visible = call.control().states().view(&space, &reader, |sight| sight.shown().len() as u64).await;
    let is_now = reader.as_of == AsOf::Now;
    Ok(Browse {
        layer: space.layer,
        asked,
        visible: visible.map_err(read_error)?,
        kept: facts.kept,
        is_now,
        at: if is_now { None } else { time_of(&call, records.moment).await? },
        first,
        last,
        marks,
        writers: facts.writers,
        norms: norms(&call, space.layer, &records.items).await?,
        records,
        compared,
        verified,
    })
}

async fn facts(call: &Call, space: &Space) -> Result<Facts, Problem> {
    let looked = call.control().states().look(space, |index| {
        let mut writers: Vec<DeploymentId> = index.deployments().collect();
        writers.sort_unstable();
        let first = if index.is_empty() { StateSeq(0) } else { index.seq(0) };
        Facts { kept: index.len() as u64, first, newest: index.newest(), writers }
    });
    let facts = looked.await.map_err(|error| problem::store(&error))?;
    if facts.kept == 0 {
        let what = format!("space {space} of tenant {}", space.tenant);
        return Err(problem::not_found(
            what,
            "list them: /state, `pinrail state spaces` (GET /api/v1/state/spaces)",
        ));
    }
    Ok(facts)
}

fn known(call: &Call, deployment: Option<DeploymentId>) -> Result<(), Problem> {
    match deployment {
        Some(id) if !call.control().snapshot().world.deployments.contains_key(&id) => {
            Err(problem::not_found(
                format!("deployment {id}"),
                "list them: /deployments (GET /api/v1/deployments)",
            ))
        }
        Some(_) | None => Ok(()),
    }
}

/// When each of the newest deployments that wrote here was opened, promoted and taken back, oldest first.
async fn marks(call: &Call, writers: &[DeploymentId]) -> Result<Vec<Mark>, Problem> {
    let snapshot = call.control().snapshot();
    let world = &snapshot.world;
    let mut marks = Vec::new();
    for id in writers.iter().rev().take(MARKED_MAX) {
        let Some(deployment) = world.deployments.get(id) else { continue };
        let span = world.commits.span(*id);
        for (ledger, what) in entries_of(deployment, span.committed) {
            let moment = match call.control().states().moment(AsOf::Ledger(ledger)).await {
                Ok(moment) => moment.unwrap_or_default(),
                // What gc took can't be looked at.
                Err(ReadError::Moment(_)) => continue,
                Err(error) => return Err(read_error(error)),
            };
            let at = entry_at(call, ledger).await?.unwrap_or(deployment.opened_at);
            marks.push(Mark { ledger, moment, at, deployment: *id, what: what.to_owned() });
        }
    }
    marks.sort_by_key(|mark| mark.ledger);
    Ok(marks)
}

/// The entries of a deployment's life.
fn entries_of(deployment: &Deployment, committed: Option<LedgerSeq>) -> Vec<(LedgerSeq, &'static str)> {
    let mut entries = vec![(deployment.opened_seq, "opened")];
    entries.extend(committed.filter(|seq| *seq != deployment.opened_seq).map(|seq| (seq, "promoted")));
    match &deployment.status {
        Status::RolledBack { seq, kept_state: false, .. } => entries.push((*seq, "rolled back")),
        Status::RolledBack { seq, kept_state: true, .. } => {
            entries.push((*seq, "rolled back, its state kept"));
        }
        Status::Candidate { .. } | Status::Promoted { .. } => {}
    }
    entries
}

async fn entry_at(call: &Call, seq: LedgerSeq) -> Result<Option<Timestamp>, Problem> {
    let before = LedgerSeq(seq.0.saturating_sub(1));
    let entries = call.control().ledger_read(before, 1).await.map_err(|error| problem::store(&error))?;
    Ok(entries.into_iter().find(|entry| entry.seq == seq).map(|entry| entry.at))
}

/// When a moment was the newest: when its last record or its last entry was written, whichever was later.
async fn time_of(call: &Call, moment: Moment) -> Result<Option<Timestamp>, Problem> {
    let records = call.control().states().records(&[moment.state]).await;
    let record = records.map_err(|error| problem::store(&error))?.first().map(|record| record.at);
    Ok(record.max(entry_at(call, moment.ledger).await?))
}

async fn norms(call: &Call, layer: Layer, items: &[Record]) -> Result<BTreeMap<u64, f64>, Problem> {
    if layer != Layer::Vectors {
        return Ok(BTreeMap::new());
    }
    let seqs: Vec<StateSeq> = items.iter().map(|record| record.seq).collect();
    let records = call.control().states().records(&seqs).await.map_err(|error| problem::store(&error))?;
    let norm = |record: &pinrail_domain::state::Record| match &record.content {
        Content::Value(value) => value.vector.as_deref().map(|vector| {
            let sum: f64 = vector.iter().map(|part| f64::from(*part) * f64::from(*part)).sum();
            (record.operation.seq.0, sum.sqrt())
        }),
        Content::Nothing | Content::Erased => None,
    };
    Ok(records.iter().filter_map(norm).collect())
}

async fn compared(
    call: &Call,
    space: &Space,
    from: AsOf,
    reader: &Reader,
    key: Option<&StateKey>,
) -> Result<Compared, Problem> {
    let found = call.control().states().compare(space, from, reader).await.map_err(read_error)?;
    let compare::Compared { from, to, keys, same } = found;
    if from > to {
        return Err(Problem::new(
            Code::BadRequest,
            format!("{from} is later than {to}: there is nothing since"),
        )
        .next_step("compare with an earlier moment, or look at a later one"));
    }
    let mut compared = Compared { from, to, added: 0, removed: 0, changed: 0, same, keys: Vec::new() };
    let mut listed: Vec<(StateKey, compare::Changed)> = Vec::new();
    for (name, changed) in keys.into_iter().filter(|(name, _)| key.is_none_or(|key| key == name)) {
        match (changed.before, changed.after) {
            (None, _) => compared.added += 1,
            (Some(_), None) => compared.removed += 1,
            (Some(_), Some(_)) => compared.changed += 1,
        }
        if listed.len() < CHANGED_MAX {
            listed.push((name, changed));
        }
    }
    let seqs: Vec<StateSeq> =
        listed.iter().flat_map(|(_, changed)| [changed.before, changed.after]).flatten().collect();
    let records = call.control().states().records(&seqs).await.map_err(|error| problem::store(&error))?;
    let told = |record| {
        let looked = pinrail_control::state::inspect::Looked { record, hidden: None, erased: None };
        api::state::records::shown(looked)
    };
    let by_seq: BTreeMap<StateSeq, Record> =
        records.into_iter().map(|record| (record.operation.seq, told(record))).collect();
    let of = |seq: Option<StateSeq>| seq.and_then(|seq| by_seq.get(&seq).cloned());
    compared.keys = listed
        .into_iter()
        .map(|(key, changed)| ChangedKey { key, before: of(changed.before), after: of(changed.after) })
        .collect();
    Ok(compared)
}
