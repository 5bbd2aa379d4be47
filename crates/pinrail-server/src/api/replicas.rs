//! `GET /api/v1/replicas`: the processes over one store, who leads, and how fresh the one that answers is.

use pinrail_api::problem::Problem;
use pinrail_api::replicas::{Replica, Replicas};

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn list(call: Call) -> Answer {
    reply::json(&gather(&call).await?)
}

/// All of them.
pub async fn gather(call: &Call) -> Result<Replicas, Problem> {
    let control = call.control();
    let known = control.replicas().await.map_err(|error| problem::store(&error))?;
    let items = known.into_iter().map(|replica| Replica {
        id: replica.id.0,
        name: replica.name,
        started_at: replica.started_at,
        silent_ms: replica.silent_ms,
        term: replica.leads.map(|lead| lead.term.0),
        leads_since: replica.leads.map(|lead| lead.since),
    });
    Ok(Replicas {
        shared: control.is_shared(),
        here: control.replica().0,
        leads: control.standing_here().leads(),
        never_leads: control.never_leads(),
        stale_ms: control.freshness().stale_ms(),
        vectors_by: control.states().vectors_searched_by(),
        items: items.collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test]
    async fn who_is_alone_leads_and_is_never_stale() {
        let bench = Bench::open().await;
        let told = bench.get("/api/v1/replicas").await.ok();
        assert_eq!(told["shared"], json!(false));
        assert_eq!(told["leads"], json!(true));
        assert_eq!(told["stale_ms"], json!(0));
        assert_eq!(told["items"], json!([]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_leader_says_in_which_term_and_since_when() {
        let one = Bench::leading().await;
        let two = one.beside().await;
        let told = two.get("/api/v1/replicas").await.ok();
        assert_eq!((&told["shared"], &told["leads"]), (&json!(true), &json!(false)));
        let items = told["items"].as_array().unwrap();
        let leader = items.iter().find(|item| item["name"] == "leading").unwrap();
        assert_eq!((&leader["term"], leader["leads_since"].is_u64()), (&json!(1), true), "{leader}");
        let beside = items.iter().find(|item| item["name"] == "beside").unwrap();
        assert!(beside.get("term").is_none() && beside.get("leads_since").is_none(), "{beside}");
    }
}
