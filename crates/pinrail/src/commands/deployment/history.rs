//! `pinrail deployment history`.

use pinrail_api::deployments::history::{Course, History, Source};
use pinrail_domain::rollout::facts::{harm_words, margin_words, value_words};
use pinrail_domain::rollout::history::Point;
use pinrail_domain::stats::Verdict;

use crate::cli::Context;
use crate::output::spark::spark;
use crate::output::table::{or_dash, table};
use crate::output::time;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail deployment history 3
  pinrail deployment history 3 --json | jq '.guardrails[] | {guardrail, margin, last: .points[-1]}'

The line is the upper bound of how much worse the candidate may be, over time: once it is below what is to be proven, the
guardrail is passed. `--json` has all points, at most 240 per guardrail.")]
pub struct Args {
    id: u64,
}

/// Points in a table for people: the first, the newest, and some between them.
const ROWS_MAX: usize = 12;
/// Characters of a line.
const SPARK_WIDTH: usize = 60;

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let path = format!("/api/v1/deployments/{}/history", args.id);
    let reply = context.client.get::<History>(&path)?;
    context.out.reply(&reply, show)?;
    Ok(())
}

fn show(history: &History) -> String {
    let mut text = String::new();
    if !history.complete {
        text.push_str(
            "the journal is still being read again after the start; this is what is known so far\n\n",
        );
    }
    match history.source {
        Source::Observed => {}
        Source::Ledger => {
            text.push_str(
                "of this rollout only what its ledger entries rest on is left: a point for each\n\n",
            );
        }
    }
    if history.guardrails.is_empty() {
        text.push_str("no guardrail watches this rollout\n");
    }
    let courses: Vec<String> = history.guardrails.iter().map(course).collect();
    text + &courses.join("\n")
}

fn course(course: &Course) -> String {
    let Course { guardrail, agent, metric, margin, slack, points, .. } = course;
    let (tolerated, proves) = (margin_words(*margin, 1.0, metric), margin_words(*margin, *slack, metric));
    let mut text = format!("{guardrail} of {agent}: margin {tolerated}, to prove: at most {proves} worse\n");
    let bounds: Vec<Option<f64>> = points.iter().map(|point| point.judged.harm_high).collect();
    if bounds.iter().any(Option::is_some) {
        text.push_str(&format!("  at most worse  {}\n", spark(&bounds, SPARK_WIDTH)));
    }
    let rows = spread(points, ROWS_MAX).map(|point| row(point, course).to_vec());
    let header = ["at", "candidate", "incumbent", "worse by", "units", "says"];
    text + &table(&header, rows.collect(), "  nothing was observed yet") + "\n"
}

fn row(point: &Point, course: &Course) -> [String; 6] {
    let Point { at, judged } = point;
    let value = |value: Option<f64>| or_dash(value.map(|value| value_words(value, &course.metric)));
    let harm = |harm: Option<f64>| or_dash(harm.map(|harm| harm_words(harm, &course.metric)));
    let says = match judged.verdict {
        Verdict::Worse => "worse",
        Verdict::NotWorse => "not worse",
        Verdict::Undecided => "undecided",
    };
    [
        time::absolute(*at),
        value(judged.candidate),
        value(judged.incumbent),
        format!("{} to {}", harm(judged.harm_low), harm(judged.harm_high)),
        format!("{} and {}", judged.samples.candidate, judged.samples.incumbent),
        says.to_owned(),
    ]
}

/// At most `max` of the points, evenly; the first and the last are always among them.
fn spread(points: &[Point], max: usize) -> impl Iterator<Item = &Point> {
    let shown = points.len().min(max);
    let last = points.len().saturating_sub(1);
    (0..shown).map(move |place| &points[place * last / shown.saturating_sub(1).max(1)])
}
