//! `pinrail readiness`: could everything be taken back right now?

use pinrail_api::drills::{Drill, HoldDrill};
use pinrail_api::readiness::{Indicator, Met, Readiness};

use pinrail_domain::time::Timestamp;

use super::warm;
use crate::cli::Context;
use crate::output::table::table;
use crate::output::time;

/// Say whether everything could be taken back right now
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail readiness
  pinrail readiness --drill                 writes to every layer, rolls back, checks, says how long it took
  pinrail readiness --json | jq '.indicators[] | select(.met == \"no\")'

What is missed comes first, with what to do about it. Exit code 4 when an objective is missed; what is unknown leaves it at 0.")]
pub struct Args {
    /// Rehearse a rollback with state: safe while everything serves
    #[arg(long)]
    drill: bool,
}

/// Returns whether no objective is missed.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<bool> {
    if args.drill {
        return drill(context);
    }
    let reply = context.client.get::<Readiness>("/api/v1/readiness")?;
    context.out.reply(&reply, |readiness| show(readiness, context.now))?;
    Ok(reply.value.ready)
}

fn drill(context: &Context) -> anyhow::Result<bool> {
    let reply = context.client.post::<Drill>("/api/v1/readiness/drill", &HoldDrill::default())?;
    context.out.reply(&reply, |drill| {
        let rows = drill.steps.iter().map(|step| vec![step.name.clone(), time::millis(step.took_us)]).collect();
        let steps = table(&["step", "took"], rows, "");
        let (deployment, records) = (drill.deployment, drill.records);
        let faults: String = drill.faults.iter().map(|fault| format!("\nFAULT: {fault}")).collect();
        format!(
            "{steps}\n\nconsistent again {} after the rollback's call: deployment {deployment}, {records} records{faults}",
            time::millis(drill.consistent_us)
        )
    })?;
    Ok(reply.value.went_well)
}

fn show(readiness: &Readiness, now: Timestamp) -> String {
    let missed = readiness.indicators.iter().filter(|indicator| indicator.met == Met::No).count();
    let mut text = match missed {
        0 => format!("ready: everything could be taken back now (epoch {})\n", readiness.epoch),
        1 => format!("NOT READY: 1 objective is missed (epoch {})\n", readiness.epoch),
        _ => format!("NOT READY: {missed} objectives are missed (epoch {})\n", readiness.epoch),
    };
    for wanted in [Met::No, Met::Unknown, Met::Yes] {
        let matching = readiness.indicators.iter().filter(|indicator| indicator.met == wanted);
        matching.for_each(|indicator| text.push_str(&lines(indicator)));
    }
    if !readiness.warm.is_empty() {
        text.push_str(&format!("\n{}\n", warm::show(&readiness.warm, now)));
    }
    text
}

fn lines(indicator: &Indicator) -> String {
    let Indicator { name, objective, observed, met, why, next_step } = indicator;
    let met = match met {
        Met::Yes => "ok     ",
        Met::No => "MISSED ",
        Met::Unknown => "unknown",
    };
    let mut text = format!("\n{met}  {name}: {observed}\n         wanted: {objective}\n");
    for sentence in why {
        text.push_str(&format!("         - {sentence}\n"));
    }
    if let Some(next_step) = next_step {
        text.push_str(&format!("         next: {next_step}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_comes_first() {
        let indicator = |name: &str, met| Indicator {
            name: name.to_owned(),
            objective: "o".to_owned(),
            observed: "x".to_owned(),
            met,
            why: vec!["because".to_owned()],
            next_step: (met == Met::No).then(|| "do it".to_owned()),
        };
        let indicators =
            vec![indicator("a", Met::Yes), indicator("b", Met::Unknown), indicator("c", Met::No)];
        let warm = Vec::new();
        let shown =
            show(&Readiness { ready: false, epoch: Default::default(), indicators, warm }, Timestamp(0));
        assert_eq!(
            shown,
            "NOT READY: 1 objective is missed (epoch 0)\n\
             \nMISSED   c: x\n         wanted: o\n         - because\n         next: do it\n\
             \nunknown  b: x\n         wanted: o\n         - because\n\
             \nok       a: x\n         wanted: o\n         - because\n"
        );
    }
}
