//! Watches in PostgreSQL.

use async_trait::async_trait;
use pinrail_store::StoreError;
use pinrail_store::watches::{WatchDay, WatchKey, Watches};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::Postgres;
use crate::db::{Lane, Param, repeat};
use crate::failure::{Failure, column, limit as sql_limit, number};

#[async_trait]
impl Watches for Postgres {
    async fn watch_get(&self, of: &WatchKey) -> Result<Option<String>, StoreError> {
        let sql = "SELECT document FROM pinrail.watches WHERE provider = $1 AND snapshot = $2";
        let params: [Param<'_>; 2] = [(&of.provider.as_str(), Type::TEXT), (&of.snapshot, Type::TEXT)];
        let row = self.maybe(Lane::Quick, sql, &params).await?;
        Ok(row.map(|row| column(&row, 0, "a watch")).transpose()?)
    }

    async fn watch_put(
        &self,
        of: &WatchKey,
        document: String,
        day: Option<WatchDay>,
    ) -> Result<(), StoreError> {
        let put = repeat(|| async {
            let tx = self.begin(Lane::Work).await?;
            let (provider, snapshot) = (of.provider.as_str(), &of.snapshot);
            let sql = "INSERT INTO pinrail.watches (provider, snapshot, document) VALUES ($1, $2, $3) \
                       ON CONFLICT (provider, snapshot) DO UPDATE SET document = excluded.document";
            let params: [Param<'_>; 3] =
                [(&provider, Type::TEXT), (snapshot, Type::TEXT), (&document, Type::TEXT)];
            tx.execute(sql, &params).await?;
            if let Some(WatchDay { day, document }) = &day {
                let sql = "INSERT INTO pinrail.watch_days (provider, snapshot, day, document) \
                           VALUES ($1, $2, $3, $4) \
                           ON CONFLICT (provider, snapshot, day) DO UPDATE SET document = excluded.document";
                let params: [Param<'_>; 4] = [
                    (&provider, Type::TEXT),
                    (snapshot, Type::TEXT),
                    (&i64::from(*day), Type::INT8),
                    (document, Type::TEXT),
                ];
                tx.execute(sql, &params).await?;
            }
            tx.commit().await
        });
        Ok(put.await?)
    }

    async fn watch_days(&self, of: &WatchKey, from: u32, limit: usize) -> Result<Vec<WatchDay>, StoreError> {
        let sql = "SELECT day, document FROM pinrail.watch_days \
                   WHERE provider = $1 AND snapshot = $2 AND day >= $3 ORDER BY day LIMIT $4";
        let params: [Param<'_>; 4] = [
            (&of.provider.as_str(), Type::TEXT),
            (&of.snapshot, Type::TEXT),
            (&i64::from(from), Type::INT8),
            (&sql_limit(limit), Type::INT8),
        ];
        let rows = self.rows(Lane::Work, sql, &params).await?;
        let day = |row: &Row| -> Result<WatchDay, Failure> {
            let what = "a day of a watch";
            let day = u32::try_from(number(row, 0, what)?).map_err(|why| Failure::damaged(what, why))?;
            Ok(WatchDay { day, document: column(row, 1, what)? })
        };
        Ok(rows.iter().map(day).collect::<Result<_, _>>()?)
    }

    async fn watch_list(&self) -> Result<Vec<(WatchKey, String)>, StoreError> {
        let sql = "SELECT provider, snapshot, document FROM pinrail.watches ORDER BY provider, snapshot";
        let rows = self.rows(Lane::Work, sql, &[]).await?;
        let watch = |row: &Row| -> Result<(WatchKey, String), Failure> {
            let what = "a watch";
            let name: &str = column(row, 0, what)?;
            let provider = name.parse().map_err(|why| Failure::damaged(what, why))?;
            Ok((WatchKey { provider, snapshot: column(row, 1, what)? }, column(row, 2, what)?))
        };
        Ok(rows.iter().map(watch).collect::<Result<_, _>>()?)
    }
}
