//! `pinrail deployment manifest | verify`.

use indicatif::{ProgressBar, ProgressStyle};
use pinrail_api::deployments::proof::{Finding, Manifest, Proof, ProofLine, SpaceProof};
use pinrail_domain::state::manifest::{Account, Line, Served};

use super::or_nothing;
use crate::cli::Context;
use crate::output::table::table;

/// Spaces shown to a person.
const SPACES_SHOWN: usize = 50;

pub fn manifest(id: u64, context: &Context) -> anyhow::Result<()> {
    let reply = context.client.get::<Manifest>(&format!("/api/v1/deployments/{id}/manifest"))?;
    context.out.reply(&reply, |manifest| {
        let mut text = format!(
            "manifest {} of deployment {}, as of record {} and ledger entry {}\n",
            manifest.digest, manifest.deployment, manifest.at.state, manifest.at.ledger
        );
        for Served { agent, segment, active } in &manifest.pointers {
            text.push_str(&format!("  {agent}/{segment}: {}\n", or_nothing(*active)));
        }
        let rows =
            manifest.spaces.iter().take(SPACES_SHOWN).map(|Line { space, count, digest, probes: _ }| {
                vec![space.to_string(), space.tenant.to_string(), count.to_string(), digest.short()]
            });
        text.push_str(&table(&["space", "tenant", "records", "digest"], rows.collect(), "no state\n"));
        if manifest.spaces.len() > SPACES_SHOWN {
            let more = manifest.spaces.len() - SPACES_SHOWN;
            text.push_str(&format!("\n… and {more} spaces more; --json lists all"));
        }
        text
    })?;
    Ok(())
}

/// Returns whether the proof holds.
pub fn verify(id: u64, context: &Context) -> anyhow::Result<bool> {
    let mut bar = ProgressBar::hidden();
    let mut spaces = Vec::new();
    let mut end = None;
    let path = format!("/api/v1/deployments/{id}/verify?format=jsonl");
    context.client.lines::<ProofLine>(&path, |line| {
        match line {
            ProofLine::Begin { spaces } => {
                // It shows itself on a terminal only.
                bar = ProgressBar::new(spaces);
                let style = ProgressStyle::with_template("{bar:30} {pos}/{len} spaces  {msg}");
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            }
            ProofLine::Space(space) => {
                bar.inc(1);
                bar.set_message(space.space.to_string());
                if !space.holds || !space.accounts.is_empty() {
                    spaces.push(space);
                }
            }
            ProofLine::End(proof) => end = Some(proof),
        }
    })?;
    bar.finish_and_clear();
    let Some(mut proof) = end else {
        anyhow::bail!("the server stopped before the verification ended: its log says why");
    };
    spaces.sort_by_key(|space| space.holds);
    proof.spaces = spaces;
    context.out.value(&proof, || show_proof(&proof))?;
    Ok(proof.holds)
}

/// A proof, for a person.
pub(super) fn show_proof(proof: &Proof) -> String {
    let Proof { spaces_checked, records_checked, erased, at, .. } = proof;
    let mut text = if proof.holds {
        "holds: what is visible is what was visible when it was opened, plus what others did since\n"
            .to_owned()
    } else {
        format!("DOES NOT HOLD: {} findings\n", proof.findings)
    };
    text.push_str(&format!(
        "checked {records_checked} records in {spaces_checked} spaces against manifest {} (as of record {}, ledger entry {})\n",
        proof.manifest.short(),
        at.state,
        at.ledger
    ));
    if *erased > 0 {
        text.push_str(&format!(
            "  of {erased} the content was erased by right: their places and digests are whole\n"
        ));
    }
    if proof.probes > 0 {
        text.push_str(&format!(
            "asked {} questions to indexes of vectors again: the same answers, byte for byte\n",
            proof.probes
        ));
    }
    if proof.gone_count > 0 {
        let gone: Vec<String> = proof.gone.iter().take(10).map(ToString::to_string).collect();
        let more = if proof.gone_count > 10 { ", …" } else { "" };
        text.push_str(&format!(
            "GONE: {} records are not in the store: {}{more}\n",
            proof.gone_count,
            gone.join(", ")
        ));
    }
    let told = proof.spaces.iter().filter(|space| !space.holds || !space.accounts.is_empty());
    for space in told.clone().take(SPACES_SHOWN) {
        text.push_str(&show_space(space));
    }
    let more = told.count().saturating_sub(SPACES_SHOWN);
    if more > 0 {
        text.push_str(&format!("… and {more} spaces more that changed\n"));
    }
    text
}

fn show_space(proof: &SpaceProof) -> String {
    let count = |tally: Option<pinrail_domain::state::manifest::Tally>| {
        tally.map_or_else(|| "?".to_owned(), |tally| tally.count.to_string())
    };
    let mut text = format!(
        "{} ({}): {} then, {} unchanged, {} now\n",
        proof.space,
        proof.space.tenant,
        count(proof.manifest),
        proof.unchanged,
        count(proof.now)
    );
    for (deployment, account) in &proof.accounts {
        let Account { added, superseded, deleted, restored, retracted, taken_along } = *account;
        let parts = [
            (added, "added"),
            (superseded, "superseded"),
            (deleted, "deleted"),
            (restored, "restored"),
            (retracted, "taken back"),
            (taken_along, "taken along"),
        ];
        let parts =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let who = if deployment.0 == 0 {
            "facts from outside".to_owned()
        } else {
            format!("deployment {deployment}")
        };
        text.push_str(&format!("  {who}: {}\n", parts.collect::<Vec<_>>().join(", ")));
    }
    for Finding { record, key, deployment, what, detail } in &proof.findings {
        let record = record.map(|record| format!(" record {record}")).unwrap_or_default();
        let key = key.as_ref().map(|key| format!(" key {key}")).unwrap_or_default();
        let by = deployment.map(|by| format!(" of deployment {by}")).unwrap_or_default();
        text.push_str(&format!("  {}{record}{key}{by}: {detail}\n", what.to_uppercase().replace('_', " ")));
    }
    let more = proof.findings_count.saturating_sub(proof.findings.len() as u64);
    if more > 0 {
        text.push_str(&format!("  … and {more} findings more\n"));
    }
    text
}
