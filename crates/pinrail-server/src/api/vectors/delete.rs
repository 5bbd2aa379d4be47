//! `POST /api/v1/vectors/{space}/delete`.

use pinrail_api::state::WrittenBy;
use pinrail_api::vectors::{DeleteVectors, VectorsDeleted};
use pinrail_domain::id::CollectionName;

use super::refused;
use crate::call::Call;
use crate::reply::{self, Answer};
use crate::state_call::write_error;

pub async fn delete(call: Call) -> Answer {
    let DeleteVectors { run, deployment, external, keys } = call.json()?;
    let name: CollectionName = call.param("space")?;
    let pen = call.pen(WrittenBy { run, deployment, external }).await?;
    let by = call.author(&pen).await?;
    let ended = call.control().states().delete_vectors(&by, &pen.tenant, &name, &keys).await;
    let ended = ended.map_err(|error| write_error(error, refused))?;
    reply::json(&VectorsDeleted { space: name.to_string(), ended, deployment: by.author.deployment })
}
