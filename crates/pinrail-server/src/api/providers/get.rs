//! `GET /api/v1/providers/{provider}`.

use pinrail_api::agents::Provider;
use pinrail_domain::id::ProviderName;

use super::{health, no_provider};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let provider: ProviderName = call.param("provider")?;
    let snapshot = call.control().snapshot();
    let spec = snapshot.world.providers.get(&provider).ok_or_else(|| no_provider(&provider))?;
    let health = health::all(&call.state).remove(&provider);
    reply::json(&Provider { provider, spec: (**spec).clone(), health })
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_provider_is_shown_as_it_was_put() {
        let bench = Bench::open().await;
        bench.provider("sim").await;
        assert_eq!(bench.get("/api/v1/providers/sim").await.ok()["spec"]["base_url"], "sim:");
        bench.get("/api/v1/providers/other").await.problem("not_found");
    }
}
