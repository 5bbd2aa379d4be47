//! What is known about models: shown, updated from a provider's own list or a price list, and told when.

use pinrail_api::catalogue::{Catalogue, Counts, History, Update, UpdateCatalogue, Updated};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::catalogue::LearnRefused;
use pinrail_domain::id::ProviderName;
use pinrail_domain::ledger::{Body, Entry};
use pinrail_domain::model::{CatalogueError, Source, difference, is_stale};
use pinrail_wire::litellm::parse_prices;
use serde::Deserialize;

use crate::api::providers::no_provider;
use crate::call::Call;
use crate::lists::{source_of_list, sources_of_prices};
use crate::problem;
use crate::reply::{self, Answer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    /// A part of the catalogue.
    provider: Option<String>,
}

/// Updates that are told: more than anybody looks back on.
const HISTORY_MAX: usize = 100;

/// `GET /api/v1/catalogue?provider=`.
pub async fn show(call: Call) -> Answer {
    let Query { provider } = call.query()?;
    let catalogue = call.control().catalogue();
    let now = call.state.clock.now();
    let snapshot = call.control().snapshot();
    let learnt = snapshot.world.catalogue.as_ref().map(|update| Update {
        seq: update.seq,
        at: update.at,
        catalogue: update.catalogue,
        source: update.source.clone(),
        counts: None,
        actor: None,
        reason: String::new(),
    });
    reply::json(&Catalogue {
        as_of: catalogue.as_of(),
        stale: is_stale(catalogue.as_of(), now),
        learnt,
        own_file: call.control().catalogue_layers().own.is_some(),
        models: catalogue.listed(provider.as_deref(), now),
    })
}

/// `GET /api/v1/catalogue/diff`: what was learnt beside what Pinrail brings and the user's own file states.
pub async fn diff(call: Call) -> Answer {
    let control = call.control();
    reply::json(&difference(&control.catalogue_layers().with(None), &control.catalogue()))
}

/// `GET /api/v1/catalogue/history`.
pub async fn history(call: Call) -> Answer {
    let entries = call.control().catalogue_history(HISTORY_MAX).await;
    let entries = entries.map_err(|error| problem::store(&error))?;
    reply::json(&History { items: entries.into_iter().filter_map(update).collect() })
}

/// `POST /api/v1/catalogue/update`: what would change with `dry_run`; without it, it changes.
pub async fn learn(call: Call) -> Answer {
    let UpdateCatalogue { provider, litellm, dry_run, reason } = call.json()?;
    let (sources, from, passed_over) = match (provider, litellm) {
        (Some(provider), None) => {
            let source = list(&call, &provider).await?;
            let from = format!("{provider}: {}", source.from);
            (vec![source], from, 0)
        }
        (None, Some(text)) => prices(&text)?,
        (Some(_), Some(_)) | (None, None) => {
            return Err(Problem::new(Code::BadRequest, "name one source: `provider` or `litellm`").next_step(
                "`pinrail catalogue update --provider NAME`, or `--litellm FILE` (POST /api/v1/catalogue/update)",
            ));
        }
    };
    let whole = sources.iter().all(|source| source.whole);
    let updated = |changes, catalogue, seq| Updated {
        source: from.clone(),
        changes,
        whole,
        passed_over,
        catalogue,
        seq,
    };
    if dry_run {
        let changes = call.control().learning(&sources).map_err(|bad| bad_source(&bad))?;
        return reply::json(&updated(changes, None, None));
    }
    let done = call.control().learn_models(call.by(reason)?, &sources, &from).await;
    let done = done.map_err(|error| problem::commit(error, refused))?;
    let learnt = done.value;
    reply::changed(done.replayed, &updated(learnt.changes, learnt.catalogue, learnt.seq))
}

async fn list(call: &Call, provider: &ProviderName) -> Result<Source, Problem> {
    let spec = call.control().snapshot().world.providers.get(provider).cloned();
    let spec = spec.ok_or_else(|| no_provider(provider))?;
    let failed = |why: String| {
        Problem::new(Code::ProviderFailed, format!("the list of {provider} cannot be read: {why}")).next_step(
            "look at its address and its key with `pinrail doctor`, or learn from a file: `pinrail catalogue update \
             --litellm FILE` (POST /api/v1/catalogue/update)",
        )
    };
    let pages = call.state.lists.list(&spec).await.map_err(failed)?;
    source_of_list(&spec, &pages).map_err(|error| failed(problem::chain(&error)))
}

fn prices(text: &str) -> Result<(Vec<Source>, String, u64), Problem> {
    let list = parse_prices(text.as_bytes()).map_err(|error| {
        Problem::new(Code::BadRequest, problem::chain(&error)).next_step(
            "give LiteLLM's model_prices_and_context_window.json: `pinrail catalogue update --litellm FILE` (POST \
             /api/v1/catalogue/update)",
        )
    })?;
    let passed_over = list.passed_over as u64;
    Ok((sources_of_prices(list), "LiteLLM model_prices_and_context_window.json".to_owned(), passed_over))
}

fn refused(refused: LearnRefused) -> Problem {
    match refused {
        LearnRefused::Bad(bad) => bad_source(&bad),
        LearnRefused::Moved => Problem::new(Code::Contended, problem::chain(&refused)).next_step(
            "look again at what would change: `pinrail catalogue update` without --yes (`dry_run`)",
        ),
    }
}

fn bad_source(bad: &CatalogueError) -> Problem {
    Problem::new(Code::BadRequest, problem::chain(bad)).next_step(
        "learn from another source, or lay a catalogue of your own over it (docs/model-identity.md)",
    )
}

fn update(entry: Entry) -> Option<Update> {
    let Body::CatalogueUpdated { catalogue, source, added, changed, removed } = entry.body else {
        return None;
    };
    Some(Update {
        seq: entry.seq,
        at: entry.at,
        catalogue,
        source,
        counts: Some(Counts { added, changed, unlisted: removed }),
        actor: Some(entry.actor),
        reason: entry.reason,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn what_a_provider_lists_is_shown_first_and_then_in_force_everywhere() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let path = "/api/v1/catalogue/update";
        bench.post(path, json!({})).await.problem("bad_request");
        bench.post(path, json!({ "provider": "nobody" })).await.problem("not_found");
        bench.post(path, json!({ "provider": "sim" })).await.problem("provider_failed");
        bench.list_models(r#"{"data": [{"id": "sim-1-2026-01-15", "shutdown_date": "2026-12-24"}, {"id": "sim-9-2026-12-01"}]}"#);
        let plan = bench.post(path, json!({ "provider": "sim", "dry_run": true })).await.ok();
        assert_eq!((&plan["added"][0]["id"], plan.get("seq")), (&json!("sim-9-2026-12-01"), None));
        assert_eq!(plan["changed"][0]["after"], "2026-12-24");
        assert!(!plan["unlisted"].as_array().unwrap().is_empty());
        assert_eq!(bench.get("/api/v1/catalogue/diff").await.ok()["added"], json!([]), "nothing was written");

        let done = bench.post(path, json!({ "provider": "sim", "reason": "they wrote to us" })).await.ok();
        assert!(done["seq"].is_u64(), "{done}");
        let shown = bench.get("/api/v1/catalogue?provider=sim").await.ok();
        assert_eq!(shown["learnt"]["seq"], done["seq"]);
        let models = shown["models"].as_array().unwrap();
        let old = models.iter().find(|model| model["id"] == "sim-1-2026-01-15").unwrap();
        assert_eq!((&old["retires"], &old["source"]), (&json!("2026-12-24"), &json!("sim:/models")));
        assert_eq!(bench.get("/api/v1/catalogue/diff").await.ok()["added"], plan["added"]);
        let history = bench.get("/api/v1/catalogue/history").await.ok();
        assert_eq!(history["items"][0]["counts"]["added"], 1);
        assert_eq!(history["items"][0]["reason"], "they wrote to us");
        // Again, it is no news.
        let again = bench.post(path, json!({ "provider": "sim" })).await.ok();
        assert_eq!((again.get("seq"), &again["added"]), (None, &json!([])));
        // Another process reads it at its start, and calls follow at once.
        let other = crate::testing::control(&bench.memory, &bench.clock).await;
        for control in [&bench.control, &other] {
            assert!(control.catalogue().ids("sim").any(|id| id == "sim-9-2026-12-01"));
            assert!(control.catalogue_handle().load().ids("sim").any(|id| id == "sim-9-2026-12-01"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn prices_are_learnt_from_a_list_that_the_user_names() {
        let bench = Bench::open().await;
        let list = r#"{"gpt-9-2026-11-01": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 4e-06, "deprecation_date": "2027-06-01"},
            "whisper-9": {"litellm_provider": "openai", "mode": "audio_transcription"}}"#;
        let path = "/api/v1/catalogue/update";
        bench.post(path, json!({ "litellm": "[]" })).await.problem("bad_request");
        let done = bench.post(path, json!({ "litellm": list })).await.ok();
        assert_eq!((&done["passed_over"], &done["whole"]), (&json!(1), &json!(false)));
        assert_eq!(done["added"][0]["price"], "$1.00 in, $1.00 from cache, $4.00 out");
        assert_eq!(done.get("unlisted"), None);
        assert!(bench.control.catalogue().price("openai", "gpt-9-2026-11-01").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pin_that_a_list_has_no_more_is_found_and_not_retired() {
        use pinrail_domain::id::ProviderName;
        use pinrail_domain::model::Lifecycle;
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let daily = crate::lists::Daily::new(crate::lists::Options {
            control: bench.control.clone(),
            lists: std::sync::Arc::clone(&bench.state.lists),
            clock: std::sync::Arc::clone(&bench.state.clock),
            missing_keys: std::sync::Arc::clone(&bench.state.missing_keys),
        });
        let name: ProviderName = "sim".parse().unwrap();
        let read = async |list: &str| {
            bench.list_models(list);
            let spec = bench.control.snapshot().world.providers[&name].clone();
            daily.read(&name, &spec).await;
            bench.control.snapshot().world.findings.len()
        };
        let (with, without) =
            (r#"{"data": [{"id": "sim-large-2026-03-01"}]}"#, r#"{"data": [{"id": "other"}]}"#);
        assert_eq!(read(without).await, 0, "a key that never saw it");
        assert_eq!(read(with).await, 0);
        assert_eq!(read(without).await, 0, "once may be a mistake");
        assert_eq!(read("<html>").await, 0);
        assert_eq!(read(r#"{"data": []}"#).await, 0);
        assert_eq!(read(without).await, 1);
        assert_eq!(read(without).await, 1, "it is said once");
        let what = bench.control.snapshot().world.findings.values().next().unwrap().what.clone();
        assert!(
            what.contains("for this key") && what.contains("pinrail catalogue update --provider sim"),
            "{what}"
        );
        let now = bench.state.clock.now();
        let known = bench.control.catalogue().lifecycle("sim", "sim-large-2026-03-01", now);
        assert!(!matches!(known, Lifecycle::Retired { .. }));
        let dated = r#"{"data": [{"id": "sim-large-2026-03-01", "shutdown_date": "2027-03-01"}]}"#;
        assert_eq!(read(dated).await, 2, "another end than is known");
    }
}
