//! `pinrail vectors canaries`.

use pinrail_api::vectors::{
    Canaries as Kept, Canary, CanaryCheck, CanaryVerdict, CheckCanaries, SetCanaries,
};
use pinrail_domain::id::{CollectionName, TenantId};

use super::{Which, open, path};
use crate::cli::Context;
use crate::client::Query;
use crate::exit::Failed;

/// Lists the texts; or keeps, or compares, what a file says of them
#[derive(Debug, clap::Args)]
pub struct Canaries {
    space: CollectionName,
    /// Keep these texts with their vectors: lines of {"text": …, "vector": […]}, `-` is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    set: Option<String>,
    /// Compare these vectors with those kept: the texts embedded again. Without a file the server asks the provider
    /// that the embedder's contract names. Exit code 4 when it is another embedder
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    check: Option<Option<String>>,
    /// The embedder that this deployment's release pins
    #[arg(long, value_name = "ID")]
    deployment: Option<u64>,
    #[command(flatten)]
    embedder: Which,
    #[arg(long)]
    tenant: Option<TenantId>,
}

pub fn run(args: &Canaries, context: &Context) -> anyhow::Result<bool> {
    let client = context.client.for_tenant(args.tenant.as_ref());
    let address = path(&args.space, "/canaries");
    let embedder = args.embedder.read()?;
    let on = |path: &str| Query::default().add("deployment", args.deployment).on(path);
    if let Some(file) = &args.check {
        let canaries = file.as_deref().map(read).transpose()?;
        let wish = CheckCanaries { embedder, canaries };
        let reply = client.post::<CanaryCheck>(&on(&format!("{address}/check")), &wish)?;
        context.out.reply(&reply, verdict)?;
        return Ok(reply.value.verdict == CanaryVerdict::Same);
    }
    let reply = match &args.set {
        Some(file) => client.put::<Kept>(&on(&address), &SetCanaries { embedder, canaries: read(file)? })?,
        None => {
            let named = args.embedder.embedder.as_ref();
            client.get(&Query::default().add("embedder", named).on(&on(&address)))?
        }
    };
    context.out.reply(&reply, |kept: &Kept| {
        let head = format!("{} canary texts of embedder {}", kept.texts.len(), kept.embedder.short());
        kept.texts.iter().fold(head, |text, canary| format!("{text}\n  {canary}"))
    })?;
    Ok(true)
}

fn verdict(check: &CanaryCheck) -> String {
    let CanaryCheck { verdict, worst, worst_text, least, texts, .. } = check;
    match verdict {
        CanaryVerdict::Same => format!("the same embedder: {texts} texts, least cosine {worst:.6}"),
        CanaryVerdict::Swapped => format!(
            "another embedder: `{worst_text}` has cosine {worst:.6} with what was kept, and at least {least} is expected"
        ),
    }
}

fn read(file: &str) -> anyhow::Result<Vec<Canary>> {
    let (source, _) = open(file)?;
    let mut canaries = Vec::new();
    for (n, line) in std::io::BufRead::lines(source).enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let canary = serde_json::from_str(&line).map_err(|error| Failed {
            code: "bad_record",
            what: format!("{file}, line {}: {error}", n + 1),
            next_step: "a line is {\"text\": …, \"vector\": […]}".to_owned(),
            source: None,
        })?;
        canaries.push(canary);
    }
    Ok(canaries)
}
