use std::collections::BTreeMap;

use pinrail_api::deployments::blast::{Reach, Touched};
use pinrail_domain::id::{DeploymentId, EventSeq, StateSeq};
use pinrail_domain::state::derive::Misled;
use pinrail_domain::time::Timestamp;

use super::*;
use crate::graph::{Edge, Kind, Node};

fn effect(tool: &str, arguments: &str) -> SideEffect {
    SideEffect {
        event: EventSeq(4),
        tool: tool.to_owned(),
        at: Timestamp(1_799_999_000_000),
        call: None,
        arguments_digest: None,
        arguments: arguments.to_owned(),
        result: Some("ok".to_owned()),
        compensated_at: None,
    }
}

fn blast(effects: Vec<SideEffect>) -> Blast {
    let (record, at) = (StateSeq(7), StateSeq(9));
    let run = AffectedRun {
        run: "run_00000000000000000000000001".parse().unwrap(),
        agent: "support".parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        session: None,
        deployment: DeploymentId(3),
        status: "finished".to_owned(),
        read: Some(Misled { record, at }),
        chain: vec![
            Step { record, cause: Cause::Parent { record: StateSeq(5) } },
            Step { record: StateSeq(5), cause: Cause::Seed },
        ],
        wrote: 2,
        side_effects: effects,
        unreported: 0,
    };
    let node = |column, kind, name: &str| Node {
        column,
        kind,
        name: name.to_owned(),
        says: "<i>".to_owned(),
        href: None,
        weight: 1,
        folds: 0,
    };
    let radius = BlastRadius {
        deployment: DeploymentId(2),
        state: "rolled back".to_owned(),
        layers: [(Layer::Memory, Touched { written: 3, derived: 2 })].into(),
        reach: Reach { own_runs: 1, misled_runs: 1, sessions: 1, tenants: 1 },
        runs: vec![run],
        cut: vec!["only the first 10 <b>".to_owned()],
        next: Some("run_00000000000000000000000001".to_owned()),
    };
    Blast {
        radius,
        effects: Effects {
            calls: 1,
            compensated: 0,
            unreported: 1,
            tools: BTreeMap::from([("<u>".to_owned(), 1)]),
        },
        graph: Graph {
            nodes: vec![node(0, Kind::Deployment, "deployment 2"), node(1, Kind::Tool, "<script>x")],
            edges: vec![Edge { from: 0, to: 1, forth: 1, back: 0, says: "1 call".to_owned() }],
        },
        beyond: 4,
    }
}

#[test]
fn tools_arguments_and_names_are_only_read() {
    let page = blast(vec![effect("<script>x\u{202e}", "{\"a\":\"</pre><img src=x>\0\"}")]);
    let html = page.main(&Shell::of("/deployments/2/blast-radius")).into_string();
    for bad in ["<script>", "<img", "<b>only", "10 <b>", "<u>", "<i>", "\u{202e}", "\0"] {
        assert!(!html.contains(bad), "{bad:?}: {html}");
    }
    for said in [
        "names record 5 as its parent",
        "written by deployment 2",
        "/deployments/2/compensate",
        "blast-radius.csv",
        "4 records",
        "after=run_",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
}

#[test]
fn a_deployment_that_reached_nobody_says_so() {
    let mut page = blast(Vec::new());
    page.radius.layers.clear();
    page.radius.reach = Reach { own_runs: 3, ..Reach::default() };
    page.radius.runs.clear();
    page.effects = Effects::default();
    page.beyond = 0;
    let html = page.main(&Shell::of("/deployments/2/blast-radius")).into_string();
    assert!(html.contains("wrote nothing") && !html.contains("compensate"), "{html}");
}

#[test]
fn a_spreadsheet_finds_no_formula() {
    let page = blast(vec![effect("=cmd|' /C calc'!A0", "{\"a\": 1, \"b\": \"x\"}")]);
    let csv = csv(&page.radius.runs);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[1].contains(",\"'=cmd|' /C calc'!A0\","), "{csv}");
    assert!(lines[1].contains("\"{\"\"a\"\": 1, \"\"b\"\": \"\"x\"\"}\""), "{csv}");
    assert_eq!(lines[0].split(',').count(), 15);
    assert_eq!(super::csv(&blast(Vec::new()).radius.runs).lines().nth(1).unwrap().split(',').count(), 15);
}
