//! `PUT /api/v1/providers/{provider}?reason=`: the body is the provider's settings.

use pinrail_api::agents::Changed;
use pinrail_domain::id::ProviderName;
use pinrail_domain::provider::ProviderSpec;

use super::{Reason, refused, word};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn put(call: Call) -> Answer {
    let provider: ProviderName = call.param("provider")?;
    let Reason { reason } = call.query()?;
    let spec: ProviderSpec = call.json()?;
    let done = call.control().provider_put(call.by(reason)?, &provider, &spec).await.map_err(refused)?;
    reply::changed(done.replayed, &Changed::of(word(done.value)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_key_in_the_wrong_place_is_refused_and_not_repeated() {
        let bench = Bench::open().await;
        let spec = json!({ "base_url": "https://x.example/v1", "catalogue": "openai", "key_env": "sk-proj-secretsecret" });
        let problem = bench.put("/api/v1/providers/openai", spec).await.problem("bad_provider");
        assert!(!problem.to_string().contains("secretsecret"), "{problem}"); // I15
    }
}
