//! Swaps behind an unchanged id, found by border prompts: the server's own watch, the simulated provider, days that pass as fast as
//! they are asked.
//!
//! Each seed is a world with its own model. Quiet ones last sixty days and must raise nothing, though the model's answers
//! wobble from day to day; in the others the checkpoint is swapped for a sibling some logits away, behind the same id and
//! the same fingerprint.

use super::{Bench, Row};
use world::{Asked, Fate, World};

pub mod world;

#[cfg(test)]
mod tests;

/// What `pinrail bench drift` is asked for.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(id = "drift-wish")]
pub struct Wish {
    /// Simulated models per line of the drift scenario
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub models: u64,
}

/// Days of a quiet world.
const QUIET_DAYS: u32 = 60;
/// The day of a swap: after the hunt, the calibration and some quiet days.
const SWAP_DAY: u32 = 40;
/// Days after a swap that is not found by then.
const PATIENCE_DAYS: u32 = 30;
/// How far apart the checkpoints are, in logits.
const DISTANCES: [f64; 3] = [0.5, 1.0, 2.0];
const MODELS_QUICK: u64 = 5;

pub async fn measure(bench: &Bench, wish: Wish) -> anyhow::Result<Vec<Row>> {
    let models = if bench.quick { wish.models.min(MODELS_QUICK) } else { wish.models };
    let mut rows = Vec::new();
    for logprobs in [true, false] {
        let asked = Asked { logprobs, wobble: 0.15, error_rate: 0.1 };
        rows.push(quiet(asked, models).await?);
        for distance in DISTANCES {
            rows.push(swapped(asked, distance, models).await?);
        }
    }
    Ok(rows)
}

async fn quiet(asked: Asked, models: u64) -> anyhow::Result<Row> {
    let (mut alarms, mut days, mut tokens) = (0, 0_u64, 0_u64);
    for seed in 0..models {
        let world = World::open(seed, asked, None).await?;
        let Fate { found, judged, answers } = world.live(QUIET_DAYS).await?;
        alarms += u64::from(found.is_some());
        days += u64::from(judged);
        tokens += answers / u64::from(QUIET_DAYS);
    }
    let what = format!("{}, {models} models × {QUIET_DAYS} quiet days", by(asked));
    let measured = format!("{alarms} alarms on {days} judged days; {} tokens a day", tokens / models);
    Ok(Row::new("drift", what, measured).budget("no alarm", alarms == 0))
}

async fn swapped(asked: Asked, distance: f64, models: u64) -> anyhow::Result<Row> {
    let mut took = Vec::new();
    let mut early = 0;
    for seed in 0..models {
        let world = World::open(seed, asked, Some((SWAP_DAY, distance))).await?;
        let Fate { found, .. } = world.live(SWAP_DAY + PATIENCE_DAYS).await?;
        match found {
            Some(day) if day >= SWAP_DAY => took.push(u64::from(day - SWAP_DAY + 1)),
            Some(_) => early += 1,
            None => {}
        }
    }
    took.sort_unstable();
    let what = format!("{}, swapped for a sibling {distance} logits away", by(asked));
    let days = match (took.first(), took.last()) {
        (Some(_), Some(last)) => {
            format!(
                ", after {} days (p50; p90 {}; worst {last})",
                super::quantile(&took, 0.5),
                super::quantile(&took, 0.9)
            )
        }
        (None, _) | (_, None) => String::new(),
    };
    let false_ones = if early > 0 { format!("; {early} alarms before the swap") } else { String::new() };
    let measured = format!("found in {} of {models}{days}{false_ones}", took.len());
    let row = Row::new("drift", what, measured);
    Ok(if distance >= 1.0 {
        let in_time = took.iter().filter(|days| **days <= 7).count() as u64;
        row.budget("95 % within 7 days", 20 * in_time >= 19 * models)
    } else {
        row
    })
}

fn by(asked: Asked) -> &'static str {
    if asked.logprobs { "with log probabilities" } else { "by samples" }
}
