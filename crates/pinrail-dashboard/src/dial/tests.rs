use pinrail_api::dial::ToolInForce;
use pinrail_domain::approval::{ApprovalState, Decision};
use pinrail_domain::dial::ToolRule;
use pinrail_domain::id::{DeploymentId, ReleaseId, RunId, TenantId};
use pinrail_domain::key::{Scope, Tenants};
use pinrail_domain::ledger::Actor;
use pinrail_domain::time::Timestamp;

use super::*;
use crate::ledger::tests::{HOSTILE, is_tame};
use crate::shell::Who;
use pinrail_domain::digest::Digest;

fn setting(position: Position, recorded: bool) -> DialSetting {
    DialSetting {
        place: Place { tenant: Some("acme".parse().unwrap()), ..Place::default() },
        position,
        release: None,
        text: (position == Position::Canned).then(|| HOSTILE.to_owned()),
        since: Timestamp(1_799_999_000_000),
        seq: recorded.then_some(pinrail_domain::id::LedgerSeq(9)),
        by: Actor::Open,
        reason: HOSTILE.to_owned(),
        recorded,
    }
}

fn approval(state: ApprovalState) -> Approval {
    let decision =
        Decision { approved: false, by: Actor::Open, at: Timestamp(3), reason: HOSTILE.to_owned() };
    Approval {
        approval: ApprovalId::from_parts(1, 1),
        state,
        run: RunId::from_parts(1, 1),
        agent: "support".parse().unwrap(),
        segment: SegmentName::default_segment(),
        tenant: TenantId::shared(),
        session: None,
        deployment: DeploymentId(1),
        release: ReleaseId(Digest::of(b"r")),
        tool: "<script>alert(1)</script>".parse().unwrap(),
        call: None,
        arguments: Some(format!("{{\"to\": \"{HOSTILE}\"")),
        truncated: false,
        arguments_digest: None,
        why: HOSTILE.to_owned(),
        asked_at: Timestamp(1),
        expires_at: Timestamp(2),
        decision: (state == ApprovalState::Denied).then_some(decision),
        used: None,
    }
}

fn dial() -> Dial {
    let tool = ToolInForce {
        tool: "mail".parse().unwrap(),
        rule: ToolRule::Allowed,
        rule_with_side_effects: ToolRule::NeedsApproval,
        place: Some("tenant acme".to_owned()),
        reason: Some(HOSTILE.to_owned()),
    };
    Dial {
        epoch: Epoch(4),
        rows: vec![Row {
            agent: "support".parse().unwrap(),
            segment: SegmentName::default_segment(),
            position: Position::Supervised,
            by: Some(setting(Position::Supervised, true)),
        }],
        next: None,
        settings: vec![setting(Position::Canned, false), setting(Position::Supervised, true)],
        wish: Wish { agent: "support".to_owned(), ..Wish::default() },
        in_force: Some(InForce {
            position: Position::Supervised,
            place: Some("tenant acme".to_owned()),
            reason: Some(HOSTILE.to_owned()),
            tools: vec![tool],
        }),
        waiting: vec![approval(ApprovalState::Pending)],
        more_waiting: None,
        decided: vec![approval(ApprovalState::Denied)],
    }
}

#[test]
fn the_dial_shows_where_it_stands_and_leads_to_turning_it() {
    let html = dial().main(&Shell::of("/dial")).into_string();
    is_tame(&html);
    assert!(html.contains("<b aria-current=\"true\">supervised</b>"), "{html}");
    assert!(html.contains("/dial/turn?agent=support&amp;segment=default&amp;position=read_only"), "{html}");
    // It is turned up where the setting stands.
    assert!(html.contains("/dial/turn?tenant=acme&amp;position=full"), "{html}");
    assert!(html.contains("not recorded") && html.contains("/ledger/9"), "{html}");
    assert!(html.contains("Approve…") && html.contains("needs approval"), "{html}");
    let reader = Who::Key { name: "r".to_owned(), scopes: vec![Scope::Read], tenants: Tenants::All };
    let html = dial().main(&Shell { who: reader, ..Shell::of("/dial") }).into_string();
    assert!(!html.contains("/dial/turn") && !html.contains("Approve…"), "{html}");
}

#[test]
fn parts_are_in_their_places() {
    let (page, shell) = (dial(), Shell::of("/dial"));
    let html = page.main(&shell).into_string();
    for part in page.parts(&shell) {
        assert!(
            html.contains(part.html.as_str()) && part.html.as_str().contains(&format!("id=\"{}\"", part.id))
        );
    }
}

#[test]
fn a_dial_that_stands_at_full_everywhere_says_how_it_is_turned() {
    let empty = Dial {
        rows: Vec::new(),
        settings: Vec::new(),
        in_force: None,
        waiting: Vec::new(),
        decided: Vec::new(),
        ..dial()
    };
    let html = empty.main(&Shell::of("/dial")).into_string();
    assert!(html.contains("pinrail dial set") && html.contains("pinrail init"), "{html}");
}

#[test]
fn a_tool_has_three_positions() {
    let place = Place { tool: Some("mail".parse().unwrap()), ..Place::default() };
    let html = detents::detents([&place; 2], Position::Off, true).into_string();
    assert!(html.contains("supervised") && !html.contains("read_only") && !html.contains("canned"), "{html}");
}

#[test]
fn a_call_is_shown_with_its_arguments_until_it_is_decided() {
    let main = |state| {
        let page = ApprovalPage { approval: approval(state) };
        (page.main(&Shell::of("/approvals/x")).into_string(), page.is_live())
    };
    let (html, live) = main(ApprovalState::Pending);
    is_tame(&html);
    assert!(live && html.contains("/approve\"") && html.contains("Deny…"), "{html}");
    let (html, live) = main(ApprovalState::Denied);
    assert!(!live && !html.contains("/approve\"") && html.contains("anyone (no keys)"), "{html}");
}
