//! `pinrail provider`: the model providers that the server knows. Files make them (`pinrail apply`).

use pinrail_api::Page;
use pinrail_api::agents::Provider;
use pinrail_domain::id::ProviderName;

use super::paging::{After, with_next};
use crate::cli::Context;
use crate::client::escape;
use crate::output::table::{or_dash, pairs, table};

/// Show model providers: their address, catalogue and the variable of their key
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail provider list
  pinrail provider show openai

`pinrail apply` makes and changes providers. Keys are never shown: Pinrail knows only their variables' names.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List all providers
    List(After),
    /// Show one provider
    Show { provider: ProviderName },
}

pub fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    match &args.what {
        What::List(page) => {
            let reply = context.client.get::<Page<Provider>>(&page.on("/api/v1/providers"))?;
            context.out.reply(&reply, |page| with_next(list(&page.items), "--after", page.next.as_ref()))?;
        }
        What::Show { provider } => {
            let path = format!("/api/v1/providers/{}", escape(provider.as_str()));
            let reply = context.client.get::<Provider>(&path)?;
            context.out.reply(&reply, show)?;
        }
    }
    Ok(())
}

fn list(providers: &[Provider]) -> String {
    let rows = providers.iter().map(|Provider { provider, spec }| {
        let key = spec.env_names().join(", ");
        let key = or_dash((!key.is_empty()).then_some(&key));
        vec![provider.to_string(), spec.base().into_owned(), spec.catalogue.clone(), key]
    });
    table(&["provider", "base url", "catalogue", "key variable"], rows.collect(), "no providers")
}

fn show(Provider { provider, spec }: &Provider) -> String {
    let timeouts = &spec.timeouts;
    let waits = format!(
        "connect {} ms, first byte {} ms, idle {} ms",
        timeouts.connect_ms, timeouts.first_byte_ms, timeouts.idle_ms
    );
    let spoken: Vec<&str> = spec.spoken().iter().map(|api| api.word()).collect();
    let variables = spec.env_names().join(", ");
    let names = spec.models.iter().map(|(snapshot, name)| format!("{snapshot} is {name}"));
    let models = (!spec.models.is_empty()).then(|| names.collect::<Vec<_>>().join(", "));
    pairs(&[
        ("provider", Some(provider.to_string())),
        ("format", Some(spec.format.word().to_owned())),
        ("base url", Some(spec.base().into_owned())),
        ("asked in", Some(spoken.join(", "))),
        ("catalogue", Some(spec.catalogue.clone())),
        ("variables", Some(or_dash((!variables.is_empty()).then_some(&variables)))),
        ("models", models),
        ("proxy", spec.proxy.clone()),
        ("own certificates", spec.ca_pem.as_ref().map(|pem| format!("{} bytes", pem.len()))),
        ("timeouts", Some(waits)),
        ("retries", Some(spec.retries_max.to_string())),
    ])
}
