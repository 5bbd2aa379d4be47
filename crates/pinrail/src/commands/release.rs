//! `pinrail release`: creates, shows, lists and compares releases.

use std::path::{Path, PathBuf};

use pinrail_api::Page;
use pinrail_api::artifacts::Artifact;
use pinrail_api::releases::{CreateRelease, Release, ReleaseCreated, Retire, Retired};
use pinrail_domain::id::AgentName;
use pinrail_domain::release::ModelPin;
use pinrail_domain::release::diff::Diff;

use super::paging::with_next;
use crate::cli::Context;
use crate::client::{Query, Reply, escape};
use crate::files::project::read_release;
use crate::files::release::Prepared;
use crate::output::table::{or_dash, pairs, table};
use crate::output::{diff, time};

mod bump;

/// Create, show, list and compare releases
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail release create support                          from ./agents/support/release.toml
  pinrail release create support --file try.toml --reason 'shorter answers'
  pinrail release list --agent support
  pinrail release diff 4f1c22 9ab01d
  pinrail release retire 4f1c22 --reason 'its model ends'     refused while anything needs it

Release ids may be cut to 6 or more hex digits. The same content has the same id on every machine.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Store the artifacts and create the release that names them
    Create(Create),
    /// Pin a newer snapshot of an agent's model in a release that differs in nothing else
    Bump(bump::Args),
    /// Show one release
    Show {
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        id: String,
    },
    /// List releases
    List {
        /// Only this agent's
        #[arg(long)]
        agent: Option<AgentName>,
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// The next page, as the page before names it
        #[arg(long, value_name = "SEQ")]
        before: Option<u64>,
    },
    /// Say that nobody needs a release any more: it can't be deployed again
    Retire {
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        id: String,
        /// Why; the ledger keeps it
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Show what changes from release A to release B
    Diff {
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        a: String,
        #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
        b: String,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    agent: AgentName,
    /// Folder of pinrail.toml; reads DIR/agents/AGENT/release.toml
    #[arg(short = 'f', long = "dir", value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Release file to read instead; its paths are taken from its own folder
    #[arg(long, conflicts_with = "dir")]
    file: Option<PathBuf>,
    /// Let a model of unknown identity into tier critical; the ledger keeps the reason
    #[arg(long, value_name = "REASON")]
    allow_unknown_model: Option<String>,
    /// Why; the ledger keeps it
    #[arg(long, default_value = "")]
    reason: String,
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.what {
        What::Create(create) => {
            let shown = Path::new("agents").join(create.agent.as_str()).join("release.toml");
            let path = create.file.clone().unwrap_or_else(|| create.dir.join(&shown));
            let prepared = read_release(&path, &path)?;
            let extra = Extra { reason: create.reason, model_override: create.allow_unknown_model };
            let reply = publish(context, &create.agent, &prepared, extra)?;
            context.out.reply(&reply, created)?;
        }
        What::Bump(args) => bump::run(&args, context)?,
        What::Show { id } => {
            let reply = context.client.get::<Release>(&format!("/api/v1/releases/{}", escape(&id)))?;
            context.out.reply(&reply, |release| show(release, context))?;
        }
        What::List { agent, limit, before } => {
            let query = Query::default().add("agent", agent).add("limit", limit).add("before", before);
            let path = query.on("/api/v1/releases");
            let reply = context.client.get::<Page<Release>>(&path)?;
            context.out.reply(&reply, |page| {
                with_next(list(&page.items, context), "--before", page.next.as_ref())
            })?;
        }
        What::Retire { id, reason } => {
            let path = format!("/api/v1/releases/{}/retire", escape(&id));
            let reply = context.client.post::<Retired>(&path, &Retire { reason })?;
            context.out.reply(&reply, |retired| {
                format!("{} is retired since {}", retired.short, time::both(context.now, retired.at))
            })?;
        }
        What::Diff { a, b } => {
            let path = format!("/api/v1/releases/{}/diff/{}", escape(&a), escape(&b));
            let reply = context.client.get::<Diff>(&path)?;
            if context.out.is_json() {
                context.out.reply(&reply, |_| String::new())?;
            } else {
                context.out.styled(&diff::render(&reply.value, context.out.colours()))?;
            }
        }
    }
    Ok(())
}

/// What may come with a release.
pub struct Extra {
    pub reason: String,
    pub model_override: Option<String>,
}

/// Stores a release's artifacts, then creates it.
pub fn publish(
    context: &Context,
    agent: &AgentName,
    prepared: &Prepared,
    extra: Extra,
) -> anyhow::Result<Reply<ReleaseCreated>> {
    for (digest, artifact) in &prepared.artifacts {
        let stored = context.client.post_bytes::<Artifact>("/api/v1/artifacts", &artifact.bytes)?.value;
        anyhow::ensure!(
            stored.digest == *digest,
            "the server stored {} as {}, but its digest is {digest}",
            artifact.file.display(),
            stored.digest
        );
    }
    let Extra { reason, model_override } = extra;
    let wish =
        CreateRelease { agent: agent.clone(), manifest: prepared.manifest.clone(), reason, model_override };
    let reply = context.client.post::<ReleaseCreated>("/api/v1/releases", &wish)?;
    anyhow::ensure!(
        reply.value.release == prepared.id,
        "the server calls the release {}, but its id is {}",
        reply.value.release,
        prepared.id
    );
    Ok(reply)
}

fn created(made: &ReleaseCreated) -> String {
    let ReleaseCreated { release, short, agent, identity, created } = made;
    let how = if *created { "created" } else { "exists already" };
    format!("{release}\n{agent}={short} {how}; its model is {identity}")
}

fn show(release: &Release, context: &Context) -> String {
    let model = &release.manifest.model;
    let agents = release.agents.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let head = pairs(&[
        ("release", Some(release.release.to_string())),
        ("agents", Some(agents)),
        ("model", Some(format!("{} ({})", model.snapshot, model.provider))),
        ("fallbacks", (!model.fallbacks.is_empty()).then(|| fallbacks(model))),
        ("identity", Some(format!("{}: {}", release.identity, release.identity_why))),
        ("override", release.model_override.clone()),
        ("degraded", (!release.degraded.is_empty()).then(|| release.degraded.join("; "))),
        ("created", Some(time::both(context.now, release.created_at))),
        ("serves", Some(if release.live { "yes".to_owned() } else { "no".to_owned() })),
        ("retired", release.retired.map(|at| time::both(context.now, at))),
    ]);
    let manifest = serde_json::to_string_pretty(&release.manifest).unwrap_or_default();
    format!("{head}manifest\n{manifest}")
}

/// The models that answer while the pinned one is in trouble, in the order in which they are asked.
fn fallbacks(model: &ModelPin) -> String {
    let listed = model.fallbacks.iter();
    listed.map(|other| format!("{} ({})", other.snapshot, other.provider)).collect::<Vec<_>>().join(", then ")
}

fn list(releases: &[Release], context: &Context) -> String {
    let rows = releases.iter().map(|release| {
        let agents = release.agents.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        vec![
            release.short.clone(),
            agents,
            release.manifest.model.snapshot.clone(),
            release.identity.clone(),
            or_dash(release.retired.map(|_| "retired").or(release.live.then_some("yes"))),
            time::relative(context.now, release.created_at),
        ]
    });
    let header = ["release", "agents", "model", "identity", "serves", "created"];
    table(&header, rows.collect(), "no releases; `pinrail apply` or `pinrail release create` makes them")
}
