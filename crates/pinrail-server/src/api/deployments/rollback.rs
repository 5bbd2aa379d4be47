//! `POST /api/v1/deployments/{deployment}/rollback`. Only the reason can be missing: nothing else blocks it (I7).

use pinrail_api::deployments::back::{Hides, Plan, RollBack};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::Committed;
use pinrail_control::deploy::Flipped;
use pinrail_control::deploy::take_back::{self, Extent, PlanRefused};
use pinrail_domain::deploy::{self, RollBackRefused};
use pinrail_domain::dial;
use pinrail_domain::id::DeploymentId;

use super::blast_radius::{effects, reach};
use super::{flipped, id, no_deployment, open_runs, passed};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn roll_back(call: Call) -> Answer {
    let id = id(&call)?;
    let wish: RollBack = call.json()?;
    if wish.dry_run {
        return reply::json(&plan(&call, id, &wish).await?);
    }
    let cascade = wish.cascade;
    let (done, taken_along) = taken_back(&call, id, wish).await?;
    let replayed = done.replayed;
    let mut flip = flipped(&call, done).await;
    flip.taken_along = (cascade && !replayed).then_some(taken_along);
    reply::changed(replayed, &flip)
}

/// Takes a deployment back; gives how many records of others went with it.
pub async fn taken_back(
    call: &Call,
    id: DeploymentId,
    wish: RollBack,
) -> Result<(Committed<Flipped>, u64), Problem> {
    let extent = extent(&wish)?;
    let RollBack { reason, callable, .. } = wish;
    if reason.trim().is_empty() {
        return Err(Problem::new(
            Code::BadRequest,
            "a rollback needs a reason: whoever lifts the hold must know why",
        )
        .next_step(format!("`pinrail deployment rollback {id} --reason …` ({{\"reason\": \"…\"}})")));
    }
    let by = call.by(reason)?;
    // A cascade is found before the append; without one nothing is read, and nothing can be in the way (I7).
    let what = match call.control().extent(id, extent).await {
        Ok(what) => what,
        // Sent again after it was done: the answer is kept under the request's key.
        Err(PlanRefused::Refused(RollBackRefused::AlreadyRolledBack { .. })) => Default::default(),
        Err(error) => return Err(cannot_plan(error)),
    };
    let taken_along = what.derived.len();
    let done = if callable {
        call.control().roll_back_to_callable(by, id, what, &call.surroundings()).await
    } else {
        call.control().roll_back(by, id, what).await
    };
    Ok((done.map_err(|error| problem::commit(error, refused))?, taken_along))
}

/// Says what a rollback would do.
pub async fn plan(call: &Call, id: DeploymentId, wish: &RollBack) -> Result<Plan, Problem> {
    let (control, extent) = (call.control(), extent(wish)?);
    let around = wish.callable.then(|| call.surroundings());
    let plan = control.plan_back(id, extent, around.as_ref()).await.map_err(cannot_plan)?;
    let report = control.report(id).await.map_err(|error| problem::store(&error))?;
    let report = report.ok_or_else(|| no_deployment(id))?;
    let snapshot = control.snapshot();
    let deployment = snapshot.world.deployments.get(&id).ok_or_else(|| no_deployment(id))?;
    Ok(Plan {
        deployment: id,
        state: deploy::state(&snapshot.world, deployment).to_owned(),
        keep_state: extent.keep_state,
        cascade: extent.cascade,
        pointers: plan.pointers,
        layers: plan.layers.into_iter().map(|(layer, of)| (layer, hides(of))).collect(),
        taken_along: plan.taken_along,
        open_runs: open_runs(plan.open),
        reach: reach(report.counts),
        side_effects: effects(report.effects),
        passed_over: plan.passed_over.into_iter().map(passed).collect(),
        uncallable: plan.uncallable,
        stranded: dial::stranded(&snapshot.world, deployment),
        cut: report.cut,
    })
}

fn extent(wish: &RollBack) -> Result<Extent, Problem> {
    let RollBack { keep_state, cascade, .. } = *wish;
    if keep_state && cascade {
        return Err(Problem::new(Code::BadRequest, "what stays cannot take anything along")
            .next_step("leave out `keep_state` (--keep-state) or `cascade` (--cascade)"));
    }
    Ok(Extent { keep_state, cascade })
}

pub(super) fn hides(of: take_back::Hides) -> Hides {
    let take_back::Hides { spaces, puts, deletes, taken_along } = of;
    Hides { spaces, puts, deletes, taken_along }
}

fn cannot_plan(error: PlanRefused) -> Problem {
    let detail = problem::chain(&error);
    match error {
        PlanRefused::Refused(error) => refused(error),
        PlanRefused::TooManyTainted(id) => Problem::new(Code::TooLarge, detail).next_step(format!(
            "roll back without the cascade, `pinrail deployment rollback {id} --reason …`, then the deployments that \
             `pinrail deployment blast-radius {id}` shows"
        )),
        PlanRefused::Store(error) => problem::store(&error),
    }
}

fn refused(refused: RollBackRefused) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        RollBackRefused::NoDeployment(id) => no_deployment(id),
        RollBackRefused::TooManyDerived { records, .. } => Problem::new(Code::TooLarge, detail)
            .next_step(
                "roll back without the cascade, and roll back the deployments that hold the derived records",
            )
            .fact("records", records),
        RollBackRefused::AlreadyRolledBack { id, why: _ } => Problem::new(Code::AlreadyRolledBack, detail)
            .next_step(
                "nothing needs to be done; `pinrail deployment list` shows every state (GET \
             /api/v1/deployments)",
            )
            .fact("deployment", id.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_rollback_flips_back_and_holds() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let id = bench.release("sim-large-2026-04-01").await;
        bench.open_deployment(json!({ "releases": { "support": id }, "now": true })).await.ok();
        for (body, code) in [
            (json!({}), "bad_request"),
            (json!({ "reason": "  " }), "bad_request"),
            (json!({ "reason": "x", "lift_hold": true }), "bad_request"),
            (json!({ "reason": "x", "keep_state": true, "cascade": true }), "bad_request"),
        ] {
            let problem = bench.post("/api/v1/deployments/2/rollback", body).await.problem(code);
            assert!(problem["next_step"].is_string(), "{problem}");
        }
        let run = bench.run("acme").await;
        let flip = bench.roll_back(2).await.ok();
        assert_eq!((&flip["active"]["support"], &flip["open_runs"]["running"]), (&json!(1), &json!(1)));
        bench.roll_back(2).await.problem("already_rolled_back");
        bench.roll_back(9).await.problem("not_found");
        // The run goes on with what it started with (I2).
        let resumed = bench.send("POST", &format!("/api/v1/runs/{run}/resume"), &[], None).await.ok();
        assert_eq!(resumed["stamp"]["deployment"], 2);
        let wish = json!({ "releases": { "support": id }, "now": true });
        let held = bench.open_deployment(wish).await.problem("held");
        assert_eq!(held["rolled_back"], 2);
        let next = held["next_step"].as_str().unwrap();
        assert!(next.contains("`pinrail hold lift support --segment default --reason …`"), "{next}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_epoch_is_on_every_answer() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let before: u64 = bench.get("/healthz").await.header("x-pinrail-epoch").unwrap().parse().unwrap();
        let answer = bench.roll_back(1).await;
        assert_eq!(answer.header("x-pinrail-epoch"), Some(&*(before + 1).to_string()));
        assert!(bench.get("/nowhere").await.header("x-pinrail-epoch").is_some());
    }
}
