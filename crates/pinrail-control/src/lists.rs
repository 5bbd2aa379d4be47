//! What providers' own lists said when they were last read, and what of it contradicts the pins.

use std::collections::{BTreeMap, BTreeSet};

use arc_swap::ArcSwap;
use pinrail_domain::drift::{Sign, Subject};
use pinrail_domain::id::ProviderName;
use pinrail_domain::model::{Lifecycle, Source};
use pinrail_domain::time::Timestamp;
use pinrail_store::sightings::{Sighting, SightingKind};
use serde::{Deserialize, Serialize};

use crate::Control;

/// The newest look at a provider's list. Stored: never rename a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub at: Timestamp,
    /// Why it couldn't be read; none: it could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// How many models it had when it was last read.
    pub models: usize,
    /// Of the models that warm releases pin, those that it had.
    pub had: BTreeSet<String>,
    /// Those that it had once and has no more, and for how many whole lists in a row.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lost: BTreeMap<String, u32>,
}

/// Whole lists in a row that must lack a model that they had: one may be a mistake of the provider's.
const LOST_IN_A_ROW: u32 = 2;

/// The newest looks, by provider.
#[derive(Default)]
pub(crate) struct Lists(ArcSwap<BTreeMap<ProviderName, Seen>>);

impl Lists {
    /// Takes in what the store holds, by whomever, where it is no older than what is known. What can't be read is looked at again.
    pub(crate) fn take_in(&self, sightings: &[Sighting]) {
        let lists = sightings.iter().filter_map(|sighting| {
            let provider: ProviderName = sighting.subject.parse().ok()?;
            let seen: Seen = serde_json::from_str(&sighting.document).ok()?;
            Some((provider, seen))
        });
        let stored: Vec<_> = lists.collect();
        self.0.rcu(|before| {
            let mut after = BTreeMap::clone(before);
            for (provider, seen) in &stored {
                if after.get(provider).is_none_or(|known| known.at <= seen.at) {
                    after.insert(provider.clone(), seen.clone());
                }
            }
            after
        });
    }
}

impl Control {
    /// The newest look at a provider's list; none: it wasn't read yet.
    #[must_use]
    pub fn list_seen(&self, provider: &ProviderName) -> Option<Seen> {
        self.inner.sightings.lists.0.load().get(provider).cloned()
    }

    /// Keeps what a look at a provider's list came to, and finds drift of what warm releases pin.
    pub async fn keep_list(&self, provider: &ProviderName, at: Timestamp, read: Result<Source, String>) {
        let before = self.list_seen(provider).unwrap_or_default();
        let pins: BTreeSet<String> = self
            .probes_wanted(None)
            .into_iter()
            .filter(|wanted| wanted.model.provider == *provider)
            .map(|wanted| wanted.model.snapshot)
            .collect();
        let seen = match &read {
            Err(why) => Seen { at, failed: Some(why.clone()), ..before },
            Ok(source) => {
                Seen { at, failed: None, models: source.models.len(), ..looked(&before, source, &pins) }
            }
        };
        let document = serde_json::to_string(&seen).expect("a look is plain data");
        self.inner.sightings.lists.0.rcu(|lists| {
            let mut lists = BTreeMap::clone(lists);
            lists.insert(provider.clone(), seen.clone());
            lists
        });
        let sighting = Sighting { kind: SightingKind::List, subject: provider.to_string(), at, document };
        if let Err(error) = self.inner.store.sighting_put(sighting).await {
            tracing::warn!(%error, "what a provider's list said was not stored; it is known until the server ends");
        }
        if let Ok(source) = &read {
            self.find_in_list(provider, source, &seen, &pins).await;
        }
    }

    async fn find_in_list(
        &self,
        provider: &ProviderName,
        source: &Source,
        seen: &Seen,
        pins: &BTreeSet<String>,
    ) {
        let catalogue = self.catalogue();
        let look = format!("look at it with `pinrail catalogue update --provider {provider}`");
        for pin in pins {
            let subject = Subject::Model { provider: provider.clone(), snapshot: pin.clone() };
            if seen.lost.get(pin).is_some_and(|times| *times >= LOST_IN_A_ROW) {
                let (was, is) = ("listed".to_owned(), "not listed for this key".to_owned());
                let what = format!("{provider} lists {pin} no more, for this key at least; {look}");
                self.note_drift(&subject, &Sign::Listed { was, is }, &what).await;
            }
            let listed = source.models.iter().find(|fact| fact.id == *pin);
            let Some(retires) = listed.and_then(|fact| fact.retires) else { continue };
            let known = match catalogue.lifecycle(&source.part, pin, self.inner.clock.now()) {
                Lifecycle::Retired { at } | Lifecycle::RetiringSoon { at, .. } => Some(at),
                Lifecycle::Deprecated { retires, .. } => retires,
                Lifecycle::Active | Lifecycle::Unlisted => None,
            };
            let day = |at: Timestamp| at.rfc3339()[..10].to_owned();
            if known.map(day).as_deref() != Some(&*day(retires)) {
                let was = known.map_or("no end known".to_owned(), |at| format!("retires {}", day(at)));
                let is = format!("retires {}", day(retires));
                let what = format!("{provider} says that {pin} {is}; the catalogue says: {was}; {look}");
                self.note_drift(&subject, &Sign::Listed { was, is }, &what).await;
            }
        }
    }
}

/// What a list that could be read says of the pins, after what the ones before it said.
fn looked(before: &Seen, source: &Source, pins: &BTreeSet<String>) -> Seen {
    let has = |pin: &String| source.models.iter().any(|fact| fact.id == *pin || fact.aliases.contains(pin));
    let (had, missing): (BTreeSet<String>, BTreeSet<String>) = pins.iter().cloned().partition(has);
    if !source.whole || source.models.is_empty() {
        return Seen {
            had: before.had.union(&had).cloned().collect(),
            lost: before.lost.clone(),
            ..Seen::default()
        };
    }
    let once = |pin: &String| before.had.contains(pin) || before.lost.contains_key(pin);
    let lost = missing.into_iter().filter(once);
    let lost = lost.map(|pin| {
        let times = before.lost.get(&pin).copied().unwrap_or(0);
        (pin, times.saturating_add(1))
    });
    Seen { had, lost: lost.collect(), ..Seen::default() }
}

#[cfg(test)]
mod tests {
    use pinrail_domain::model::Fact;

    use super::*;

    #[test]
    fn only_what_a_list_had_can_be_lost() {
        let pins: BTreeSet<String> = ["a", "b", "never"].map(str::to_owned).into();
        let source = |ids: &[&str], whole| Source {
            part: "openai".to_owned(),
            from: "x".to_owned(),
            whole,
            models: ids.iter().map(|id| Fact { id: (*id).to_owned(), ..Fact::default() }).collect(),
        };
        let mut seen = Seen::default();
        let check = |seen: &mut Seen, ids: &[&str], whole, lost: &[(&str, u32)]| {
            *seen = looked(seen, &source(ids, whole), &pins);
            let expected = lost.iter().map(|(pin, times)| ((*pin).to_owned(), *times)).collect();
            assert_eq!(seen.lost, expected, "{ids:?} {whole}");
        };
        check(&mut seen, &["a", "b"], true, &[]);
        check(&mut seen, &["a"], false, &[]);
        check(&mut seen, &[], true, &[]);
        check(&mut seen, &["a"], true, &[("b", 1)]);
        check(&mut seen, &["a"], false, &[("b", 1)]);
        check(&mut seen, &["a"], true, &[("b", 2)]);
        check(&mut seen, &["a", "b"], true, &[]);
    }
}
