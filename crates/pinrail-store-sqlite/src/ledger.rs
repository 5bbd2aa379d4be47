//! The ledger in SQLite.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{Epoch, LedgerSeq};
use pinrail_domain::ledger::{Entry, Head};
use pinrail_store::ledger::{Append, AppendError};
use pinrail_store::{Ledger, StoreError};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::oneshot;

use crate::failure::{Failure, integer, limit as sql_limit};
use crate::writer::{Kind, Operation};
use crate::{Sqlite, answers};

#[async_trait]
impl Ledger for Sqlite {
    async fn ledger_head(&self) -> Result<Head, StoreError> {
        Ok(self.quick.ask(head).await?)
    }

    async fn ledger_append(&self, append: Append) -> Result<(), AppendError> {
        let base = append.base();
        let text = |entry| serde_json::to_string(entry).expect("an entry is plain data");
        let texts = append.entries.iter().map(text).collect();
        self.writer.carry_out(|reply| Appending { append, base, texts, outcome: Ok(()), reply }).await?
    }

    async fn ledger_read(&self, after: LedgerSeq, limit: usize) -> Result<Vec<Entry>, StoreError> {
        Ok(self.quick.ask(move |db| read(db, after, limit)).await?)
    }
}

struct Appending {
    append: Append,
    base: Head,
    /// The entries' JSON.
    texts: Vec<String>,
    outcome: Result<(), AppendError>,
    reply: oneshot::Sender<Result<(), AppendError>>,
}

impl Operation for Appending {
    fn kind(&self) -> Kind {
        Kind::Ledger
    }

    fn carry_out(&mut self, _part: usize, db: &Connection) -> Result<(), StoreError> {
        self.outcome = match self.append_to(db) {
            Err(AppendError::Store(error)) => return Err(error),
            outcome => outcome,
        };
        Ok(())
    }

    fn fail(&mut self, _part: usize, error: &StoreError) {
        self.outcome = Err(error.clone().into());
    }

    fn answer(self: Box<Self>) {
        let _ = self.reply.send(self.outcome);
    }
}

impl Appending {
    fn append_to(&self, db: &Connection) -> Result<(), AppendError> {
        // One process has the file: it leads, and nobody else can have begun a term.
        let Append { entries, answer, fence: _ } = &self.append;
        if let Some(answer) = answer
            && let Some(given) = answers::given(db, &answer.key)?
        {
            return Err(AppendError::Answered(Box::new(given)));
        }
        let head = head(db)?;
        if head != self.base {
            return Err(AppendError::Moved { head });
        }
        for (entry, text) in entries.iter().zip(&self.texts) {
            insert(db, entry, text)?;
        }
        let risen = entries.iter().filter(|entry| entry.body.raises_epoch()).count();
        if risen > 0 {
            let mut update =
                db.prepare_cached("UPDATE ledger_epoch SET epoch = epoch + ?1").map_err(Failure::from)?;
            update.execute([integer(risen as u64)]).map_err(Failure::from)?;
        }
        if let Some(answer) = answer {
            answers::keep(db, answer)?;
        }
        Ok(())
    }
}

fn insert(db: &Connection, entry: &Entry, text: &str) -> Result<(), Failure> {
    let mut insert = db.prepare_cached("INSERT INTO ledger (seq, hash, entry) VALUES (?1, ?2, ?3)")?;
    insert.execute((integer(entry.seq.0), entry.hash.as_bytes(), text))?;
    let mut insert = db.prepare_cached("INSERT INTO ledger_times (seq, at) VALUES (?1, ?2)")?;
    insert.execute((integer(entry.seq.0), integer(entry.at.0)))?;
    Ok(())
}

/// How often the ledger moved something that runs are routed by.
pub(crate) fn epoch(db: &Connection) -> Result<Epoch, Failure> {
    let mut select = db.prepare_cached("SELECT epoch FROM ledger_epoch")?;
    Ok(Epoch(select.query_row((), |row| row.get::<_, i64>(0))?.unsigned_abs()))
}

fn head(db: &Connection) -> Result<Head, Failure> {
    let mut select = db.prepare_cached("SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1")?;
    let head = select.query_row((), |row| {
        let seq = LedgerSeq(row.get::<_, i64>(0)?.unsigned_abs());
        Ok(Head { seq, hash: Digest::from_bytes(row.get(1)?) })
    });
    Ok(head.optional()?.unwrap_or(Head::START))
}

/// Reads entries one after the other: the first that is missing, unreadable or another's stops it.
pub(crate) fn read(db: &Connection, after: LedgerSeq, limit: usize) -> Result<Vec<Entry>, Failure> {
    let sql = "SELECT seq, hash, entry FROM ledger WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query((integer(after.0), sql_limit(limit)))?;
    let mut entries = Vec::new();
    let mut expected = after;
    while let Some(row) = rows.next()? {
        expected = expected.next();
        let name = format_args!("ledger entry {expected}");
        if row.get::<_, i64>(0)? != integer(expected.0) {
            return Err(Failure::damaged(name, "it is missing"));
        }
        let text = row.get_ref(2)?.as_bytes().map_err(|why| Failure::damaged(name, why))?;
        let entry: Entry = serde_json::from_slice(text).map_err(|why| Failure::damaged(name, why))?;
        if entry.seq != expected {
            return Err(Failure::damaged(name, format_args!("it says that it is entry {}", entry.seq)));
        }
        // The column is what the head is read from, so the two may not differ.
        if row.get_ref(1)?.as_blob().ok() != Some(&entry.hash.as_bytes()[..]) {
            return Err(Failure::damaged(name, "it is filed under another hash than its own"));
        }
        entries.push(entry);
    }
    Ok(entries)
}
