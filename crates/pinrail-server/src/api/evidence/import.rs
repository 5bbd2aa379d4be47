//! `POST /api/v1/gates/import`: a candidate judged by what another tool's eval says.
//!
//! The tool's files are artifacts, uploaded first, and stay: the verdict can be worked out again from them. Evidence counts as
//! long as a verdict would: the files must not be older than the agent's limit when they are imported.

use std::sync::Arc;

use pinrail_api::evidence::{ImportArm, ImportFormat, ImportGate, ImportRefused, ImportedGate};
use pinrail_api::problem::{Code, Problem};
use pinrail_domain::agent::AgentSpec;
use pinrail_domain::gate::{Source, SuiteKind, SuitePin};
use pinrail_domain::id::{CollectionName, ReleaseId};
use pinrail_domain::model::Served;
use pinrail_domain::time::Timestamp;
use pinrail_gate::import::{self, ArmFrom, Fit, ImportFailed, Imported, Wish};
use pinrail_gate::statement::About;
use pinrail_gate::suite::Suite;
use pinrail_gate::verdict::{self, Held};
use pinrail_store::StoreError;

use super::{artifact, found};
use crate::api::releases::named;
use crate::call::Call;
use crate::gates::{Elsewhere, KeepFailed};
use crate::problem;
use crate::reply::{self, Answer};

/// What an imported suite is called where nobody says.
const NAME: &str = "imported";
/// How far ahead of ours another machine's clock may be.
const AHEAD_MS_MAX: u64 = 24 * 3_600 * 1_000;

pub async fn import(call: Call) -> Answer {
    let asked: ImportGate = call.json()?;
    let snapshot = call.control().snapshot();
    let spec = snapshot.world.agents.get(&asked.agent);
    let spec = spec.ok_or_else(|| crate::api::agents::no_agent(&asked.agent))?;
    let release = |text: &String| named(&snapshot.world, text, Some(&asked.agent));
    let candidate = release(&asked.candidate)?;
    let incumbent = asked.incumbent.as_ref().map(release).transpose()?;
    check(&asked)?;
    let by = call.by(asked.reason.clone())?;
    let held = match &asked.suite {
        Some(name) => Some(held(&call, spec, name).await?),
        None => None,
    };
    let mut arms = vec![Loaded::new(&call, candidate, &asked.candidate_answers).await?];
    if let (Some(release), Some(answers)) = (incumbent, &asked.incumbent_answers) {
        arms.push(Loaded::new(&call, release, answers).await?);
    }
    let now = call.state.clock.now();
    let imported = put_together(&asked, &arms, held.as_ref(), spec, now)?;
    let alpha = spec.gate.clone().unwrap_or_default().alpha();
    let report =
        verdict::judge(std::slice::from_ref(&imported.held), &imported.rows, candidate, incumbent, alpha);
    // A suite that an import makes is an artifact as others are: later imports fit into it.
    let suite = pinrail_domain::canonical::to_vec(&*imported.held.suite)
        .map_err(|error| bad(problem::chain(&error)))?;
    call.control().artifact_put(&suite).await.map_err(|error| problem::store(&error))?;
    let source = match asked.format {
        ImportFormat::Promptfoo => Source::Promptfoo,
        ImportFormat::Inspect => Source::Inspect,
    };
    let gate = call.control().new_gate_id();
    let about = About { agent: asked.agent.clone(), gate, at: now, source, judge: None, url: None };
    let gates = &call.state.gates;
    let kept = gates.keep(by.clone(), &about, &report).await.map_err(keep_failed)?;
    let pin = imported.held.pin.clone();
    if !kept.committed.replayed {
        let repeats = imported.rows.iter().map(|row| row.repeat + 1).max().unwrap_or_default();
        let (suite, answers) = (pin.clone(), imported.rows.len() as u64);
        gates
            .list_imported(Elsewhere { about: &about, by: &by, suite, answers, repeats }, &report, &kept)
            .await;
    }
    let listed = spec.gate.iter().flat_map(|gate| &gate.suites).any(|suite| suite.digest == pin.digest);
    // Asked again with the same idempotency key, the first import's verdict is the one that is kept.
    let seq = kept.committed.value;
    let first = found(&call.control().snapshot().world, |judged| judged.seq == seq);
    let (gate, statement) =
        first.map_or((gate, kept.statement), |(_, judged)| (judged.gate, judged.judgement.statement));
    reply::changed(
        kept.committed.replayed,
        &ImportedGate {
            gate,
            agent: asked.agent,
            candidate,
            incumbent,
            verdict: report.verdict,
            why: report.why,
            suite: pin,
            listed,
            answers: imported.rows.len() as u64,
            refused: imported.refused.into_iter().map(refused).collect(),
            report: kept.report,
            statement,
            signed: kept.signed,
        },
    )
}

fn check(asked: &ImportGate) -> Result<(), Problem> {
    let unclear = |detail: &str| {
        Err(Problem::new(Code::BadRequest, detail).next_step(
            "`pinrail gate import promptfoo new.json old.json --agent A --candidate R --incumbent R` (POST \
             /api/v1/gates/import) shows how it is written",
        ))
    };
    if asked.incumbent.is_some() != asked.incumbent_answers.is_some() {
        return unclear("an incumbent and its answers are named together, or neither");
    }
    if asked.suite.is_some() && (asked.name.is_some() || asked.kind.is_some()) {
        return unclear("a listed suite has its name and kind already");
    }
    if asked.name.as_ref().is_some_and(|name| CollectionName::new(name).is_err()) {
        return unclear("a suite's name is 1 to 64 of a-z 0-9 . _ -, starting with a letter or digit");
    }
    if asked.pass_at.is_some_and(|pass_at| !(pass_at > 0.0 && pass_at <= 1.0)) {
        return unclear("pass_at must be above 0 and at most 1");
    }
    Ok(())
}

/// An arm's file and what its answers are checked by.
struct Loaded<'a> {
    release: ReleaseId,
    document: Vec<u8>,
    label: Option<&'a str>,
    is_pin: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

impl<'a> Loaded<'a> {
    async fn new(call: &Call, release: ReleaseId, answers: &'a ImportArm) -> Result<Loaded<'a>, Problem> {
        let document = artifact(call, answers.document).await?;
        let contract = call.control().contracts().get(release).await.map_err(problem::contract)?;
        let model = contract.manifest.model.clone();
        let snapshot = call.control().snapshot();
        let part = snapshot.world.providers.get(&model.provider).map(|spec| spec.catalogue.clone());
        let part = part.unwrap_or_default();
        let control = call.control().clone();
        let is_pin = move |served: &str| {
            // Other tools name the provider before the model.
            let bare = served.rsplit_once('/').map_or(served, |(_, bare)| bare);
            [served, bare].iter().any(|name| {
                match control.catalogue().served_matches(&part, &model.snapshot, name) {
                    Served::Same | Served::SameCheckpoint { .. } => true,
                    Served::Unsaid | Served::Different => false,
                }
            })
        };
        Ok(Loaded { release, document, label: answers.label.as_deref(), is_pin: Box::new(is_pin) })
    }

    fn from(&self) -> ArmFrom<'_> {
        ArmFrom { release: self.release, document: &self.document, label: self.label, is_pin: &*self.is_pin }
    }
}

fn put_together(
    asked: &ImportGate,
    arms: &[Loaded<'_>],
    held: Option<&Held>,
    spec: &AgentSpec,
    now: Timestamp,
) -> Result<Imported, Problem> {
    let gate = spec.gate.clone().unwrap_or_default();
    let max_age_ms = gate.max_age.unwrap_or(spec.tier.demands().gate_max_age).ms;
    let is_fresh = |when: &str| {
        let at = when.parse::<jiff::Timestamp>().ok().and_then(|at| u64::try_from(at.as_millisecond()).ok());
        at.is_some_and(|at| at.saturating_add(max_age_ms) >= now.0 && at <= now.0 + AHEAD_MS_MAX)
    };
    let own = Fit::Own {
        name: asked.name.as_deref().unwrap_or(NAME),
        kind: asked.kind.unwrap_or(SuiteKind::Success),
    };
    let wish = Wish {
        candidate: arms[0].from(),
        incumbent: arms.get(1).map(Loaded::from),
        suite: held.map_or(own, Fit::Into),
        pass_at: asked.pass_at,
        scorer: asked.scorer.as_deref(),
        is_fresh: &is_fresh,
        at: now,
    };
    let imported = match asked.format {
        ImportFormat::Promptfoo => import::promptfoo::import(&wish),
        ImportFormat::Inspect => import::inspect::import(&wish),
    };
    let mut imported = imported.map_err(|failed| import_failed(&failed))?;
    // A suite that the settings list is judged by what they say of it, whoever made it.
    if let Some(listed) = gate.suites.iter().find(|suite| suite.digest == imported.held.pin.digest) {
        imported.held.pin = SuitePin { ..listed.clone() };
    }
    Ok(imported)
}

/// A suite that the agent's settings list.
async fn held(call: &Call, spec: &AgentSpec, name: &str) -> Result<Held, Problem> {
    let suites = spec.gate.iter().flat_map(|gate| &gate.suites);
    let Some(pin) = suites.clone().find(|pin| pin.name == name) else {
        let known: Vec<&str> = suites.map(|pin| pin.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(problem::not_found(
            format!("suite `{name}` in the agent's settings (they list {known})"),
            "`pinrail agent show AGENT` lists its suites (GET /api/v1/agents/AGENT)",
        ));
    };
    let bytes = artifact(call, pin.digest).await?;
    let suite: Suite = serde_json::from_slice(&bytes)
        .map_err(|error| problem::store(&StoreError::Damaged(format!("suite {}: {error}", pin.digest))))?;
    Ok(Held { pin: pin.clone(), suite: Arc::new(suite) })
}

fn refused(refused: import::Refused) -> ImportRefused {
    let import::Refused { arm, why, answers, which } = refused;
    ImportRefused { arm: arm.as_str().to_owned(), why, answers, which }
}

fn bad(detail: String) -> Problem {
    Problem::new(Code::BadEvidence, detail)
}

fn import_failed(failed: &ImportFailed) -> Problem {
    let next_step = match failed {
        ImportFailed::Unreadable(..) | ImportFailed::Version { .. } | ImportFailed::Undated(_) => {
            "promptfoo: `promptfoo eval --no-cache --output results.json`; Inspect: `inspect eval --log-format json`"
        }
        ImportFailed::Archive(_) => "`inspect log dump FILE.eval > FILE.json`, then import that",
        ImportFailed::Empty { .. } | ImportFailed::Several { .. } => {
            "name whose answers count: `--candidate-label`, `--incumbent-label` (\"label\"): a provider's label or id, or a \
             prompt's label"
        }
        ImportFailed::TooMany(_) => "import a part of it",
        ImportFailed::Old { .. } => {
            "run the eval again; gate.max_age in agent.toml says how long one counts (PUT /api/v1/agents/AGENT)"
        }
        ImportFailed::NoneFits { .. } => {
            "import without a suite, and pin the one that the import makes; or export the suite's own tests"
        }
        ImportFailed::Canonical(_) => "write large numbers as texts",
    };
    bad(problem::chain(failed)).next_step(next_step)
}

fn keep_failed(failed: KeepFailed) -> Problem {
    match failed {
        KeepFailed::Canonical(error) => bad(problem::chain(&error)),
        KeepFailed::Store(error) => problem::store(&error),
        KeepFailed::Commit(error) => problem::commit(error, |refused| {
            Problem::new(Code::NotFound, problem::chain(&refused))
                .next_step("`pinrail release list --agent AGENT` lists its releases (GET /api/v1/releases)")
        }),
    }
}
