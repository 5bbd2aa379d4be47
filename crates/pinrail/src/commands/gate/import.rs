//! `pinrail gate import`: a candidate judged by what another tool's eval says.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use pinrail_api::artifacts::Artifact;
use pinrail_api::evidence::{ImportArm, ImportFormat, ImportGate, ImportRefused, ImportedGate};
use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::SuiteKind;
use pinrail_domain::id::AgentName;

use super::kind::Kind;
use crate::cli::Context;
use crate::exit::Usage;
use crate::files::ARTIFACT_BYTES_MAX;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 pass, 1 fail (or refused), 2 inconclusive, 3 the server cannot be reached

Examples:
  pinrail gate import promptfoo new.json old.json --agent support --candidate 4f1c22 --incumbent 9ab01d
  pinrail gate import promptfoo both.json --candidate-label new --incumbent-label old --agent support \\
      --candidate 4f1c22 --incumbent 9ab01d --suite refunds
  pinrail gate import inspect new.json old.json --agent support --candidate 4f1c22 --incumbent 9ab01d --kind safety

The first file holds the candidate's answers, the second the incumbent's; one file holds both, told apart by labels."
)]
pub struct Args {
    /// The tool that wrote the files
    #[arg(value_enum)]
    tool: Tool,
    /// promptfoo: results JSON (version 3). Inspect: logs in JSON (`inspect log dump`)
    #[arg(value_name = "FILE", required = true, num_args = 1..=2)]
    files: Vec<PathBuf>,
    #[arg(long)]
    agent: AgentName,
    #[arg(long, value_name = "RELEASE")]
    candidate: String,
    /// What it is compared with; without: the suite's floor
    #[arg(long, value_name = "RELEASE")]
    incumbent: Option<String>,
    /// Of a file with several providers or prompts: whose answers are the candidate's
    #[arg(long, value_name = "LABEL")]
    candidate_label: Option<String>,
    #[arg(long, value_name = "LABEL")]
    incumbent_label: Option<String>,
    /// A suite of the agent's settings that the answers must fit into
    #[arg(long, value_name = "NAME", conflicts_with_all = ["name", "kind"])]
    suite: Option<String>,
    /// What the suite that the import makes is called
    #[arg(long)]
    name: Option<String>,
    /// What it is there for: success (when absent), regression or safety
    #[arg(long, value_name = "KIND")]
    kind: Option<Kind>,
    /// The score from which on an answer passes, where the tool doesn't say it
    #[arg(long, value_name = "SCORE")]
    pass_at: Option<f64>,
    /// The scorer that counts, where there are several
    #[arg(long)]
    scorer: Option<String>,
    /// Why; the ledger keeps it
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Tool {
    Promptfoo,
    Inspect,
}

/// How an undecided gate ends.
const INCONCLUSIVE: u8 = 2;

pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let labelled = args.candidate_label.is_some() || args.incumbent_label.is_some();
    match (args.files.len(), args.incumbent.is_some()) {
        (2, false) => {
            return Err(
                Usage("the second file is an incumbent's: name it with --incumbent".to_owned()).into()
            );
        }
        (1, true) if !labelled => {
            let what =
                "one file for both arms: say whose answers are whose (--candidate-label, --incumbent-label)";
            return Err(Usage(what.to_owned()).into());
        }
        _ => {}
    }
    let documents =
        args.files.iter().map(|file| upload(file, context)).collect::<anyhow::Result<Vec<Digest>>>()?;
    let last = *documents.last().expect("clap asks for one file at least");
    let arm = |document: Digest, label: &Option<String>| ImportArm { document, label: label.clone() };
    let wish = ImportGate {
        format: match args.tool {
            Tool::Promptfoo => ImportFormat::Promptfoo,
            Tool::Inspect => ImportFormat::Inspect,
        },
        agent: args.agent.clone(),
        candidate: args.candidate.clone(),
        incumbent: args.incumbent.clone(),
        candidate_answers: arm(documents[0], &args.candidate_label),
        incumbent_answers: args.incumbent.as_ref().map(|_| arm(last, &args.incumbent_label)),
        suite: args.suite.clone(),
        name: args.name.clone(),
        kind: args.kind.map(SuiteKind::from),
        pass_at: args.pass_at,
        scorer: args.scorer.clone(),
        reason: args.reason.clone(),
    };
    let reply = context.client.post::<ImportedGate>("/api/v1/gates/import", &wish)?;
    let verdict = reply.value.verdict;
    context.out.reply(&reply, told)?;
    Ok(match verdict {
        GateVerdict::Pass => ExitCode::SUCCESS,
        GateVerdict::Fail => ExitCode::FAILURE,
        GateVerdict::Inconclusive => ExitCode::from(INCONCLUSIVE),
    })
}

fn upload(file: &Path, context: &Context) -> anyhow::Result<Digest> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    if bytes.len() as u64 > ARTIFACT_BYTES_MAX {
        return Err(Usage(format!("{} has more than {ARTIFACT_BYTES_MAX} bytes", file.display())).into());
    }
    Ok(context.client.post_bytes::<Artifact>("/api/v1/artifacts", &bytes)?.value.digest)
}

fn told(gate: &ImportedGate) -> String {
    let signed = if gate.signed { "signed" } else { "unsigned" };
    let mut out = format!(
        "{}: {}\n{} ({signed}), {} answers\n",
        gate.gate,
        gate.why,
        gate.verdict.as_str(),
        gate.answers
    );
    for ImportRefused { arm, why, answers, which } in &gate.refused {
        let which = if which.is_empty() { String::new() } else { format!(" ({})", which.join(", ")) };
        out += &format!("refused of the {arm}: {answers}: {why}{which}\n");
    }
    if !gate.listed {
        out += &format!(
            "\nIt counts for a promotion once the agent's settings list its suite. In agents/{}/agent.toml:\n\n\
             [gate.suites.{}]\nkind = \"{}\"\ndigest = \"{}\"\n",
            gate.agent, gate.suite.name, gate.suite.kind, gate.suite.digest
        );
    }
    out
}
