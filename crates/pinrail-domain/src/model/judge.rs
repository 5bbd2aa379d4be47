//! Whether a model id can move. The order of the rules is in [the module above](super).

use serde::{Deserialize, Serialize};

use super::catalogue::{Catalogue, Provider};
use super::file::Kind;

/// The longest model id that is judged, in bytes; a longer one is unknown.
pub const ID_BYTES_MAX: usize = 256;

/// Whether a model id always means the same checkpoint, with the reason, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "identity", rename_all = "snake_case")]
pub enum Identity {
    /// The id names one checkpoint for as long as it is served.
    Pinned { why: String },
    /// The provider may point the id at another checkpoint; `pins` may have been meant instead.
    Floating { why: String, pins: Vec<String> },
    /// Nothing says whether the id can move; `pins` may have been meant instead.
    Unknown { why: String, pins: Vec<String> },
}

impl Identity {
    /// The reason, in words for a person.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Identity::Pinned { why } | Identity::Floating { why, .. } | Identity::Unknown { why, .. } => why,
        }
    }

    /// The pinned ids that may have been meant; none for a pin.
    #[must_use]
    pub fn pins(&self) -> &[String] {
        match self {
            Identity::Pinned { .. } => &[],
            Identity::Floating { pins, .. } | Identity::Unknown { pins, .. } => pins,
        }
    }
}

impl Catalogue {
    /// Judges a model id. `provider` is a name in the catalogue (`openai`, `bedrock`, …).
    #[must_use]
    pub fn judge(&self, provider: &str, id: &str) -> Identity {
        let Some(known) = self.providers.get(provider) else {
            let names = self.providers().collect::<Vec<_>>().join(", ");
            let why = format!(
                "the catalogue has no provider `{provider}` (it has {names}); add [[providers.{provider}.patterns]] \
                 or [[providers.{provider}.groups]] to the file that pinrail.toml names as `catalogue`"
            );
            return Identity::Unknown { why, pins: Vec::new() };
        };
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            let why = format!("a model id has 1 to {ID_BYTES_MAX} bytes, this one has {}", id.len());
            return Identity::Unknown { why, pins: Vec::new() };
        }
        let (kind, why) = known.classify(id);
        match kind {
            Kind::Pinned => Identity::Pinned { why },
            Kind::Floating => Identity::Floating { why, pins: self.pins(known, id) },
            Kind::Unknown => Identity::Unknown { why, pins: self.pins(known, id) },
        }
    }
}

impl Provider {
    /// The rules in their order, without the suggestions.
    pub(super) fn classify(&self, id: &str) -> (Kind, String) {
        if let Some((kind, why)) = self.stated(id) {
            return (kind, why);
        }
        if self.bare_floats == Some(true)
            && let Some(sibling) = self.siblings(id).next()
        {
            return (
                Kind::Floating,
                format!("a bare name moves between its dated snapshots, such as `{sibling}`"),
            );
        }
        let why =
            format!("no rule of the catalogue says whether `{id}` can move, and its shape proves nothing");
        (Kind::Unknown, why)
    }

    /// What the entry or else the first matching pattern says.
    fn stated(&self, id: &str) -> Option<(Kind, String)> {
        if let Some(entry) = self.entries.get(id)
            && let Some(kind) = entry.identity
        {
            let listed = match kind {
                Kind::Pinned => "pinned",
                Kind::Floating => "floating",
                Kind::Unknown => "unknown",
            };
            let why = format!("listed as {listed} (source: {}, as of {})", entry.source, entry.as_of);
            return Some((kind, why));
        }
        let rule = self.rules_for(id).next()?;
        let shape = rule.shapes.iter().find(|shape| shape.matches(id)).map_or("", |shape| shape.text());
        Some((rule.kind, format!("{} (pattern `{shape}`)", rule.why)))
    }

    /// The listed, pinned ids that are `id` with a dated ending.
    pub(super) fn siblings<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a str> {
        self.pinned_ids().filter(move |listed| self.bare_of(listed) == Some(id))
    }

    /// The listed ids that an entry or a pattern calls pinned.
    pub(super) fn pinned_ids(&self) -> impl Iterator<Item = &str> {
        self.entries
            .keys()
            .map(String::as_str)
            .filter(|id| matches!(self.stated(id), Some((Kind::Pinned, _))))
    }
}
