//! `POST /api/v1/vectors/{space}/upsert`.

use pinrail_api::state::WrittenBy;
use pinrail_api::vectors::{UpsertVectors, VectorsWritten};
use pinrail_control::state::vectors::Upsert;

use super::{numbers, pinned_by, refused, space};
use crate::call::Call;
use crate::reply::{self, Answer};
use crate::state_call::write_error;

pub async fn upsert(call: Call) -> Answer {
    let UpsertVectors { run, deployment, external, embedder, records } = call.json()?;
    let pen = call.pen(WrittenBy { run, deployment, external }).await?;
    let manifest = pinned_by(&call, pen.hand.run().map(|stamp| &**stamp));
    let space = space(&call, &pen.tenant, embedder, manifest).await?;
    let mut upserts = Vec::with_capacity(records.len());
    for record in records {
        let vector = numbers(record.vector, || format!("the vector of `{}`", record.key))?;
        upserts.push(Upsert { key: record.key, vector, payload: record.payload, parents: record.parents });
    }
    let by = call.author(&pen).await?;
    let idempotency = call.idempotency()?;
    let wrote = call.control().states().upsert(&by, &space, &upserts, idempotency.as_ref()).await;
    let wrote = wrote.map_err(|error| write_error(error, refused))?;
    let appended = wrote.appended.expect("an upsert holds at least one record");
    reply::changed(
        wrote.replayed,
        &VectorsWritten {
            space: space.name().to_owned(),
            embedder: space.id,
            records: upserts.len(),
            first: appended.first,
            last: appended.last,
            deployment: by.author.deployment,
        },
    )
}
