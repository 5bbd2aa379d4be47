//! The catalogue file as it is written, key by key. A key that isn't here is an error.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::date::Date;
use super::price::Price;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub version: u32,
    pub as_of: Date,
    #[serde(default)]
    pub providers: BTreeMap<String, RawProvider>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProvider {
    /// Prefixes before a dot that choose a region and not a model: `us.`, `eu.`.
    pub regions: Option<Vec<String>>,
    /// The endings that turn a bare name into a dated one: `-{YYYY-MM-DD}`.
    pub dated: Option<Vec<String>>,
    /// The endings that mark an alias, taken off when looking for pins: `-latest`.
    pub aliases: Option<Vec<String>>,
    /// Whether a bare name with a dated sibling in the catalogue floats.
    pub bare_floats: Option<bool>,
    /// Other spellings in which the provider is known to answer.
    pub served_as: Option<Vec<Spelling>>,
    #[serde(default)]
    pub patterns: Vec<RawPattern>,
    #[serde(default)]
    pub groups: Vec<RawGroup>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPattern {
    pub kind: Kind,
    pub shapes: Vec<String>,
    pub why: String,
    pub price: Option<Price>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGroup {
    /// Where these facts were read.
    pub source: String,
    /// When they were read there.
    pub as_of: Date,
    #[serde(default)]
    pub models: Vec<RawModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawModel {
    pub id: String,
    pub identity: Option<Kind>,
    pub released: Option<Date>,
    pub deprecated: Option<Date>,
    pub retires: Option<Date>,
    pub price: Option<Price>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Pinned,
    Floating,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Spelling {
    /// `vendor.name-v1:0` is answered as `name`.
    WithoutVendor,
    /// `name@version` is answered as `name-version`.
    DashForAt,
    /// A dateless name that is itself pinned and its dated form are one checkpoint.
    WithoutDate,
}
