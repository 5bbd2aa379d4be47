//! What the catalogue says of an id, in rules.
//!
//! Whose id it is: the provider that the place names, where ids of this shape can be its; else, among those whose ids have
//! this shape, who lists it, who knows pins or a price for it, who has a pattern for it. Ties go to the maker. Where another
//! provider of the same rank would judge it differently, that one is named.

use std::collections::BTreeMap;

use pinrail_domain::model::{Catalogue, Identity, Lifecycle};
use pinrail_domain::time::Timestamp;

use crate::family::Family;
use crate::rule::Rule;

const DAY_MS: u64 = 86_400_000;

/// What is wrong with an id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Each rule with its sentence; none when nothing is wrong and no inventory is asked for.
    pub rules: Vec<(Rule, String)>,
    pub provider: Option<String>,
    pub or_provider: Vec<String>,
    /// Pinned ids that may be meant and are still served; those that end soon come last.
    pub pins: Vec<String>,
    /// Those of them that don't end soon.
    pub lasting_pins: Vec<String>,
    /// The only snapshot that the alias can stand for today.
    pub only_snapshot: Option<String>,
}

/// What ids are judged with.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'c> {
    pub catalogue: &'c Catalogue,
    pub now: Timestamp,
    /// How many days before its end a model counts as retiring.
    pub within_days: u64,
}

impl Judge<'_> {
    /// Judges an id that `named` is asked for, if the place says who is asked.
    #[must_use]
    pub fn judge(&self, id: &str, family: Family, named: Option<&str>) -> Verdict {
        let providers = self.providers(id, family, named);
        let Some((first, others)) = providers.split_first() else {
            let why = format!("`{id}` may be able to change: no provider of the catalogue has ids like it");
            let rules = vec![(Rule::UnknownModel, why)];
            return Verdict { rules, ..Verdict::default() };
        };
        let identity = self.catalogue.judge(first, id);
        let rules = self.rules(first, id, &identity);
        let kinds = |rules: &[(Rule, String)]| rules.iter().map(|(rule, _)| *rule).collect::<Vec<_>>();
        let differs =
            |other: &&&str| kinds(&self.rules(other, id, &self.catalogue.judge(other, id))) != kinds(&rules);
        let or_provider = others.iter().filter(differs).map(|other| (*other).to_owned()).collect();
        let mut only = match identity {
            Identity::Floating { .. } => self.catalogue.snapshots(first, id, self.now),
            Identity::Pinned { .. } | Identity::Unknown { .. } => Vec::new(),
        };
        let only_snapshot = if only.len() == 1 { only.pop() } else { None };
        let mut pins = self.pins(first, id, &identity);
        // One that ends as soon is no way out; where there is no other, the catalogue's order stays.
        pins.sort_by_key(|pin| self.ends_within(first, pin));
        let lasting_pins = pins.iter().filter(|pin| !self.ends_within(first, pin)).cloned().collect();
        Verdict { rules, provider: Some((*first).to_owned()), or_provider, pins, lasting_pins, only_snapshot }
    }

    /// Who may be meant, likeliest first; only those of the best rank.
    fn providers<'a>(&'a self, id: &str, family: Family, named: Option<&'a str>) -> Vec<&'a str> {
        let has = |provider: &&str| self.catalogue.providers().any(|known| known == *provider);
        let own: Vec<&str> = match family {
            Family::Listed | Family::Other => self.catalogue.providers().collect(),
            Family::OpenAi
            | Family::Anthropic
            | Family::Gemini
            | Family::Mistral
            | Family::Bedrock
            | Family::Sim => family.providers().iter().copied().filter(has).collect(),
        };
        if let Some(named) = named.filter(|named| own.contains(named)) {
            return vec![named];
        }
        let lists = |provider: &str| self.catalogue.lifecycle(provider, id, self.now) != Lifecycle::Unlisted;
        let near = |provider: &str| match self.catalogue.judge(provider, id) {
            Identity::Pinned { .. } => self.catalogue.price(provider, id).is_some(),
            Identity::Floating { pins, .. } => !pins.is_empty(),
            Identity::Unknown { .. } => false,
        };
        let shaped = |provider: &str| !matches!(self.catalogue.judge(provider, id), Identity::Unknown { .. });
        let ranks: [&dyn Fn(&str) -> bool; 3] = [&lists, &near, &shaped];
        let of_rank =
            |knows: &dyn Fn(&str) -> bool| own.iter().copied().filter(|one| knows(one)).collect::<Vec<_>>();
        let best = ranks.into_iter().map(of_rank).find(|found| !found.is_empty());
        match family {
            Family::Listed | Family::Other => best.unwrap_or_default(),
            Family::OpenAi
            | Family::Anthropic
            | Family::Gemini
            | Family::Mistral
            | Family::Bedrock
            | Family::Sim => best.unwrap_or_else(|| own.into_iter().take(1).collect()),
        }
    }

    fn rules(&self, provider: &str, id: &str, identity: &Identity) -> Vec<(Rule, String)> {
        let end = match self.catalogue.lifecycle(provider, id, self.now) {
            Lifecycle::Retired { at } => {
                let why = format!("`{id}` was shut down on {}", day(at));
                return vec![(Rule::RetiredModel, why)];
            }
            Lifecycle::RetiringSoon { at, .. } | Lifecycle::Deprecated { retires: Some(at), .. } => Some(at),
            Lifecycle::Deprecated { retires: None, .. } | Lifecycle::Active | Lifecycle::Unlisted => None,
        };
        let why = brief(identity.why());
        let mut rules = vec![match identity {
            Identity::Pinned { .. } => (Rule::PinnedModel, format!("`{id}` is pinned: {why}")),
            Identity::Floating { .. } => {
                (Rule::FloatingModel, format!("`{id}` can change without a deployment: {why}"))
            }
            Identity::Unknown { .. } => (Rule::UnknownModel, format!("`{id}` may be able to change: {why}")),
        }];
        if let Some(at) = end {
            let days = at.ms_since(self.now).div_ceil(DAY_MS);
            if days <= self.within_days {
                rules.push((
                    Rule::RetiringModel,
                    format!("`{id}` is shut down on {}, in {days} days", day(at)),
                ));
            }
        }
        rules
    }

    fn ends_within(&self, provider: &str, id: &str) -> bool {
        match self.catalogue.lifecycle(provider, id, self.now) {
            Lifecycle::Retired { .. } => true,
            Lifecycle::RetiringSoon { at, .. } | Lifecycle::Deprecated { retires: Some(at), .. } => {
                at.ms_since(self.now).div_ceil(DAY_MS) <= self.within_days
            }
            Lifecycle::Deprecated { retires: None, .. } | Lifecycle::Active | Lifecycle::Unlisted => false,
        }
    }

    /// The pins that are still served: those that the catalogue suggests, newer ones of the same name, or else the nearest.
    fn pins(&self, provider: &str, id: &str, identity: &Identity) -> Vec<String> {
        let served = |pin: &String| {
            pin != id
                && !matches!(self.catalogue.lifecycle(provider, pin, self.now), Lifecycle::Retired { .. })
        };
        let suggested: Vec<String> = identity.pins().iter().filter(|pin| served(pin)).cloned().collect();
        if !suggested.is_empty() {
            return suggested;
        }
        let newer = self.catalogue.newer(provider, id, &BTreeMap::new(), self.now);
        if !newer.is_empty() {
            return newer.into_iter().map(|newer| newer.id).collect();
        }
        if matches!(identity, Identity::Pinned { .. }) {
            // Its line ends with it: what comes next has another name, and is a person's choice.
            return Vec::new();
        }
        let bare = id.trim_end_matches(|c: char| c.is_ascii_digit() || "-@:v.".contains(c));
        match self.catalogue.judge(provider, bare) {
            Identity::Floating { pins, .. } | Identity::Unknown { pins, .. } => {
                pins.into_iter().filter(served).collect()
            }
            Identity::Pinned { .. } => Vec::new(),
        }
    }
}

/// The catalogue's sentence, with the day of a source that is named at length.
fn brief(why: &str) -> String {
    match (why.split_once(" (source: "), why.rsplit_once(", as of ")) {
        (Some((listed, _)), Some((_, day))) => format!("{listed} as of {}", day.trim_end_matches(')')),
        (Some(_), None) | (None, _) => why.to_owned(),
    }
}

fn day(at: Timestamp) -> String {
    at.rfc3339()[.."2026-11-20".len()].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, family: Family, named: Option<&str>, rules: &[Rule], provider: Option<&str>) {
        let judge =
            Judge { catalogue: Catalogue::embedded(), now: Timestamp(1_795_219_200_000), within_days: 60 };
        let verdict = judge.judge(id, family, named);
        let found: Vec<Rule> = verdict.rules.iter().map(|(rule, _)| *rule).collect();
        assert_eq!(found, rules, "{id}: {verdict:?}");
        assert_eq!(verdict.provider.as_deref(), provider, "{id}");
    }

    #[test]
    fn the_catalogue_speaks_in_rules() {
        use Rule::{FloatingModel, PinnedModel, RetiredModel, RetiringModel, UnknownModel};
        check("gpt-4o", Family::OpenAi, None, &[FloatingModel, RetiringModel], Some("openai"));
        check("gpt-4o", Family::OpenAi, Some("azure"), &[UnknownModel], Some("azure"));
        check("gpt-5.4", Family::OpenAi, None, &[FloatingModel], Some("openai"));
        check("gpt-9-next", Family::OpenAi, None, &[UnknownModel], Some("openai"));
        check("gpt-5.4-2026-03-05", Family::OpenAi, None, &[PinnedModel], Some("openai"));
        check("claude-3-opus-20240229", Family::Anthropic, None, &[RetiredModel], Some("anthropic"));
        check("claude-sonnet-4@20250514", Family::Anthropic, None, &[PinnedModel], Some("vertex"));
        check("claude-sonnet-4-6", Family::Anthropic, Some("openai"), &[PinnedModel], Some("anthropic"));
        check("deepseek-chat", Family::Other, None, &[UnknownModel], None);
    }

    #[test]
    fn pins_are_still_served_and_only_one_snapshot_can_be_written() {
        let judge =
            Judge { catalogue: Catalogue::embedded(), now: Timestamp(1_795_219_200_000), within_days: 90 };
        let one = judge.judge("gpt-4.1", Family::OpenAi, None);
        assert_eq!(one.only_snapshot.as_deref(), Some("gpt-4.1-2025-04-14"));
        let two = judge.judge("gpt-4o", Family::OpenAi, None);
        assert_eq!((two.only_snapshot, two.pins.len()), (None, 2), "the one of May 2024 is retired");
        let last = judge.judge("gpt-4.1-2025-04-14", Family::OpenAi, None);
        assert!(last.pins.is_empty(), "an older model is no way out: {:?}", last.pins);
        let ambiguous = judge.judge("gemini-2.5-pro", Family::Gemini, None);
        assert_eq!(
            (ambiguous.provider.as_deref(), ambiguous.or_provider),
            (Some("gemini"), vec!["vertex".to_owned()])
        );
    }
}
