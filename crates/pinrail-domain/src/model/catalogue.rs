//! What is known about models, per provider: built from a file, checked, laid over another.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use thiserror::Error;

use super::date::Date;
use super::file::{File, Kind, RawGroup, RawPattern, RawProvider, Spelling};
use super::judge::ID_BYTES_MAX;
use super::pattern::Pattern;
use super::price::Price;

/// The version of the file format that this build reads.
pub const FORMAT_VERSION: u32 = 1;

/// The longest catalogue file that is read, in bytes: twice what the longest public price list takes.
pub const CATALOGUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is known about the models of each provider: patterns, exact ids, lifecycle dates, prices.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub(super) as_of: Date,
    pub(super) providers: BTreeMap<String, Provider>,
}

/// Why a catalogue file can't be used. The sentence names the key, and the line where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CatalogueError {
    #[error("the catalogue has {bytes} bytes, more than the {CATALOGUE_BYTES_MAX} allowed")]
    TooLarge { bytes: usize },
    #[error("catalogue line {line}: {reason}")]
    Syntax { line: usize, reason: String },
    #[error("the catalogue has format version {found}, this build reads {FORMAT_VERSION}")]
    Version { found: u32 },
    #[error("catalogue, providers.{provider}: {reason}")]
    Invalid { provider: String, reason: String },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Provider {
    pub regions: Option<Vec<String>>,
    pub dated: Option<Vec<Pattern>>,
    pub aliases: Option<Vec<String>>,
    pub bare_floats: Option<bool>,
    pub served_as: Option<Vec<Spelling>>,
    /// The patterns of files laid over the first one: tried first, in order.
    pub overrides: Vec<Rule>,
    pub rules: Vec<Rule>,
    pub entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub kind: Kind,
    pub shapes: Vec<Pattern>,
    pub why: String,
    pub price: Option<Price>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub identity: Option<Kind>,
    pub released: Option<Date>,
    pub deprecated: Option<Date>,
    pub retires: Option<Date>,
    pub price: Option<Price>,
    pub source: String,
    pub as_of: Date,
}

static EMBEDDED: LazyLock<Catalogue> = LazyLock::new(|| {
    Catalogue::from_toml(include_str!("catalogue.toml"))
        .expect("the embedded catalogue is valid: a test reads it")
});

impl Catalogue {
    /// The catalogue that comes with Pinrail.
    #[must_use]
    pub fn embedded() -> &'static Catalogue {
        &EMBEDDED
    }

    /// Reads a catalogue file.
    ///
    /// # Errors
    /// When the file is too long, isn't TOML, has a key that isn't known or a date that doesn't exist, is
    /// of another format version, or states a pattern or an id that can't be used.
    pub fn from_toml(text: &str) -> Result<Catalogue, CatalogueError> {
        if text.len() > CATALOGUE_BYTES_MAX {
            return Err(CatalogueError::TooLarge { bytes: text.len() });
        }
        let file: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            CatalogueError::Syntax { line, reason: error.message().to_owned() }
        })?;
        if file.version != FORMAT_VERSION {
            return Err(CatalogueError::Version { found: file.version });
        }
        let providers = file.providers.into_iter().map(|(name, raw)| {
            let provider = Provider::build(raw)
                .map_err(|reason| CatalogueError::Invalid { provider: name.clone(), reason })?;
            Ok((name, provider))
        });
        Ok(Catalogue { as_of: file.as_of, providers: providers.collect::<Result<_, CatalogueError>>()? })
    }

    /// Lays `user` over `base`: what `user` states about a provider or an id wins, key by key; what it
    /// leaves out stays as it is in `base`; its patterns are tried first.
    #[must_use]
    pub fn overlaid(mut base: Catalogue, user: Catalogue) -> Catalogue {
        base.as_of = base.as_of.max(user.as_of);
        for (name, over) in user.providers {
            base.providers.entry(name).or_default().overlay(over);
        }
        base
    }

    /// The names of the providers that have entries, in alphabetical order.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.providers.keys().map(String::as_str)
    }

    /// The ids that the catalogue lists for a provider, in alphabetical order.
    pub fn ids(&self, provider: &str) -> impl Iterator<Item = &str> {
        self.providers.get(provider).into_iter().flat_map(|p| p.entries.keys().map(String::as_str))
    }

    /// What a model's tokens cost: its own entry's price, else that of the first pattern it matches that
    /// has one. `None` when the catalogue doesn't say; an unknown cost is never taken for zero.
    #[must_use]
    pub fn price(&self, provider: &str, id: &str) -> Option<Price> {
        let provider = self.providers.get(provider)?;
        let listed = provider.entries.get(id).and_then(|entry| entry.price);
        listed.or_else(|| provider.rules_for(id).find_map(|rule| rule.price))
    }
}

impl Provider {
    fn build(raw: RawProvider) -> Result<Provider, String> {
        let dated = raw.dated.map(|shapes| parse_all(&shapes)).transpose()?;
        let mut provider = Provider {
            regions: raw.regions,
            dated,
            aliases: raw.aliases,
            bare_floats: raw.bare_floats,
            served_as: raw.served_as,
            ..Provider::default()
        };
        for RawPattern { kind, shapes, why, price } in raw.patterns {
            provider.rules.push(Rule { kind, shapes: parse_all(&shapes)?, why, price });
        }
        for RawGroup { source, as_of, models } in raw.groups {
            for model in models {
                if model.id.is_empty() || model.id.len() > ID_BYTES_MAX {
                    return Err(format!("the id `{}` must have 1 to {ID_BYTES_MAX} bytes", model.id));
                }
                if let (Some(since), Some(at)) = (model.deprecated, model.retires)
                    && since > at
                {
                    return Err(format!("`{}` is deprecated on {since}, after it retires on {at}", model.id));
                }
                let entry = Entry {
                    identity: model.identity,
                    released: model.released,
                    deprecated: model.deprecated,
                    retires: model.retires,
                    price: model.price,
                    source: source.clone(),
                    as_of,
                };
                if provider.entries.insert(model.id.clone(), entry).is_some() {
                    return Err(format!("the id `{}` is listed twice", model.id));
                }
            }
        }
        Ok(provider)
    }

    fn overlay(&mut self, over: Provider) {
        self.regions = over.regions.or(self.regions.take());
        self.dated = over.dated.or(self.dated.take());
        self.aliases = over.aliases.or(self.aliases.take());
        self.bare_floats = over.bare_floats.or(self.bare_floats);
        self.served_as = over.served_as.or(self.served_as.take());
        let older = std::mem::take(&mut self.overrides);
        self.overrides = over.overrides.into_iter().chain(over.rules).chain(older).collect();
        for (id, new) in over.entries {
            let merged = match self.entries.remove(&id) {
                None => new,
                Some(old) => Entry {
                    identity: new.identity.or(old.identity),
                    released: new.released.or(old.released),
                    deprecated: new.deprecated.or(old.deprecated),
                    retires: new.retires.or(old.retires),
                    price: new.price.or(old.price),
                    source: new.source,
                    as_of: new.as_of,
                },
            };
            self.entries.insert(id, merged);
        }
    }

    /// The rules that describe `id`, in the order in which they are tried.
    pub(super) fn rules_for(&self, id: &str) -> impl Iterator<Item = &Rule> {
        let of = |kind| self.rules.iter().filter(move |rule| rule.kind == kind);
        self.overrides
            .iter()
            .chain(of(Kind::Floating))
            .chain(of(Kind::Pinned))
            .chain(of(Kind::Unknown))
            .filter(move |rule| rule.shapes.iter().any(|shape| shape.matches(id)))
    }

    /// Takes a region off the front: `us.vendor.model` is `("us.", "vendor.model")`.
    pub(super) fn split_region<'id>(&self, id: &'id str) -> (&'id str, &'id str) {
        let known = |prefix: &str| self.regions.iter().flatten().any(|region| region == prefix);
        match id.find('.') {
            Some(dot) if known(&id[..dot]) => id.split_at(dot + 1),
            Some(_) | None => ("", id),
        }
    }

    /// The name in front of a dated ending: `gpt-4o-2024-08-06` is dated `gpt-4o`.
    pub(super) fn bare_of<'id>(&self, id: &'id str) -> Option<&'id str> {
        let shapes = self.dated.as_deref().unwrap_or_default();
        id.char_indices()
            .skip(1)
            .find(|(at, _)| shapes.iter().any(|shape| shape.matches(&id[*at..])))
            .map(|(at, _)| &id[..at])
    }
}

fn parse_all(shapes: &[String]) -> Result<Vec<Pattern>, String> {
    shapes.iter().map(|shape| Pattern::parse(shape)).collect()
}
