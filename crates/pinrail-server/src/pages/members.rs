//! `/members`: who follows, who is behind, who is gone.

use pinrail_api::problem::Problem;
use pinrail_dashboard::members::Members;

use super::form;
use crate::api;
use crate::call::Call;

pub async fn list(call: Call) -> Result<Members, Problem> {
    let query: api::members::list::Query = form::query(&call)?;
    let page = api::members::list::gather(&call, query).await?;
    let epoch = call.control().snapshot().world.epoch;
    Ok(Members { epoch, items: page.items, next: page.next })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn an_acknowledgement_reaches_the_page_that_is_open() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let wish = json!({ "name": "pod-1", "kind": "worker" });
        let member = bench.post("/api/v1/members", wish).await.ok();
        bench.roll_back(1).await.ok();
        let page = bench.get("/members.json").await.ok();
        let states: Vec<_> =
            page["items"].as_array().unwrap().iter().map(|it| it["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["behind", "fresh"], "{page}");
        let mut events = bench.follow_epochs("/members.live", &[]).await;
        let first = events.next().await.unwrap();
        assert!(first.contains("pod-1") && first.contains("badge warn"), "{first}");
        let path = format!("/api/v1/members/{}/ack", member["member"].as_str().unwrap());
        bench.post(&path, json!({ "epoch": page["epoch"] })).await.ok();
        let next = events.next().await.unwrap();
        assert!(next.contains("pod-1") && !next.contains("badge warn"), "{next}");
    }
}
