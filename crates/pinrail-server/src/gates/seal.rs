//! A verdict with all that it rests on, kept: first the report, then the statement that names it, then the ledger's entry
//! that names that.

use pinrail_control::{By, CommitError, Committed};
use pinrail_domain::canonical::NotCanonical;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::acts::JudgeRefused;
use pinrail_domain::id::LedgerSeq;
use pinrail_gate::statement::{About, Envelope, report_bytes, statement};
use pinrail_gate::verdict::Report;
use pinrail_store::StoreError;

use super::service::Gates;

/// Where it is kept.
pub struct Kept {
    pub report: Digest,
    pub statement: Digest,
    pub signed: bool,
    pub committed: Committed<LedgerSeq>,
}

/// Why it isn't.
#[derive(Debug, thiserror::Error)]
pub enum KeepFailed {
    #[error("the statement has no canonical form")]
    Canonical(#[from] NotCanonical),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Commit(#[from] CommitError<JudgeRefused>),
}

impl Gates {
    /// Keeps how a gate ended, so that it counts.
    pub async fn keep(&self, by: By, about: &About, report: &Report) -> Result<Kept, KeepFailed> {
        let control = self.control();
        let named = control.artifact_put(&report_bytes(report)).await?;
        let envelope = Envelope::seal(&statement(report, about), self.inner.options.signing_key.as_ref())?;
        let bytes = serde_json::to_vec(&envelope).expect("an envelope is plain data");
        let sealed = control.artifact_put(&bytes).await?;
        let judgement = report.to_judgement(about.source, sealed);
        let committed = control.judge_gate(by, &about.agent, about.gate, &judgement).await?;
        Ok(Kept { report: named, statement: sealed, signed: envelope.is_signed(), committed })
    }
}
