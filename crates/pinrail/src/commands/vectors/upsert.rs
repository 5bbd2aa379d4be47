//! `pinrail vectors upsert`: streams a file of records to the server, batch by batch.
//!
//! Every batch carries an idempotency key made of its content. A run that was cut off is started again: what the
//! server has kept is recognised and not written twice.

use std::io::BufRead;

use indicatif::{ProgressBar, ProgressStyle};
use pinrail_api::problem::Problem;
use pinrail_api::vectors::{UpsertVectors, VectorRecord, VectorsWritten};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::CollectionName;
use serde_json::json;

use super::super::state_by::Writer;
use super::{Which, open, path};
use crate::cli::Context;
use crate::client::{Client, ClientError};
use crate::exit::Failed;

#[derive(Debug, clap::Args)]
pub struct Upsert {
    space: CollectionName,
    /// JSON lines; `-` is stdin
    file: String,
    #[command(flatten)]
    embedder: Which,
    /// Records of a request, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    batch: u16,
    /// Write them anew, also those that an earlier upload of the same file has written
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    writer: Writer,
}

/// What came of it.
#[derive(Default)]
struct Sent {
    records: usize,
    /// Of these, the ones that an earlier upload had written.
    known: usize,
    requests: usize,
    last: Option<VectorsWritten>,
}

/// Records read and not yet sent, with their lines.
#[derive(Default)]
struct Batch {
    records: Vec<VectorRecord>,
    lines: Vec<usize>,
    bytes: usize,
}

/// A line longer than this holds no record that the server would take.
const LINE_BYTES_MAX: u64 = 8 << 20;
/// A request of more bytes would be refused; written as JSON anew, no line becomes longer than three times itself.
const BATCH_BYTES_MAX: usize = 8 << 20;

pub fn run(args: &Upsert, context: &Context) -> anyhow::Result<()> {
    let (mut source, bytes) = open(&args.file)?;
    let upload = Upload { args, client: args.writer.client(context), embedder: args.embedder.read()? };
    let bar = bar(bytes);
    let mut sent = Sent::default();
    let mut batch = Batch::default();
    let done = (|| {
        let mut number = 0;
        while let Some(line) = next_line(&mut source, &args.file, number + 1)? {
            number += 1;
            bar.inc(line.len() as u64);
            if line.trim_ascii().is_empty() {
                continue;
            }
            let record: VectorRecord = serde_json::from_slice(&line).map_err(|error| {
                let next = "a line is {\"key\": …, \"vector\": […], \"payload\": {…}}";
                bad_line(&args.file, number, without_place(&error.to_string()), next.to_owned())
            })?;
            if batch.bytes + line.len() > BATCH_BYTES_MAX && !batch.records.is_empty() {
                upload.send(&mut batch, &mut sent, &bar)?;
            }
            batch.records.push(record);
            batch.lines.push(number);
            batch.bytes += line.len();
            if batch.records.len() == usize::from(args.batch) {
                upload.send(&mut batch, &mut sent, &bar)?;
            }
        }
        upload.send(&mut batch, &mut sent, &bar)
    })();
    bar.finish_and_clear();
    match done {
        Ok(()) => show(&sent, args, context),
        Err(error) if sent.records > 0 => {
            crate::output::talk(&format!(
                "{} records were kept before it stopped; run the same command again, and they are recognised",
                sent.records
            ));
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// What every request needs.
struct Upload<'a> {
    args: &'a Upsert,
    client: Client,
    embedder: Option<pinrail_api::vectors::WhichEmbedder>,
}

impl Upload<'_> {
    fn send(&self, batch: &mut Batch, sent: &mut Sent, bar: &ProgressBar) -> anyhow::Result<()> {
        let Batch { records, lines, .. } = std::mem::take(batch);
        if records.is_empty() {
            return Ok(());
        }
        let (count, by) = (records.len(), self.args.writer.by());
        let wish = UpsertVectors {
            run: by.run,
            deployment: by.deployment,
            external: by.external,
            embedder: self.embedder.clone(),
            records,
        };
        let path = path(&self.args.space, "/upsert");
        let reply = if self.args.again {
            self.client.post::<VectorsWritten>(&path, &wish)
        } else {
            let body = serde_json::to_vec(&wish)?;
            let key = Digest::of(format!("{path}\n{}", Digest::of(&body)).as_bytes());
            self.client.post_once(&path, body, &format!("upload-{}", &key.hex()[..48]))
        };
        let reply = reply.map_err(|error| self.at_its_line(error, &wish.records, &lines))?;
        sent.records += count;
        sent.known += if reply.replayed { count } else { 0 };
        sent.requests += 1;
        sent.last = Some(reply.value);
        bar.set_message(format!("{} records", sent.records));
        Ok(())
    }

    /// A refusal that names a key names its line too.
    fn at_its_line(&self, error: ClientError, records: &[VectorRecord], lines: &[usize]) -> anyhow::Error {
        let key = |problem: &Problem| problem.facts.get("key")?.as_str().map(str::to_owned);
        let ClientError::Refused(problem) = &error else { return error.into() };
        let named = key(problem).and_then(|key| records.iter().position(|record| record.key.as_str() == key));
        match named {
            Some(n) => {
                let next = problem.next_step.clone().unwrap_or_default();
                bad_line(&self.args.file, lines[n], problem.detail.clone(), next)
            }
            None => error.into(),
        }
    }
}

/// The next line with its end, or none.
fn next_line(source: &mut dyn BufRead, file: &str, number: usize) -> anyhow::Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    let mut line = Vec::new();
    source.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.len() as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
        let why = format!("it has more than {LINE_BYTES_MAX} bytes");
        return Err(bad_line(file, number, why, "write one record per line".to_owned()));
    }
    Ok((!line.is_empty()).then_some(line))
}

fn bad_line(file: &str, line: usize, why: String, next_step: String) -> anyhow::Error {
    let what = format!("{file}, line {line}: {why}");
    Failed { code: "bad_record", what, next_step, source: None }.into()
}

/// The parser counts within the line, and calls it line 1.
fn without_place(error: &str) -> String {
    error.rsplit_once(" at line ").map_or(error, |(what, _)| what).to_owned()
}

/// On a terminal only; stdout stays free.
fn bar(bytes: Option<u64>) -> ProgressBar {
    let (bar, shape) = match bytes {
        Some(bytes) => {
            (ProgressBar::new(bytes), "{bar:30} {percent:>3} %  {msg}, {bytes_per_sec}, {eta} left")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {msg}, {elapsed}"),
    };
    bar.with_style(ProgressStyle::with_template(shape).expect("the template is valid"))
        .with_message("0 records")
}

fn show(sent: &Sent, args: &Upsert, context: &Context) -> anyhow::Result<()> {
    let Sent { records, known, requests, last } = sent;
    let embedder = last.as_ref().map(|last| last.embedder);
    let deployment = last.as_ref().map(|last| last.deployment);
    let value = json!({
        "space": args.space, "records": records, "known": known, "requests": requests,
        "embedder": embedder, "deployment": deployment, "last": last.as_ref().map(|last| last.last),
    });
    context.out.value(&value, || {
        let Some(embedder) = embedder else { return "the file holds no record".to_owned() };
        let known = match known {
            0 => String::new(),
            known => {
                format!("; {known} of them had been written by an earlier upload (--again writes them anew)")
            }
        };
        format!("{records} records in `{}`, embedder {}{known}", args.space, embedder.short())
    })?;
    Ok(())
}
