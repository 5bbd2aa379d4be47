//! `pinrail provider`: the model providers that the server knows. Files make them (`pinrail apply`).

use pinrail_api::Page;
use pinrail_api::agents::Provider;
use pinrail_domain::id::ProviderName;

use super::paging::{After, with_next};
use crate::cli::Context;
use crate::client::escape;
use crate::output::table::{or_dash, pairs, table};

mod health;

pub use health::troubles;

/// Show model providers: their address, catalogue, the variable of their key, and how they do
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail provider list
  pinrail provider show openai

A provider's health is what the server saw of it since it began: its breaker, its failures, its waits.
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
            context.out.reply(&reply, |provider| show(provider, context))?;
        }
    }
    Ok(())
}

fn list(providers: &[Provider]) -> String {
    let rows = providers.iter().map(|Provider { provider, spec, health }| {
        let key = spec.env_names().join(", ");
        let key = or_dash((!key.is_empty()).then_some(&key));
        let base = spec.base().into_owned();
        vec![provider.to_string(), base, spec.catalogue.clone(), key, health::short(health.as_ref())]
    });
    table(&["provider", "base url", "catalogue", "key variable", "health"], rows.collect(), "no providers")
}

fn show(Provider { provider, spec, health }: &Provider, context: &Context) -> String {
    let timeouts = &spec.timeouts;
    let waits = format!(
        "connect {} ms, first byte {} ms, idle {} ms",
        timeouts.connect_ms, timeouts.first_byte_ms, timeouts.idle_ms
    );
    let spoken: Vec<&str> = spec.spoken().iter().map(|api| api.word()).collect();
    let variables = spec.env_names().join(", ");
    let names = spec.models.iter().map(|(snapshot, name)| format!("{snapshot} is {name}"));
    let models = (!spec.models.is_empty()).then(|| names.collect::<Vec<_>>().join(", "));
    let head = pairs(&[
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
        ("retries", Some(health::retries(spec))),
        ("breaker", Some(health::breaker(&spec.breaker))),
        ("failover", (!spec.failover.is_empty()).then(|| health::names(&spec.failover))),
    ]);
    head + &health::shown(health.as_ref(), context.now)
}
