//! A release made ready to be applied: parsed once, used by every call.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use pinrail_domain::id::{ProviderName, ReleaseId};
use pinrail_domain::model::{Catalogue, Price};
use pinrail_domain::release::{Contract, PromptMode};
use pinrail_wire::convert::{self, Lossy};
use pinrail_wire::dialect::Request;
use pinrail_wire::{Dialect, Edit, Mismatch, Pin, PinnedTools, chooses, messages, tool_names, without_tools};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::limits::Limits;

mod prompt;

pub use prompt::{Prompt, PromptError};

/// A release ready to be applied to calls of one endpoint in one dialect.
pub struct Prepared {
    dialect: Dialect,
    provider: ProviderName,
    snapshot: String,
    params: Vec<(String, Box<RawValue>)>,
    prompt: Option<Prompt>,
    /// In the dialect's form.
    tools: Option<Box<RawValue>>,
    /// Only in verify mode.
    pinned_tools: Option<PinnedTools>,
    mode: PromptMode,
    lossy: Lossy,
    /// The names of the tools that the release pins; none where it leaves them to the caller.
    pub tool_names: Option<Arc<BTreeSet<String>>>,
    /// What `price` was read from: another catalogue, or another part of it, may have another.
    catalogue: Arc<Catalogue>,
    part: String,
    pub price: Option<Price>,
    /// It sets what Anthropic's newer API refuses.
    pub older_api: bool,
}

/// Which release is wanted, and for which endpoint.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub contract: &'a Contract,
    /// What it is asked with; not always the pinned model's.
    pub params: &'a BTreeMap<String, Value>,
    /// What the provider is asked in.
    pub dialect: Dialect,
    /// What the parameters are written for.
    pub written_for: Dialect,
    pub provider: &'a ProviderName,
    pub snapshot: &'a str,
    /// The provider's part of the catalogue.
    pub part: &'a str,
}

/// What of a release can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("its system prompt is no valid template")]
    Prompt(#[source] minijinja::Error),
    #[error("its tools are not a JSON array")]
    Tools(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("its parameter `{name}` is not JSON")]
    Param { name: String, source: serde_json::Error },
    #[error("its tools can't be said in the dialect `{dialect}`")]
    ToolsUnsaid { dialect: &'static str, source: convert::ForeignTool },
    #[error("its parameters can't be said in the dialect `{dialect}`")]
    ParamsUnsaid { dialect: &'static str, source: convert::Refused },
    #[error("its `model.lossy` names what there isn't")]
    Lossy(#[source] convert::UnknownFeature),
}

/// Why a request can't be made to follow its release.
#[derive(Debug)]
pub enum Unapplied {
    Prompt(PromptError),
    /// In verify mode: the caller sent something else than what is pinned.
    Mismatch(Vec<Mismatch>),
    /// A field of the caller's brings a prompt or tools beside the release's.
    Conflict(&'static str),
}

/// A request as it goes upstream.
pub struct Applied {
    pub body: Vec<u8>,
    /// The tools that the model isn't offered.
    pub withheld: Vec<String>,
}

/// The releases in use, each prepared once for each endpoint and dialect. Readers take no lock; whoever adds one copies
/// the map.
pub struct PreparedReleases {
    releases_max: usize,
    map: ArcSwap<Map>,
}

/// What is prepared of one release: as many as it has endpoints times dialects.
type All = Vec<Arc<Prepared>>;

#[derive(Clone, Default)]
struct Map {
    /// With the place in the order of arrival: the oldest goes first.
    entries: HashMap<ReleaseId, (u64, All)>,
    next: u64,
}

/// What messages took until version 2026-10-21 of Anthropic's API.
const SAMPLING: [&str; 3] = ["temperature", "top_k", "top_p"];
/// A release has a handful of endpoints, each in at most three dialects.
const PREPARED_PER_RELEASE_MAX: usize = 32;

impl Prepared {
    fn new(wanted: &Wanted<'_>, catalogue: &Arc<Catalogue>, limits: &Limits) -> Result<Prepared, Unusable> {
        let Wanted { contract, params: given, dialect, written_for, provider, snapshot, part } = *wanted;
        let manifest = &contract.manifest;
        let mode = manifest.prompt.mode;
        let prompt = contract.system.as_ref().map(|text| Prompt::new(text, limits)).transpose();
        let tools = contract.tools.as_ref().map(|text| RawValue::from_string(text.to_string())).transpose();
        let tools = tools.map_err(|error| Unusable::Tools(Box::new(error)))?;
        let unsaid = |source| Unusable::ToolsUnsaid { dialect: dialect.word(), source };
        let tools = tools.map(|tools| convert::tools(&tools, dialect)).transpose().map_err(unsaid)?;
        let pinned_tools = match (&tools, mode) {
            (Some(tools), PromptMode::Verify | PromptMode::Managed) => {
                // Also where nothing is compared: a release whose tools are no array is unusable.
                Some(PinnedTools::new(tools).map_err(|error| Unusable::Tools(Box::new(error)))?)
            }
            (None, _) => None,
        };
        let pinned_names = tools.as_ref().map(|tools| Arc::new(tool_names(tools).into_iter().collect()));
        let lossy = Lossy::new(manifest.model.lossy.iter().map(String::as_str)).map_err(Unusable::Lossy)?;
        let params = params(given, written_for, dialect)?;
        let older_api =
            dialect == Dialect::Messages && params.iter().any(|(name, _)| SAMPLING.contains(&name.as_str()));
        Ok(Prepared {
            dialect,
            provider: provider.clone(),
            snapshot: snapshot.to_owned(),
            params,
            prompt: prompt.map_err(Unusable::Prompt)?,
            tools,
            pinned_tools,
            mode,
            lossy,
            tool_names: pinned_names,
            catalogue: Arc::clone(catalogue),
            part: part.to_owned(),
            price: catalogue.price(part, snapshot),
            older_api,
        })
    }

    /// What of a conversion may be lost.
    pub fn lossy(&self) -> &Lossy {
        &self.lossy
    }

    /// Whether this is what is wanted.
    fn fits(&self, wanted: &Wanted<'_>, catalogue: &Arc<Catalogue>) -> bool {
        self.dialect == wanted.dialect
            && self.part == wanted.part
            && self.snapshot == wanted.snapshot
            && self.provider == *wanted.provider
            && Arc::ptr_eq(&self.catalogue, catalogue)
    }

    /// Writes the body that goes upstream.
    ///
    /// Managed: model, parameters, prompt and tools are the release's. What it doesn't pin stays the caller's.
    /// Verify: prompt, tools and parameters must be the release's already; only the model is put in.
    /// Either way, tools that are `withheld` are taken out at the end.
    pub fn apply(
        &self,
        request: &Request<'_>,
        model: &str,
        variables: &BTreeMap<String, Value>,
        withheld: Option<&dyn Fn(&str) -> bool>,
    ) -> Result<Applied, Unapplied> {
        self.apply_with(request, &self.params, model, variables, withheld)
    }

    /// Writes the body whose tokens are counted: with those of the release's parameters that a count takes.
    pub fn apply_to_count(
        &self,
        request: &Request<'_>,
        model: &str,
        variables: &BTreeMap<String, Value>,
    ) -> Result<Applied, Unapplied> {
        let counted = self.params.iter().filter(|(name, _)| messages::is_counted(name)).cloned();
        self.apply_with(request, &counted.collect::<Vec<_>>(), model, variables, None)
    }

    fn apply_with(
        &self,
        request: &Request<'_>,
        params: &[(String, Box<RawValue>)],
        model: &str,
        variables: &BTreeMap<String, Value>,
        withheld: Option<&dyn Fn(&str) -> bool>,
    ) -> Result<Applied, Unapplied> {
        let system = self.prompt.as_ref().map(|prompt| prompt.render(variables)).transpose();
        let system = system.map_err(Unapplied::Prompt)?;
        let mut edit = Edit { model, params, include_usage: request.stream(), ..Edit::default() };
        match self.mode {
            PromptMode::Managed => {
                edit.system = system.as_deref();
                edit.tools = self.tools.as_deref();
            }
            PromptMode::Verify => {
                let pin = Pin { system: system.as_deref(), tools: self.pinned_tools.as_ref(), params };
                let mismatches = request.verify(&pin);
                if !mismatches.is_empty() {
                    return Err(Unapplied::Mismatch(mismatches));
                }
            }
        }
        if let Some(field) = request.conflicts(&edit) {
            return Err(Unapplied::Conflict(field));
        }
        match withheld {
            None => Ok(Applied { body: request.rewrite(&edit), withheld: Vec::new() }),
            Some(withheld) => Ok(rewrite_without(request, edit, withheld)),
        }
    }
}

/// Writes the body without the tools that are withheld. Where the caller, or the release, wants one of them called, the
/// choice is left to the model; with no tool left there is nothing to choose.
fn rewrite_without(request: &Request<'_>, edit: Edit<'_>, withheld: &dyn Fn(&str) -> bool) -> Applied {
    let tools = edit.tools.or_else(|| request.tools()).and_then(|tools| without_tools(tools, withheld));
    let functions = match edit.tools {
        Some(_) => None,
        None => request.param("functions").and_then(|functions| without_tools(functions, withheld)),
    };
    // Shorter lived than what the caller lent.
    let mut edit: Edit<'_> = edit;
    let pinned = edit.params.iter().find(|(name, _)| name == "tool_choice").map(|(_, choice)| &**choice);
    let choices = [pinned, request.param("tool_choice"), request.param("function_call")];
    edit.free_choice = choices.into_iter().flatten().any(|choice| chooses(choice, withheld));
    let mut gone = Vec::new();
    if let Some((kept, names)) = &tools {
        edit.tools = Some(kept);
        gone.extend(names.iter().cloned());
    }
    if let Some((kept, names)) = &functions {
        edit.functions = Some(kept);
        gone.extend(names.iter().cloned());
    }
    Applied { body: request.rewrite(&edit), withheld: gone }
}

impl PreparedReleases {
    pub fn new(releases_max: usize) -> PreparedReleases {
        PreparedReleases { releases_max: releases_max.max(1), map: ArcSwap::default() }
    }

    /// The release, prepared now if it wasn't.
    pub fn get(
        &self,
        wanted: &Wanted<'_>,
        catalogue: &Arc<Catalogue>,
        limits: &Limits,
    ) -> Result<Arc<Prepared>, Unusable> {
        let id = wanted.contract.id;
        let known = self.map.load().entries.get(&id).and_then(|(_, all)| {
            all.iter().find(|prepared| prepared.fits(wanted, catalogue)).map(Arc::clone)
        });
        if let Some(prepared) = known {
            return Ok(prepared);
        }
        let prepared = Arc::new(Prepared::new(wanted, catalogue, limits)?);
        self.map.rcu(|map| {
            let mut map = Map::clone(map);
            let next = map.next;
            let (_, all) = map.entries.entry(id).or_insert((next, Vec::new()));
            // What was prepared with another catalogue is not wanted any more.
            all.retain(|known| Arc::ptr_eq(&known.catalogue, catalogue) && !known.fits(wanted, catalogue));
            all.truncate(PREPARED_PER_RELEASE_MAX - 1);
            all.push(Arc::clone(&prepared));
            map.next += 1;
            while map.entries.len() > self.releases_max {
                let oldest = map.entries.iter().min_by_key(|(_, (place, _))| *place).map(|(id, _)| *id);
                map.entries.remove(&oldest.expect("it holds more than one"));
            }
            map
        });
        Ok(prepared)
    }
}

/// A release's parameters in the dialect that the provider is asked in.
fn params(
    params: &BTreeMap<String, Value>,
    from: Dialect,
    to: Dialect,
) -> Result<Vec<(String, Box<RawValue>)>, Unusable> {
    if from != to {
        let said = convert::params(from, params, to);
        return said.map_err(|source| Unusable::ParamsUnsaid { dialect: to.word(), source });
    }
    let raw = params.iter().map(|(name, value)| {
        let raw = serde_json::value::to_raw_value(value);
        Ok((name.clone(), raw.map_err(|source| Unusable::Param { name: name.clone(), source })?))
    });
    raw.collect()
}

#[cfg(test)]
mod tests {
    use pinrail_domain::digest::Digest;
    use pinrail_domain::release::Manifest;
    use serde_json::json;

    use super::*;

    fn contract(name: &str) -> Contract {
        let manifest =
            json!({"pinrail": 1, "model": {"provider": "openai", "snapshot": "gpt-4o-2024-08-06"}});
        let manifest: Manifest = serde_json::from_value(manifest).unwrap();
        let id = ReleaseId(Digest::of(name.as_bytes()));
        Contract { id, manifest: Arc::new(manifest), system: None, tools: None, pins: Default::default() }
    }

    fn get(releases: &PreparedReleases, name: &str, part: &str, catalogue: &Arc<Catalogue>) -> Arc<Prepared> {
        get_in(releases, name, part, catalogue, Dialect::Chat)
    }

    fn get_in(
        releases: &PreparedReleases,
        name: &str,
        part: &str,
        catalogue: &Arc<Catalogue>,
        dialect: Dialect,
    ) -> Arc<Prepared> {
        let contract = contract(name);
        let model = &contract.manifest.model;
        let wanted = Wanted {
            contract: &contract,
            params: &model.params,
            dialect,
            written_for: Dialect::Chat,
            provider: &model.provider,
            snapshot: &model.snapshot,
            part,
        };
        releases.get(&wanted, catalogue, &Limits::default()).unwrap()
    }

    #[test]
    fn releases_are_prepared_once_and_the_oldest_goes_first() {
        let releases = PreparedReleases::new(2);
        let catalogue = Arc::new(Catalogue::embedded().clone());
        let (a, b) = (get(&releases, "a", "openai", &catalogue), get(&releases, "b", "openai", &catalogue));
        assert!(Arc::ptr_eq(&a, &get(&releases, "a", "openai", &catalogue)) && a.price.is_some());
        // Each dialect has its own, and neither drives the other out.
        let said = get_in(&releases, "a", "openai", &catalogue, Dialect::Messages);
        assert!(!Arc::ptr_eq(&a, &said));
        assert!(Arc::ptr_eq(&said, &get_in(&releases, "a", "openai", &catalogue, Dialect::Messages)));
        assert!(Arc::ptr_eq(&a, &get(&releases, "a", "openai", &catalogue)));
        get(&releases, "c", "openai", &catalogue);
        assert!(Arc::ptr_eq(&b, &get(&releases, "b", "openai", &catalogue)));
        assert!(!Arc::ptr_eq(&a, &get(&releases, "a", "openai", &catalogue)));
        // Another part of the catalogue has other prices.
        assert!(get(&releases, "a", "sim", &catalogue).price.is_none());
        // So may another catalogue: prices follow it.
        let dearer = r#"version = 1
            as_of = "2026-11-20"
            [[providers.openai.groups]]
            source = "a test"
            as_of = "2026-11-20"
            models = [{ id = "gpt-4o-2024-08-06", price = { input = 9.0, output = 9.0 } }]"#;
        let dearer =
            Catalogue::overlaid(Catalogue::embedded().clone(), Catalogue::from_toml(dearer).unwrap());
        let dearer = get(&releases, "a", "openai", &Arc::new(dearer));
        assert_ne!(dearer.price, a.price);
        assert_eq!(releases.map.load().entries.len(), 2);
    }
}
