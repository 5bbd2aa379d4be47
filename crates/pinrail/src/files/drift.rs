//! `[drift]` in pinrail.toml: how models are watched behind their pins.

use pinrail_domain::drift::border::{PROMPTS_MAX, PROMPTS_MIN, Rules, SAMPLES_MAX};
use pinrail_server::drift::Settings;

use super::section::Section;

/// Most tokens a day and model: a watch that costs more is no watch.
const TOKENS_MAX: u32 = 1_000_000;

/// Reads the settings; what isn't said stays at its default.
pub fn read(drift: &Section<'_>) -> Option<Settings> {
    let known = Settings::DEFAULT;
    let rules = Rules {
        prompts: number(drift, "prompts", known.rules.prompts, PROMPTS_MIN, PROMPTS_MAX),
        samples: number(drift, "samples", known.rules.samples, 2, SAMPLES_MAX),
        calibration_days: number(drift, "calibration_days", known.rules.calibration_days, 4, 90),
        baseline_days: known.rules.baseline_days,
        persistence: number(drift, "persistence_days", known.rules.persistence, 2, 30),
        shift_min: real(drift, "shift_min", known.rules.shift_min, 0.0, 1.0),
        years: real(drift, "years_per_false_alarm", known.rules.years, 1.0, 1_000_000.0),
    };
    let every_hours = number(drift, "every_hours", known.every_hours, 1, 24);
    if 24 % every_hours != 0 {
        drift.refuse("every_hours", "must divide a day: 1, 2, 3, 4, 6, 8, 12 or 24");
    }
    let settings = Settings {
        enabled: drift.get("enabled").unwrap_or(known.enabled),
        tokens_per_day: number(drift, "tokens_per_day", known.tokens_per_day, 1, TOKENS_MAX),
        every_hours,
        rules,
    };
    let needed = rules.prompts * rules.samples;
    if settings.enabled && settings.tokens_per_day < needed {
        let what = format!(
            "{} is less than prompts × samples ({needed}): without log probabilities no day would be whole",
            settings.tokens_per_day
        );
        drift.refuse("tokens_per_day", &what);
    }
    Some(settings)
}

fn number(drift: &Section<'_>, key: &'static str, known: u32, least: u32, most: u32) -> u32 {
    let Some(said) = drift.get::<u32>(key) else { return known };
    if (least..=most).contains(&said) {
        return said;
    }
    drift.refuse(key, &format!("must be {least} to {most}"));
    known
}

fn real(drift: &Section<'_>, key: &'static str, known: f64, least: f64, most: f64) -> f64 {
    let Some(said) = drift.get::<f64>(key) else { return known };
    if (least..=most).contains(&said) {
        return said;
    }
    drift.refuse(key, &format!("must be {least} to {most}"));
    known
}
