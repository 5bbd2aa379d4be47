//! `GET /healthz`, `GET /readyz`: for whoever restarts or routes to this process. No key is needed.

use pinrail_api::problem::{Code, Problem};
use pinrail_api::status::Health;

use crate::call::Call;
use crate::reply::{self, Answer};

/// Always well: a process that can't say so is restarted.
pub async fn healthz(call: Call) -> Answer {
    reply::json(&ok(&call))
}

pub async fn readyz(call: Call) -> Answer {
    let troubles = call.state.troubles();
    if troubles.is_empty() {
        return reply::json(&ok(&call));
    }
    Err(Problem::new(Code::NotReady, troubles.join("; "))
        .next_step("ask again; `pinrail doctor`, GET /api/v1/status and the server's log say more")
        .fact("troubles", troubles))
}

fn ok(call: &Call) -> Health {
    Health { status: "ok".to_owned(), version: call.state.version.clone() }
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

        flushes.changed().await.unwrap();
        bench.get("/readyz").await.ok();
        bench.state.draining.send_replace(true);
        bench.get("/healthz").await.ok();
        bench.get("/readyz").await.problem("not_ready");
    }
}
