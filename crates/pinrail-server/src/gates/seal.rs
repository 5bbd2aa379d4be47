//! A verdict with all that it rests on, kept: first the report, then the statement that names it, then the ledger's entry
//! that names that.

use pinrail_control::{By, CommitError, Committed};
use pinrail_domain::canonical::NotCanonical;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::SuitePin;
use pinrail_domain::gate::acts::JudgeRefused;
use pinrail_domain::id::LedgerSeq;
use pinrail_gate::run::document::{Document, End, Progress, Settings};
use pinrail_gate::statement::{About, Envelope, report_bytes, statement};
use pinrail_gate::verdict::Report;
use pinrail_store::StoreError;
use pinrail_store::gates::{GateRecord, GateStatus};

use super::service::{Gates, json};
use crate::problem::chain;

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

/// A gate whose answers were imported.
pub struct Elsewhere<'a> {
    pub about: &'a About,
    pub by: &'a By,
    pub suite: SuitePin,
    pub answers: u64,
    pub repeats: u32,
}

impl Gates {
    /// Lists an imported gate beside those that were run. Its verdict is in the ledger already: without this it counts
    /// all the same.
    pub async fn list_imported(&self, of: Elsewhere<'_>, report: &Report, kept: &Kept) {
        let Elsewhere { about, by, suite, answers, repeats } = of;
        let settings = Settings {
            suites: vec![suite],
            repeats,
            repeats_max: repeats,
            alpha: report.alpha,
            budget_nano_usd: 0,
            concurrency: 0,
            calls_per_minute: None,
            reuse: false,
            judge: None,
            by: by.actor.clone(),
            reason: by.reason.clone(),
        };
        let end = End {
            at: about.at,
            why: report.why.clone(),
            verdict: Some(report.verdict),
            report: Some(kept.report),
            statement: Some(kept.statement),
        };
        let progress = Progress { done: answers, total: answers, repeats, ..Progress::default() };
        let record = GateRecord {
            id: about.gate,
            agent: about.agent.clone(),
            deployment: None,
            candidate: report.candidate,
            incumbent: report.incumbent,
            created_at: about.at,
            status: GateStatus::Finished,
            document: json(&Document { settings, progress, end: Some(end), retry_errors: false }),
        };
        if let Err(error) = self.control().gate_store().gate_create(vec![record], None).await {
            tracing::warn!(gate = %about.gate, error = chain(&error), "an imported gate is not listed; it counts");
        }
    }

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
