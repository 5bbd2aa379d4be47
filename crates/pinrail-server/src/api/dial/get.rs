//! `GET /api/v1/dial?agent=&segment=&tenant=&tool=`: every setting, and what is in force for one caller.

use pinrail_api::dial::Dial;
use pinrail_api::problem::{Code, Problem};
use pinrail_domain::dial::Caller;
use pinrail_domain::id::{AgentName, SegmentName, TenantId, ToolName};
use serde::Deserialize;

use super::{in_force, shown};
use crate::call::Call;
use crate::reply::{self, Answer};

/// Who is asked about.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub agent: Option<AgentName>,
    pub segment: Option<SegmentName>,
    pub tenant: Option<TenantId>,
    pub tool: Option<ToolName>,
}

pub async fn show(call: Call) -> Answer {
    let query = call.query()?;
    reply::json(&value(&call, query)?)
}

/// Every setting, the most restrictive first, and what is in force for the caller that is asked about.
pub fn value(call: &Call, asked: Query) -> Result<Dial, Problem> {
    let Query { agent, segment, tenant, tool } = asked;
    let snapshot = call.control().snapshot();
    let unrecorded = call.control().dials_unrecorded();
    let mut settings: Vec<_> = snapshot
        .routes
        .dials()
        .iter()
        .map(|(place, setting)| shown(place, setting, !unrecorded.contains(place)))
        .collect();
    settings.sort_by_key(|setting| std::cmp::Reverse(setting.position));
    let in_force = match agent {
        Some(agent) => {
            let segment = segment.unwrap_or_else(SegmentName::default_segment);
            let tenant = tenant.unwrap_or_else(TenantId::shared);
            let caller = Caller { agent: &agent, segment: &segment, tenant: &tenant };
            Some(in_force(snapshot.routes.dialled(caller).as_ref(), tool.as_ref()))
        }
        None if segment.is_some() || tenant.is_some() || tool.is_some() => {
            return Err(Problem::new(Code::BadRequest, "what is in force is asked for an agent").next_step(
                "name it: ?agent=AGENT, or leave segment, tenant and tool out to list all settings",
            ));
        }
        None => None,
    };
    Ok(Dial { epoch: snapshot.world.epoch, seq: snapshot.world.head.seq, settings, in_force })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn the_dial_says_where_it_stands_and_why() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        assert_eq!(bench.get("/api/v1/dial").await.ok()["settings"], json!([]));
        let set = async |wish| bench.put("/api/v1/dial", wish).await;
        let wish =
            json!({ "place": { "agent": "support" }, "position": "supervised", "reason": "odd refunds" });
        let turned = set(wish.clone()).await.ok();
        assert_eq!((&turned["changed"], &turned["recorded"]), (&json!(true), &json!(true)));
        assert_eq!(set(wish).await.ok()["changed"], false);
        set(json!({ "place": { "tool": "mail" }, "position": "off", "reason": "spam" })).await.ok();
        set(json!({ "place": { "tenant": "acme" }, "position": "read_only", "reason": "audit" })).await.ok();
        let dial = bench.get("/api/v1/dial").await.ok();
        let positions: Vec<_> =
            dial["settings"].as_array().unwrap().iter().map(|one| one["position"].clone()).collect();
        assert_eq!(positions, ["off", "read_only", "supervised"]);
        let asked = bench.get("/api/v1/dial?agent=support&tenant=acme&tool=refund").await.ok();
        let force = &asked["in_force"];
        assert_eq!((&force["position"], &force["reason"]), (&json!("read_only"), &json!("audit")));
        assert_eq!(force["tools"][0]["tool"], "mail");
        assert_eq!(force["tools"][1]["rule_with_side_effects"], "withheld");
        bench.get("/api/v1/dial?tool=x").await.problem("bad_request");
        let run = bench.post("/api/v1/runs", json!({ "agent": "support" })).await.ok();
        assert_eq!(run["dial"]["position"], "supervised");
    }

    #[tokio::test(start_paused = true)]
    async fn turns_that_make_no_sense_say_what_would() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let check = async |wish: serde_json::Value, code: &str| {
            bench.put("/api/v1/dial", wish).await.problem(code);
        };
        check(json!({ "place": { "agent": "nobody" }, "position": "off" }), "not_found").await;
        check(json!({ "place": { "segment": "vip" }, "position": "off" }), "bad_dial").await;
        check(json!({ "place": { "tool": "x" }, "position": "canned" }), "bad_dial").await;
        check(json!({ "place": { "agent": "support" }, "position": "fallback" }), "bad_dial").await;
        check(json!({ "position": "half" }), "bad_request").await;
        check(json!({ "position": "fallback", "release": "zz" }), "bad_name").await;
        bench.put("/api/v1/dial", json!({ "position": "off", "reason": "all" })).await.ok();
        let refused = bench.post("/api/v1/runs", json!({ "agent": "support" })).await.problem("dialled");
        assert_eq!(refused["position"], "off");
    }
}
