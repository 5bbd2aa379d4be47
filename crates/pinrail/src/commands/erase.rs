//! `pinrail erase`: removes what a person or a tenant said, for good.

use pinrail_api::erasures::{Attribute, Erase, Erased, SessionOf};
use pinrail_domain::id::{AgentName, SessionId, TenantId};

use crate::cli::Context;
use crate::exit::Usage;
use crate::output::table::table;

/// Erase what a person or a tenant said, for good
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail erase --tenant acme --session support/s-17 --reason 'request 812'          what would go
  pinrail erase --tenant acme --session support/s-17 --reason 'request 812' --yes
  pinrail erase --tenant acme --subject-attribute user=ada --reason 'request 813' --yes
  pinrail erase --tenant acme --reason 'the contract ended' --yes                     all of the tenant's

Content leaves records and journals; places, digests and stamps stay, and the ledger names the list of what was erased.
Backups made before still hold it.")]
pub struct Args {
    #[arg(long)]
    tenant: TenantId,
    /// A conversation: its memory, and all that its runs wrote
    #[arg(long, value_name = "AGENT/SESSION", value_parser = parse_session, conflicts_with = "subject_attribute")]
    session: Option<(AgentName, SessionId)>,
    /// All that runs with this attribute wrote
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_attribute)]
    subject_attribute: Option<(String, String)>,
    /// Why; the ledger keeps it
    #[arg(long)]
    reason: Option<String>,
    /// Do it: without this, only what would go is shown
    #[arg(long)]
    yes: bool,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let Args { tenant, session, subject_attribute, reason, yes } = args;
    if yes && reason.is_none() {
        return Err(Usage("an erasure needs a --reason: it can't be undone".to_owned()).into());
    }
    let wish = Erase {
        tenant,
        session: session.map(|(agent, session)| SessionOf { agent, session }),
        attribute: subject_attribute.map(|(name, value)| Attribute { name, value }),
        dry_run: !yes,
        reason: reason.unwrap_or_default(),
    };
    let reply = context.client.post::<Erased>("/api/v1/erasures", &wish)?;
    context.out.reply(&reply, describe)?;
    Ok(())
}

fn describe(erased: &Erased) -> String {
    let Erased { seq, proof, records, runs, spaces, open_runs, derived } = erased;
    let done = seq.is_some();
    let verb = if done { "erased" } else { "would be erased" };
    let mut text = format!("{records} records and the content of {runs} runs {verb}");
    if let (Some(seq), Some(proof)) = (seq, proof) {
        text.push_str(&format!("; ledger entry {seq}, proof {proof}"));
    }
    if !spaces.is_empty() {
        let rows = spaces.iter().map(|space| vec![space.space.clone(), space.records.to_string()]);
        text.push_str(&format!("\n\n{}", table(&["space", "records"], rows.collect(), "")));
    }
    if !open_runs.is_empty() {
        let some: Vec<String> = open_runs.iter().take(5).map(ToString::to_string).collect();
        text.push_str(&format!(
            "\n{} of the runs are open ({}): erase again when they have ended",
            open_runs.len(),
            some.join(", ")
        ));
    }
    if *derived > 0 {
        text.push_str(&format!(
            "\n{derived} records of others were derived from them and stay: look at them"
        ));
    }
    if !done && *records + *runs > 0 {
        text.push_str("\nadd --yes to erase: it can't be undone");
    }
    text
}

fn parse_session(text: &str) -> Result<(AgentName, SessionId), String> {
    let (agent, session) = text.split_once('/').ok_or("expected AGENT/SESSION, such as support/s-17")?;
    let agent = AgentName::new(agent).map_err(|bad| bad.to_string())?;
    Ok((agent, SessionId::new(session).map_err(|bad| bad.to_string())?))
}

fn parse_attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, such as user=ada")?;
    Ok((name.to_owned(), value.to_owned()))
}
