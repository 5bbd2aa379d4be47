//! `PUT /api/v1/vectors/{space}/canaries`, `POST …/canaries/check`, `GET …/canaries`.
//!
//! Through a deployment's or a run's eyes the embedder is the one that its release pins: so a candidate's embedder is
//! checked before it gets traffic.

use pinrail_api::problem::{Code, Problem};
use pinrail_api::vectors::{Canaries, Canary, CheckCanaries, SetCanaries, WhichEmbedder};
use pinrail_control::state::vectors::canaries::{self, CanariesRefused};
use pinrail_control::state::vectors::live::LiveError;
use serde::Deserialize;

use super::show::check as shown;
use super::{numbers, seen};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};
use crate::state_call::{NoMore, write_error};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    embedder: Option<String>,
}

pub async fn show(call: Call) -> Answer {
    let (eyes, Query { embedder }) = call.eyes().await?;
    let space = seen(&call, &eyes, embedder.map(WhichEmbedder::Id)).await?;
    let (kept, _) = call.control().states().canaries(&space).await.map_err(|error| problem::store(&error))?;
    let texts = kept.into_iter().map(|canary| canary.text).collect();
    reply::json(&Canaries { space: space.name().to_owned(), embedder: space.id, texts })
}

pub async fn set(call: Call) -> Answer {
    let (eyes, NoMore {}) = call.eyes().await?;
    let SetCanaries { embedder, canaries } = call.json()?;
    let space = seen(&call, &eyes, embedder).await?;
    let canaries = read(canaries)?;
    let set = call.control().states().canaries_set(&space, &canaries).await;
    set.map_err(|error| write_error(error, refused))?;
    let texts = canaries.into_iter().map(|canary| canary.text).collect();
    reply::json(&Canaries { space: space.name().to_owned(), embedder: space.id, texts })
}

pub async fn check(call: Call) -> Answer {
    let (eyes, NoMore {}) = call.eyes().await?;
    let CheckCanaries { embedder, canaries } = call.json()?;
    let space = seen(&call, &eyes, embedder).await?;
    let Some(canaries) = canaries else {
        return reply::json(&shown(call.control().states().canaries_ask(&space).await.map_err(not_asked)?));
    };
    let checked = call.control().states().canaries_check(&space, &read(canaries)?).await;
    reply::json(&shown(checked.map_err(|error| write_error(error, refused))?))
}

fn read(canaries: Vec<Canary>) -> Result<Vec<canaries::Canary>, Problem> {
    let read = |canary: Canary| {
        let vector = numbers(canary.vector, || format!("the vector of `{}`", canary.text))?;
        Ok(canaries::Canary { text: canary.text, vector })
    };
    canaries.into_iter().map(read).collect()
}

fn not_asked(error: LiveError) -> Problem {
    let detail = problem::chain(&error);
    let by_hand =
        "embed the texts that GET /api/v1/vectors/SPACE/canaries lists, and send them (--check FILE)";
    match error {
        LiveError::NoProvider | LiveError::NoClient => {
            Problem::new(Code::BadRequest, detail).next_step(by_hand)
        }
        LiveError::UnknownProvider(name) => Problem::new(Code::BadRequest, detail).next_step(format!(
            "register provider `{name}` (pinrail.toml and `pinrail apply`, PUT /api/v1/providers/{name}), or {by_hand}"
        )),
        LiveError::Failed { .. } => Problem::new(Code::ProviderFailed, detail)
            .next_step("look at the provider with `pinrail doctor`, and try again"),
        LiveError::Compare(error) => write_error(error, refused),
    }
}

fn refused(refused: CanariesRefused) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        CanariesRefused::Vector { .. } => Problem::new(Code::BadVector, detail)
            .next_step("embed the text with the space's own embedder: `pinrail vectors show SPACE` shows it"),
        CanariesRefused::Count(_) | CanariesRefused::Text => {
            Problem::new(Code::BadRequest, detail).next_step("send fewer or shorter texts")
        }
        CanariesRefused::None => Problem::new(Code::NotFound, detail)
            .next_step("set them first: `pinrail vectors canaries SPACE --set FILE` (PUT /api/v1/vectors/SPACE/canaries)"),
        CanariesRefused::Missing(_) => Problem::new(Code::BadRequest, detail)
            .next_step("embed every text that GET /api/v1/vectors/SPACE/canaries lists"),
    }
}
