//! `GET /api/v1/providers?after=&limit=`.

use pinrail_api::Page;
use pinrail_api::agents::Provider;
use pinrail_api::problem::Problem;

use super::{After, health};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn list(call: Call) -> Answer {
    let wish = call.query()?;
    reply::json(&value(&call, wish)?)
}

/// The providers by name.
pub fn value(call: &Call, wish: After) -> Result<Page<Provider>, Problem> {
    let After { after, limit } = wish;
    let limit = call.page(limit)?;
    let snapshot = call.control().snapshot();
    let mut health = health::all(&call.state);
    let providers = snapshot.world.providers.iter();
    let providers =
        providers.filter(|(provider, _)| after.as_deref().is_none_or(|after| provider.as_str() > after));
    let providers = providers.take(limit + 1).map(|(provider, spec)| {
        let health = health.remove(provider);
        Provider { provider: provider.clone(), spec: (**spec).clone(), health }
    });
    Ok(Page::cut(providers.collect(), limit, |provider: &Provider| provider.provider.to_string()))
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn providers_are_listed_by_name() {
        let bench = Bench::open().await;
        bench.provider("sim").await;
        bench.provider("another").await;
        let page = bench.get("/api/v1/providers?limit=1").await.ok();
        assert_eq!((&page["items"][0]["provider"], &page["next"]), (&"another".into(), &"another".into()));
        assert_eq!(bench.get("/api/v1/providers?after=another").await.ok()["items"][0]["provider"], "sim");
    }
}
