//! `pinrail gate verify`: whether a statement is what somebody trusted signed, and says what is asked. A file is verified
//! without any server.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{GateId, ReleaseId};
use pinrail_gate::statement::{Envelope, Numbers, PublicKey, Statement, verify};
use serde_json::json;

use crate::cli::Context;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 it is signed by a key given here, and says all that is asked; 1 it isn't, or doesn't; 3 it
could not be verified (no such file, no key, no server)

Examples:
  pinrail gate verify statement.json --key public.pem --candidate 4f1c22 --verdict pass
  pinrail gate verify gate_01k9 --key 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
)]
pub struct Args {
    /// A file with the statement in its envelope, or a gate of the server
    what: String,
    /// A public key to trust: base64, PEM, or a file with it. Several: any of them
    #[arg(long, value_name = "KEY", required = true)]
    key: Vec<String>,
    /// The release that it must be about, by 6 or more digits
    #[arg(long, value_name = "RELEASE", value_parser = digits)]
    candidate: Option<String>,
    /// The release that it must compare with, by 6 or more digits
    #[arg(long, value_name = "RELEASE", value_parser = digits)]
    incumbent: Option<String>,
    /// A suite that it must have passed
    #[arg(long, value_name = "DIGEST")]
    suite: Vec<Digest>,
    /// The verdict that it must have
    #[arg(long)]
    verdict: Option<Verdict>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Verdict {
    Pass,
    Fail,
    Inconclusive,
}

/// It could not be verified.
const COULD_NOT: u8 = 3;
/// A statement on a thousand suites is shorter.
const ENVELOPE_BYTES_MAX: usize = 16 << 20;

pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let (envelope, keys) = match load(args, context) {
        Ok(loaded) => loaded,
        Err(error) => {
            let _ = crate::exit::report(&error, context.out.is_json());
            return Ok(ExitCode::from(COULD_NOT));
        }
    };
    let statement = verify(&envelope, &keys);
    let wrong = match &statement {
        Ok(statement) => mismatches(args, statement),
        Err(error) => vec![chain(error)],
    };
    let good = wrong.is_empty();
    let value = json!({ "good": good, "why": wrong, "statement": statement.as_ref().ok() });
    context.out.value(&value, || match &statement {
        Ok(statement) if good => format!("good: {}\n", summary(statement)),
        Ok(statement) => format!("not what was asked: {}\n{}\n", wrong.join("; "), summary(statement)),
        Err(_) => format!("not good: {}\n", wrong.join("; ")),
    })?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn load(args: &Args, context: &Context) -> anyhow::Result<(Envelope, Vec<PublicKey>)> {
    let keys = args.key.iter().map(|text| key(text)).collect::<anyhow::Result<Vec<PublicKey>>>()?;
    let file = Path::new(&args.what);
    let text = match args.what.parse::<GateId>() {
        Ok(gate) if !file.exists() => context.client.text(&format!("/api/v1/gates/{gate}/statement"))?,
        Ok(_) | Err(_) => {
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
        }
    };
    anyhow::ensure!(text.len() <= ENVELOPE_BYTES_MAX, "{} is too large for a statement", args.what);
    let envelope = serde_json::from_str(&text).context("that is no DSSE envelope")?;
    Ok((envelope, keys))
}

fn key(text: &str) -> anyhow::Result<PublicKey> {
    let as_given = PublicKey::parse(text);
    let file = Path::new(text);
    if as_given.is_err() && file.exists() {
        let content = std::fs::read_to_string(file).with_context(|| format!("cannot read {text}"))?;
        return PublicKey::parse(&content).with_context(|| format!("{text} holds no public key"));
    }
    Ok(as_given?)
}

/// What a statement doesn't say that it should.
fn mismatches(args: &Args, statement: &Statement) -> Vec<String> {
    let Some(numbers) = &statement.predicate.pinrail else {
        return vec!["it is no gate's statement".to_owned()];
    };
    let mut wrong = Vec::new();
    let is = |release: ReleaseId, digits: &str| release.0.hex().starts_with(digits);
    if let Some(digits) = &args.candidate
        && !is(numbers.candidate, digits)
    {
        wrong.push(format!("it is about {}", numbers.candidate.short()));
    }
    if let Some(digits) = &args.incumbent
        && !numbers.incumbent.is_some_and(|incumbent| is(incumbent, digits))
    {
        let other = numbers.incumbent.map_or_else(|| "nothing".to_owned(), |incumbent| incumbent.short());
        wrong.push(format!("it compares with {other}"));
    }
    for digest in &args.suite {
        match numbers.suites.iter().find(|suite| suite.digest == *digest) {
            None => wrong.push(format!("suite {} wasn't asked", digest.short())),
            Some(suite) if suite.verdict != GateVerdict::Pass => {
                wrong.push(format!("suite {} ended {}", suite.name, suite.verdict.as_str()));
            }
            Some(_) => {}
        }
    }
    let expected = args.verdict.map(|verdict| match verdict {
        Verdict::Pass => GateVerdict::Pass,
        Verdict::Fail => GateVerdict::Fail,
        Verdict::Inconclusive => GateVerdict::Inconclusive,
    });
    if expected.is_some_and(|expected| expected != numbers.verdict) {
        wrong.push(format!("its verdict is {}", numbers.verdict.as_str()));
    }
    wrong
}

fn summary(statement: &Statement) -> String {
    let Some(numbers) = &statement.predicate.pinrail else { return statement.predicate_type.clone() };
    let Numbers { gate, agent, at, candidate, incumbent, verdict, why, .. } = numbers;
    let against =
        incumbent.map_or_else(|| "alone".to_owned(), |release| format!("against {}", release.short()));
    format!("{} for {agent}={} {against}, {gate} of {at}: {why}", verdict.as_str(), candidate.short())
}

fn digits(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    let fits = (6..=64).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if fits { Ok(digits) } else { Err("give 6 to 64 hex digits of a release's id".to_owned()) }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
