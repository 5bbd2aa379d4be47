//! `pinrail key`: bearer keys.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pinrail_api::Page;
use pinrail_api::keys::{CreateKey, Key, KeyCreated, KeyRevoked};
use pinrail_control::By;
use pinrail_control::keys::NewKey;
use pinrail_domain::id::TenantId;
use pinrail_domain::key::{KeyId, Scope, Tenants};

use super::paging::{After, with_next};
use crate::cli::Context;
use crate::config;
use crate::data::{self, Data};
use crate::exit::Usage;
use crate::output::table::table;
use crate::output::talk;

/// Make, list and revoke bearer keys
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail key create ops --scope admin
  pinrail key create shop --scope run --tenant acme --tenant globex
  export PINRAIL_KEY=$(pinrail key create ci --scope deploy)
  pinrail key create ops --scope admin --offline /srv/pinrail
  pinrail key revoke 4f1c22aa9b03

A token is shown once: the server keeps only its hash. With the first key the server is no longer open to everyone
who reaches it, so make an admin key first.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a key and print its token, once
    Create {
        /// What it is for; shown in the ledger beside all that it does
        name: String,
        /// What it may do: admin, deploy, run, read
        #[arg(long = "scope", required = true, value_delimiter = ',')]
        scopes: Vec<Scope>,
        /// Tenant it may act for; none means all
        #[arg(long = "tenant")]
        tenants: Vec<TenantId>,
        /// Why; the ledger keeps it
        #[arg(long, default_value = "")]
        reason: String,
        /// Make it in the data folder of DIR while no server runs there: before the first start, or when no admin
        /// key is left
        #[arg(long, value_name = "DIR")]
        offline: Option<PathBuf>,
    },
    /// List the keys, without their secrets
    List(After),
    /// Revoke a key at once
    Revoke {
        /// Its id, or the whole token
        // A text, since a refusal of the parser would show a mistyped token (I15).
        id: String,
    },
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.what {
        What::Create { name, scopes, tenants, reason, offline } => {
            let tenants: BTreeSet<TenantId> = tenants.into_iter().collect();
            let tenants = Some(tenants).filter(|tenants| !tenants.is_empty());
            let wish = CreateKey { name, scopes: scopes.into_iter().collect(), tenants, reason };
            if let Some(dir) = offline {
                let made = create_offline(&dir, wish)?;
                return Ok(context.out.value(&made, || made.token.clone().unwrap_or_default())?);
            }
            let reply = context.client.post::<KeyCreated>("/api/v1/keys", &wish)?;
            match &reply.value.token {
                Some(_) if context.out.is_json() => {}
                Some(_) => talk(&format!(
                    "key {} is made; this is the only time that its token is shown",
                    reply.value.key
                )),
                None => talk(&format!("key {} was made before; its token was shown then", reply.value.key)),
            }
            context.out.reply(&reply, |made| made.token.clone().unwrap_or_default())?;
        }
        What::List(page) => {
            let reply = context.client.get::<Page<Key>>(&page.on("/api/v1/keys"))?;
            context.out.reply(&reply, |page| with_next(list(&page.items), "--after", page.next.as_ref()))?;
        }
        What::Revoke { id } => {
            let id = key_id(&id)?;
            let reply = context.client.delete::<KeyRevoked>(&format!("/api/v1/keys/{id}"))?;
            context.out.reply(&reply, |revoked| format!("key {} is revoked", revoked.key))?;
        }
    }
    Ok(())
}

/// Makes a key without a server: whoever may write the data folder may do anything anyway.
fn create_offline(dir: &Path, wish: CreateKey) -> anyhow::Result<KeyCreated> {
    let CreateKey { name, scopes, tenants, reason } = wish;
    let reason = if reason.is_empty() { "made offline, in the data folder".to_owned() } else { reason };
    let new = NewKey { name, scopes, tenants: tenants.map_or(Tenants::All, Tenants::Only) };
    let settings = config::server(dir)?.kept_in(None, None, None)?;
    let lock = data::lock(dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let control = Data::open(&lock, &settings).await?.control;
        let (made, token) = control.key_create(By::system(&reason), new).await?;
        control.drain().await;
        Ok(KeyCreated { key: made.value.key, token: token.map(|token| token.reveal()) })
    })
}

fn list(keys: &[Key]) -> String {
    let rows = keys.iter().map(|key| {
        let tenants = key.tenants.as_ref().map_or_else(|| "all".to_owned(), words);
        vec![key.key.to_string(), key.name.clone(), words(&key.scopes), tenants]
    });
    table(
        &["key", "name", "scopes", "tenants"],
        rows.collect(),
        "no keys: whoever reaches the server may do everything",
    )
}

fn words<T: ToString>(set: &BTreeSet<T>) -> String {
    set.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The id of the key that a text names. The refusal doesn't show the text: it may be a secret (I15).
fn key_id(text: &str) -> Result<KeyId, Usage> {
    let id = text.strip_prefix("pr_").and_then(|rest| rest.split('_').next()).unwrap_or(text);
    id.parse().map_err(|_| Usage("a key's id is 12 hex digits; `pinrail key list` shows them".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_id_or_token_and_never_shown_when_it_is_neither() {
        assert_eq!(key_id("4f1c22aa9b03").unwrap().to_string(), "4f1c22aa9b03");
        assert_eq!(key_id("pr_4f1c22aa9b03_0123").unwrap().to_string(), "4f1c22aa9b03");
        let refused = key_id("pr_4f1c22_secret").unwrap_err().to_string();
        assert!(!refused.contains("secret") && refused.contains("pinrail key list"), "{refused}"); // I15
    }
}
