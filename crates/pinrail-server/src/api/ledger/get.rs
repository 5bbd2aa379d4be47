//! `GET /api/v1/ledger?after=&limit=`, or all of it with `format=jsonl`: one entry per line, as a stream.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use pinrail_api::Page;
use pinrail_api::problem::{Code, Problem};
use pinrail_control::Control;
use pinrail_domain::id::LedgerSeq;
use pinrail_store::StoreError;
use serde::Deserialize;

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer, with_type};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    after: LedgerSeq,
    limit: Option<usize>,
    #[serde(default)]
    format: Format,
}

#[derive(Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Json,
    Jsonl,
}

/// Entries read at once while all are sent.
const ENTRIES_AT_ONCE: usize = 500;

pub async fn read(call: Call) -> Answer {
    let Query { after, limit, format } = call.query()?;
    match (format, limit) {
        (Format::Jsonl, None) => Ok(with_type("application/jsonl", export(call.control().clone(), after))),
        (Format::Jsonl, Some(_)) => Err(Problem::new(Code::BadRequest, "an export has no limit")
            .next_step("leave `limit` out, or ask for pages without `format`")),
        (Format::Json, limit) => {
            let limit = call.page(limit)?;
            let entries = call.control().ledger_read(after, limit + 1).await;
            let entries = entries.map_err(|error| problem::store(&error))?;
            reply::json(&Page::cut(entries, limit, |entry| entry.seq.to_string()))
        }
    }
}

/// All entries after `after`. A failure in the middle cuts the stream, so that it can't be taken for whole.
fn export(control: Control, after: LedgerSeq) -> Body {
    let pages = stream::try_unfold((control, after), async |(control, after)| {
        let entries = control.ledger_read(after, ENTRIES_AT_ONCE).await.inspect_err(|error| {
            tracing::error!(error = %problem::chain(error), %after, "a ledger export was cut off");
        })?;
        let Some(last) = entries.last().map(|entry| entry.seq) else { return Ok(None) };
        let mut lines = Vec::new();
        for entry in &entries {
            serde_json::to_writer(&mut lines, entry).expect("an entry is plain data");
            lines.push(b'\n');
        }
        Ok::<_, StoreError>(Some((Bytes::from(lines), (control, last))))
    });
    Body::from_stream(pages)
}

#[cfg(test)]
mod tests {
    use pinrail_domain::id::LedgerSeq;
    use pinrail_domain::ledger::{Entry, Head};

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn the_ledger_is_read_in_pages_or_whole() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let page = bench.get("/api/v1/ledger?limit=2").await.ok();
        assert_eq!((page["items"].as_array().unwrap().len(), &page["next"]), (2, &"2".into()));
        assert_eq!(bench.get("/api/v1/ledger?after=2&limit=1").await.ok()["items"][0]["seq"], 3);
        let export = bench.get("/api/v1/ledger?format=jsonl").await;
        assert_eq!(export.header("content-type"), Some("application/jsonl"));
        let mut head = Head::START;
        for line in std::str::from_utf8(&export.body).unwrap().lines() {
            let entry: Entry = serde_json::from_str(line).unwrap();
            head = head.follow(&entry).unwrap(); // I8
        }
        assert_eq!(head, bench.control.snapshot().world.head);
        for bad in ["format=jsonl&limit=1", "format=xml", "after=x"] {
            bench.get(&format!("/api/v1/ledger?{bad}")).await.problem("bad_request");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_export_that_fails_is_cut_and_not_short() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        bench.memory.damage_entry(LedgerSeq(2));
        assert!(bench.try_get("/api/v1/ledger?format=jsonl").await.is_err());
        bench.get("/api/v1/ledger").await.problem("store_damaged");
    }
}
