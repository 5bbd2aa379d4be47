//! `GET /api/v1/state/export`: what is visible of a space, one record a line, as a stream.
//!
//! The first line says what it is, the last one how many lines there were and their SHA-256: a file that was cut off or
//! changed is known by it.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use pinrail_api::spaces::{ExportHead, ExportLine, ExportTail};
use pinrail_control::Control;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{StateSeq, TenantId};
use pinrail_domain::state::{Content, Layer, Record, Space};
use pinrail_store::StoreError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::call::Call;
use crate::problem;
use crate::reply::{Answer, with_type};
use crate::state_call::read_error;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    space: String,
    tenant: Option<TenantId>,
}

/// What is still to be sent.
struct Sending {
    control: Control,
    space: Space,
    left: std::vec::IntoIter<StateSeq>,
    /// Of all lines so far.
    hash: Sha256,
    lines: u64,
    /// The first line, until it is sent.
    head: Option<ExportHead>,
    is_done: bool,
}

/// Records read at once while all are sent.
const RECORDS_AT_ONCE: usize = 200;

pub async fn export(call: Call) -> Answer {
    let (eyes, Query { space, tenant }) = call.eyes::<Query>().await?;
    let tenant = tenant.map(|tenant| call.tenant(Some(tenant))).transpose()?.unwrap_or(eyes.tenant);
    let space = super::space(tenant, &space)?;
    let control = call.control().clone();
    let exported = control.states().exported(&space, &eyes.reader).await.map_err(read_error)?;
    let embedder = match space.layer {
        Layer::Vectors if !exported.seqs.is_empty() => {
            Some(control.states().embedder_of(&space).await.map_err(|error| problem::store(&error))?)
        }
        Layer::Memory | Layer::Context | Layer::Vectors => None,
    };
    let head = ExportHead {
        pinrail_space: 1,
        tenant: space.tenant.clone(),
        space: space.to_string(),
        moment: exported.at,
        embedder,
        records: exported.seqs.len() as u64,
    };
    let sending = Sending {
        control,
        space,
        left: exported.seqs.into_iter(),
        hash: Sha256::new(),
        lines: 0,
        head: Some(head),
        is_done: false,
    };
    let pages = stream::try_unfold(sending, async |mut sending| match sending.next().await {
        Ok(Some(bytes)) => Ok(Some((bytes, sending))),
        Ok(None) => Ok(None),
        Err(error) => {
            tracing::error!(error = %problem::chain(&error), space = %sending.space, "an export was cut off");
            Err(error)
        }
    });
    Ok(with_type("application/jsonl", Body::from_stream(pages)))
}

impl Sending {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut bytes = Vec::new();
        if let Some(head) = self.head.take() {
            self.line(&mut bytes, &head);
            return Ok(Some(bytes.into()));
        }
        let seqs: Vec<StateSeq> = self.left.by_ref().take(RECORDS_AT_ONCE).collect();
        if !seqs.is_empty() {
            for record in self.control.states().export_page(&self.space.tenant, &seqs).await? {
                self.line(&mut bytes, &line(record));
                self.lines += 1;
            }
            return Ok(Some(bytes.into()));
        }
        if std::mem::replace(&mut self.is_done, true) {
            return Ok(None);
        }
        let sha256 = Digest::from_bytes(self.hash.clone().finalize().into());
        let tail = ExportTail { lines: self.lines, sha256 };
        self.line(&mut bytes, &tail);
        Ok(Some(bytes.into()))
    }

    fn line(&mut self, bytes: &mut Vec<u8>, value: &impl Serialize) {
        let from = bytes.len();
        serde_json::to_writer(&mut *bytes, value).expect("a line is plain data");
        bytes.push(b'\n');
        self.hash.update(&bytes[from..]);
    }
}

fn line(record: Record) -> ExportLine {
    let Record { operation, at, origin, content, digest, .. } = record;
    let erased = content == Content::Erased;
    let (value, vector) = match content {
        Content::Value(value) => (RawValue::from_string(value.json).ok(), value.vector),
        Content::Nothing | Content::Erased => (None, None),
    };
    ExportLine {
        key: operation.key,
        value,
        vector,
        erased,
        seq: operation.seq,
        at,
        deployment: operation.deployment,
        origin,
        digest,
    }
}
