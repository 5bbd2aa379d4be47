//! An agent's settings and how its traffic is split into segments.
//!
//! Segments are tried in order and the first match wins; what matches none is in the segment `default`,
//! which always exists and is never listed. A segment matches when *each* of its conditions holds: the
//! tenant is one of its tenants (if it names any), and every attribute it names has one of its values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::address;
use crate::dial::{CANNED_BYTES_MAX, DialSpec, Reply};
use crate::drift::{DriftAction, DriftSpec};
use crate::gate::{BadGate, GateSpec};
use crate::id::{SegmentName, TenantId};
use crate::identity::{BadIdentity, IdentitySpec};
use crate::provider::is_env_name;
use crate::rollout::RolloutSpec;
use crate::rollout::plan::BadRollout;
use crate::tier::Tier;

/// An agent's settings: everything about it that is not in a release. Stored: never rename a field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSpec {
    #[serde(default)]
    pub tier: Tier,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<Segment>,
    #[serde(default)]
    pub journal: JournalPolicy,
    /// Who is told of calls that a rollback can't take back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensation: Option<Compensation>,
    /// How its candidates are proven; none: as its tier does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutSpec>,
    /// The evals that its candidates must pass; none: what its tier asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateSpec>,
    /// What answers when its dial says that the model may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dial: Option<Box<DialSpec>>,
    /// What happens when something that it pins has drifted; none: as its tier does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftSpec>,
    /// How many of the releases before the active one are kept callable; none: what its tier asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warm: Option<u32>,
    /// Where sessions and tenants are read from, in calls that don't name them; none: a session from `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentitySpec>,
}

/// Where calls of tools with side effects are reported when the deployment behind them turned out bad.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compensation {
    /// `https://…`, or `http://…` on this machine.
    pub url: String,
    /// The environment variable that holds the secret that reports are signed with (I15); none: not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<String>,
}

/// A part of an agent's traffic with its own pointer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    pub name: SegmentName,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<TenantId>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// What of requests and answers the journal keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalPolicy {
    #[serde(default)]
    pub bodies: Bodies,
}

/// How much of a body the journal keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bodies {
    /// The text itself, up to a limit.
    Full,
    /// Its digest and length: enough to prove, not to read.
    #[default]
    Digest,
    /// Nothing.
    Off,
}

/// Why an agent's settings are refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BadAgent {
    #[error("segment `default` always exists; give yours another name")]
    DefaultListed,
    #[error("segment `{0}` is listed twice")]
    Duplicate(SegmentName),
    #[error("segment `{0}` has no condition, so it would take all traffic; name tenants or attributes")]
    NoCondition(SegmentName),
    #[error("segment `{segment}` can never match: attribute `{attribute}` lists no value")]
    NoValue { segment: SegmentName, attribute: String },
    #[error(
        "compensation.url must be https://HOST/…, or http:// on this machine, without a user name or a fragment"
    )]
    CompensationUrl,
    #[error(
        "compensation.secret_env is not an environment variable's name; it must name one, never hold the secret itself"
    )]
    CompensationSecret,
    #[error("rollout: {0}")]
    Rollout(BadRollout),
    #[error("gate: {0}")]
    Gate(BadGate),
    #[error(transparent)]
    Identity(BadIdentity),
    #[error("dial.segments names `{0}`, which is no segment of the agent")]
    DialSegment(SegmentName),
    #[error("{what} is {got}; at most {max} are allowed")]
    TooMany { what: &'static str, got: usize, max: usize },
}

/// Each segment is tried in turn on every run, so the list stays short.
pub const SEGMENTS_MAX: usize = 64;
/// Tenants are looked up by binary search; the number bounds an agent's size in the ledger.
pub const SEGMENT_TENANTS_MAX: usize = 10_000;
/// Conditions of one segment, and attributes of one run.
pub const ATTRIBUTES_MAX: usize = 32;
/// Longest attribute name or value.
pub const ATTRIBUTE_BYTES_MAX: usize = 256;
/// Values that one condition accepts: each is compared in turn on every run.
pub const ATTRIBUTE_VALUES_MAX: usize = 100;
/// A description is a sentence or two.
pub const DESCRIPTION_BYTES_MAX: usize = 2_000;
/// Longer than any address that people type.
pub const URL_BYTES_MAX: usize = 2_000;
/// Each warm release is probed, so there are not many.
pub const WARM_MAX: u32 = 20;

impl AgentSpec {
    /// Checks the settings that types alone don't.
    pub fn check(&self) -> Result<(), BadAgent> {
        at_most("the number of segments", self.segments.len(), SEGMENTS_MAX)?;
        at_most("the length of the description in bytes", self.description.len(), DESCRIPTION_BYTES_MAX)?;
        for (index, segment) in self.segments.iter().enumerate() {
            if segment.name.as_str() == SegmentName::DEFAULT {
                return Err(BadAgent::DefaultListed);
            }
            if self.segments[..index].iter().any(|earlier| earlier.name == segment.name) {
                return Err(BadAgent::Duplicate(segment.name.clone()));
            }
            segment.check()?;
        }
        if let Some(rollout) = &self.rollout {
            rollout.check(self).map_err(BadAgent::Rollout)?;
        }
        if let Some(gate) = &self.gate {
            gate.check().map_err(BadAgent::Gate)?;
        }
        if let Some(dial) = &self.dial {
            self.check_dial(dial)?;
        }
        if let Some(identity) = &self.identity {
            identity.check().map_err(BadAgent::Identity)?;
        }
        at_most("warm", self.warm.unwrap_or(0) as usize, WARM_MAX as usize)?;
        self.compensation.as_ref().map_or(Ok(()), Compensation::check)
    }

    /// Whether traffic can be in `segment`.
    #[must_use]
    pub fn has_segment(&self, segment: &SegmentName) -> bool {
        segment.as_str() == SegmentName::DEFAULT || self.segments.iter().any(|s| s.name == *segment)
    }

    /// How many of the releases before the active one are kept callable.
    #[must_use]
    pub fn warm(&self) -> u32 {
        self.warm.unwrap_or(self.tier.demands().warm)
    }

    /// What happens when something that it pins has drifted.
    #[must_use]
    pub fn on_drift(&self) -> DriftAction {
        self.drift.map_or(self.tier.demands().on_drift, |drift| drift.on_finding)
    }

    fn check_dial(&self, dial: &DialSpec) -> Result<(), BadAgent> {
        if let Some(unknown) = dial.segments.keys().find(|segment| !self.has_segment(segment)) {
            return Err(BadAgent::DialSegment(unknown.clone()));
        }
        let texts = dial.segments.values().filter_map(|Reply { canned, .. }| canned.as_ref());
        for text in texts.chain(dial.canned.as_ref()) {
            at_most("the length of dial.canned in bytes", text.len(), CANNED_BYTES_MAX)?;
        }
        Ok(())
    }
}

impl Segment {
    fn check(&self) -> Result<(), BadAgent> {
        if self.tenants.is_empty() && self.attributes.is_empty() {
            return Err(BadAgent::NoCondition(self.name.clone()));
        }
        at_most("the number of a segment's tenants", self.tenants.len(), SEGMENT_TENANTS_MAX)?;
        at_most("the number of a segment's attributes", self.attributes.len(), ATTRIBUTES_MAX)?;
        for (attribute, values) in &self.attributes {
            at_most("the number of an attribute's values", values.len(), ATTRIBUTE_VALUES_MAX)?;
            for text in values.iter().chain([attribute]) {
                at_most("the length of an attribute in bytes", text.len(), ATTRIBUTE_BYTES_MAX)?;
            }
        }
        if let Some((attribute, _)) = self.attributes.iter().find(|(_, values)| values.is_empty()) {
            return Err(BadAgent::NoValue { segment: self.name.clone(), attribute: attribute.clone() });
        }
        Ok(())
    }
}

impl Compensation {
    fn check(&self) -> Result<(), BadAgent> {
        let Compensation { url, secret_env } = self;
        at_most("the length of compensation.url in bytes", url.len(), URL_BYTES_MAX)?;
        if !address::is_safe(url) {
            return Err(BadAgent::CompensationUrl);
        }
        // What looks like a secret by mistake is not repeated in the error (I15).
        match secret_env {
            Some(name) if !is_env_name(name) => Err(BadAgent::CompensationSecret),
            Some(_) | None => Ok(()),
        }
    }
}

fn at_most(what: &'static str, got: usize, max: usize) -> Result<(), BadAgent> {
    if got > max { Err(BadAgent::TooMany { what, got, max }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_would_surprise_are_refused() {
        let check = |toml: &str, expected: &str| {
            let refusal = match toml::from_str::<AgentSpec>(toml) {
                Ok(spec) => spec.check().unwrap_err().to_string(),
                Err(error) => error.to_string(),
            };
            assert!(refusal.contains(expected), "{refusal}");
        };
        check("[[segments]]\nname = 'default'\ntenants = ['a']", "always exists");
        check("[[segments]]\nname = 'a'", "no condition");
        check("[[segments]]\nname = 'a'\nattributes = { plan = [] }", "can never match");
        check(
            "[[segments]]\nname = 'a'\ntenants = ['x']\n[[segments]]\nname = 'a'\ntenants = ['y']",
            "listed twice",
        );
        let many = vec!["'v'"; ATTRIBUTE_VALUES_MAX + 1].join(",");
        let values = |values: &str| format!("[[segments]]\nname = 'a'\nattributes = {{ plan = [{values}] }}");
        check(&values(&many), "number of an attribute's values is 101; at most 100");
        check(&values(&format!("'{}'", "x".repeat(257))), "length of an attribute in bytes is 257");
        for url in [
            "ftp://x",
            "https://",
            "https://u:p@x/y",
            "http://example.com/x",
            "http://10.0.0.1/",
            "https://x y",
        ] {
            check(&format!("[compensation]\nurl = '{url}'"), "must be https://HOST");
        }
        for url in
            ["https://example.com/hook?a=1", "http://127.0.0.1:9/x", "http://[::1]/", "http://localhost:9"]
        {
            let spec: AgentSpec = toml::from_str(&format!("[compensation]\nurl = '{url}'")).unwrap();
            assert_eq!(spec.check(), Ok(()), "{url}");
        }
        check("[compensation]\nurl = 'https://x'\nsecret_env = 'whsec_abc'", "never hold the secret");
        check("teir = 'standard'", "unknown field `teir`");
        check("tier = 'urgent'", "unknown variant `urgent`");
    }
}
