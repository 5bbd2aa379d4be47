//! Artifacts in PostgreSQL.

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_store::{Artifacts, StoreError};
use tokio_postgres::types::Type;

use crate::Postgres;
use crate::db::{Lane, repeat};
use crate::failure::{Failure, column};

#[async_trait]
impl Artifacts for Postgres {
    async fn artifact_put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        repeat(|| self.insert_artifact(digest, bytes)).await?;
        Ok(digest)
    }

    async fn artifact_get(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT bytes FROM pinrail.artifacts WHERE digest = $1";
        let row = self.maybe(Lane::Quick, sql, &[(&&digest.as_bytes()[..], Type::BYTEA)]).await?;
        let Some(row) = row else { return Ok(None) };
        let what = format_args!("artifact {digest}");
        let bytes: Vec<u8> = column(&row, 0, what)?;
        if Digest::of(&bytes) != digest {
            return Err(Failure::damaged(what, "its bytes have another digest").into());
        }
        Ok(Some(bytes))
    }
}

impl Postgres {
    async fn insert_artifact(&self, digest: Digest, bytes: &[u8]) -> Result<(), Failure> {
        let tx = self.begin(Lane::Work).await?;
        let sql = "INSERT INTO pinrail.artifacts (digest, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        tx.execute(sql, &[(&&digest.as_bytes()[..], Type::BYTEA), (&bytes, Type::BYTEA)]).await?;
        self.inner.options.probe.at("artifact.before_commit");
        tx.commit().await
    }
}
