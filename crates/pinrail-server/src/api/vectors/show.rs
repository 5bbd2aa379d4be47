//! `GET /api/v1/vectors/{space}?run=&deployment=&as_of=`: its embedders, and how far each is.

use pinrail_api::vectors::{
    CanariesShown, CanaryCheck, CanaryVerdict, EmbedderShown, IndexShown, VectorSpace,
};
use pinrail_control::state::vectors::canaries::{Checked, SAME_COSINE};
use pinrail_control::state::vectors::{Coverage, Progress};
use pinrail_domain::id::CollectionName;

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};
use crate::state_call::{NoMore, read_error};

pub async fn show(call: Call) -> Answer {
    let (eyes, NoMore {}) = call.eyes().await?;
    let name: CollectionName = call.param("space")?;
    let states = call.control().states();
    let covered = states.coverage(&eyes.tenant, &name, &eyes.reader).await.map_err(read_error)?;
    if covered.is_empty() {
        return Err(problem::not_found(
            format!("space of vectors `{name}` in tenant {}", eyes.tenant),
            "write to it first: `pinrail vectors upsert` (POST /api/v1/vectors/SPACE/upsert)",
        ));
    }
    let keys = covered[0].of;
    let mut embedders = Vec::with_capacity(covered.len());
    for Coverage { space, keys, of, index } in covered {
        let canaries = states.canaries(&space).await.map_err(|error| problem::store(&error))?;
        let (texts, last) = (canaries.0.len(), canaries.1);
        embedders.push(EmbedderShown {
            embedder: space.id,
            contract: (*space.embedder).clone(),
            keys,
            coverage: if of == 0 { 0.0 } else { keys as f64 / of as f64 },
            index: index.map(|index: Progress| IndexShown {
                loaded: index.loaded,
                of: index.of,
                bytes: index.bytes,
                graphs: index.graphs,
                in_graphs: index.in_graphs,
                building: index.building,
            }),
            canaries: (texts > 0).then(|| CanariesShown { texts, last_check: last.map(check) }),
        });
    }
    reply::json(&VectorSpace { space: name.to_string(), keys, embedders })
}

pub fn check(checked: Checked) -> CanaryCheck {
    let Checked { at, same, worst, worst_text, texts } = checked;
    let verdict = if same { CanaryVerdict::Same } else { CanaryVerdict::Swapped };
    CanaryCheck { at, verdict, worst, worst_text, least: SAME_COSINE, texts }
}
