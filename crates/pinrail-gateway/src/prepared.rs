//! A release made ready to be applied: parsed once, used by every call.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use pinrail_domain::id::ReleaseId;
use pinrail_domain::model::{Catalogue, Price};
use pinrail_domain::release::{Contract, PromptMode};
use pinrail_wire::chat::ChatRequest;
use pinrail_wire::{Edit, Mismatch, Pin, PinnedTools, chooses, tool_names, without_tools};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::limits::Limits;

mod prompt;

pub use prompt::{Prompt, PromptError};

/// A release ready to be applied.
pub struct Prepared {
    /// Shared with the contract that the control plane gives out.
    snapshot: String,
    params: Vec<(String, Box<RawValue>)>,
    prompt: Option<Prompt>,
    tools: Option<Box<RawValue>>,
    /// Only in verify mode.
    pinned_tools: Option<PinnedTools>,
    mode: PromptMode,
    /// The names of the tools that the release pins; none where it leaves them to the caller.
    pub tool_names: Option<Arc<BTreeSet<String>>>,
    /// What `price` was read from: another catalogue, or another part of it, may have another.
    catalogue: Arc<Catalogue>,
    part: String,
    pub price: Option<Price>,
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
}

/// Why a request can't be made to follow its release.
#[derive(Debug)]
pub enum Unapplied {
    Prompt(PromptError),
    /// In verify mode: the caller sent something else than what is pinned.
    Mismatch(Vec<Mismatch>),
}

/// A request as it goes upstream.
pub struct Applied {
    pub body: Vec<u8>,
    /// The tools that the model isn't offered.
    pub withheld: Vec<String>,
}

/// The releases in use, each prepared once. Readers take no lock; whoever adds one copies the map.
pub struct PreparedReleases {
    releases_max: usize,
    map: ArcSwap<Map>,
}

#[derive(Clone, Default)]
struct Map {
    /// With the place in the order of arrival: the oldest goes first.
    entries: HashMap<ReleaseId, (u64, Arc<Prepared>)>,
    next: u64,
}

impl Prepared {
    fn new(
        contract: &Contract,
        catalogue: &Arc<Catalogue>,
        part: &str,
        limits: &Limits,
    ) -> Result<Prepared, Unusable> {
        let model = &contract.manifest.model;
        let params = model.params.iter().map(|(name, value)| {
            let raw = serde_json::value::to_raw_value(value);
            Ok((name.clone(), raw.map_err(|source| Unusable::Param { name: name.clone(), source })?))
        });
        let mode = contract.manifest.prompt.mode;
        let prompt = contract.system.as_ref().map(|text| Prompt::new(text, limits)).transpose();
        let tools = contract.tools.as_ref().map(|text| RawValue::from_string(text.to_string())).transpose();
        let tools = tools.map_err(|error| Unusable::Tools(Box::new(error)))?;
        let pinned_tools = match (&tools, mode) {
            (Some(tools), PromptMode::Verify | PromptMode::Managed) => {
                // Also where nothing is compared: a release whose tools are no array is unusable.
                Some(PinnedTools::new(tools).map_err(|error| Unusable::Tools(Box::new(error)))?)
            }
            (None, _) => None,
        };
        let pinned_names = tools.as_ref().map(|tools| Arc::new(tool_names(tools).into_iter().collect()));
        Ok(Prepared {
            snapshot: model.snapshot.clone(),
            params: params.collect::<Result<_, Unusable>>()?,
            prompt: prompt.map_err(Unusable::Prompt)?,
            tools,
            pinned_tools,
            mode,
            tool_names: pinned_names,
            catalogue: Arc::clone(catalogue),
            part: part.to_owned(),
            price: catalogue.price(part, &model.snapshot),
        })
    }

    /// Writes the body that goes upstream.
    ///
    /// Managed: model, parameters, prompt and tools are the release's. What it doesn't pin stays the caller's.
    /// Verify: prompt, tools and parameters must be the release's already; only the model is put in.
    /// Either way, tools that are `withheld` are taken out at the end.
    pub fn apply(
        &self,
        request: &ChatRequest<'_>,
        variables: &BTreeMap<String, Value>,
        withheld: Option<&dyn Fn(&str) -> bool>,
    ) -> Result<Applied, Unapplied> {
        let system = self.prompt.as_ref().map(|prompt| prompt.render(variables)).transpose();
        let system = system.map_err(Unapplied::Prompt)?;
        let mut edit = Edit {
            model: &self.snapshot,
            params: &self.params,
            include_usage: request.stream(),
            ..Edit::default()
        };
        match self.mode {
            PromptMode::Managed => {
                edit.system = system.as_deref();
                edit.tools = self.tools.as_deref();
            }
            PromptMode::Verify => {
                let pin = Pin {
                    system: system.as_deref(),
                    tools: self.pinned_tools.as_ref(),
                    params: &self.params,
                };
                let mismatches = request.verify(&pin);
                if !mismatches.is_empty() {
                    return Err(Unapplied::Mismatch(mismatches));
                }
            }
        }
        match withheld {
            None => Ok(Applied { body: request.rewrite(&edit), withheld: Vec::new() }),
            Some(withheld) => Ok(rewrite_without(request, edit, withheld)),
        }
    }
}

/// Writes the body without the tools that are withheld. Where the caller, or the release, wants one of them called, the
/// choice is left to the model; with no tool left there is nothing to choose.
fn rewrite_without(request: &ChatRequest<'_>, edit: Edit<'_>, withheld: &dyn Fn(&str) -> bool) -> Applied {
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

    /// The release, prepared now if it wasn't. `part` is the provider's part of the catalogue.
    pub fn get(
        &self,
        contract: &Contract,
        catalogue: &Arc<Catalogue>,
        part: &str,
        limits: &Limits,
    ) -> Result<Arc<Prepared>, Unusable> {
        let known = self.map.load().entries.get(&contract.id).map(|(_, prepared)| Arc::clone(prepared));
        let fits =
            |prepared: &Arc<Prepared>| prepared.part == part && Arc::ptr_eq(&prepared.catalogue, catalogue);
        if let Some(prepared) = known.filter(fits) {
            return Ok(prepared);
        }
        let prepared = Arc::new(Prepared::new(contract, catalogue, part, limits)?);
        self.map.rcu(|map| {
            let mut map = Map::clone(map);
            map.entries.insert(contract.id, (map.next, Arc::clone(&prepared)));
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

    #[test]
    fn releases_are_prepared_once_and_the_oldest_goes_first() {
        let releases = PreparedReleases::new(2);
        let catalogue = Arc::new(Catalogue::embedded().clone());
        let get = |name: &str, part: &str| {
            releases.get(&contract(name), &catalogue, part, &Limits::default()).unwrap()
        };
        let (a, b) = (get("a", "openai"), get("b", "openai"));
        assert!(Arc::ptr_eq(&a, &get("a", "openai")) && a.price.is_some());
        get("c", "openai");
        assert!(Arc::ptr_eq(&b, &get("b", "openai")));
        assert!(!Arc::ptr_eq(&a, &get("a", "openai")));
        // Another part of the catalogue has other prices.
        assert!(get("a", "sim").price.is_none());
        // So may another catalogue: prices follow it.
        let dearer = r#"version = 1
            as_of = "2026-11-20"
            [[providers.openai.groups]]
            source = "a test"
            as_of = "2026-11-20"
            models = [{ id = "gpt-4o-2024-08-06", price = { input = 9.0, output = 9.0 } }]"#;
        let dearer =
            Catalogue::overlaid(Catalogue::embedded().clone(), Catalogue::from_toml(dearer).unwrap());
        let dearer = releases.get(&contract("a"), &Arc::new(dearer), "openai", &Limits::default()).unwrap();
        assert_ne!(dearer.price, a.price);
        assert_eq!(releases.map.load().entries.len(), 2);
    }
}
