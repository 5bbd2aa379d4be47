use pinrail_api::webhooks::{LastError, ResentLetter};
use pinrail_domain::key::{Scope, Tenants};
use pinrail_domain::time::Timestamp;

use super::*;
use crate::ledger::tests::{HOSTILE, is_tame};
use crate::shell::Who;

fn webhook() -> Webhook {
    Webhook {
        webhook: "chat".parse().unwrap(),
        spec: WebhookSpec {
            url: "https://hooks.example/x".to_owned(),
            secret_env: Some("CHAT_SECRET".to_owned()),
            events: vec!["deployment_*".to_owned()],
            agents: vec!["support".parse().unwrap()],
        },
        since: LedgerSeq(3),
        cursor: LedgerSeq(7),
        lag: 2,
        delivered: None,
        last_error: Some(LastError {
            seq: LedgerSeq(8),
            attempts: 4,
            what: HOSTILE.to_owned(),
            at: Timestamp(1_799_999_000_000),
            next_at: Timestamp(1_800_000_100_000),
        }),
        dead_letters: 1,
    }
}

fn page() -> WebhookPage {
    let letter = DeadLetter {
        seq: LedgerSeq(5),
        attempts: 15,
        why: HOSTILE.to_owned(),
        at: Timestamp(1_799_000_000_000),
    };
    WebhookPage {
        webhook: webhook(),
        letters: vec![letter],
        next: Some(LedgerSeq(5)),
        tested: None,
        resent: None,
    }
}

#[test]
fn webhooks_are_listed_with_what_keeps_them() {
    let html = Webhooks { items: vec![webhook()] }.main(&Shell::of("/webhooks")).into_string();
    is_tame(&html);
    assert!(html.contains("/webhooks/chat") && html.contains("deployment_*; only of support"), "{html}");
    let html = Webhooks { items: Vec::new() }.main(&Shell::of("/webhooks")).into_string();
    assert!(html.contains("pinrail webhook put chat"), "{html}");
}

#[test]
fn a_webhook_names_its_secret_and_offers_what_may_be_done() {
    let html = page().main(&Shell::of("/webhooks/chat")).into_string();
    is_tame(&html);
    assert!(html.contains("<code>CHAT_SECRET</code>") && html.contains("in 1 min 40 s"), "{html}");
    assert!(
        html.contains("/webhooks/chat/dead-letters/5/retry") && html.contains("/webhooks/chat?after=5"),
        "{html}"
    );
    let reader = Who::Key { name: "r".to_owned(), scopes: vec![Scope::Read], tenants: Tenants::All };
    let html = page().main(&Shell { who: reader, ..Shell::of("/webhooks/chat") }).into_string();
    assert!(!html.contains("<form"), "{html}");
}

#[test]
fn a_test_shows_what_the_receiver_said() {
    let tested = WebhookTest {
        webhook: "chat".parse().unwrap(),
        id: "test-1".to_owned(),
        delivered: false,
        status: Some(507),
        said: HOSTILE.to_owned(),
        why: Some("the receiver answered 507".to_owned()),
        took_us: 12_000,
    };
    let resent = Resent {
        webhook: "chat".parse().unwrap(),
        delivered: 1,
        failed: 1,
        left: 1,
        letters: vec![ResentLetter { seq: LedgerSeq(5), delivered: false, why: Some(HOSTILE.to_owned()) }],
    };
    let page = WebhookPage { tested: Some(tested), resent: Some(resent), ..page() };
    let html = page.main(&Shell::of("/webhooks/chat")).into_string();
    is_tame(&html);
    assert!(
        html.contains("with status 507, in 12.0 ms")
            && html.contains("1 taken, 1 not; 1 dead letter is left"),
        "{html}"
    );
}
