//! `pinrail deployment pairs | pair`: what a candidate answered to copies of live requests.

use pinrail_api::deployments::pairs::{Copies, Pair, Pairs, Side};
use pinrail_domain::id::RunId;
use pinrail_domain::journal::Compared;

use crate::cli::Context;
use crate::client::Query;
use crate::commands::paging::with_next;
use crate::output::table::{or_dash, pairs, table};
use crate::output::{clean, money, one_line, time};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail deployment pairs 3
  pinrail deployment pairs 3 --worst --limit 10
  pinrail deployment pair 3 run_01j…                 one of them, side by side

Texts are there where the agent's journal keeps bodies in full: [journal] bodies = \"full\" in agent.toml.")]
pub struct Args {
    id: u64,
    /// Those that differ most first
    #[arg(long, conflicts_with = "before")]
    worst: bool,
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only pairs older than this one: the next page
    #[arg(long, value_name = "RUN")]
    before: Option<RunId>,
}

/// Characters of a text in a list.
const LISTED_CHARS: usize = 40;

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let Args { id, worst, limit, before } = args;
    let query = Query::default().add("worst", worst.then_some("true"));
    let query = query.add("limit", limit).add("before", before);
    let reply = context.client.get::<Pairs>(&query.on(&format!("/api/v1/deployments/{id}/pairs")))?;
    Ok(context.out.reply(&reply, |page| list(page, context))?)
}

pub fn one(id: u64, run: RunId, context: &Context) -> anyhow::Result<()> {
    let reply = context.client.get::<Pair>(&format!("/api/v1/deployments/{id}/pairs/{run}"))?;
    Ok(context.out.reply(&reply, |pair| show(pair, context))?)
}

fn list(page: &Pairs, context: &Context) -> String {
    let text = |side: Option<&Side>| {
        or_dash(side.and_then(|side| side.text.as_deref()).map(|text| one_line(text, LISTED_CHARS)))
    };
    let row = |pair: &Pair| {
        let compared = pair.compared.as_ref();
        let differs = match (compared, &pair.failed) {
            (Some(compared), _) => parts(compared),
            (None, Some(why)) => one_line(why, LISTED_CHARS),
            (None, None) => pair.status.to_string(),
        };
        vec![
            pair.run.to_string(),
            time::relative(context.now, pair.at),
            or_dash(compared.map(|compared| format!("{:.3}", compared.divergence))),
            differs,
            text(pair.live.as_ref()),
            text(Some(&pair.candidate)),
        ]
    };
    let header = ["run", "when", "divergence", "by", "live", "candidate"];
    let rows = page.items.iter().map(row).collect();
    let table = table(&header, rows, "no copies were answered yet\n");
    format!("{}{}", with_next(table, "--before", page.next.as_ref()), fates(&page.copies))
}

/// What became of all copies, in one line.
fn fates(copies: &Copies) -> String {
    let Copies { queued, dropped, refused, failed, compared, spent } = copies;
    format!(
        "\nsince the server started: {queued} copied, {compared} compared, {failed} failed, {refused} came too late, \
         {dropped} dropped for want of room; this step's copies cost ${spent}\n"
    )
}

/// What the divergence is made of, in short.
fn parts(compared: &Compared) -> String {
    let similarity = |name: &str, part: Option<f64>| part.map(|part| format!("{name} {part:.2}"));
    let flag = |name: &str, on: bool| on.then(|| name.to_owned());
    let parts = [
        similarity("text", compared.text),
        similarity("tools", compared.tools),
        flag("finish", compared.finish),
        flag("refusal", compared.refusal),
        flag("cut", compared.cut),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn show(pair: &Pair, context: &Context) -> String {
    let Pair { run, at, agent, tenant, status: _, compared, failed, candidate, live } = pair;
    let compared = compared.as_ref();
    let mut text = pairs(&[
        ("run", Some(run.to_string())),
        ("copy of", live.as_ref().map(|live| live.run.to_string())),
        ("agent", Some(format!("{agent} (tenant {tenant})"))),
        ("when", Some(time::both(context.now, *at))),
        ("divergence", compared.map(|compared| format!("{:.3}", compared.divergence))),
        ("by", compared.map(parts)),
        ("failed", failed.as_ref().map(|why| clean(why))),
    ]);
    let sides = [("live", live.as_ref()), ("candidate", Some(candidate))];
    for (name, side) in sides.into_iter().filter_map(|(name, side)| Some((name, side?))) {
        text.push_str(&format!(
            "\n{name}: deployment {}, release {}\n",
            side.deployment,
            side.release.short()
        ));
        text.push_str(&one_side(side));
    }
    text
}

fn one_side(side: &Side) -> String {
    let calls = side.tool_calls.iter().map(|call| {
        format!("{}({})", clean(&call.name), call.arguments.as_deref().map(clean).unwrap_or_default())
    });
    let mut ended = or_dash(side.finish_reason.as_deref().map(clean));
    if side.refusal {
        ended.push_str(", a refusal");
    }
    let mut text = pairs(&[
        ("  ended", Some(ended)),
        ("  took", side.last_byte_us.map(time::millis)),
        ("  cost", side.cost_nano_usd.map(money::cost)),
        ("  calls", Some(calls.collect::<Vec<_>>().join("\n")).filter(|calls| !calls.is_empty())),
    ]);
    match &side.text {
        Some(said) => {
            let said = clean(said.trim_end()).replace('\n', "\n    ");
            text.push_str(&format!("    {said}{}\n", if side.truncated { " …" } else { "" }));
        }
        None => text.push_str("    (the journal keeps no text of it)\n"),
    }
    text
}
