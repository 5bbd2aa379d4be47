//! Tool calls where another replica may have turned the dial.

use pinrail_domain::begin::Wanted;
use pinrail_domain::dial::{Place, Position, Ruling, Turn};
use serde_json::Value;

use super::*;
use crate::approvals::{AuthorizeError, ToolCall};

/// I7: as it gives critical agents no runs.
#[tokio::test(start_paused = true)]
async fn a_replica_that_hears_nothing_lets_critical_agents_call_no_tools() {
    for tier in [Tier::Throwaway, Tier::Standard, Tier::Critical] {
        let crew = Crew::new(2, tier).await;
        let second = &crew.replicas[1];
        let stamp = second.runs().begin(call(Some("s"))).await.unwrap().stamp;
        let ask = async || {
            let call =
                ToolCall { tool: "refund", arguments: &Value::Null, id: None, side_effects: Some(true) };
            second.authorize_tool(&stamp, call).await
        };
        let rule = async || {
            let (stamp, tool) = (Arc::clone(&stamp), "refund".to_owned());
            second.rule_tool(&Wanted { stamp, tool, arguments: "{}".to_owned() }).await
        };
        assert_eq!(ask().await.unwrap().ruling, Ruling::Allowed);
        assert_eq!(rule().await.ruling, Ruling::Allowed);
        crew.store.fail_reads(true);
        crew.clock.0.fetch_add(20_000, Ordering::SeqCst);
        match (ask().await, rule().await.ruling, tier) {
            (Err(AuthorizeError::Stale { ms }), Ruling::Withheld, Tier::Critical) => assert!(ms >= 20_000),
            (Ok(authorized), Ruling::Allowed, Tier::Throwaway | Tier::Standard) => {
                assert_eq!(authorized.ruling, Ruling::Allowed);
            }
            other => panic!("{tier:?}: {other:?}"),
        }
        // One that only slept hears first what the others were told.
        crew.store.fail_reads(false);
        let off = Turn {
            place: Place::agent(&agent("planner")),
            position: Position::ReadOnly,
            release: None,
            text: None,
        };
        crew.replicas[0].turn_dial(by("incident"), &off).await.unwrap();
        crew.clock.0.fetch_add(20_000, Ordering::SeqCst);
        assert_eq!(ask().await.unwrap().ruling, Ruling::Withheld);
    }
}
