//! Sightings in PostgreSQL.

use async_trait::async_trait;
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::sightings::{Sighting, SightingKind, Sightings};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::Postgres;
use crate::db::{Lane, Param};
use crate::failure::{Failure, column, integer, number};

#[async_trait]
impl Sightings for Postgres {
    async fn sighting_put(&self, sighting: Sighting) -> Result<bool, StoreError> {
        let Sighting { kind, subject, at, document } = &sighting;
        let sql = "INSERT INTO pinrail.sightings AS s (kind, subject, at, document) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (kind, subject) DO UPDATE SET at = excluded.at, document = excluded.document \
                   WHERE s.at <= excluded.at";
        let params: [Param<'_>; 4] = [
            (&(*kind as i16), Type::INT2),
            (subject, Type::TEXT),
            (&integer(at.0), Type::INT8),
            (document, Type::TEXT),
        ];
        Ok(self.change(Lane::Work, sql, &params).await? == 1)
    }

    async fn sighting_list(&self, kind: SightingKind) -> Result<Vec<Sighting>, StoreError> {
        let sql = "SELECT subject, at, document FROM pinrail.sightings WHERE kind = $1 ORDER BY subject";
        let rows = self.rows(Lane::Work, sql, &[(&(kind as i16), Type::INT2)]).await?;
        let sighting = |row: &Row| -> Result<Sighting, Failure> {
            let what = "a sighting";
            let at = Timestamp(number(row, 1, what)?);
            Ok(Sighting { kind, subject: column(row, 0, what)?, at, document: column(row, 2, what)? })
        };
        Ok(rows.iter().map(sighting).collect::<Result<_, _>>()?)
    }

    async fn sighting_forget(&self, kind: SightingKind, before: Timestamp) -> Result<u64, StoreError> {
        let sql = "DELETE FROM pinrail.sightings WHERE kind = $1 AND at < $2";
        let params: [Param<'_>; 2] = [(&(kind as i16), Type::INT2), (&integer(before.0), Type::INT8)];
        Ok(self.change(Lane::Work, sql, &params).await?)
    }
}
