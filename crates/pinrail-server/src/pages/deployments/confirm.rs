//! The pages that ask before a deployment is moved: what the act does, what it leads to, and why it is done.

use std::collections::BTreeMap;

use pinrail_api::deployments::back::RollBack;
use pinrail_api::problem::{Code, Problem};
use pinrail_dashboard::back::preview;
use pinrail_dashboard::confirm::{Confirm, Field, Kind};
use pinrail_dashboard::page::Nav;
use pinrail_dashboard::{Html, ui};
use pinrail_domain::id::{AgentName, DeploymentId, SegmentName};
use serde::Deserialize;

use super::super::form;
use super::id;
use crate::api::deployments as api;
use crate::call::Call;

/// What a rollback's preview is about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Extent {
    #[serde(default)]
    keep_state: bool,
    #[serde(default)]
    cascade: bool,
    #[serde(default)]
    callable: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    agent: AgentName,
    segment: SegmentName,
}

pub async fn promote(call: Call) -> Result<Confirm, Problem> {
    let id = id(&call)?;
    let found = api::get::deployment(&call, id).await?;
    let mut says = vec![
        "It becomes what its segment serves: every new run and, with their next run, every session. What it wrote counts \
         for everybody from then on, in every layer at once."
            .to_owned(),
    ];
    let mut fields = Vec::new();
    if found.rollout.is_some() && found.state == "candidate" {
        let rollout = api::rollout::look(&call, id)?;
        says.push(rollout.sentence);
        fields.push(check(
            "overridden",
            "Promote it although its rollout isn’t through",
            "The ledger keeps that, with your reason. What its gate needs stays needed.",
        ));
    }
    for missing in &found.gate_missing {
        says.push(format!("Its gate is not met: {missing}."));
    }
    let conflicts = found.conflicts.map_or(0, |conflicts| conflicts.count);
    if conflicts > 0 {
        says.push(format!(
            "{} that others wrote, too, without seeing each other: promoting decides between them.",
            ui::count(conflicts, "key", "keys")
        ));
    }
    if is_held(&call, id) {
        let hint = "An earlier rollback set it; nothing is promoted there while it stands.";
        fields.push(check("lift_hold", "Lift the hold with it", hint));
    }
    Ok(Confirm { fields, reason_needed: false, ..ask(id, "Promote", "promote", says) })
}

pub async fn commit(call: Call) -> Result<Confirm, Problem> {
    let id = known(&call)?;
    let snapshot = call.control().snapshot();
    let job = snapshot.world.deployments.get(&id).and_then(|deployment| deployment.ingest.clone());
    let job = job.map_or_else(|| "it".to_owned(), |name| format!("data job {name}"));
    let says = vec![format!("What {job} wrote counts for everybody from then on, as one.")];
    Ok(ask(id, "Commit", "commit", says))
}

pub async fn freeze(call: Call) -> Result<Confirm, Problem> {
    let id = known(&call)?;
    let says = vec![
        "Nothing widens by itself any more, until somebody resumes it. Guardrails go on watching, and can still take it back."
            .to_owned(),
    ];
    Ok(ask(id, "Freeze", "freeze", says))
}

pub async fn resume(call: Call) -> Result<Confirm, Problem> {
    let id = known(&call)?;
    let says = vec![
        "The rollout goes on at the step where it stands, with the whole time of that step before it. A pause ends."
            .to_owned(),
    ];
    Ok(ask(id, "Resume", "resume", says))
}

pub async fn approve(call: Call) -> Result<Confirm, Problem> {
    let id = known(&call)?;
    let says = vec!["Your key approves the step that the rollout is at, and no other step.".to_owned()];
    Ok(ask(id, "Approve", "approve", says))
}

pub async fn weight(call: Call) -> Result<Confirm, Problem> {
    let id = id(&call)?;
    let found = api::get::deployment(&call, id).await?;
    let now = found.weight.map_or(0.0, |weight| f64::from(weight.bps()) / 100.0);
    let says = vec![
        "A larger share takes in new sessions and never moves one off the candidate. Nobody else sees what it writes."
            .to_owned(),
    ];
    let kind = Kind::Number { value: now.to_string(), min: 0.0, max: 100.0, step: 0.01 };
    let hint = "Of its segment’s traffic.".to_owned();
    let fields = vec![Field { name: "weight", label: "Share, in percent".to_owned(), hint, kind }];
    Ok(Confirm { fields, ..ask(id, "Set the share of", "weight", says) })
}

pub async fn rollback(call: Call) -> Result<Confirm, Problem> {
    let id = id(&call)?;
    let Extent { keep_state, cascade, callable } = form::query(&call)?;
    let wish = RollBack { keep_state, cascade, callable, dry_run: true, ..RollBack::default() };
    let plan = api::rollback::plan(&call, id, &wish).await?;
    let models = models(&call, plan.pointers.values().flatten());
    let mut fields = Vec::new();
    for (name, on) in [("keep_state", keep_state), ("cascade", cascade), ("callable", callable)] {
        if on {
            fields.push(hidden(name, "true".to_owned()));
        }
    }
    let says = vec![
        "One entry of the ledger hides what it wrote, in every layer at once, and returns the pointers. Nothing is deleted. Runs \
         in flight end on what they began with; a hold keeps anything from being promoted there until a person lifts it."
            .to_owned(),
    ];
    Ok(Confirm {
        preview: preview(&plan, &models, callable),
        fields,
        destructive: true,
        reason_needed: true,
        ..ask(id, "Roll back", "rollback", says)
    })
}

pub async fn lift(call: Call) -> Result<Confirm, Problem> {
    let id = id(&call)?;
    let Place { agent, segment } = form::query(&call)?;
    let snapshot = call.control().snapshot();
    let pointer = snapshot.world.pointers.get(&(agent.clone(), segment.clone()));
    let hold = pointer.and_then(|pointer| pointer.hold.as_ref()).ok_or_else(|| {
        Problem::new(Code::NotHeld, format!("{agent} is not held in segment {segment}"))
            .next_step("the rail at / shows the holds")
    })?;
    let says = vec![
        format!("Deployment {} was rolled back: {}.", hold.deployment, hold.why),
        "Without the hold, rollouts may promote there again. Lift it when the cause is mended.".to_owned(),
    ];
    let fields = vec![hidden("agent", agent.to_string()), hidden("segment", segment.to_string())];
    Ok(Confirm {
        title: format!("Lift the hold of {agent} in {segment}"),
        fields,
        button: "Lift the hold".to_owned(),
        ..ask(id, "Lift the hold of", "lift", says)
    })
}

fn ask(id: DeploymentId, verb: &str, act: &str, says: Vec<String>) -> Confirm {
    Confirm {
        nav: Nav::Deployments,
        title: format!("{verb} deployment {id}"),
        says,
        preview: Html::default(),
        fields: Vec::new(),
        action: format!("/deployments/{id}/{act}"),
        button: format!("{verb} deployment {id}"),
        destructive: false,
        reason_needed: true,
        back: format!("/deployments/{id}"),
    }
}

fn check(name: &'static str, label: &str, hint: &str) -> Field {
    Field { name, label: label.to_owned(), hint: hint.to_owned(), kind: Kind::Check { checked: false } }
}

fn hidden(name: &'static str, value: String) -> Field {
    Field { name, label: String::new(), hint: String::new(), kind: Kind::Hidden { value } }
}

/// The deployment that the path names, if there is one.
fn known(call: &Call) -> Result<DeploymentId, Problem> {
    let id = id(call)?;
    match call.control().snapshot().world.deployments.contains_key(&id) {
        true => Ok(id),
        false => Err(api::no_deployment(id)),
    }
}

/// Whether a place that a deployment would be promoted to is held.
fn is_held(call: &Call, id: DeploymentId) -> bool {
    let snapshot = call.control().snapshot();
    let Some(deployment) = snapshot.world.deployments.get(&id) else { return false };
    let mut agents = deployment.releases.keys();
    agents.any(|agent| snapshot.world.pointer(agent, &deployment.segment).hold.is_some())
}

/// What each agent of these deployments runs there.
fn models<'d>(
    call: &Call,
    deployments: impl Iterator<Item = &'d DeploymentId>,
) -> BTreeMap<(DeploymentId, AgentName), String> {
    let snapshot = call.control().snapshot();
    let world = &snapshot.world;
    let mut models = BTreeMap::new();
    for id in deployments {
        let Some(deployment) = world.deployments.get(id) else { continue };
        for (agent, release) in &deployment.releases {
            if let Some(release) = world.releases.get(release) {
                models.insert((*id, agent.clone()), release.manifest.model.snapshot.clone());
            }
        }
    }
    models
}
