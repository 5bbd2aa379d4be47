//! The visibility rule in SQL equals the pure rule, a rollback writes one row, and history can't be changed.

#![expect(clippy::unwrap_used, reason = "test code: a surprise must panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use pinrail_domain::id::{DeploymentId, StateSeq};
use pinrail_domain::ledger::{Actor, Body, Draft, Head};
use pinrail_domain::state::model::{self, Act, Model, Step};
use pinrail_domain::state::view::View;
use pinrail_domain::state::{Layer, Moment, Op, Operation};
use pinrail_domain::time::Timestamp;
use pinrail_store::conformance::sample::state::{author, batch, facts, set, unset};
use pinrail_store::ledger::Append;
use pinrail_store::{Ledger, State};
use pinrail_store_postgres::Postgres;
use pinrail_store_postgres::testing::{Cluster, Database};
use tokio_postgres::{Client, NoTls};

/// A store, and a connection past it.
struct Stage {
    store: Postgres,
    sql: Client,
    model: Model,
    _database: Database,
}

const STEPS: usize = 150;

impl Stage {
    async fn new(cluster: &Cluster) -> Stage {
        let database = cluster.database();
        let (sql, connection) = tokio_postgres::connect(&database.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let (store, model) = (database.open(), Model::new());
        store.ledger_append(Append::of(model.entries.clone())).await.unwrap();
        Stage { store, sql, model, _database: database }
    }

    async fn play(&mut self, step: &Step) {
        match self.model.decide(step) {
            Act::Write { deployment, space, key, op } => {
                let on = &model::spaces()[space];
                let change = match op {
                    Op::Put => set(on, key.as_str(), "1"),
                    Op::Delete => unset(on, key.as_str()),
                };
                let appended =
                    self.store.state_append(batch(&author(deployment.0), 1, vec![change])).await.unwrap();
                let operation =
                    Operation { seq: appended.first, ledger: appended.ledger, deployment, key, op };
                self.model.wrote(space, operation);
            }
            Act::Append(bodies) => self.append(bodies).await,
            Act::Nothing => {}
        }
    }

    async fn append(&mut self, bodies: Vec<Body>) {
        let mut head = self.model.world.head;
        let mut entries = Vec::new();
        for body in bodies {
            let draft = Draft { at: Timestamp(1), actor: Actor::System, reason: String::new(), body };
            let entry = head.seal(draft).unwrap();
            head = Head { seq: entry.seq, hash: entry.hash };
            entries.push(entry);
        }
        self.store.ledger_append(Append::of(entries.clone())).await.unwrap();
        entries.iter().for_each(|entry| self.model.appended(entry));
    }

    async fn spaces(&self) -> Vec<i64> {
        let mut numbers = Vec::new();
        for space in model::spaces() {
            let sql = "SELECT number FROM pinrail.spaces WHERE tenant = $1 AND layer = $2 AND name = $3";
            let layer = space.layer as i16;
            let rows =
                self.sql.query(sql, &[&space.tenant.as_str(), &layer, &space.name.as_str()]).await.unwrap();
            numbers.push(rows.first().map_or(-1, |row| row.get(0)));
        }
        numbers
    }

    /// Compares what SQL shows with the copies, for every reader at every moment; tells how many views that were.
    async fn compare(&self, seed: u64) -> usize {
        let numbers = self.spaces().await;
        let mut asked: Vec<(usize, Option<DeploymentId>, Moment)> = Vec::new();
        for at in self.model.moments() {
            for own in self.model.readers() {
                asked.extend((0..numbers.len()).map(|space| (space, own, at)));
            }
        }
        for asked in asked.chunks(2_000) {
            let spaces: Vec<i64> = asked.iter().map(|(space, ..)| numbers[*space]).collect();
            let owns: Vec<Option<i64>> =
                asked.iter().map(|(_, own, _)| own.map(|own| own.0 as i64)).collect();
            let states: Vec<i64> = asked.iter().map(|(.., at)| at.state.0 as i64).collect();
            let ledgers: Vec<i64> = asked.iter().map(|(.., at)| at.ledger.0 as i64).collect();
            let sql = "SELECT q.n, v.seq, v.key FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) \
                       WITH ORDINALITY AS q (space, own, state, ledger, n), \
                       LATERAL pinrail.visible(q.space, q.own, q.state, q.ledger) AS v";
            let mut seen: BTreeMap<i64, BTreeMap<String, StateSeq>> = BTreeMap::new();
            for row in self.sql.query(sql, &[&spaces, &owns, &states, &ledgers]).await.unwrap() {
                let seq = StateSeq(row.get::<_, i64>(1) as u64);
                let twice = seen.entry(row.get(0)).or_default().insert(row.get(2), seq);
                assert_eq!(twice, None, "seed {seed}: a key shows two records");
            }
            for ((space, own, at), n) in asked.iter().zip(1..) {
                let shown = self.model.shown(*own, *at).iter().filter(|((of, _), _)| of == space);
                let expected: BTreeMap<String, StateSeq> =
                    shown.map(|((_, key), seq)| (key.to_string(), *seq)).collect();
                let found = seen.remove(&n).unwrap_or_default();
                assert_eq!(found, expected, "seed {seed}, space {space}, {own:?} as of {at}");
            }
        }
        asked.len()
    }

    /// Compares `pinrail.counts`, operation by operation.
    async fn compare_counts(&self, seed: u64) {
        let commits = Arc::clone(&self.model.world.commits);
        let moments: Vec<Moment> = self.model.moments().collect();
        for (n, at) in moments.into_iter().enumerate().filter(|(n, _)| n % 7 == 0) {
            let readers = self.model.readers();
            let own = readers[n % readers.len()];
            let view = View { own, at, commits: Arc::clone(&commits) };
            let sql = "SELECT seq, pinrail.counts(seq, ledger, deployment, $1, $2, $3) FROM pinrail.state";
            let own = own.map(|own| own.0 as i64);
            let rows =
                self.sql.query(sql, &[&own, &(at.state.0 as i64), &(at.ledger.0 as i64)]).await.unwrap();
            let counts: BTreeMap<i64, bool> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            for (_, operation) in &self.model.operations {
                let counts = counts[&(operation.seq.0 as i64)];
                assert_eq!(
                    counts,
                    view.counts(operation),
                    "seed {seed}: {operation:?} in {own:?} as of {at}"
                );
            }
        }
    }

    /// Compares the views for people with what everybody sees now.
    async fn compare_views(&self, seed: u64) {
        for (number, space) in model::spaces().iter().enumerate() {
            let view = match space.layer {
                Layer::Memory => "memory",
                Layer::Context => "context",
                Layer::Vectors => continue,
            };
            let sql = format!(
                "SELECT key, seq FROM pinrail.{view} WHERE tenant = $1 AND space = $2 AND value IS NOT NULL"
            );
            let rows = self.sql.query(&sql, &[&space.tenant.as_str(), &space.name.as_str()]).await.unwrap();
            let seen: BTreeMap<String, StateSeq> =
                rows.iter().map(|row| (row.get(0), StateSeq(row.get::<_, i64>(1) as u64))).collect();
            let shown = self.model.shown(None, self.model.moment()).iter();
            let shown = shown.filter(|((of, _), _)| *of == number);
            let expected: BTreeMap<String, StateSeq> =
                shown.map(|((_, key), seq)| (key.to_string(), *seq)).collect();
            assert_eq!(seen, expected, "seed {seed}, pinrail.{view}");
        }
    }
}

/// I4, I5
#[tokio::test(flavor = "multi_thread")]
async fn the_rule_in_sql_is_the_pure_rule() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let mut views = 0;
    for seed in 1..=4_u64 {
        let mut stage = Stage::new(&cluster).await;
        let mut number = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for _ in 0..STEPS {
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            stage.play(&Step::from_number(number)).await;
        }
        stage.compare_views(seed).await;
        stage.compare_counts(seed).await;
        views += stage.compare(seed).await;
    }
    assert!(views > 5_000, "{views} views are few");
}

/// I6: counted in rows, whatever they are in.
#[tokio::test]
async fn a_rollback_writes_as_many_rows_whatever_it_hides() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let mut written = Vec::new();
    for records in [1_u64, 1_000, 100_000] {
        let mut stage = Stage::new(&cluster).await;
        stage.play(&Step::OpenIngest).await;
        let job = *stage.model.world.deployments.keys().next_back().unwrap();
        stage.store.state_append(batch(&author(job.0), 1, vec![set(&facts(), "first", "1")])).await.unwrap();
        let copies = format!(
            "INSERT INTO pinrail.state (seq, space, key, op, deployment, origin, ledger, at, content_digest, digest) \
             SELECT seq + n, space, 'k' || n, 0, deployment, origin, ledger, at, '', '' \
             FROM pinrail.state, generate_series(1, {}) AS n; UPDATE pinrail.heads SET state_seq = {records}",
            records - 1
        );
        stage.sql.batch_execute(&copies).await.unwrap();
        let space: i64 =
            stage.sql.query("SELECT space FROM pinrail.state LIMIT 1", &[]).await.unwrap()[0].get(0);
        let seen = async |own: Option<i64>| {
            let sql = "SELECT count(*) FROM pinrail.visible($1, $2, NULL, NULL)";
            stage.sql.query(sql, &[&space, &own]).await.unwrap()[0].get::<_, i64>(0)
        };
        assert_eq!((seen(None).await, seen(Some(job.0 as i64)).await), (0, records as i64));
        let mut bodies = Vec::new();
        if let Act::Append(promoted) = stage.model.decide(&Step::Commit { which: 0 }) {
            bodies.extend(promoted);
        }
        assert!(!bodies.is_empty());
        stage.append(bodies).await;
        let sql = "SELECT count(*) FROM pinrail.visible($1, NULL, NULL, NULL)";
        let count = stage.sql.query(sql, &[&space]).await.unwrap()[0].get::<_, i64>(0);
        assert_eq!(count, records as i64);

        let Act::Append(bodies) =
            stage.model.decide(&Step::RollBack { which: 0, keep_state: false, cascade: None })
        else {
            panic!("a data job can be rolled back")
        };
        stage.append(bodies).await;
        let count = stage.sql.query(sql, &[&space]).await.unwrap()[0].get::<_, i64>(0);
        assert_eq!(count, 0);
        written.push(rows_of_the_last_entry(&stage.sql).await);
    }
    assert!(written[0] <= 4 && written.iter().all(|rows| *rows == written[0]), "{written:?}");
}

/// The rows that the transaction of the ledger's last entry left, in all tables.
async fn rows_of_the_last_entry(sql: &Client) -> i64 {
    let tables = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                  WHERE n.nspname = 'pinrail' AND c.relkind = 'r'";
    let mut rows = 0;
    for table in sql.query(tables, &[]).await.unwrap() {
        let table: String = table.get(0);
        let count = format!(
            "SELECT count(*) FROM pinrail.{table} WHERE xmin = (SELECT xmin FROM pinrail.ledger ORDER BY seq DESC LIMIT 1)"
        );
        rows += sql.query(&count, &[]).await.unwrap()[0].get::<_, i64>(0);
    }
    rows
}

/// I8
#[tokio::test]
async fn history_cannot_be_changed_past_the_store() {
    let Some(cluster) = Cluster::named_by_env() else { return };
    let stage = Stage::new(&cluster).await;
    let put = set(&facts(), "a", "1");
    let appended = stage.store.state_append(batch(&author(0), 1, vec![put])).await.unwrap();
    let check = async |sql: &str| {
        let refused = stage.sql.batch_execute(sql).await.map_err(|error| error.code().cloned());
        assert_eq!(
            refused,
            Err(Some(tokio_postgres::error::SqlState::INTEGRITY_CONSTRAINT_VIOLATION)),
            "{sql}"
        );
    };
    check("UPDATE pinrail.state SET deployment = 7").await;
    check("DELETE FROM pinrail.state").await;
    check("UPDATE pinrail.state_content SET json = '2'").await;
    check("UPDATE pinrail.state_content SET json = NULL, salt = NULL").await;
    check("DELETE FROM pinrail.state_content").await;
    check("UPDATE pinrail.state_marks SET last = 0").await;
    check("DELETE FROM pinrail.state_marks").await;
    check("UPDATE pinrail.heads SET state_seq = 0").await;
    check("TRUNCATE pinrail.state_content").await;
    let whole = stage.store.state_records(&[appended.first]).await.unwrap();
    assert!(whole[0].is_whole());
}
