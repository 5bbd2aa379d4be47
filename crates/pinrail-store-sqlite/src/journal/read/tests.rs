//! Which index answers which list.

use pinrail_domain::id::TenantId;
use pinrail_store::conformance::sample::{agent, release, run, session, tenant};

use super::*;
use crate::{Options, Sqlite};

#[test]
fn lists_walk_their_index() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pinrail.db");
    drop(Sqlite::open(Options::new(&path)).unwrap());
    let db = Connection::open(path).unwrap();
    let check = |filter: RunFilter, expected: &[&str], sorted: bool| {
        for before in [None, Some(run(9))] {
            let (sql, mut values) = list_query(&filter, before);
            values.push(Value::Integer(10));
            let mut explain = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = explain.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
            let plan = steps.map(Result::unwrap).collect::<Vec<_>>().join("; ");
            let indexed = expected.iter().any(|index| plan.contains(index));
            assert!(indexed && plan.contains("USE TEMP B-TREE") == sorted, "{filter:?}: {plan}");
        }
    };
    let any = RunFilter::default;
    let tenants: Option<Vec<TenantId>> = Some(vec![tenant("acme"), tenant("umbrella")]);
    check(any(), &["runs_by_id"], false);
    check(RunFilter { agent: Some(agent("a")), ..any() }, &["runs_by_agent"], false);
    check(RunFilter { deployment: Some(DeploymentId(1)), ..any() }, &["runs_by_deployment"], false);
    let copies = RunFilter { deployment: Some(DeploymentId(1)), shadow: Some(true), ..any() };
    check(copies, &["runs_shadow"], false);
    let live = RunFilter { deployment: Some(DeploymentId(1)), shadow: Some(false), ..any() };
    check(live, &["runs_by_deployment"], false);
    check(RunFilter { session: Some(session("s")), ..any() }, &["runs_by_session"], false);
    check(RunFilter { tenants: tenants.clone(), ..any() }, &["runs_by_id"], false);
    check(RunFilter { tenants, agent: Some(agent("a")), ..any() }, &["runs_by_agent"], false);
    let one = || Some(vec![tenant("acme")]);
    check(RunFilter { tenants: one(), ..any() }, &["runs_by_tenant"], false);
    let shared = Some(vec![TenantId::shared()]);
    check(RunFilter { tenants: shared, ..any() }, &["runs_by_id"], false);
    let of_session = RunFilter { tenants: one(), session: Some(session("s")), ..any() };
    check(of_session, &["runs_by_session", "runs_by_tenant"], false);
    check(RunFilter { release: Some(release("r")), ..any() }, &["runs_by_id"], false);
    check(RunFilter { since: Some(Timestamp(5)), single: Some(true), ..any() }, &["runs_by_id"], false);
    check(RunFilter { status: Some(RunStatus::Finished), ..any() }, &["runs_by_id"], false);
    for open in RunStatus::ALL.into_iter().filter(|status| status.is_open()) {
        check(RunFilter { status: Some(open), ..any() }, &["runs_open"], true);
        let of_agent = RunFilter { status: Some(open), agent: Some(agent("a")), ..any() };
        check(of_agent, &["runs_open"], true);
    }
}
