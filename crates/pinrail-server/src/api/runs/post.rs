//! `POST /api/v1/runs`.

use pinrail_api::problem::{Code, Problem};
use pinrail_api::runs::{CreateRun, RunCreated};
use pinrail_control::runs::{Create, CreateRefused};
use pinrail_domain::begin::BeginError;
use pinrail_domain::key::Tenants;

use super::pin_gone;
use crate::api::agents::no_agent;
use crate::api::dial::in_force;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn create(call: Call) -> Answer {
    let CreateRun { agent, tenant, session, attributes, parent, queued } = call.json()?;
    let tenant = call.tenant(tenant)?;
    let own = Tenants::Only([tenant.clone()].into());
    let create = Create { agent, tenant, session, attributes, parent, queued };
    let created = call.control().runs().create(create, &own, call.idempotency()?).await.map_err(refused)?;
    let stamp = created.stamp;
    let dialled = call.control().snapshot().routes.dialled_run(&stamp);
    let dial = dialled.map(|dialled| in_force(Some(&dialled), None));
    reply::changed(
        created.replayed,
        &RunCreated {
            run: stamp.run,
            deployment: stamp.deployment,
            release: stamp.release,
            epoch: stamp.epoch,
            status: created.status.to_string(),
            dial,
            stamp,
        },
    )
}

pub fn refused(refused: CreateRefused) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        CreateRefused::Attributes => {
            Problem::new(Code::BadRequest, detail).next_step("send fewer or shorter attributes")
        }
        CreateRefused::NoParent(run) => problem::not_found(
            format!("parent run {run}"),
            "a parent is an earlier run of the same tenant: `pinrail run list` (GET /api/v1/runs)",
        ),
        CreateRefused::Begin(error) => begin(error, detail),
        CreateRefused::KeyReused => problem::key_reused(),
        CreateRefused::Write(error) => problem::write(error),
    }
}

fn begin(error: BeginError, detail: String) -> Problem {
    match error {
        BeginError::NoAgent(agent) => match agent.parse() {
            Ok(agent) => no_agent(&agent),
            Err(_) => problem::not_found(
                format!("agent `{agent}`"),
                "list the agents: `pinrail agent list` (GET /api/v1/agents)",
            ),
        },
        BeginError::NothingActive { agent, segment } => Problem::new(Code::NothingActive, detail)
            .next_step(format!(
                "deploy a release: `pinrail deploy {agent}=RELEASE --segment {segment} --now` (POST \
                 /api/v1/deployments)"
            ))
            .fact("agent", agent.as_str())
            .fact("segment", segment.as_str()),
        BeginError::Dialled(halted) => problem::dialled(detail, &halted),
        BeginError::NoRun(run) => problem::no_run(run, None),
        BeginError::NotRunning { run, status } => problem::run_state(detail, run, status),
        BeginError::OtherAgent { run, .. } | BeginError::OtherSession { run } => {
            Problem::new(Code::RunState, detail)
                .next_step("name the run's own agent and session, or begin a new run")
                .fact("run", run.to_string())
        }
        BeginError::PinGone { run, why: _ } => pin_gone(detail, run),
        BeginError::Release { .. } => {
            tracing::error!(error = %detail, "a stamped release cannot be loaded");
            Problem::new(Code::StoreDamaged, detail).next_step("check the store with `pinrail doctor`")
        }
        BeginError::Busy { what: _, limit } => Problem::new(Code::LimitReached, detail)
            .next_step(
                "finish runs that are done, `pinrail run finish RUN --outcome ok` (POST \
             /api/v1/runs/RUN/finish), or try again later",
            )
            .fact("limit", limit),
        BeginError::Stale { ms } => problem::stale(detail, ms),
        BeginError::Journal(_) => {
            tracing::error!(error = %detail, "a run cannot be made");
            Problem::new(Code::StoreUnavailable, detail)
                .next_step("check the server's disk with `pinrail doctor`")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_run_is_stamped_with_what_is_active() {
        let bench = Bench::open().await;
        let wish = json!({ "agent": "support", "tenant": "acme", "session": "s1", "queued": true });
        bench.post("/api/v1/runs", wish.clone()).await.problem("not_found");
        bench.agent_and_provider().await;
        bench.post("/api/v1/runs", wish.clone()).await.problem("nothing_active");
        bench.deploy_now().await;
        let made = bench.post("/api/v1/runs", wish).await.ok();
        assert_eq!((&made["deployment"], &made["status"]), (&json!(1), &json!("queued")));
        assert_eq!((&made["stamp"]["tenant"], &made["stamp"]["session"]), (&json!("acme"), &json!("s1")));
        assert_eq!(made["epoch"], made["stamp"]["epoch"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_key_makes_one_run() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let headers = [("idempotency-key", "r1"), ("x-pinrail-tenant", "acme")];
        let wish = json!({ "agent": "support" });
        let first = bench.send("POST", "/api/v1/runs", &headers, Some(&wish)).await;
        let second = bench.send("POST", "/api/v1/runs", &headers, Some(&wish)).await;
        assert_eq!(
            (first.header("idempotency-replayed"), second.header("idempotency-replayed")),
            (None, Some("true"))
        );
        assert_eq!(first.ok(), second.ok());
        // The tenant is a part of the request.
        let other = [("idempotency-key", "r1"), ("x-pinrail-tenant", "umbrella")];
        bench.send("POST", "/api/v1/runs", &other, Some(&wish)).await.problem("idempotency_key_reused");
        assert_eq!(bench.get("/api/v1/runs").await.ok()["items"].as_array().unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_parent_is_a_run_of_the_same_tenant() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let parent = bench.run("acme").await;
        let wish = |tenant: &str| json!({ "agent": "support", "tenant": tenant, "parent": parent });
        let child = bench.post("/api/v1/runs", wish("acme")).await.ok();
        assert_eq!(child["stamp"]["parent"], parent);
        bench.post("/api/v1/runs", wish("umbrella")).await.problem("not_found"); // I11
    }
}
