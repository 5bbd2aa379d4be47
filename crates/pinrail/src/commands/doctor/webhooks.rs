//! The webhooks: does any wait, or has any given up on something.

use pinrail_api::webhooks::Webhook;

use super::Check;
use crate::cli::Context;

/// Looks at the server's webhooks. A server that can't tell was reported already.
pub fn look(context: &Context, checks: &mut Vec<Check>) {
    let Ok(webhooks) = context.client.all::<Webhook>("/api/v1/webhooks", "after") else { return };
    checks.extend(webhooks.iter().map(check));
}

fn check(webhook: &Webhook) -> Check {
    let Webhook { webhook: name, lag, last_error, dead_letters, .. } = webhook;
    if let Some(error) = last_error {
        let found = format!("`{name}` waits with ledger entry {}, {lag} behind: {}", error.seq, error.what);
        return Check::warn("webhooks", found, format!("mend that, then `pinrail webhook test {name}`"));
    }
    if *dead_letters > 0 {
        let found = format!("`{name}` has {dead_letters} dead letters");
        let next =
            format!("`pinrail webhook dead-letters {name}` says why; `pinrail webhook retry {name} --all`");
        return Check::warn("webhooks", found, next);
    }
    Check::ok("webhooks", format!("`{name}` goes well, {lag} behind"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::State;
    use super::*;

    #[test]
    fn what_waits_and_what_was_given_up_is_a_warning() {
        let check = |more: serde_json::Value, state, part: &str| {
            let mut webhook = json!({ "webhook": "chat", "spec": { "url": "https://x/y" }, "since": 1, "cursor": 2,
                "lag": 0, "dead_letters": 0 });
            webhook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let found = check(&serde_json::from_value(webhook).unwrap());
            assert_eq!(found.state, state);
            assert!(found.found.contains(part), "{}", found.found);
        };
        check(json!({}), State::Ok, "goes well");
        check(json!({ "dead_letters": 3 }), State::Warn, "3 dead letters");
        let error = json!({ "seq": 3, "attempts": 1, "what": "the environment variable X is not set", "at": 0, "next_at": 9 });
        check(json!({ "last_error": error, "lag": 4 }), State::Warn, "X is not set");
    }
}
