//! Appends of records.
//!
//! Everything that can be made ready beforehand is: the rows as arrays, the spaces' numbers, and a first look at the answer and
//! at what is expected. One call then writes the content, locks the heads, looks again, writes the narrow rows and keeps the answer,
//! and the COMMIT is sent with it. What a data job writes is undone where the job turns out to be ended.

use pinrail_domain::id::{LedgerSeq, StateSeq};
use pinrail_domain::state::{Content, Value};
use pinrail_store::state::{AppendError, Appended, Batch};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::spaces;
use crate::db::{Lane, Param, Tx, repeat};
use crate::failure::{Failure, column, integer, natural};
use crate::{Postgres, answers};

const APPEND: &str = "SELECT out_first, out_last, out_ledger FROM pinrail.state_append_kept(\
     $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)";
/// Looked at before the heads are locked: what is refused here costs nobody a wait.
const NEWEST: &str = "SELECT max(seq) FROM pinrail.state WHERE space = $1 AND key = $2";

/// What [`APPEND`] fails with where the author's data job was ended: the entry that ended it stands beside.
const ENDED: &str = "PR001";
/// And where the expected record isn't the key's newest: which is stands beside, or zero.
const MOVED: &str = "PR002";

/// The number that no space has.
const NO_SPACE: i64 = 0;

/// A batch as columns.
struct Rows<'a> {
    spaces: Vec<i64>,
    keys: Vec<&'a str>,
    ops: Vec<i16>,
    parents: Vec<Option<String>>,
    content_digests: Vec<&'a [u8]>,
    digests: Vec<&'a [u8]>,
    content_of: Vec<i32>,
    salts: Vec<&'a [u8]>,
    jsons: Vec<&'a str>,
    vector_from: Vec<Option<i32>>,
    vector_to: Vec<Option<i32>>,
    floats: Vec<f32>,
    /// The expected key's space.
    expect_space: i64,
}

pub(super) async fn append(store: &Postgres, batch: &Batch) -> Result<Appended, AppendError> {
    let rows = Rows::of(store, batch).await?;
    repeat(|| once(store, batch, &rows)).await?
}

/// One attempt. The transaction's failure is outside, what the batch met inside.
async fn once(
    store: &Postgres,
    batch: &Batch,
    rows: &Rows<'_>,
) -> Result<Result<Appended, AppendError>, Failure> {
    let tx = store.begin(Lane::Work).await?;
    if let Some(keep) = &batch.answer
        && let Some(given) = answers::given(&tx, &keep.key).await?
    {
        tx.rollback().await?;
        return Ok(Err(AppendError::Answered(Box::new(given))));
    }
    if let Some(expect) = &batch.expect {
        let params: [Param<'_>; 2] = [(&rows.expect_space, Type::INT8), (&expect.key.as_str(), Type::TEXT)];
        let newest: Option<i64> = column(&tx.row(NEWEST, &params).await?, 0, "a key's newest record")?;
        let newest = newest.map(|seq| StateSeq(natural(seq)));
        if newest != expect.newest {
            tx.rollback().await?;
            return Ok(Err(AppendError::Moved { newest }));
        }
    }
    let probe = &store.inner.options.probe;
    probe.at("state.before_commit");
    match rows.append(tx, batch).await {
        Ok(row) => {
            probe.at("state.after_commit");
            Ok(Ok(appended(&row)?))
        }
        Err(failure) => match (refused(&failure), &batch.answer) {
            (Some(refused), _) => Ok(Err(refused)),
            (None, Some(_)) => Err(failure.of_one_that_looks()),
            (None, None) => Err(failure),
        },
    }
}

/// Why a batch was refused, where that is why its append failed.
fn refused(failure: &Failure) -> Option<AppendError> {
    let place = |code| failure.detail_of(&SqlState::from_code(code))?.parse::<u64>().ok();
    if let Some(by) = place(ENDED) {
        return Some(AppendError::Ended { by: LedgerSeq(by) });
    }
    place(MOVED)
        .map(|newest| AppendError::Moved { newest: Some(StateSeq(newest)).filter(|newest| newest.0 > 0) })
}

impl<'a> Rows<'a> {
    async fn of(store: &Postgres, batch: &'a Batch) -> Result<Rows<'a>, Failure> {
        let numbers = spaces::make(store, batch.puts.iter().map(|put| &put.space)).await?;
        let expect_space = match &batch.expect {
            Some(expect) => spaces::find(store, &expect.space).await?.unwrap_or(NO_SPACE),
            None => NO_SPACE,
        };
        let puts = &batch.puts;
        let mut rows = Rows {
            spaces: puts.iter().map(|put| numbers[&put.space]).collect(),
            keys: puts.iter().map(|put| put.key.as_str()).collect(),
            ops: puts.iter().map(|put| put.op as i16).collect(),
            parents: puts.iter().map(|put| places(&put.parents)).collect(),
            content_digests: puts.iter().map(|put| &put.content_digest.as_bytes()[..]).collect(),
            digests: puts.iter().map(|put| &put.digest.as_bytes()[..]).collect(),
            content_of: Vec::new(),
            salts: Vec::new(),
            jsons: Vec::new(),
            vector_from: Vec::new(),
            vector_to: Vec::new(),
            floats: Vec::new(),
            expect_space,
        };
        for (place, put) in (1..).zip(puts) {
            match &put.content {
                Content::Value(value) => rows.add(place, value),
                Content::Nothing | Content::Erased => {}
            }
        }
        Ok(rows)
    }

    fn add(&mut self, place: i32, value: &'a Value) {
        self.content_of.push(place);
        self.salts.push(&value.salt);
        self.jsons.push(&value.json);
        let from = self.floats.len() + 1;
        self.floats.extend(value.vector.iter().flatten());
        let place_of =
            |n: usize| i32::try_from(n).expect("a batch's vectors have fewer components than that");
        let is_vector = value.vector.is_some();
        self.vector_from.push(is_vector.then(|| place_of(from)));
        self.vector_to.push(is_vector.then(|| place_of(self.floats.len())));
    }

    async fn append(&self, tx: Tx, batch: &Batch) -> Result<Row, Failure> {
        let author = &batch.author;
        let (idem_key, idem_caller) =
            batch.answer.as_ref().map(|keep| (keep.key.key.as_str(), keep.key.caller.as_str())).unzip();
        let expected = batch.expect.as_ref();
        let expect_key = expected.map(|expect| expect.key.as_str());
        let expect_newest = expected.and_then(|expect| expect.newest).map(|seq| integer(seq.0));
        let run = author.run.map(|run| Uuid::from_u128(run.0));
        let agent = author.agent.as_ref().map(|agent| agent.as_str());
        let open = batch.open.map(|seq| integer(seq.0));
        let request = batch.answer.as_ref().map(|keep| &keep.request.as_bytes()[..]);
        let params: [Param<'_>; 24] = [
            (&idem_key, Type::TEXT),
            (&idem_caller, Type::TEXT),
            (&self.expect_space, Type::INT8),
            (&expect_key, Type::TEXT),
            (&expect_newest, Type::INT8),
            (&integer(author.deployment.0), Type::INT8),
            (&run, Type::UUID),
            (&agent, Type::TEXT),
            (&(author.origin as i16), Type::INT2),
            (&integer(batch.at.0), Type::INT8),
            (&self.spaces, Type::INT8_ARRAY),
            (&self.keys, Type::TEXT_ARRAY),
            (&self.ops, Type::INT2_ARRAY),
            (&self.parents, Type::TEXT_ARRAY),
            (&self.content_digests, Type::BYTEA_ARRAY),
            (&self.digests, Type::BYTEA_ARRAY),
            (&self.content_of, Type::INT4_ARRAY),
            (&self.salts, Type::BYTEA_ARRAY),
            (&self.jsons, Type::TEXT_ARRAY),
            (&self.vector_from, Type::INT4_ARRAY),
            (&self.vector_to, Type::INT4_ARRAY),
            (&self.floats, Type::FLOAT4_ARRAY),
            (&open, Type::INT8),
            (&request, Type::BYTEA),
        ];
        let row = tx.conclude(APPEND, &params).await?.into_iter().next();
        row.ok_or_else(|| Failure::damaged("an append's places", "there is no row"))
    }
}

fn appended(row: &Row) -> Result<Appended, Failure> {
    let place =
        |place: usize| -> Result<u64, Failure> { Ok(natural(column(row, place, "an append's places")?)) };
    Ok(Appended { first: StateSeq(place(0)?), last: StateSeq(place(1)?), ledger: LedgerSeq(place(2)?) })
}

/// Places as PostgreSQL writes an array of them; none where there are none.
fn places(seqs: &[StateSeq]) -> Option<String> {
    let numbers: Vec<String> = seqs.iter().map(|seq| integer(seq.0).to_string()).collect();
    (!seqs.is_empty()).then(|| format!("{{{}}}", numbers.join(",")))
}
