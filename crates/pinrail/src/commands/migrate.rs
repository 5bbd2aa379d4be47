//! `pinrail migrate`: brings the schema of a store in PostgreSQL up to this version.

use std::path::PathBuf;

use pinrail_store_postgres::{Access, Postgres};
use serde::Serialize;

use crate::config::{self, STORE_ENV};
use crate::data::store;
use crate::exit::Usage;
use crate::output::Output;

/// Bring the schema of a store in PostgreSQL up to this version.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail migrate --store postgres://owner@db/pinrail     as the schema's owner, before the new version starts
  PINRAIL_STORE=postgres://owner@db/pinrail pinrail migrate --grant pinrail_app
                                                          and let the role of the replicas use it

Replicas of the version before go on meanwhile: a migration only adds what the new version needs, and what the old one
needs goes with the version after. SQLite needs none of this: `pinrail up` brings its file up itself.")]
pub struct Args {
    /// Address of the store [default: PINRAIL_STORE, else `[store] url` of DIR/pinrail.toml]
    #[arg(long)]
    store: Option<String>,
    /// Folder of pinrail.toml
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Let this role use the schema as replicas do: read, append, and nothing that rewrites history
    #[arg(long, value_name = "ROLE")]
    grant: Option<String>,
}

/// What was done.
#[derive(Serialize)]
struct Done {
    applied: Vec<String>,
    version: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted: Option<String>,
}

pub fn run(args: &Args, out: Output) -> anyhow::Result<()> {
    let settings = config::server(&args.dir)?.kept_in(args.store.clone(), None, None)?;
    let Some(options) = store::postgres(&settings)? else {
        return Err(Usage(format!(
            "there is no store in PostgreSQL to migrate: pass --store postgres://…, or set {STORE_ENV}"
        ))
        .into());
    };
    let url = options.direct_url.unwrap_or(options.url);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let migrated = Postgres::migrate(&url).await?;
        if let Some(role) = &args.grant {
            Postgres::grant(&url, role, Access::App).await?;
        }
        anyhow::Ok(Done { applied: migrated.applied, version: migrated.version, granted: args.grant.clone() })
    })?;
    out.value(&done, || words(&done))?;
    Ok(())
}

fn words(done: &Done) -> String {
    let mut lines: Vec<String> = done.applied.iter().map(|name| format!("applied {name}")).collect();
    if lines.is_empty() {
        lines.push("nothing to do".to_owned());
    }
    lines.push(format!("the schema is at version {}", done.version));
    lines.extend(done.granted.as_ref().map(|role| format!("role {role} may use it")));
    lines.join("\n")
}
