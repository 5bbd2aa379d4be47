//! Which model a release pins, and which others it lists for when that one is in trouble.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{BadManifest, PARAMS_MAX, RESERVED_PARAMS, SNAPSHOT_BYTES_MAX};
use crate::digest::Digest;
use crate::id::ProviderName;

/// Which model answers, and with which parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPin {
    pub provider: ProviderName,
    /// The model id as the provider spells it.
    pub snapshot: String,
    /// Request fields that the release sets, such as `temperature`; they win over the caller's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// Digest of the weight files, for self-hosted models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Digest>,
    /// Other models that may answer while the pinned one is in trouble, in the order in which they are asked.
    /// Without them nothing but the pinned snapshot ever answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<Fallback>,
    /// What of requests and answers may be left out where the provider's wire format can't say it, by the names of
    /// features; everything else that can't be carried over is refused.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lossy: BTreeSet<String>,
}

/// A model that a release lists beside the pinned one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    pub provider: ProviderName,
    pub snapshot: String,
    /// In the place of the pin's parameters; none: the pin's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<BTreeMap<String, Value>>,
}

/// A model as a release names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId<'a> {
    pub provider: &'a ProviderName,
    pub snapshot: &'a str,
}

/// Each one that fails costs the caller its time; more of them than this is a router, not a release.
pub const FALLBACKS_MAX: usize = 4;
/// The features that differ between wire formats are a few dozen.
pub const LOSSY_MAX: usize = 64;
const LOSSY_BYTES_MAX: usize = 64;

impl ModelPin {
    /// The pinned model, then those that it lists, in the order in which they are asked.
    pub fn models(&self) -> impl Iterator<Item = ModelId<'_>> {
        let listed = self.fallbacks.iter().map(Fallback::id);
        std::iter::once(self.id()).chain(listed)
    }

    /// Each of the models as if it alone were pinned, with the parameters that it is asked with.
    pub fn each_alone(&self) -> impl Iterator<Item = ModelPin> + '_ {
        let pinned = ModelPin { fallbacks: Vec::new(), ..self.clone() };
        let alone = |fallback: &Fallback| ModelPin {
            provider: fallback.provider.clone(),
            snapshot: fallback.snapshot.clone(),
            params: fallback.params.clone().unwrap_or_else(|| self.params.clone()),
            weights: None,
            fallbacks: Vec::new(),
            lossy: self.lossy.clone(),
        };
        std::iter::once(pinned).chain(self.fallbacks.iter().map(alone))
    }

    /// Whether the model is pinned or listed here.
    #[must_use]
    pub fn names(&self, provider: &ProviderName, snapshot: &str) -> bool {
        self.models().any(|model| model == ModelId { provider, snapshot })
    }

    #[must_use]
    pub fn id(&self) -> ModelId<'_> {
        ModelId { provider: &self.provider, snapshot: &self.snapshot }
    }

    pub(super) fn check(&self) -> Result<(), BadManifest> {
        check_model("model", &self.snapshot, &self.params)?;
        if self.fallbacks.len() > FALLBACKS_MAX {
            return Err(BadManifest::TooManyFallbacks(self.fallbacks.len()));
        }
        for (index, fallback) in self.fallbacks.iter().enumerate() {
            let params = fallback.params.as_ref().unwrap_or(&self.params);
            check_model(&format!("model.fallbacks[{index}]"), &fallback.snapshot, params)?;
            if self.models().take(index + 1).any(|before| before == fallback.id()) {
                return Err(BadManifest::FallbackTwice(index));
            }
        }
        if self.lossy.len() > LOSSY_MAX {
            return Err(BadManifest::TooManyLossy(self.lossy.len()));
        }
        match self.lossy.iter().find(|name| !is_feature(name)) {
            Some(name) => Err(BadManifest::Lossy(name.chars().take(LOSSY_BYTES_MAX).collect())),
            None => Ok(()),
        }
    }
}

impl Fallback {
    #[must_use]
    pub fn id(&self) -> ModelId<'_> {
        ModelId { provider: &self.provider, snapshot: &self.snapshot }
    }
}

fn check_model(place: &str, snapshot: &str, params: &BTreeMap<String, Value>) -> Result<(), BadManifest> {
    let printable = snapshot.bytes().all(|b| b.is_ascii_graphic());
    if snapshot.is_empty() || snapshot.len() > SNAPSHOT_BYTES_MAX || !printable {
        return Err(BadManifest::Snapshot(place.to_owned()));
    }
    if params.len() > PARAMS_MAX {
        return Err(BadManifest::TooManyParams { place: place.to_owned(), count: params.len() });
    }
    match RESERVED_PARAMS.iter().find(|name| params.contains_key(**name)) {
        Some(name) => Err(BadManifest::ReservedParam { place: place.to_owned(), name: (*name).to_owned() }),
        None => Ok(()),
    }
}

/// Whether a text has the form of a feature's name: lower-case words with dots and underscores between them.
fn is_feature(name: &str) -> bool {
    let word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.len() <= LOSSY_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.split(['.', '_']).all(word)
}
