//! How providers do, as the gateway has seen it.

use std::collections::BTreeMap;

use pinrail_api::provider_health::{BreakerState, LastFailure, ModelHealth, ProviderHealth, Waits, Window};
use pinrail_control::readiness::Called;
use pinrail_domain::id::ProviderName;
use pinrail_gateway::Standing;

use crate::state::State;

/// How the providers do that were called since the server began.
pub fn all(state: &State) -> BTreeMap<ProviderName, ProviderHealth> {
    (state.health)().into_iter().map(|health| (health.provider.clone(), shown(health))).collect()
}

/// The models that were called, and from which calls are kept away.
pub fn called(state: &State) -> Vec<Called> {
    let mut called = Vec::new();
    for pinrail_gateway::ProviderHealth { provider, models, .. } in (state.health)() {
        for model in models {
            let why = model.last_failure.map(|last| last.why).unwrap_or_default();
            let left_alone = match model.standing {
                Standing::Closed => None,
                Standing::Open | Standing::HalfOpen => {
                    Some(format!("since {}: {why}", model.since.rfc3339()))
                }
            };
            called.push(Called { provider: provider.clone(), snapshot: model.snapshot, left_alone });
        }
    }
    called
}

fn shown(health: pinrail_gateway::ProviderHealth) -> ProviderHealth {
    let pinrail_gateway::ProviderHealth { provider: _, retries, retries_refused, models } = health;
    let models: Vec<ModelHealth> = models.into_iter().map(model).collect();
    let breaker = models.iter().map(|model| model.breaker).max().unwrap_or(BreakerState::Closed);
    ProviderHealth { breaker, retries, retries_refused, models }
}

fn model(health: pinrail_gateway::ModelHealth) -> ModelHealth {
    let breaker = match health.standing {
        Standing::Closed => BreakerState::Closed,
        Standing::HalfOpen => BreakerState::HalfOpen,
        Standing::Open => BreakerState::Open,
    };
    ModelHealth {
        snapshot: health.snapshot,
        breaker,
        since: health.since,
        next_in_ms: health.next_in_ms,
        failed_in_a_row: health.failed_in_a_row,
        window: Window { ms: health.window_ms, well: health.window.well, failed: health.window.failed },
        calls: health.calls,
        failed: health.failed,
        last_call: health.last_call,
        last_failure: health.last_failure.map(|last| LastFailure { at: last.at, why: last.why }),
        rests_ms: health.rests_ms,
        first_byte: health.first_byte_us.map(|[p50_us, p99_us]| Waits { p50_us, p99_us }),
    }
}

#[cfg(test)]
mod tests {
    use pinrail_domain::time::Timestamp;
    use pinrail_gateway::{Counts, LastFailure, ModelHealth, ProviderHealth, Standing};
    use serde_json::json;

    use crate::testing::Bench;

    fn model(snapshot: &str, standing: Standing) -> ModelHealth {
        let last_failure = Some(LastFailure { at: Timestamp(7), why: "status 500: boom".to_owned() });
        ModelHealth {
            snapshot: snapshot.to_owned(),
            standing,
            since: Timestamp(5),
            next_in_ms: (standing == Standing::Open).then_some(900),
            failed_in_a_row: 0,
            window: Counts { well: 1, failed: 10 },
            window_ms: 30_000,
            calls: 11,
            failed: 10,
            last_call: Timestamp(7),
            last_failure: last_failure.filter(|_| standing == Standing::Open),
            rests_ms: None,
            first_byte_us: Some([1_000, 9_000]),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_in_trouble_shows_and_one_that_nobody_called_says_nothing() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        assert!(bench.get("/api/v1/providers/sim").await.ok().get("health").is_none());
        let row = async |bench: &Bench| {
            let shown = bench.get("/api/v1/readiness").await.ok();
            let mut rows = shown["indicators"].as_array().unwrap().iter();
            rows.find(|row| row["name"] == "providers").unwrap().clone()
        };
        assert_eq!(row(&bench).await["met"], "unknown");

        let pinned = "sim-large-2026-01-15";
        let release = &bench.get("/api/v1/releases").await.ok()["items"][0];
        let served = release["manifest"]["model"]["snapshot"].as_str().unwrap_or(pinned).to_owned();
        let say = |models| {
            let provider = "sim".parse().unwrap();
            *bench.healths.lock().unwrap() =
                vec![ProviderHealth { provider, retries: 3, retries_refused: 1, models }];
        };
        say(vec![model(&served, Standing::Closed), model("sim-other-2026-01-15", Standing::Open)]);
        let shown = bench.get("/api/v1/providers/sim").await.ok();
        assert_eq!((&shown["health"]["breaker"], &shown["health"]["retries"]), (&json!("open"), &json!(3)));
        assert_eq!(
            shown["health"]["models"][1],
            json!({
                "snapshot": "sim-other-2026-01-15", "breaker": "open", "since": 5, "next_in_ms": 900,
                "failed_in_a_row": 0, "window": { "ms": 30_000, "well": 1, "failed": 10 }, "calls": 11, "failed": 10,
                "last_call": 7, "last_failure": { "at": 7, "why": "status 500: boom" },
                "first_byte": { "p50_us": 1_000, "p99_us": 9_000 },
            })
        );
        let listed = bench.get("/api/v1/providers").await.ok();
        assert_eq!(listed["items"][0]["health"], shown["health"]);
        // A model that nothing serves is no matter of readiness.
        assert_eq!(row(&bench).await["met"], "yes");
        say(vec![model(&served, Standing::Open)]);
        let row = row(&bench).await;
        assert_eq!(row["met"], "no");
        let why = row["why"][0].as_str().unwrap();
        assert!(why.contains(&served) && why.contains("status 500: boom"), "{why}");
    }
}
