//! `GET /api/v1/releases?agent=&before=&limit=`: newest first.

use pinrail_api::Page;
use pinrail_domain::id::{AgentName, LedgerSeq};
use serde::Deserialize;

use super::shown;
use crate::call::Call;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    agent: Option<AgentName>,
    /// The ledger entry of the last release of the page before.
    before: Option<LedgerSeq>,
    limit: Option<usize>,
}

pub async fn list(call: Call) -> Answer {
    let Query { agent, before, limit } = call.query()?;
    let limit = call.page(limit)?;
    let snapshot = call.control().snapshot();
    let world = &snapshot.world;
    let wanted = world.releases.values().filter(|release| {
        agent.as_ref().is_none_or(|agent| release.agents.contains(agent))
            && before.is_none_or(|before| release.seq < before)
    });
    let mut newest: Vec<_> = wanted.collect();
    newest.sort_by_key(|release| std::cmp::Reverse(release.seq));
    newest.truncate(limit + 1);
    let Page { items, next } = Page::cut(newest, limit, |release| release.seq.to_string());
    let items = items.into_iter().map(|release| shown(call.control(), world, release)).collect();
    reply::json(&Page { items, next })
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn the_newest_comes_first_and_pages_follow_each_other() {
        let bench = Bench::open().await;
        bench.agent_and_provider().await;
        let mut made = Vec::new();
        for n in 1..=3 {
            made.push(bench.release(&format!("sim-large-2026-0{n}-01")).await);
        }
        made.reverse();
        let first = bench.get("/api/v1/releases?limit=2&agent=support").await.ok();
        let next = first["next"].as_str().unwrap();
        let second = bench.get(&format!("/api/v1/releases?limit=2&before={next}")).await.ok();
        let ids: Vec<_> = [&first, &second]
            .iter()
            .flat_map(|page| page["items"].as_array().unwrap())
            .map(|item| item["release"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids, made);
        assert_eq!(second.get("next"), None);
        assert_eq!(
            bench.get("/api/v1/releases?agent=other").await.ok()["items"].as_array().unwrap().len(),
            0
        );
    }
}
