//! `DELETE /api/v1/agents/{agent}?reason=`.

use pinrail_api::agents::Changed;
use pinrail_domain::id::AgentName;

use super::{Reason, refused, word};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn remove(call: Call) -> Answer {
    let agent: AgentName = call.param("agent")?;
    let Reason { reason } = call.query()?;
    let done = call.control().agent_remove(call.by(reason)?, &agent).await.map_err(refused)?;
    reply::changed(done.replayed, &Changed::of(word(done.value)))
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn an_agent_goes_once_nothing_serves_it() {
        let bench = Bench::open().await;
        let deployment = bench.deploy_now().await;
        let problem = bench.delete("/api/v1/agents/support").await.problem("in_use");
        assert_eq!(problem["deployment"], deployment);
        bench.roll_back(deployment).await.ok();
        assert_eq!(bench.delete("/api/v1/agents/support").await.ok()["change"], "removed");
        bench.delete("/api/v1/agents/support").await.problem("not_found");
    }
}
