//! `POST /api/v1/drift/run`: looks now, for whatever today still lacks, within the day's tokens.

use pinrail_api::drift::{DriftLooked, DriftRun, RunDrift};
use pinrail_api::problem::{Code, Problem};
use pinrail_store::watches::WatchKey;

use crate::call::Call;
use crate::drift::RunFailed;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn run(call: Call) -> Answer {
    let wish = call.json_or_default()?;
    reply::json(&value(&call, wish).await?)
}

/// Looks now.
pub async fn value(call: &Call, wish: RunDrift) -> Result<DriftRun, Problem> {
    let RunDrift { provider, snapshot } = wish;
    // Looking twice asks nothing twice: what today has it has.
    call.idempotency()?;
    let only = match (provider, snapshot) {
        (None, None) => None,
        (Some(provider), Some(snapshot)) => Some(WatchKey { provider, snapshot }),
        (Some(_), None) | (None, Some(_)) => {
            return Err(Problem::new(
                Code::BadRequest,
                "a model is its provider and its snapshot".to_owned(),
            )
            .next_step("name both, or neither for all models (`pinrail drift run PROVIDER SNAPSHOT`)"));
        }
    };
    let looked = call.state.drift.run(only.as_ref()).await.map_err(refused)?;
    let mut answer = DriftRun { looked: vec![] };
    for (key, looked) in looked {
        let Some(shown) = call.state.drift.show(&key).await.map_err(|error| problem::store(&error))? else {
            continue;
        };
        answer.looked.push(DriftLooked {
            provider: key.provider,
            snapshot: key.snapshot,
            calls: looked.calls,
            state: shown.state().to_owned(),
            sentence: shown.sentence(),
            finding: looked.finding,
        });
    }
    Ok(answer)
}

fn refused(failed: RunFailed) -> Problem {
    match failed {
        RunFailed::Off => Problem::new(Code::DriftOff, failed.to_string())
            .next_step("take it out of pinrail.toml and start the server again (docs/drift.md)"),
        RunFailed::NotNeeded(_) => Problem::new(Code::NotFound, failed.to_string())
            .next_step("list what is watched: `pinrail drift list` (GET /api/v1/drift)"),
        RunFailed::Store(error) => problem::store(&error),
    }
}
