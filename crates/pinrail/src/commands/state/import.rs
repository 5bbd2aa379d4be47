//! `pinrail state import`: a file into an open data job, in batches.
//!
//! The whole file is checked before anything is written. Run again with the same job, it goes on: what the job has written
//! is skipped by the server.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use pinrail_api::spaces::{ExportHead, ExportLine, ImportRecord, ImportRecords, Imported};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, IngestName, TenantId};
use serde_json::{Value, json};

use super::export::Check;
use crate::cli::Context;
use crate::exit::Failed;
use crate::output::{progress, talk};

/// What to import, and where to.
#[derive(Debug)]
pub struct Wish {
    pub file: PathBuf,
    pub space: String,
    pub tenant: Option<TenantId>,
    pub job: IngestName,
    pub commit: bool,
    pub expect: Option<Digest>,
}

/// Bytes of records in one request: half of what the server takes.
const BATCH_BYTES: usize = 512 << 10;
/// Records in one request.
const BATCH: usize = 500;

pub fn run(wish: &Wish, context: &Context) -> anyhow::Result<()> {
    let head = check(wish)?;
    if head.space.split('/').next() != wish.space.split('/').next() {
        return Err(refused(format!("{} can't become {}: another layer", head.space, wish.space)));
    }
    let job = open(wish, context)?;
    let mut total = Imported {
        tenant: wish.tenant.clone().unwrap_or_else(TenantId::shared),
        space: wish.space.clone(),
        written: 0,
        there: 0,
    };
    let bar = progress::bar("importing records", head.records);
    let mut erased = 0_u64;
    let mut batch: Vec<ImportRecord> = Vec::new();
    let mut bytes = 0;
    for line in lines(&wish.file)?.skip(1) {
        let line = line?;
        let Ok(ExportLine { key, value, vector, erased: is_erased, .. }) = serde_json::from_slice(&line)
        else {
            continue;
        };
        match value {
            Some(value) if !is_erased => {
                if !batch.is_empty() && (bytes + line.len() > BATCH_BYTES || batch.len() == BATCH) {
                    bytes = 0;
                    send(std::mem::take(&mut batch), &head, wish, job, context, &mut total)?;
                }
                bytes += line.len();
                batch.push(ImportRecord { key, value, vector });
            }
            Some(_) | None => erased += 1,
        }
        bar.inc(1);
    }
    if !batch.is_empty() {
        send(batch, &head, wish, job, context, &mut total)?;
    }
    bar.finish_and_clear();
    if erased > 0 {
        talk(&format!("{erased} records had no content any more and were left out"));
    }
    if wish.commit {
        let path = format!("/api/v1/deployments/{job}/commit");
        let reason = format!("import of {}", head.space);
        context.client.post::<Value>(&path, &json!({ "reason": reason }))?;
    }
    let done = json!({ "deployment": job, "space": total.space, "written": total.written, "there": total.there,
        "erased": erased, "committed": wish.commit });
    context.out.value(&done, || {
        let end = if wish.commit {
            format!("job {job} is committed")
        } else {
            format!("nobody sees them yet: `pinrail deployment commit {job}`, or `pinrail deployment rollback {job} --reason …`")
        };
        format!("{} records written to {}, {} were there; {end}", total.written, total.space, total.there)
    })?;
    Ok(())
}

/// Reads the whole file, so that one that was cut or changed is refused before anything is written.
fn check(wish: &Wish) -> anyhow::Result<ExportHead> {
    let mut check = Check::default();
    for line in lines(&wish.file)? {
        check.line(&line?)?;
    }
    let tail = check.end()?;
    if let Some(expected) = wish.expect.filter(|expected| *expected != tail.sha256) {
        return Err(refused(format!("the file is {}, not {expected}", tail.sha256)));
    }
    check.head.ok_or_else(|| refused("the file is empty".to_owned()))
}

/// The open data job of that name; opens it where there is none.
fn open(wish: &Wish, context: &Context) -> anyhow::Result<DeploymentId> {
    let listed = context.client.all::<Value>("/api/v1/deployments?limit=1000", "before")?;
    let name = json!(wish.job);
    let is_it = |job: &&Value| job["ingest"] == name && job["state"] == "open";
    let found = listed.iter().find(is_it).and_then(|job| job["deployment"].as_u64());
    if let Some(job) = found {
        talk(&format!("going on with job {job} ({})", wish.job));
        return Ok(DeploymentId(job));
    }
    let wish = json!({ "ingest": wish.job, "reason": format!("import into {}", wish.space) });
    let opened = context.client.post::<Value>("/api/v1/deployments", &wish)?.value;
    let job = opened["deployment"].as_u64().context("the server opened a job without an id")?;
    Ok(DeploymentId(job))
}

fn send(
    records: Vec<ImportRecord>,
    head: &ExportHead,
    wish: &Wish,
    deployment: DeploymentId,
    context: &Context,
    total: &mut Imported,
) -> anyhow::Result<()> {
    let request = ImportRecords {
        tenant: wish.tenant.clone(),
        space: wish.space.clone(),
        deployment,
        embedder: head.embedder.clone(),
        records,
    };
    let done = context.client.post::<Imported>("/api/v1/state/import", &request)?.value;
    total.written += done.written;
    total.there += done.there;
    total.space = done.space;
    Ok(())
}

/// The file's lines, each with its end.
fn lines(file: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Vec<u8>>>> {
    let shown = file.display().to_string();
    let mut reader = BufReader::new(File::open(file).with_context(|| format!("cannot open {shown}"))?);
    Ok(std::iter::from_fn(move || {
        let mut line = Vec::new();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(Ok(line)),
            Err(error) => Some(Err(anyhow::Error::from(error).context(format!("cannot read {shown}")))),
        }
    }))
}

fn refused(what: String) -> anyhow::Error {
    let failed = Failed {
        code: "bad_import",
        what,
        next_step: "name the space and the file that belong together; `pinrail state import --help`"
            .to_owned(),
        source: None,
    };
    failed.into()
}
