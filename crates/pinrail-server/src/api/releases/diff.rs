//! `GET /api/v1/releases/{release}/diff/{other}`: what changes from the first to the second.

use pinrail_domain::release::diff::diff;

use super::named;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let snapshot = call.control().snapshot();
    let from = named(&snapshot.world, call.text("release"), None)?;
    let to = named(&snapshot.world, call.text("other"), None)?;
    let contracts = call.control().contracts();
    let from = contracts.get(from).await.map_err(problem::contract)?;
    let to = contracts.get(to).await.map_err(problem::contract)?;
    // Long prompts take milliseconds to compare: not on a thread that carries streams.
    let diff = tokio::task::spawn_blocking(move || diff(&from, &to)).await.expect("comparing doesn't panic");
    reply::json(&diff)
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_diff_says_what_changes() {
        let bench = Bench::open().await;
        bench.agent_and_provider().await;
        let a = bench.release("sim-large-2026-03-01").await;
        let b = bench.release("sim-large-2026-04-01").await;
        let short = &b["sha256:".len()..][..8];
        let diff = bench.get(&format!("/api/v1/releases/{a}/diff/{short}")).await.ok();
        assert_eq!(diff["model"]["snapshot"]["before"], "sim-large-2026-03-01");
        assert_eq!(diff["model"]["snapshot"]["after"], "sim-large-2026-04-01");
        bench.get(&format!("/api/v1/releases/{a}/diff/123")).await.problem("bad_name");
    }
}
