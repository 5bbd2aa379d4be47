//! `pinrail vectors show`.

use pinrail_api::vectors::{CanariesShown, CanaryVerdict, EmbedderShown, IndexShown, VectorSpace};
use pinrail_domain::id::CollectionName;
use pinrail_domain::release::Embedder;
use pinrail_domain::time::Timestamp;

use super::super::state_by::Reader;
use super::path;
use crate::cli::Context;
use crate::output::table::pairs;
use crate::output::time;

pub fn run(space: &CollectionName, reader: &Reader, context: &Context) -> anyhow::Result<()> {
    let client = reader.client(context);
    let reply = client.get::<VectorSpace>(&reader.on(&path(space, "")))?;
    context.out.reply(&reply, |shown| {
        let one = |embedder: &EmbedderShown| text(embedder, shown.keys, context.now);
        let embedders: Vec<String> = shown.embedders.iter().map(one).collect();
        format!("`{}`: {} keys\n\n{}", shown.space, shown.keys, embedders.join("\n"))
    })?;
    Ok(())
}

fn text(shown: &EmbedderShown, of: usize, now: Timestamp) -> String {
    let EmbedderShown { embedder, contract, keys, coverage, index, canaries } = shown;
    pairs(&[
        ("embedder", Some(format!("{} ({})", contract.embedder, embedder.short()))),
        ("contract", Some(terms(contract))),
        ("coverage", Some(format!("{keys} of {of} keys ({:.0} %)", (coverage * 100.0).floor()))),
        (
            "index",
            Some(index.as_ref().map_or_else(|| "not in memory: nobody searches it".to_owned(), in_memory)),
        ),
        ("canaries", Some(canaries.as_ref().map_or_else(none_set, |canaries| verdict(canaries, now)))),
    ])
}

fn terms(contract: &Embedder) -> String {
    let Embedder { embedder: _, dims, metric, provider, endpoint, revision, pooling, normalisation, prefix } =
        contract;
    let metric = serde_json::to_value(metric).ok().and_then(|metric| metric.as_str().map(str::to_owned));
    let mut terms = vec![format!("{dims} dimensions"), metric.unwrap_or_default()];
    let named = [
        ("provider", provider),
        ("endpoint", endpoint),
        ("revision", revision),
        ("pooling", pooling),
        ("normalisation", normalisation),
        ("prefix", prefix),
    ];
    terms.extend(named.iter().filter_map(|(name, value)| Some(format!("{name} {:?}", value.as_ref()?))));
    terms.join(", ")
}

fn in_memory(index: &IndexShown) -> String {
    let IndexShown { loaded, of, bytes, graphs, in_graphs, building } = index;
    let loaded = if loaded == of { format!("{loaded} records") } else { format!("{loaded} of {of} records") };
    let graphs = match graphs {
        0 => "all scanned".to_owned(),
        1 => format!("{in_graphs} in a graph, the rest scanned"),
        graphs => format!("{in_graphs} in {graphs} graphs, the rest scanned"),
    };
    let building = if *building { "; building a graph" } else { "" };
    format!("{loaded} in memory, {:.1} MiB, {graphs}{building}", *bytes as f64 / f64::from(1 << 20))
}

fn verdict(canaries: &CanariesShown, now: Timestamp) -> String {
    let texts = canaries.texts;
    match &canaries.last_check {
        None => format!("{texts} texts, never checked"),
        Some(check) => {
            let when = time::relative(now, check.at);
            match check.verdict {
                CanaryVerdict::Same => {
                    format!("{texts} texts, the same embedder {when} (least cosine {:.6})", check.worst)
                }
                CanaryVerdict::Swapped => format!(
                    "{texts} texts, ANOTHER EMBEDDER answers, seen {when}: `{}` has cosine {:.6}, at least {} expected",
                    check.worst_text, check.worst, check.least
                ),
            }
        }
    }
}

fn none_set() -> String {
    "no texts: `pinrail vectors canaries` sets some".to_owned()
}
