//! `POST /api/v1/erasures`.

use pinrail_api::erasures::{Attribute, Erase, Erased, ErasedSpace, SessionOf};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::state::erase::{EraseRefused, Erased as Done, Subject, Whose};

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn erase(call: Call) -> Answer {
    let Erase { tenant, session, attribute, dry_run, reason } = call.json()?;
    let tenant = call.tenant(Some(tenant))?;
    let subject = match (session, attribute) {
        (None, None) => Subject::Tenant,
        (Some(SessionOf { agent, session }), None) => Subject::Session { agent, session },
        (None, Some(Attribute { name, value })) => Subject::Attribute { name, value },
        (Some(_), Some(_)) => {
            return Err(Problem::new(
                Code::BadRequest,
                "an erasure names a session or an attribute, not both",
            )
            .next_step("send two requests"));
        }
    };
    let whose = Whose { tenant, subject };
    if dry_run {
        let plan = call.control().erasure_plan(&whose).await.map_err(|error| problem::store(&error))?;
        return reply::json(&shown(plan));
    }
    if reason.trim().is_empty() {
        return Err(Problem::new(Code::BadRequest, "an erasure needs a reason: it can't be undone")
            .next_step("`pinrail erase … --reason …` ({\"reason\": \"…\"}); `dry_run` needs none"));
    }
    let done = call.control().erase(call.by(reason)?, &whose).await;
    let done = done.map_err(|error| problem::commit(error, refused))?;
    reply::changed(done.replayed, &shown(done.value))
}

fn refused(refused: EraseRefused) -> Problem {
    let EraseRefused::Nothing = refused;
    problem::not_found(
        "content of that session, attribute or tenant",
        "list what there is: `pinrail state spaces --tenant T` (GET /api/v1/state/spaces?tenant=T), `pinrail run list` \
         (GET /api/v1/runs)",
    )
}

fn shown(done: Done) -> Erased {
    let Done { spaces, records, runs, open_runs, derived, seq, proof } = done;
    let space = |(space, records): (pinrail_domain::state::Space, u64)| ErasedSpace {
        space: space.to_string(),
        records,
    };
    Erased { seq, proof, records, runs, spaces: spaces.into_iter().map(space).collect(), open_runs, derived }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn an_erasure_is_proven_and_reads_say_so() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let run = bench.run("acme").await;
        let turns = json!({ "run": run, "turns": [{ "role": "user", "content": "i am ada" }] });
        bench.post("/api/v1/memory/support/s-1", turns).await.ok();
        let wish =
            json!({ "tenant": "acme", "session": { "agent": "support", "session": "s-1" }, "dry_run": true });
        let plan = bench.post("/api/v1/erasures", wish.clone()).await.ok();
        assert_eq!((&plan["records"], &plan["seq"]), (&json!(1), &json!(null)));
        let mut wish = wish;
        wish["dry_run"] = json!(false);
        bench.post("/api/v1/erasures", wish.clone()).await.problem("bad_request");
        wish["reason"] = json!("she asked");
        let done = bench.post("/api/v1/erasures", wish.clone()).await.ok();
        let of = "space=memory/support/s-1&tenant=acme";
        let records = bench.get(&format!("/api/v1/state/records?{of}")).await.ok();
        let record = &records["items"][0];
        assert_eq!((&record["erased"], &record["erased_by"]), (&json!(true), &done["seq"]));
        assert!(record.get("value").is_none());
        let verified = bench.get(&format!("/api/v1/state/verify?{of}")).await.ok();
        assert_eq!((&verified["whole"], &verified["erased"]), (&json!(true), &json!(1)));
        let proof = bench.get(&format!("/api/v1/artifacts/{}", done["proof"].as_str().unwrap())).await;
        assert_eq!(proof.json()["records"], 1);
        bench.post("/api/v1/erasures", wish).await.problem("not_found");
    }
}
