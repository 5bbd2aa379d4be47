//! `pinrail gate rows`: what both arms answered, case by case.

use pinrail_api::Page;
use pinrail_api::gates::GateRow;
use pinrail_domain::id::GateId;
use serde_json::Value;

use crate::cli::Context;
use crate::client::Query;
use crate::commands::paging::with_next;
use crate::output::{one_line, table};

#[derive(Debug, clap::Args)]
pub struct Args {
    gate: GateId,
    /// Only answers to this suite
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    /// Only answers to this case: its place in the suite, or its digest
    #[arg(long, value_name = "CASE")]
    case: Option<String>,
    /// Only answers that failed
    #[arg(long, conflicts_with = "outcome")]
    failed: bool,
    #[arg(long)]
    outcome: Option<Outcome>,
    /// Only cases in which the arms passed unequally often
    #[arg(long)]
    flipped: bool,
    /// Only what comes after this: the next page
    #[arg(long)]
    after: Option<String>,
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Outcome {
    Pass,
    Fail,
    Error,
    Refused,
}

/// What of a text stands in the table; `--json` has all of it.
const TEXT_CHARS: usize = 60;

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let outcome = args.outcome.or(args.failed.then_some(Outcome::Fail)).map(|outcome| match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::Error => "error",
        Outcome::Refused => "refused",
    });
    let path = Query::default()
        .add("suite", args.suite.as_ref())
        .add("case", args.case.as_ref())
        .add("outcome", outcome)
        .add("flipped", args.flipped.then_some(true))
        .add("after", args.after.as_ref())
        .add("limit", args.limit)
        .on(&format!("/api/v1/gates/{}/rows", args.gate));
    let reply = context.client.get::<Page<GateRow>>(&path)?;
    context.out.reply(&reply, |page| {
        let header = ["suite", "case", "arm", "repeat", "outcome", "answer", "why"];
        let rows = page.items.iter().map(line).collect();
        with_next(table::table(&header, rows, "no answers"), "--after", page.next.as_ref())
    })?;
    Ok(())
}

fn line(row: &GateRow) -> Vec<String> {
    let outcome = &row.row["outcome"];
    let word = match (outcome["outcome"].as_str(), outcome["pass"].as_bool()) {
        (Some("scored"), Some(true)) => "pass",
        (Some("scored"), _) => "fail",
        (Some(word), _) => word,
        (None, _) => "-",
    };
    let case = match row.description.as_str() {
        "" => row.number.to_string(),
        description => format!("{} {description}", row.number),
    };
    let text = |value: &Value| one_line(value.as_str().unwrap_or_default(), TEXT_CHARS);
    vec![
        row.suite.clone(),
        one_line(&case, TEXT_CHARS / 2),
        row.arm.clone(),
        row.row["repeat"].to_string(),
        word.to_owned(),
        answer(row),
        text(&outcome["why"]),
    ]
}

/// The last turn's text; where there is none, the calls.
fn answer(row: &GateRow) -> String {
    let answers = row.row.get("answers").and_then(Value::as_array);
    let Some(last) = answers.and_then(|answers| answers.last()) else { return "-".to_owned() };
    match last["text"].as_str() {
        Some(text) if !text.is_empty() => one_line(text, TEXT_CHARS),
        Some(_) | None => {
            let calls = last["tool_calls"].as_array().into_iter().flatten();
            let names: Vec<&str> = calls.filter_map(|call| call["name"].as_str()).collect();
            if names.is_empty() { "-".to_owned() } else { format!("calls {}", names.join(", ")) }
        }
    }
}
