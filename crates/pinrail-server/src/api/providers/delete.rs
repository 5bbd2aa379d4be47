//! `DELETE /api/v1/providers/{provider}?reason=`.

use pinrail_api::agents::Changed;
use pinrail_domain::id::ProviderName;

use super::{Reason, refused, word};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn remove(call: Call) -> Answer {
    let provider: ProviderName = call.param("provider")?;
    let Reason { reason } = call.query()?;
    let done = call.control().provider_remove(call.by(reason)?, &provider).await.map_err(refused)?;
    reply::changed(done.replayed, &Changed::of(word(done.value)))
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_provider_goes_once_nothing_needs_it() {
        let bench = Bench::open().await;
        let deployment = bench.deploy_now().await;
        let problem = bench.delete("/api/v1/providers/sim").await.problem("in_use");
        assert_eq!(
            (&problem["agent"], problem["deployment"].as_u64()),
            (&"support".into(), Some(deployment))
        );
        bench.roll_back(deployment).await.ok();
        assert_eq!(bench.delete("/api/v1/providers/sim").await.ok()["change"], "removed");
        bench.delete("/api/v1/providers/sim").await.problem("not_found");
    }
}
