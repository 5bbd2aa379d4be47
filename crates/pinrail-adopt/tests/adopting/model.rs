//! Random SQL by several deployments, commits and rollbacks in between, read through everybody's eyes and compared with
//! a pure model of the rule.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio_postgres::error::SqlState;

use super::bench::{Bench, seen, within};

/// What is done, by whom: 0 is the ground.
#[derive(Clone, Debug)]
enum Step {
    Insert { by: i64, id: i64, slug: Option<u8> },
    Update { by: i64, id: i64, slug: Option<u8> },
    Rename { by: i64, id: i64, to: i64 },
    Delete { by: i64, id: i64 },
    Commit(i64),
    RollBack(i64),
}

/// What happened to a key.
struct Operation {
    by: i64,
    ledger: i64,
    id: i64,
    /// What it put: the row's unique value and content; none: a delete.
    put: Option<(Option<u8>, String)>,
}

/// The rule, told in another way than the tables tell it: a log, and the last operation that counts.
#[derive(Default)]
struct Model {
    log: Vec<Operation>,
    spans: Vec<(i64, Option<i64>, Option<i64>)>,
    ledger: i64,
    writes: u32,
}

type Row = (i64, Option<u8>, String);

impl Model {
    fn counts(&self, operation: &Operation, own: i64, at: i64) -> bool {
        let span = self.spans.iter().find(|(deployment, ..)| *deployment == operation.by);
        let committed = span.is_some_and(|(_, committed, retracted)| {
            committed.is_some_and(|seq| seq <= at) && retracted.is_none_or(|seq| seq > at)
        });
        operation.ledger <= at && (operation.by == 0 || operation.by == own || committed)
    }

    /// The rows that a reader sees.
    fn rows(&self, own: i64, at: i64) -> Vec<Row> {
        let counting: Vec<&Operation> = self.log.iter().filter(|one| self.counts(one, own, at)).collect();
        let shown = |(n, one): (usize, &&Operation)| {
            let (slug, content) = one.put.as_ref()?;
            let ends = |later: &&Operation| {
                let takes = |(taken, _): &(Option<u8>, String)| slug.is_some() && taken == slug;
                later.id == one.id || later.put.as_ref().is_some_and(takes)
            };
            (!counting[n + 1..].iter().any(ends)).then(|| (one.id, *slug, content.clone()))
        };
        let mut rows: Vec<Row> = counting.iter().enumerate().filter_map(shown).collect();
        rows.sort();
        rows
    }

    fn log(&mut self, by: i64, id: i64, put: Option<(Option<u8>, String)>) {
        self.log.push(Operation { by, ledger: self.ledger, id, put });
    }

    /// Puts a row in place of `instead`, if no other that the writer sees has its key or its value.
    fn put(&mut self, by: i64, row: Row, instead: Option<i64>) -> Result<(), SqlState> {
        let (id, slug, content) = row;
        let others = self.rows(by, i64::MAX).into_iter().filter(|(other, ..)| Some(*other) != instead);
        if others.into_iter().any(|(other, taken, _)| other == id || slug.is_some() && taken == slug) {
            return Err(SqlState::UNIQUE_VIOLATION);
        }
        if let Some(instead) = instead.filter(|instead| *instead != id) {
            self.log(by, instead, None);
        }
        self.log(by, id, Some((slug, content)));
        Ok(())
    }

    /// Does a step; gives the SQL for it, and how it must end.
    fn step(&mut self, step: &Step) -> (i64, String, Result<(), SqlState>) {
        self.writes += 1;
        let content = format!("w{}", self.writes);
        let text = |slug: &Option<u8>| slug.map_or("NULL".to_owned(), |slug| format!("'s{slug}'"));
        let find =
            |model: &Model, by: i64, id: i64| model.rows(by, i64::MAX).into_iter().find(|row| row.0 == id);
        match step {
            Step::Insert { by, id, slug } => {
                let done = self.put(*by, (*id, *slug, content.clone()), None);
                (*by, format!("INSERT INTO docs VALUES ({id}, {}, '{content}')", text(slug)), done)
            }
            Step::Update { by, id, slug } => {
                let there = find(self, *by, *id);
                let done = there.map_or(Ok(()), |_| self.put(*by, (*id, *slug, content.clone()), Some(*id)));
                (
                    *by,
                    format!("UPDATE docs SET slug = {}, content = '{content}' WHERE id = {id}", text(slug)),
                    done,
                )
            }
            Step::Rename { by, id, to } => {
                let there = find(self, *by, *id);
                let done =
                    there.map_or(Ok(()), |(_, slug, content)| self.put(*by, (*to, slug, content), Some(*id)));
                (*by, format!("UPDATE docs SET id = {to} WHERE id = {id}"), done)
            }
            Step::Delete { by, id } => {
                if find(self, *by, *id).is_some() {
                    self.log(*by, *id, None);
                }
                (*by, format!("DELETE FROM docs WHERE id = {id}"), Ok(()))
            }
            Step::Commit(deployment) | Step::RollBack(deployment) => {
                unreachable!("deployment {deployment} is the ledger's")
            }
        }
    }

    fn span(&mut self, deployment: i64) -> &mut (i64, Option<i64>, Option<i64>) {
        if !self.spans.iter().any(|(there, ..)| *there == deployment) {
            self.spans.push((deployment, None, None));
        }
        self.spans.iter_mut().find(|(there, ..)| *there == deployment).expect("it was put there")
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (by, id) = (0..4i64, 1..5i64);
    let slug = prop_oneof![Just(None), (0..3u8).prop_map(Some)];
    let one = prop_oneof![
        4 => (by.clone(), id.clone(), slug.clone()).prop_map(|(by, id, slug)| Step::Insert { by, id, slug }),
        5 => (by.clone(), id.clone(), slug).prop_map(|(by, id, slug)| Step::Update { by, id, slug }),
        2 => (by.clone(), id.clone(), id.clone()).prop_map(|(by, id, to)| Step::Rename { by, id, to }),
        3 => (by, id).prop_map(|(by, id)| Step::Delete { by, id }),
        1 => (1..4i64).prop_map(Step::Commit),
        1 => (1..4i64).prop_map(Step::RollBack),
    ];
    prop::collection::vec(one, 1..30)
}

/// Plays steps on a fresh table that holds rows from before.
async fn play(bench: &mut Bench, steps: &[Step]) -> Result<(), TestCaseError> {
    bench
        .sql(
            "UPDATE pinrail.heads SET ledger_seq = ledger_seq + 1; DELETE FROM pinrail.spans;
             CREATE TABLE docs (id bigint PRIMARY KEY, slug text UNIQUE, content text);
             INSERT INTO docs VALUES (1, 's0', 'before'), (2, NULL, 'before')",
        )
        .await;
    bench.adopt("docs").await.unwrap();
    let start: i64 = bench.admin.query_one("SELECT ledger_seq FROM pinrail.heads", &[]).await.unwrap().get(0);
    let mut model = Model::default();
    model.log(0, 1, Some((Some(0), "before".to_owned())));
    model.log(0, 2, Some((None, "before".to_owned())));
    model.ledger = start;
    for (n, step) in steps.iter().enumerate() {
        match step {
            Step::Commit(deployment) | Step::RollBack(deployment) => {
                model.ledger += 1;
                let ledger = model.ledger;
                let (_, committed, retracted) = model.span(*deployment);
                if matches!(step, Step::Commit(_)) && committed.is_none() && retracted.is_none() {
                    *committed = Some(ledger);
                    bench.commit(*deployment).await;
                } else if matches!(step, Step::RollBack(_)) && retracted.is_none() {
                    *retracted = Some(ledger);
                    bench.roll_back(*deployment).await;
                } else {
                    model.ledger -= 1;
                }
            }
            Step::Insert { .. } | Step::Update { .. } | Step::Rename { .. } | Step::Delete { .. } => {
                let (by, sql, ends) = model.step(step);
                let done = within(&bench.admin, &own(bench, by).await, &sql).await;
                prop_assert_eq!(done, ends, "step {} {:?}: {}", n, step, sql);
            }
        }
        for reader in 0..4 {
            let mut views = vec![(own(bench, reader).await, i64::MAX)];
            if reader < 2 && model.ledger > start {
                let at = start + (model.ledger - start) / 2;
                views.push((
                    [views[0].0.clone(), vec![format!("pinrail.as_of_ledger = '{at}'")]].concat(),
                    at,
                ));
            }
            for (settings, at) in views {
                let rows =
                    seen(&bench.admin, &settings, "SELECT id, slug, content FROM docs ORDER BY id").await;
                let told = model.rows(reader, at).into_iter().map(|(id, slug, content)| {
                    format!("{id}|{}|{content}", slug.map_or("∅".to_owned(), |slug| format!("s{slug}")))
                });
                prop_assert_eq!(
                    rows,
                    told.collect::<Vec<_>>(),
                    "after step {} {:?}, reader {}, at {}",
                    n,
                    step,
                    reader,
                    at
                );
            }
        }
    }
    // The way back holds what everybody saw.
    bench.unadopt("docs", true).await.unwrap();
    let rows = seen(&bench.admin, &[], "SELECT id, content FROM docs ORDER BY id").await;
    let told = model.rows(0, i64::MAX).into_iter().map(|(id, _, content)| format!("{id}|{content}"));
    prop_assert_eq!(rows, told.collect::<Vec<_>>(), "after the way back");
    Ok(())
}

/// The settings of a run of the deployment.
async fn own(bench: &Bench, deployment: i64) -> Vec<String> {
    if deployment == 0 {
        return Vec::new();
    }
    let sql = "SELECT id::text FROM pinrail.runs WHERE deployment = $1";
    let id: String = bench.admin.query_one(sql, &[&deployment]).await.unwrap().get(0);
    vec![format!("pinrail.run = '{id}'")]
}

#[test]
fn random_histories_show_what_the_rule_says() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let Some(bench) = runtime.block_on(Bench::new()) else { return };
    for deployment in 1..4 {
        runtime.block_on(bench.run_of(deployment, ""));
    }
    let bench = RefCell::new(bench);
    let mut runner = TestRunner::new(Config { cases: 16, failure_persistence: None, ..Config::default() });
    let played = runner.run(&steps(), |steps| {
        let mut bench = bench.borrow_mut();
        let played = runtime.block_on(play(&mut bench, &steps));
        if played.is_err() {
            runtime.block_on(async {
                bench.sql("ROLLBACK").await;
                let _ = bench.unadopt("docs", true).await;
            });
        }
        runtime.block_on(bench.sql("DROP TABLE IF EXISTS docs"));
        played
    });
    played.unwrap_or_else(|error| panic!("{error}"));
}
