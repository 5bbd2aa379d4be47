//! What people are told of adopted tables.

use pinrail_adopt::Unadopted;
use pinrail_adopt::iterative::Scans;
use pinrail_adopt::list::{Listed, Wrote};
use pinrail_adopt::plan::{Plan, Step};

use super::{Done, Shown, Would};
use crate::output::table::table;

pub fn would(would: &Would) -> String {
    let Would { plan, iterative_scan } = would;
    let Plan { table, rows, refused, changes, steps, .. } = plan;
    let mut text = format!("{table}: about {rows} rows. Nothing has been done.");
    if !refused.is_empty() {
        text.push_str("\n\nIt can't be adopted:");
        for refusal in refused {
            text.push_str(&format!("\n  - {}: {}", refusal.what, refusal.instead));
        }
        return text;
    }
    text.push_str(&format!("\n\nWhat changes for the application:\n{}", bullets(changes)));
    for (n, Step { what, locks, statements }) in steps.iter().enumerate() {
        text.push_str(&format!("\n\n-- {}. {what}\n-- waits: {locks}\n", n + 1));
        text.push_str(&format!("BEGIN;\n{};\nCOMMIT;", statements.join(";\n")));
    }
    text.push_str(&warned(iterative_scan));
    text
}

pub fn done(done: &Done) -> String {
    let Done { adopted, iterative_scan } = done;
    let times = if adopted.tries == 1 { "once".to_owned() } else { format!("{} times", adopted.tries) };
    format!(
        "{} is adopted (the table is {} now; asked for {times} until it was free for a moment)\n\nWhat changes for the application:\n{}{}",
        adopted.table,
        adopted.places.ground(),
        bullets(&adopted.changes),
        warned(iterative_scan)
    )
}

pub fn undone(done: &Unadopted) -> String {
    let Unadopted { table, settled, removed, moved, dropped, was_prepared } = done;
    if *was_prepared {
        return format!("{table} had only been prepared: it is as it was");
    }
    let mut text = format!(
        "{table} is a table again: {settled} keys were settled beforehand, {moved} rows came into it at the end, {removed} replaced, deleted or hidden ones went"
    );
    for Wrote { deployment, status, written, ended, .. } in dropped {
        text.push_str(&format!("\n  let go of deployment {deployment} ({status}): {written} rows, {ended} replacements or deletions"));
    }
    text
}

pub fn shown(shown: &Shown) -> String {
    let Shown { tables, iterative_scan } = shown;
    if tables.is_empty() {
        return "no table is adopted; `pinrail vectors adopt TABLE --dry-run` shows what adopting one would do".to_owned();
    }
    let texts: Vec<String> = tables.iter().map(one).collect();
    format!("{}{}", texts.join("\n\n"), warned(iterative_scan))
}

fn one(listed: &Listed) -> String {
    let Listed { table: name, id, at, by, reason, deployments } = listed;
    let row = |wrote: &Wrote| {
        let Wrote { deployment, status, written, visible, ended } = wrote;
        vec![
            deployment.to_string(),
            status.clone(),
            written.to_string(),
            visible.to_string(),
            (written - visible).to_string(),
            ended.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = deployments.iter().map(row).collect();
    let heads = ["deployment", "is", "rows written", "visible", "hidden or replaced", "ended"];
    let wrote =
        if rows.is_empty() { "nothing was written since".to_owned() } else { table(&heads, rows, "") };
    format!("{name} (pinrail_adopted_{id}), adopted {at} by {by}: {reason}\n{wrote}")
}

fn bullets(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  - {line}")).collect::<Vec<_>>().join("\n")
}

fn warned(scans: &Scans) -> String {
    scans.warning().map(|warning| format!("\n\nwarning: {warning}")).unwrap_or_default()
}
