//! Learning about models: what a source says is laid over what was learnt before, and what that changes is told first.
//!
//! Conditions, and how ties break:
//! - what the user's own file states wins over everything learnt, so nothing that it hides counts as a change;
//! - a source adds dates and prices and takes none away: what it leaves out stays as it was known;
//! - an id is never pinned because a list has it. It is floating where the list calls it another name of a model, nothing
//!   judged it before, and one of that model's names is pinned;
//! - a model that a whole list doesn't have is told ([`Changes::unlisted`]) and nothing else: lists differ by key, so that
//!   proves no retirement.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::catalogue::{Catalogue, CatalogueError, Entry, FORMAT_VERSION, Provider};
use super::date::Date;
use super::file::Kind;
use super::judge::{ID_BYTES_MAX, Identity};
use super::layers::Layers;
use super::lifecycle::Lifecycle;
use super::price::Price;
use crate::time::Timestamp;

/// What a source says of a provider's models.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The part of the catalogue, such as `openai`.
    pub part: String,
    /// Where it is from, in words: an address, a file.
    pub from: String,
    /// Whether it lists all models that the provider has for whoever asked.
    pub whole: bool,
    pub models: Vec<Fact>,
}

/// What a source says of one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fact {
    pub id: String,
    pub released: Option<Timestamp>,
    pub deprecated: Option<Timestamp>,
    pub retires: Option<Timestamp>,
    /// USD per token: input, from cache, output. One that is finer than a millionth of a dollar per million tokens is left out.
    pub price: Option<PerToken>,
    /// Other names that the source has for the model.
    pub aliases: Vec<String>,
}

/// A price in USD per token, as price lists write it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerToken {
    pub input: f64,
    pub cached_input: Option<f64>,
    pub output: f64,
}

/// What learning from a source changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    pub added: Vec<Added>,
    pub changed: Vec<Changed>,
    /// Models of the catalogue that a whole list doesn't have, and that aren't retired: perhaps only not for this key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlisted: Vec<Named>,
}

/// A model of a provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Named {
    pub provider: String,
    pub id: String,
}

/// A model that wasn't known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    pub provider: String,
    pub id: String,
    /// How it is judged: `pinned`, `floating` or `unknown`.
    pub identity: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
}

/// A model of which something else is known now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    pub provider: String,
    pub id: String,
    /// `identity`, `released`, `deprecated`, `retires` or `price`.
    pub field: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What is known of a model, for a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    pub provider: String,
    pub id: String,
    pub identity: String,
    #[serde(flatten)]
    pub lifecycle: Lifecycle,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retires: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// Where that is from, and when it was read there.
    pub source: String,
    pub as_of: String,
    /// It is older than [`STALE_DAYS`].
    pub stale: bool,
}

/// Days after which what is known counts as stale: providers give as little as 60 days' notice, so within 90 a model can be
/// announced to end, and end, without the catalogue knowing.
pub const STALE_DAYS: u64 = 90;

/// Whether something that was read then is stale now.
#[must_use]
pub fn is_stale(as_of: Timestamp, now: Timestamp) -> bool {
    now.ms_since(as_of) > STALE_DAYS * super::date::DAY_MS
}

/// Lays what sources say over what was learnt before; returns all that is learnt then, in the catalogue's own format, and
/// what that changes of what is in force.
///
/// # Errors
/// When the result can't be read back: an id that can't be used, or more than a catalogue may hold.
pub fn learn(
    layers: &Layers,
    before: Option<&Catalogue>,
    sources: &[Source],
    now: Timestamp,
) -> Result<(String, Changes), CatalogueError> {
    let in_force = layers.with(before);
    let mut learnt =
        before.cloned().unwrap_or(Catalogue { as_of: Date::of(now), providers: BTreeMap::new() });
    learnt.as_of = Date::of(now);
    for source in sources {
        let known = in_force.providers.get(&source.part);
        let provider = learnt.providers.entry(source.part.clone()).or_default();
        for fact in &source.models {
            if fact.id.is_empty() || fact.id.len() > ID_BYTES_MAX || fact.id.chars().any(char::is_control) {
                continue;
            }
            let entry = fact.entry(known, source, now);
            provider.learn(fact.id.clone(), entry);
        }
    }
    let text = learnt.to_toml();
    let after = layers.with(Some(&Catalogue::from_toml(&text)?));
    let mut changes = difference(&in_force, &after);
    for source in sources.iter().filter(|source| source.whole && !source.models.is_empty()) {
        changes.unlisted.extend(unlisted(&in_force, source, now));
    }
    Ok((text, changes))
}

/// What differs from one catalogue to another, by provider and id.
#[must_use]
pub fn difference(before: &Catalogue, after: &Catalogue) -> Changes {
    let mut changes = Changes::default();
    for (name, provider) in &after.providers {
        let known = before.providers.get(name);
        for (id, entry) in &provider.entries {
            match known.and_then(|known| known.entries.get(id)) {
                None => changes.added.push(Added {
                    provider: name.clone(),
                    id: id.clone(),
                    identity: word(&after.judge(name, id)).to_owned(),
                    retires: entry.retires.map(|date| date.to_string()),
                    price: entry.price.map(|price| price.to_string()),
                }),
                Some(old) => changes.changed.extend(changed(name, id, old, entry)),
            }
        }
    }
    changes
}

impl Catalogue {
    /// What is known of each listed model, of one provider or of all.
    #[must_use]
    pub fn listed(&self, of: Option<&str>, now: Timestamp) -> Vec<Listed> {
        let providers = self.providers.iter().filter(|(name, _)| of.is_none_or(|of| of == name.as_str()));
        let listed = providers.flat_map(|(name, provider)| {
            provider.entries.iter().map(move |(id, entry)| Listed {
                provider: name.clone(),
                id: id.clone(),
                identity: word(&self.judge(name, id)).to_owned(),
                lifecycle: self.lifecycle(name, id, now),
                retires: entry.retires.map(|date| date.to_string()),
                price: entry.price.map(|price| price.to_string()),
                source: entry.source.clone(),
                as_of: entry.as_of.to_string(),
                stale: is_stale(entry.as_of.start(), now),
            })
        });
        listed.collect()
    }

    /// When what is known of a model was read; none where it isn't listed.
    #[must_use]
    pub fn read_at(&self, provider: &str, id: &str) -> Option<Timestamp> {
        self.providers.get(provider)?.entries.get(id).map(|entry| entry.as_of.start())
    }

    /// The catalogue's entries as a file of its own format.
    fn to_toml(&self) -> String {
        let mut text = format!("version = {FORMAT_VERSION}\nas_of = \"{}\"\n", self.as_of);
        for (name, provider) in &self.providers {
            let mut groups: BTreeMap<(&str, Date), Vec<(&String, &Entry)>> = BTreeMap::new();
            for (id, entry) in &provider.entries {
                groups.entry((&entry.source, entry.as_of)).or_default().push((id, entry));
            }
            for ((source, as_of), entries) in groups {
                let (name, source) = (quoted(name), quoted(source));
                text.push_str(&format!(
                    "\n[[providers.{name}.groups]]\nsource = {source}\nas_of = \"{as_of}\"\nmodels = [\n"
                ));
                for (id, entry) in entries {
                    text.push_str(&entry.to_toml(id));
                }
                text.push_str("]\n");
            }
        }
        text
    }
}

impl Provider {
    fn learn(&mut self, id: String, new: Entry) {
        let merged = match self.entries.remove(&id) {
            None => new,
            Some(old) => Entry {
                identity: new.identity.or(old.identity),
                released: new.released.or(old.released),
                deprecated: new.deprecated.or(old.deprecated),
                retires: new.retires.or(old.retires),
                price: new.price.or(old.price),
                ..new
            },
        };
        self.entries.insert(id, merged);
    }
}

impl Fact {
    fn entry(&self, known: Option<&Provider>, source: &Source, now: Timestamp) -> Entry {
        let kind = |id: &str| known.map_or(Kind::Unknown, |known| known.classify(id).0);
        let names_it = |fact: &&Fact| fact.id != self.id && fact.aliases.contains(&self.id);
        let of_a_pin = |fact: &Fact| {
            kind(&fact.id) == Kind::Pinned || fact.aliases.iter().any(|alias| kind(alias) == Kind::Pinned)
        };
        let is_alias = kind(&self.id) == Kind::Unknown && source.models.iter().filter(names_it).any(of_a_pin);
        let retires = self.retires.map(Date::of);
        Entry {
            identity: is_alias.then_some(Kind::Floating),
            released: self.released.map(Date::of),
            // A source that contradicts itself isn't believed in that.
            deprecated: self.deprecated.map(Date::of).filter(|since| retires.is_none_or(|at| *since <= at)),
            retires,
            price: self
                .price
                .and_then(|price| Price::per_token(price.input, price.cached_input, price.output)),
            source: source.from.clone(),
            as_of: Date::of(now),
        }
    }
}

impl Entry {
    fn to_toml(&self, id: &str) -> String {
        let mut parts = vec![format!("id = {}", quoted(id))];
        parts.extend(self.identity.map(|kind| format!("identity = \"{}\"", kind.word())));
        let dates = [("released", self.released), ("deprecated", self.deprecated), ("retires", self.retires)];
        parts.extend(dates.iter().filter_map(|(key, date)| Some(format!("{key} = \"{}\"", date.as_ref()?))));
        parts.extend(self.price.map(|price| format!("price = {}", price.to_toml())));
        format!("  {{ {} }},\n", parts.join(", "))
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Pinned => "pinned",
            Kind::Floating => "floating",
            Kind::Unknown => "unknown",
        }
    }
}

fn changed(provider: &str, id: &str, old: &Entry, new: &Entry) -> Vec<Changed> {
    let date = |date: Option<Date>| date.map(|date| date.to_string());
    let kind = |kind: Option<Kind>| kind.map(|kind| kind.word().to_owned());
    let price = |price: Option<Price>| price.map(|price| price.to_string());
    let fields = [
        ("identity", kind(old.identity), kind(new.identity)),
        ("released", date(old.released), date(new.released)),
        ("deprecated", date(old.deprecated), date(new.deprecated)),
        ("retires", date(old.retires), date(new.retires)),
        ("price", price(old.price), price(new.price)),
    ];
    let differ = fields.into_iter().filter(|(_, before, after)| before != after);
    differ
        .map(|(field, before, after)| Changed {
            provider: provider.to_owned(),
            id: id.to_owned(),
            field: field.to_owned(),
            before,
            after,
        })
        .collect()
}

fn unlisted(in_force: &Catalogue, source: &Source, now: Timestamp) -> Vec<Named> {
    let has: BTreeSet<&str> = source
        .models
        .iter()
        .flat_map(|fact| fact.aliases.iter().chain([&fact.id]).map(String::as_str))
        .collect();
    let served = |id: &&str| match in_force.lifecycle(&source.part, id, now) {
        Lifecycle::Retired { .. } => false,
        Lifecycle::Active
        | Lifecycle::Deprecated { .. }
        | Lifecycle::RetiringSoon { .. }
        | Lifecycle::Unlisted => true,
    };
    let missing = in_force.ids(&source.part).filter(|id| !has.contains(id)).filter(served);
    missing.map(|id| Named { provider: source.part.clone(), id: id.to_owned() }).collect()
}

fn word(identity: &Identity) -> &'static str {
    match identity {
        Identity::Pinned { .. } => "pinned",
        Identity::Floating { .. } => "floating",
        Identity::Unknown { .. } => "unknown",
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if control.is_control() => quoted.push_str(&format!("\\u{:04X}", control as u32)),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
