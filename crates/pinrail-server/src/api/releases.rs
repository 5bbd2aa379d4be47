//! Releases, and how they are named.
//!
//! A release is named by its whole id, with or without `sha256:`, or by 6 or more of its first digits. When several
//! releases begin with those digits, none is meant.

use pinrail_api::problem::{Code, Problem};
use pinrail_control::Control;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{AgentName, ReleaseId};
use pinrail_domain::world::{Release, World};

use crate::problem;

pub mod diff;
pub mod get;
pub mod list;
pub mod post;
pub mod retire;

/// With fewer digits, a second release is likely to have the same: of a thousand, one in 17 at six.
const PREFIX_DIGITS_MIN: usize = 6;
const DIGITS: usize = 64;
/// Matches named in a refusal.
const MATCHES_SHOWN: usize = 10;

/// The release that a text names, among those of `agent` if given.
pub fn named(world: &World, text: &str, agent: Option<&AgentName>) -> Result<ReleaseId, Problem> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_hex || !(PREFIX_DIGITS_MIN..=DIGITS).contains(&digits.len()) {
        let shown = &text[..text.floor_char_boundary(100)];
        let rule =
            format!("`{shown}` names no release: give {PREFIX_DIGITS_MIN} to {DIGITS} hex digits of its id");
        return Err(Problem::new(Code::BadName, rule)
            .next_step("`pinrail release list` shows the ids (GET /api/v1/releases)"));
    }
    let bound = |fill: char| {
        let text = format!("sha256:{digits}{}", fill.to_string().repeat(DIGITS - digits.len()));
        ReleaseId(text.parse::<Digest>().expect("64 hex digits are a digest"))
    };
    let matching = world.releases.range(bound('0')..=bound('f'));
    let matching = matching.filter(|(_, release)| agent.is_none_or(|agent| release.agents.contains(agent)));
    let matching: Vec<ReleaseId> = matching.map(|(id, _)| *id).take(MATCHES_SHOWN).collect();
    match matching[..] {
        [one] => Ok(one),
        [] => {
            let of = agent.map(|agent| format!(" of agent `{agent}`")).unwrap_or_default();
            Err(problem::not_found(
                format!("release {digits}{of}"),
                "list them: `pinrail release list` (GET /api/v1/releases)",
            ))
        }
        _ => {
            let matches: Vec<String> = matching.iter().map(ToString::to_string).collect();
            Err(Problem::new(Code::Ambiguous, format!("several releases begin with {digits}"))
                .next_step(
                    "give more digits: `pinrail release list` shows them, and `matches` has the whole ids",
                )
                .fact("matches", matches))
        }
    }
}

/// A release as the API shows it.
pub fn shown(control: &Control, world: &World, release: &Release) -> pinrail_api::releases::Release {
    let identity = control.judge(world, release.manifest.model.id());
    pinrail_api::releases::Release {
        release: release.id,
        short: release.id.short(),
        agents: release.agents.iter().cloned().collect(),
        identity: pinrail_control::publish::word(&identity).to_owned(),
        identity_why: identity.why().to_owned(),
        created_at: release.created_at,
        manifest: (*release.manifest).clone(),
        live: world.is_live(release.id),
        model_override: release.model_override.clone(),
        retired: release.retired,
        degraded: world.findings_of(release.id).map(|finding| finding.what.clone()).collect(),
    }
}
