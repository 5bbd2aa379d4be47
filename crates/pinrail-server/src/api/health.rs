//! `GET /healthz`, `GET /readyz`: for whoever restarts or routes to this process. No key is needed.

use pinrail_api::problem::{Code, Problem};
use pinrail_api::status::Health;

use crate::call::Call;
use crate::reply::{self, Answer};

/// What the caller would send.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(rename = "for")]
    sends: Option<Sends>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sends {
    /// Model calls: the gateway goes on from memory where the rest of the server can't.
    Calls,
}

/// Always well: a process that can't say so is restarted.
pub async fn healthz(call: Call) -> Answer {
    reply::json(&ok(&call, Vec::new()))
}

pub async fn readyz(call: Call) -> Answer {
    let troubles = call.state.troubles();
    let (refusals, rest) = match call.query::<Query>()?.sends {
        None => (troubles, Vec::new()),
        Some(Sends::Calls) => {
            let refusals = call.state.refusals();
            let rest = troubles.into_iter().filter(|trouble| !refusals.contains(trouble)).collect();
            (refusals, rest)
        }
    };
    if refusals.is_empty() {
        return reply::json(&ok(&call, rest));
    }
    let troubles: Vec<String> = refusals.into_iter().chain(rest).collect();
    Err(Problem::new(Code::NotReady, troubles.join("; "))
        .next_step("ask again; `pinrail doctor`, GET /api/v1/status and the server's log say more")
        .fact("troubles", troubles))
}

fn ok(call: &Call, troubles: Vec<String>) -> Health {
    Health { status: "ok".to_owned(), version: call.state.version.clone(), troubles }
}

#[cfg(test)]
mod tests {
    use pinrail_store::StoreError;
    use pinrail_store::memory::Strike;
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_drains_or_cannot_write_is_alive_but_not_ready() {
        let bench = Bench::open().await;
        bench.get("/readyz").await.ok();
        let full = StoreError::Full(std::sync::Arc::new(std::io::Error::other("disk")));
        let run = bench.single_run().await;
        bench.memory.fail_next(1, Strike::BeforeEffect, &full);
        let mut flushes = bench.control.runs().changes();
        flushes.mark_unchanged();
        bench.note(run).await;
        flushes.changed().await.unwrap();
        bench.get("/healthz").await.ok();
        let problem = bench.get("/readyz").await.problem("not_ready");
        assert_eq!(problem["troubles"], json!(["the journal cannot be written: the store is full"]));
        // Calls are stamped all the same, and say so.
        let for_calls = bench.get("/readyz?for=calls").await.ok();
        assert_eq!(for_calls["troubles"], problem["troubles"]);

        flushes.changed().await.unwrap();
        bench.get("/readyz").await.ok();
        assert_eq!(bench.get("/readyz?for=calls").await.ok()["troubles"], json!(null));
        bench.get("/readyz?for=fun").await.problem("bad_request");
        bench.state.draining.send_replace(true);
        bench.get("/healthz").await.ok();
        bench.get("/readyz").await.problem("not_ready");
        let problem = bench.get("/readyz?for=calls").await.problem("not_ready");
        assert_eq!(problem["troubles"], json!(["the server is shutting down"]));
    }

    #[tokio::test]
    async fn a_replica_without_its_store_takes_calls_as_long_as_some_agent_gets_them() {
        let bench = Bench::leading().await;
        bench.deploy_now().await;
        bench.memory.fail_reads(true);
        bench.clock.pass(10_000);
        let strict = bench.get("/readyz").await.problem("not_ready");
        assert!(strict["troubles"][0].as_str().unwrap().contains("the store was last heard of"), "{strict}");
        let for_calls = bench.get("/readyz?for=calls").await.ok();
        assert!(for_calls["troubles"][0].as_str().unwrap().contains("was last heard of"), "{for_calls}");
        bench.memory.fail_reads(false);
        bench.put("/api/v1/agents/support", json!({ "tier": "critical" })).await.ok();
        bench.memory.fail_reads(true);
        bench.clock.pass(10_000);
        let problem = bench.get("/readyz?for=calls").await.problem("not_ready");
        assert_eq!(problem["troubles"].as_array().unwrap().len(), 2, "{problem}");
    }
}
