//! Which index answers which question: none walks more than it must.

use pinrail_domain::state::Layer;
use pinrail_store::conformance::sample::state::facts;
use pinrail_store::conformance::sample::tenant;
use pinrail_store::state::SpaceFilter;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::{read, reads, spaces};
use crate::{Options, Sqlite};

struct Plans {
    db: Connection,
    _folder: tempfile::TempDir,
}

impl Plans {
    fn new() -> Plans {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pinrail.db");
        drop(Sqlite::open(Options::new(&path)).unwrap());
        Plans { db: Connection::open(path).unwrap(), _folder: folder }
    }

    fn of(&self, sql: &str, values: Vec<Value>) -> String {
        let mut explain = self.db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let count = explain.parameter_count();
        let values = values.into_iter().chain(std::iter::repeat(Value::Integer(1))).take(count);
        let steps = explain.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        steps.map(Result::unwrap).collect::<Vec<_>>().join("; ")
    }
}

#[test]
fn spaces_are_listed_along_their_index() {
    let plans = Plans::new();
    let check = |filter: SpaceFilter| {
        for after in [None, Some(facts())] {
            let (sql, values) = spaces::list_query(&filter, after.as_ref());
            let plan = plans.of(&sql, values);
            assert!(plan.contains("spaces_by_name") && !plan.contains("TEMP B-TREE"), "{filter:?}: {plan}");
        }
    };
    let any = SpaceFilter::default;
    let one = || Some(vec![tenant("acme")]);
    check(any());
    check(SpaceFilter { layer: Some(Layer::Memory), ..any() });
    check(SpaceFilter { tenants: one(), ..any() });
    check(SpaceFilter { tenants: one(), layer: Some(Layer::Memory), prefix: Some("support/".to_owned()) });
    check(SpaceFilter { tenants: Some(vec![tenant("acme"), tenant("umbrella")]), ..any() });
}

#[test]
fn questions_find_what_they_ask_for() {
    let plans = Plans::new();
    let check = |sql: &str, expected: &[&str]| {
        let plan = plans.of(sql, Vec::new());
        let found = expected.iter().all(|step| plan.contains(step));
        assert!(found && !plan.contains("SCAN state;"), "{sql}: {plan}");
    };
    let (place, sorted) = ("USING INTEGER PRIMARY KEY (rowid", "USE TEMP B-TREE");
    check(read::OPERATIONS, &["USING COVERING INDEX state_by_space (space=? AND seq>?)"]);
    check(read::OF_DEPLOYMENT, &["INDEX state_by_deployment (deployment=? AND rowid>?)"]);
    check(read::OF_RUN, &["INDEX state_by_run (run=? AND rowid>?)"]);
    check(
        read::SCAN,
        &["INDEX state_by_space (space=? AND seq>?)", "SEARCH content USING INTEGER PRIMARY KEY"],
    );
    check(
        read::MOMENT,
        &["SCAN state_times", "SEARCH state USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"],
    );
    check(reads::OF_SPACE, &["COVERING INDEX state_reads_by_space (space=? AND state>?)", place]);
    for sql in [read::OPERATIONS, read::OF_DEPLOYMENT, read::OF_RUN, read::SCAN, read::MOMENT] {
        assert!(!plans.of(sql, Vec::new()).contains(sorted), "{sql}");
    }
}
