//! `GET /api/v1/drift`: what is watched, and the open findings.

use pinrail_api::drift::{Drift, DriftSettings};
use pinrail_api::problem::Problem;

use super::{found, shown};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

/// Days of each model: two weeks show how it goes.
const DAYS: usize = 14;

pub async fn list(call: Call) -> Answer {
    reply::json(&value(&call).await?)
}

/// What is watched, and the open findings.
pub async fn value(call: &Call) -> Result<Drift, Problem> {
    let drift = &call.state.drift;
    let models = drift.list().await.map_err(|error| problem::store(&error))?;
    let snapshot = call.control().snapshot();
    let findings = snapshot.world.findings.values().map(|finding| found(&snapshot.world, finding)).collect();
    let settings = drift.settings();
    let rules = settings.rules.sane();
    Ok(Drift {
        findings,
        models: models.iter().map(|model| shown(call, model, DAYS)).collect(),
        settings: DriftSettings {
            enabled: settings.enabled,
            tokens_per_day: settings.tokens_per_day,
            every_hours: settings.every_hours,
            prompts: rules.prompts,
            samples: rules.samples,
            calibration_days: rules.calibration_days,
            persistence: rules.persistence,
            shift_min: rules.shift_min,
            false_alarms_per_year: rules.false_alarms_per_year(),
        },
    })
}
