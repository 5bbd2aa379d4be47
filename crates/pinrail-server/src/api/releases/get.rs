//! `GET /api/v1/releases/{release}`.

use super::{named, shown};
use crate::call::Call;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let snapshot = call.control().snapshot();
    let world = &snapshot.world;
    let release = named(world, call.text("release"), None)?;
    reply::json(&shown(call.control(), world, &world.releases[&release]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_release_is_found_by_its_first_digits_when_they_are_its_own() {
        let bench = Bench::open().await;
        bench.agent_and_provider().await;
        let id = bench.release("sim-large-2026-03-01").await;
        let digits = id.strip_prefix("sha256:").unwrap();
        for name in [&id, digits, &digits[..6], &digits[..12].to_uppercase(), &id[..20]] {
            assert_eq!(bench.get(&format!("/api/v1/releases/{name}")).await.ok()["release"], *id, "{name}");
        }
        for bad in [&digits[..5], "zzzzzzz", "sha256:"] {
            bench.get(&format!("/api/v1/releases/{bad}")).await.problem("bad_name");
        }
        let other = if digits.starts_with('0') { "111111" } else { "000000" };
        bench.get(&format!("/api/v1/releases/{other}")).await.problem("not_found");
    }

    #[tokio::test(start_paused = true)]
    async fn digits_of_two_releases_name_neither() {
        let bench = Bench::open().await;
        bench.agent_and_provider().await;
        // Ids are digests: among some thousand contents, computed here, two share six digits.
        let mut by_prefix: BTreeMap<String, String> = BTreeMap::new();
        let (prefix, a, b) = (0..60_000)
            .find_map(|n| {
                let snapshot = format!("sim-large-{n}");
                let manifest = serde_json::from_value(crate::testing::manifest(&snapshot)).unwrap();
                let manifest: pinrail_domain::release::Manifest = manifest;
                let prefix = manifest.id().unwrap().0.hex()[..6].to_owned();
                let earlier = by_prefix.insert(prefix.clone(), snapshot.clone())?;
                Some((prefix, earlier, snapshot))
            })
            .unwrap();
        let ids = [bench.release(&a).await, bench.release(&b).await];
        let problem = bench.get(&format!("/api/v1/releases/{prefix}")).await.problem("ambiguous");
        for id in ids {
            assert!(problem["matches"].as_array().unwrap().contains(&id.clone().into()), "{problem}");
        }
    }
}
