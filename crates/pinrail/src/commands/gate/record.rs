//! `pinrail gate record`: the verdict of an eval that was run elsewhere.

use std::path::PathBuf;

use anyhow::Context as _;
use pinrail_api::artifacts::Artifact;
use pinrail_api::deployments::Flip;
use pinrail_api::deployments::rollout::RecordGate;
use pinrail_domain::deployment::GateVerdict;

use crate::cli::Context;
use crate::commands::deployment::rollout;
use crate::exit::Usage;
use crate::files::ARTIFACT_BYTES_MAX;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The candidate's deployment
    id: u64,
    #[arg(long)]
    verdict: Verdict,
    /// The eval's report: any file up to 64 MiB; it is stored as an artifact
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Why; the ledger keeps it
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Verdict {
    Pass,
    Fail,
    /// Too little to tell: it never promotes
    Inconclusive,
}

impl From<Verdict> for GateVerdict {
    fn from(verdict: Verdict) -> GateVerdict {
        match verdict {
            Verdict::Pass => GateVerdict::Pass,
            Verdict::Fail => GateVerdict::Fail,
            Verdict::Inconclusive => GateVerdict::Inconclusive,
        }
    }
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let Args { id, verdict, report, reason } = args;
    let report = match report {
        Some(file) => {
            let bytes = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            if bytes.len() as u64 > ARTIFACT_BYTES_MAX {
                let what = format!("{} has more than {ARTIFACT_BYTES_MAX} bytes", file.display());
                return Err(Usage(what).into());
            }
            Some(context.client.post_bytes::<Artifact>("/api/v1/artifacts", &bytes)?.value.digest)
        }
        None => None,
    };
    let wish = RecordGate { verdict: verdict.into(), report, reason };
    let reply = context.client.post::<Flip>(&format!("/api/v1/deployments/{id}/gate"), &wish)?;
    // The verdict is kept; what follows from it is told as well as it can be.
    let stands = if context.out.is_json() { None } else { rollout::get(id, context).ok() };
    context.out.reply(&reply, |flip| {
        let gate = pinrail_domain::deployment::Gate { verdict: verdict.into(), report };
        let stands = stands.map(|stands| format!("{}\n", stands.value.sentence)).unwrap_or_default();
        format!(
            "gate of deployment {id} recorded: {} (ledger entry {})\n{stands}",
            rollout::gate_words(&gate),
            flip.seq
        )
    })?;
    Ok(())
}
