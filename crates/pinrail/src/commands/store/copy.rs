//! `pinrail store copy`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pinrail_domain::time::Clock as _;
use pinrail_store::transfer::{Copied, Part, Pass, Sink as _, Source, Step, compare, copy};
use pinrail_store_postgres::{Postgres, Transfer};
use pinrail_store_sqlite::File;
use serde::Serialize;

use super::{Held, compared, failed, file, folder, reached, source, target};
use crate::data::Lock;
use crate::data::moved::{self, Moved};
use crate::exit::{self, Failed};
use crate::output::table::table;
use crate::output::{Output, progress};
use crate::system::SystemClock;

/// Copy everything from SQLite to PostgreSQL, while `pinrail up` goes on
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail store copy . postgres://owner@db/pinrail --dry-run    how much it is
  pinrail store copy . postgres://owner@db/pinrail              copies; again, and it copies what came since
  pinrail store copy . postgres://owner@db/pinrail --final      with `pinrail up` stopped: the rest, verified, and moved

The source is only read, and may be served meanwhile. The copy can be stopped anywhere and repeated. No replica opens the
database until --final has verified it; the source is marked as moved then, and `pinrail up` refuses it.
The database is made before, empty; its role is the schema's owner. The password comes from PINRAIL_STORE_PASSWORD, and the
address leads past a pooler. Exit code 4: something differs.")]
pub struct Args {
    /// Folder in which `pinrail up` runs, or its database
    #[arg(value_name = "FROM")]
    from: PathBuf,
    /// Address of an empty database, or of a copy that isn't finished
    #[arg(value_name = "TO")]
    to: String,
    /// Copy the rest of a store that nobody serves, verify it, and move: from then on it is the database
    #[arg(long = "final")]
    is_final: bool,
    /// Say how much there is, and copy nothing
    #[arg(long, conflicts_with = "is_final")]
    dry_run: bool,
}

/// What was done.
#[derive(Serialize)]
struct Done {
    to: String,
    parts: Vec<PartDone>,
    /// Of the source, about.
    bytes: u64,
    moved: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    verified: Vec<Held>,
}

#[derive(Serialize)]
struct PartDone {
    part: &'static str,
    rows: u64,
    added: u64,
    changed: u64,
    removed: u64,
}

pub fn run(args: &Args, out: Output) -> anyhow::Result<ExitCode> {
    let file = file(&args.from)?;
    super::runtime()?.block_on(async {
        if args.dry_run {
            let done = look(&file, &args.to).await?;
            out.value(&done, || words(&done, true))?;
            return Ok(ExitCode::SUCCESS);
        }
        let done =
            if args.is_final { finish(&file, &args.to).await? } else { follow(&file, &args.to).await? };
        out.value(&done, || words(&done, false))?;
        Ok(exit::verdict(done.verified.iter().all(|held| held.equal)))
    })
}

async fn look(file: &Path, to: &str) -> anyhow::Result<Done> {
    let place = Postgres::place(&reached(to, file)?)?;
    let source = source(file)?;
    let mut parts = Vec::new();
    for part in Part::ALL {
        let rows = source.count(part).await?;
        parts.push(PartDone { part: part.as_str(), rows, added: 0, changed: 0, removed: 0 });
    }
    Ok(Done { to: place, parts, bytes: source.bytes().await?, moved: false, verified: Vec::new() })
}

/// One pass over a source that may be served meanwhile.
async fn follow(file: &Path, to: &str) -> anyhow::Result<Done> {
    moved::check(folder(file))?;
    let (source, target) = (source(file)?, target(to, file, true).await?);
    let parts = pass(&source, &target, Pass::Quick).await?;
    Ok(Done {
        to: target.place().to_owned(),
        parts: told(parts),
        bytes: source.bytes().await?,
        moved: false,
        verified: Vec::new(),
    })
}

/// The last pass: nobody writes to the source, and nobody will.
async fn finish(file: &Path, to: &str) -> anyhow::Result<Done> {
    let folder = folder(file);
    let _lock = Lock::take(folder)?;
    let target = target(to, file, true).await?;
    if let Some(before) = moved::read(folder)?
        && (before.to != target.place() || !target.is_unfinished().await?)
    {
        return Err(elsewhere(&before));
    }
    let source = source(file)?;
    let parts = pass(&source, &target, Pass::Whole).await?;
    let verified = verify(&source, &target).await?;
    let equal = verified.iter().all(|held| held.equal);
    if equal {
        // Marked first: of a crash in between comes a store that nobody serves, and the same command ends it.
        let ledger = source.head().await?.seq;
        let at = SystemClock::start().now();
        moved::mark(folder, &Moved { to: target.place().to_owned(), at, ledger })?;
        target.finish().await?;
    }
    Ok(Done {
        to: target.place().to_owned(),
        parts: told(parts),
        bytes: source.bytes().await?,
        moved: equal,
        verified,
    })
}

async fn pass(source: &File, target: &Transfer, pass: Pass) -> anyhow::Result<Vec<(Part, Copied)>> {
    let mut total = 0;
    for part in Part::ALL {
        total += source.count(part).await?;
    }
    let bar = progress::bar("copying", total);
    let mut seen: BTreeMap<Part, u64> = BTreeMap::new();
    let mut tell = |step: Step| {
        seen.insert(step.part, step.so_far.seen);
        bar.set_message(format!("copying {}", step.part.as_str()));
        bar.set_position(seen.values().sum());
    };
    let copied = copy(source, target, pass, &mut tell).await;
    bar.finish_and_clear();
    copied.map_err(failed)
}

/// Reads both sides again.
pub(super) async fn verify(source: &File, target: &Transfer) -> anyhow::Result<Vec<Held>> {
    let bar = progress::bar("verifying", Part::ALL.len() as u64);
    let mut tell = |part: Part| {
        bar.set_message(format!("verifying {}", part.as_str()));
        bar.inc(1);
    };
    let compared = compare(source, target, &mut tell).await;
    bar.finish_and_clear();
    let (comparisons, spaces) = compared.map_err(failed)?;
    let mut held: Vec<Held> = comparisons.iter().map(Held::of).collect();
    held.push(Held {
        what: "spaces, by what everybody sees".to_owned(),
        source: spaces.spaces,
        target: spaces.spaces - spaces.unequal,
        source_digest: None,
        target_digest: None,
        equal: spaces.unequal == 0,
        faults: Vec::new(),
    });
    Ok(held)
}

fn told(parts: Vec<(Part, Copied)>) -> Vec<PartDone> {
    let told = parts.into_iter().map(|(part, copied)| {
        let Copied { seen, added, changed, removed } = copied;
        PartDone { part: part.as_str(), rows: seen, added, changed, removed }
    });
    told.collect()
}

fn words(done: &Done, dry_run: bool) -> String {
    let there = done.parts.iter().filter(|part| part.rows + part.removed > 0);
    let megabytes = done.bytes.div_ceil(1 << 20);
    if dry_run {
        let rows = there.map(|part| vec![part.part.to_owned(), part.rows.to_string()]).collect();
        return format!(
            "{}\n\nabout {megabytes} MB; nothing was copied",
            table(&["what", "rows"], rows, "nothing")
        );
    }
    let rows = there.map(|part| {
        let numbers = [part.rows, part.added, part.changed, part.removed].map(|number| number.to_string());
        [vec![part.part.to_owned()], numbers.to_vec()].concat()
    });
    let mut text = table(&["what", "rows", "added", "changed", "removed"], rows.collect(), "nothing to copy");
    if done.verified.is_empty() {
        text.push_str(
            "\n\nNobody can use the copy yet: run it again to copy what came since, then stop `pinrail up` and add --final",
        );
        return text;
    }
    text.push_str(&format!("\n\n{}", compared(&done.verified)));
    text.push_str(&if done.moved {
        format!("\n\nmoved to {}: start `pinrail up --store` with that address", done.to)
    } else {
        "\n\nNOT MOVED: something differs; the source is as it was".to_owned()
    });
    text
}

fn elsewhere(before: &Moved) -> anyhow::Error {
    Failed {
        code: "store_moved",
        what: format!("this store was moved to {}", before.to),
        next_step: "`pinrail store reopen` makes it a store again, without what was written there".to_owned(),
        source: None,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I15: whatever the address says, a password isn't shown; in a flag it is refused, as by all that connect.
    #[test]
    fn a_dry_run_shows_the_place_and_never_a_password() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".pinrail")).unwrap();
        let path = folder.path().join(".pinrail/pinrail.db");
        drop(pinrail_store_sqlite::Sqlite::open(pinrail_store_sqlite::Options::new(&path)).unwrap());
        let look = |to: &str| crate::commands::store::runtime().unwrap().block_on(look(&path, to));
        let done = look("postgres://owner@db:6432/pinrail?sslmode=require&user=other").unwrap();
        assert_eq!(done.to, "db:6432/pinrail");
        for to in ["postgres://owner:secret@db/pinrail", "postgres://owner@db/pinrail?password=secret"] {
            let refused = look(to).map(|done| done.to).unwrap_err();
            assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
        }
        assert!(look("sqlite:there").is_err());
    }
}
