//! Whether the model id in a provider's answer is the one that was pinned.
//!
//! Equal strings are the same. Another spelling counts only where the catalogue says that this provider
//! answers so, and only when the two can't mean different checkpoints. In doubt the answer is different:
//! a false alarm costs a look, a missed one costs the pin.

use serde::{Deserialize, Serialize};

use super::catalogue::{Catalogue, Provider};
use super::file::{Kind, Spelling};

/// How the id in an answer relates to the pinned one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "served", rename_all = "snake_case")]
pub enum Served {
    /// The very same string.
    Same,
    /// Another spelling of the same checkpoint; `why` names the rule.
    SameCheckpoint { why: String },
    /// Another model, or one that can't be shown to be the same.
    Different,
    /// The answer named no model.
    Unsaid,
}

impl Catalogue {
    /// Compares the id in an answer with the pinned one. It compares names: whether `pinned` is a pin at
    /// all is for [`Catalogue::judge`] to say.
    #[must_use]
    pub fn served_matches(&self, provider: &str, pinned: &str, served: &str) -> Served {
        if served.is_empty() {
            return Served::Unsaid;
        }
        if served == pinned {
            return Served::Same;
        }
        let why = self.providers.get(provider).and_then(|known| known.same_checkpoint(pinned, served));
        why.map_or(Served::Different, |why| Served::SameCheckpoint { why: why.to_owned() })
    }
}

impl Provider {
    fn same_checkpoint(&self, pinned: &str, served: &str) -> Option<&'static str> {
        let ((_, pinned), (_, served)) = (self.split_region(pinned), self.split_region(served));
        if pinned == served {
            return Some("the two differ only in the region that answers");
        }
        self.served_as.iter().flatten().find_map(|spelling| match spelling {
            Spelling::WithoutVendor => (without_vendor(pinned) == Some(served))
                .then_some("the answer leaves out the vendor and the interface version"),
            Spelling::DashForAt => {
                let (name, version) = pinned.split_once('@')?;
                (served.strip_prefix(name)?.strip_prefix('-')? == version)
                    .then_some("the answer writes name@version as name-version")
            }
            Spelling::WithoutDate => {
                let (bare, dated) =
                    if served.len() < pinned.len() { (served, pinned) } else { (pinned, served) };
                (self.bare_of(dated) == Some(bare) && self.classify(bare).0 == Kind::Pinned)
                    .then_some("the dateless name is pinned itself, so both name one checkpoint")
            }
        })
    }
}

/// `vendor.name-v1:0` as `name`, where nothing that tells checkpoints apart is lost by it: the name ends in
/// a date, or there was no version to lose.
fn without_vendor(id: &str) -> Option<&str> {
    let (_, name) = id.split_once('.')?;
    let Some(at) = name.rfind("-v") else { return Some(name) };
    let version =
        name[at + 2..].split(':').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if !version {
        return Some(name);
    }
    let plain = &name[..at];
    let date = plain.rsplit('-').next().unwrap_or_default();
    (date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit())).then_some(plain)
}
