//! `[webhooks.NAME]` of `pinrail.toml`: who is told of what the ledger says.

use pinrail_domain::id::WebhookName;
use pinrail_domain::webhook::{BadWebhook, WEBHOOKS_MAX, WebhookSpec};

use super::section::Section;

/// Reads a webhook's settings.
pub fn read(name: &str, section: &Section<'_>) -> Option<(WebhookName, WebhookSpec)> {
    let url = section.need("url");
    let secret_env = section.get("secret_env");
    let events = section.get("events").unwrap_or_default();
    let agents = section.get("agents").unwrap_or_default();
    let name = WebhookName::new(name).map_err(|bad| section.refuse_whole(&bad.to_string())).ok();
    let spec = WebhookSpec { url: url?, secret_env, events, agents };
    if let Err(bad) = spec.check() {
        let key = match &bad {
            BadWebhook::Url => "url",
            BadWebhook::Secret => "secret_env",
            BadWebhook::Pattern(_) | BadWebhook::NoKind { .. } => "events",
            BadWebhook::TooMany { .. } => {
                section.refuse_whole(&bad.to_string());
                return None;
            }
        };
        section.refuse(key, &format!("cannot be used: {bad}"));
        return None;
    }
    Some((name?, spec))
}

/// Refuses more webhooks than a server keeps.
pub fn check_count(file: &Section<'_>, count: usize) {
    if count > WEBHOOKS_MAX {
        file.refuse("webhooks", &format!("holds {count}; at most {WEBHOOKS_MAX} are allowed"));
    }
}
