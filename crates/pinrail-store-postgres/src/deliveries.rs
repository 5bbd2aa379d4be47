//! Deliveries in PostgreSQL.

use async_trait::async_trait;
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::deliveries::{DeadLetter, Deliveries, Outlet};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::Postgres;
use crate::db::{Lane, Param, Session, repeat};
use crate::failure::{Failure, column, integer, limit as sql_limit, number};

/// What a dead letter is read from, in the order of [`letter`].
const LETTER: &str =
    "SELECT seq, attempts, why, at FROM pinrail.dead_letters WHERE webhook = $1 AND since = $2";

#[async_trait]
impl Deliveries for Postgres {
    async fn delivery_cursor(&self, to: &Outlet) -> Result<Option<LedgerSeq>, StoreError> {
        let sql = "SELECT cursor FROM pinrail.deliveries WHERE webhook = $1 AND since = $2";
        let (webhook, since) = key(to);
        let row = self.maybe(Lane::Quick, sql, &[(&webhook, Type::TEXT), (&since, Type::INT8)]).await?;
        Ok(row.map(|row| number(&row, 0, to_text(to)).map(LedgerSeq)).transpose()?)
    }

    async fn delivery_advance(
        &self,
        to: &Outlet,
        cursor: LedgerSeq,
        dead: Option<DeadLetter>,
    ) -> Result<bool, StoreError> {
        let advanced = repeat(|| async {
            let tx = self.begin(Lane::Work).await?;
            let moves = advance(&tx, to, cursor, dead.as_ref()).await?;
            tx.commit().await?;
            Ok(moves)
        });
        Ok(advanced.await?)
    }

    async fn dead_letter_list(
        &self,
        of: &Outlet,
        after: LedgerSeq,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let sql = format!("{LETTER} AND seq > $3 ORDER BY seq LIMIT $4");
        let ((webhook, since), after, limit) = (key(of), integer(after.0), sql_limit(limit));
        let params: [Param<'_>; 4] =
            [(&webhook, Type::TEXT), (&since, Type::INT8), (&after, Type::INT8), (&limit, Type::INT8)];
        let rows = self.rows(Lane::Work, &sql, &params).await?;
        Ok(rows.iter().map(letter).collect::<Result<_, _>>()?)
    }

    async fn dead_letter_get(&self, of: &Outlet, seq: LedgerSeq) -> Result<Option<DeadLetter>, StoreError> {
        let sql = format!("{LETTER} AND seq = $3");
        let ((webhook, since), seq) = (key(of), integer(seq.0));
        let params: [Param<'_>; 3] = [(&webhook, Type::TEXT), (&since, Type::INT8), (&seq, Type::INT8)];
        let row = self.maybe(Lane::Quick, &sql, &params).await?;
        Ok(row.as_ref().map(letter).transpose()?)
    }

    async fn dead_letter_count(&self, of: &Outlet) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM pinrail.dead_letters WHERE webhook = $1 AND since = $2";
        let (webhook, since) = key(of);
        let rows = self.rows(Lane::Work, sql, &[(&webhook, Type::TEXT), (&since, Type::INT8)]).await?;
        let row = rows.first().ok_or_else(|| Failure::damaged(to_text(of), "no count"))?;
        Ok(number(row, 0, to_text(of))?)
    }

    async fn dead_letter_put(&self, of: &Outlet, letter: DeadLetter) -> Result<bool, StoreError> {
        let DeadLetter { seq, attempts, why, at } = &letter;
        let sql = "UPDATE pinrail.dead_letters SET attempts = $4, why = $5, at = $6 \
                   WHERE webhook = $1 AND since = $2 AND seq = $3";
        let ((webhook, since), seq, at) = (key(of), integer(seq.0), integer(at.0));
        let params: [Param<'_>; 6] = [
            (&webhook, Type::TEXT),
            (&since, Type::INT8),
            (&seq, Type::INT8),
            (&i64::from(*attempts), Type::INT8),
            (why, Type::TEXT),
            (&at, Type::INT8),
        ];
        Ok(self.change(Lane::Work, sql, &params).await? == 1)
    }

    async fn dead_letter_delete(&self, of: &Outlet, seq: LedgerSeq) -> Result<bool, StoreError> {
        let sql = "DELETE FROM pinrail.dead_letters WHERE webhook = $1 AND since = $2 AND seq = $3";
        let ((webhook, since), seq) = (key(of), integer(seq.0));
        let params: [Param<'_>; 3] = [(&webhook, Type::TEXT), (&since, Type::INT8), (&seq, Type::INT8)];
        Ok(self.change(Lane::Work, sql, &params).await? == 1)
    }

    async fn delivery_outlets(&self) -> Result<Vec<Outlet>, StoreError> {
        let sql = "SELECT webhook, since FROM pinrail.deliveries ORDER BY webhook, since";
        let rows = self.rows(Lane::Work, sql, &[]).await?;
        let outlet = |row: &Row| -> Result<Outlet, Failure> {
            let what = "a webhook's cursor";
            let name: &str = column(row, 0, what)?;
            let webhook = name.parse().map_err(|why| Failure::damaged(what, why))?;
            Ok(Outlet { webhook, since: LedgerSeq(number(row, 1, what)?) })
        };
        Ok(rows.iter().map(outlet).collect::<Result<_, _>>()?)
    }

    async fn delivery_forget(&self, outlet: &Outlet) -> Result<(), StoreError> {
        let (webhook, since) = key(outlet);
        let forgotten = repeat(|| async {
            let tx = self.begin(Lane::Work).await?;
            for table in ["dead_letters", "deliveries"] {
                let sql = format!("DELETE FROM pinrail.{table} WHERE webhook = $1 AND since = $2");
                tx.execute(&sql, &[(&webhook, Type::TEXT), (&since, Type::INT8)]).await?;
            }
            tx.commit().await
        });
        Ok(forgotten.await?)
    }
}

/// Moves the cursor forward and keeps the dead letter with it; tells whether it moved.
async fn advance(
    db: &Session,
    to: &Outlet,
    cursor: LedgerSeq,
    dead: Option<&DeadLetter>,
) -> Result<bool, Failure> {
    let ((webhook, since), cursor) = (key(to), integer(cursor.0));
    let sql = "INSERT INTO pinrail.deliveries AS d (webhook, since, cursor) VALUES ($1, $2, $3) \
               ON CONFLICT (webhook, since) DO UPDATE SET cursor = excluded.cursor WHERE d.cursor < excluded.cursor";
    let params: [Param<'_>; 3] = [(&webhook, Type::TEXT), (&since, Type::INT8), (&cursor, Type::INT8)];
    let moves = db.execute(sql, &params).await? == 1;
    if let (true, Some(DeadLetter { seq, attempts, why, at })) = (moves, dead) {
        let sql = "INSERT INTO pinrail.dead_letters (webhook, since, seq, attempts, why, at) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let params: [Param<'_>; 6] = [
            (&webhook, Type::TEXT),
            (&since, Type::INT8),
            (&integer(seq.0), Type::INT8),
            (&i64::from(*attempts), Type::INT8),
            (why, Type::TEXT),
            (&integer(at.0), Type::INT8),
        ];
        db.execute(sql, &params).await?;
    }
    Ok(moves)
}

fn key(outlet: &Outlet) -> (&str, i64) {
    (outlet.webhook.as_str(), integer(outlet.since.0))
}

fn to_text(outlet: &Outlet) -> String {
    format!("what webhook {} was told", outlet.webhook)
}

fn letter(row: &Row) -> Result<DeadLetter, Failure> {
    let what = "a dead letter";
    let attempts = number(row, 1, what)?;
    Ok(DeadLetter {
        seq: LedgerSeq(number(row, 0, what)?),
        attempts: u32::try_from(attempts).map_err(|why| Failure::damaged(what, why))?,
        why: column(row, 2, what)?,
        at: Timestamp(number(row, 3, what)?),
    })
}
