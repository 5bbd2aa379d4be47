use super::*;
use pinrail_domain::ledger::Entry;

/// What hostile hands write: markup, an override of the reading direction, an escape sequence.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\u{202e}gpj\u{1b}[2J";

/// Nothing of what was written reaches the page as markup or unseen.
#[track_caller]
pub(crate) fn is_tame(html: &str) {
    assert!(!html.contains("<script>alert"), "{html}");
    assert!(!html.contains('\u{202e}') && !html.contains('\u{1b}'), "{html}");
    assert!(html.contains("&lt;script&gt;") && html.contains("U+202E") && html.contains("U+001B"), "{html}");
}

fn ledger() -> Ledger {
    let line = Line {
        seq: LedgerSeq(7),
        at: Timestamp(1_799_999_000_000),
        actor: Actor::Key { id: "0123456789ab".parse().unwrap(), name: HOSTILE.to_owned() },
        kind: "drift_found",
        what: format!("Found: {HOSTILE}"),
        reason: HOSTILE.to_owned(),
        hash: Digest::of(b"x"),
    };
    Ledger {
        items: vec![line],
        next: Some(LedgerSeq(7)),
        searched_to: LedgerSeq(7),
        entries: LedgerSeq(1_207),
        head: Digest::of(b"head"),
        wish: Wish { text: "<b>".to_owned(), ..Wish::default() },
        kinds: vec!["drift_found"],
        verified: None,
        damage: None,
    }
}

fn main(ledger: &Ledger) -> String {
    ledger.main(&Shell::of("/ledger")).into_string()
}

#[test]
fn what_others_wrote_is_text() {
    let html = main(&ledger());
    is_tame(&html);
    assert!(!html.contains("<b>") && html.contains("value=\"&#60;b&#62;\""), "{html}");
    assert!(html.contains("/ledger?before=7&amp;text=%3Cb%3E"), "{html}");
    assert!(html.contains("1\u{202f}207 entries"), "{html}");
}

#[test]
fn a_page_says_whether_the_chain_holds() {
    let verified = |broken: Option<pinrail_api::ledger::BrokenAt>| {
        let verification = Verification {
            whole: broken.is_none(),
            entries: LedgerSeq(6),
            head: broken.is_none().then(|| Digest::of(b"head")),
            broken,
        };
        Ledger { verified: Some(Verified { verification, took_us: 1_500 }), ..ledger() }
    };
    let whole = verified(None);
    assert!(!whole.is_live() && whole.parts(&Shell::of("/ledger")).is_empty());
    let html = main(&whole);
    assert!(html.contains("<b>Whole.</b> 6 entries") && html.contains("checked in 1.5 ms"), "{html}");
    assert!(html.contains(&Digest::of(b"head").to_string()), "{html}");
    let what = format!("its content {HOSTILE}");
    let html = main(&verified(Some(pinrail_api::ledger::BrokenAt { seq: LedgerSeq(7), what })));
    assert!(html.contains("<b>Broken at entry 7:</b>") && html.contains("role=\"alert\""), "{html}");
    is_tame(&html);
}

#[test]
fn a_live_page_has_its_part_in_its_place() {
    let (page, shell) = (ledger(), Shell::of("/ledger"));
    let html = main(&page);
    for part in page.parts(&shell) {
        assert!(
            html.contains(part.html.as_str()) && part.html.as_str().contains(&format!("id=\"{}\"", part.id))
        );
    }
    assert!(!Ledger { wish: Wish { before: Some(LedgerSeq(9)), ..Wish::default() }, ..ledger() }.is_live());
    let empty = Ledger { items: Vec::new(), next: None, wish: Wish::default(), ..ledger() };
    assert!(main(&empty).contains("pinrail init"));
}

#[test]
fn an_entry_is_shown_whole() {
    let raw = include_str!("../../../../docs/golden/ledger.json");
    let golden: serde_json::Value = serde_json::from_str(raw).unwrap();
    let mut entry: Entry = serde_json::from_value(golden["entries"][0].clone()).unwrap();
    entry.reason = HOSTILE.to_owned();
    let page = EntryPage {
        what: HOSTILE.to_owned(),
        holds: Holds::No { what: "its content has another hash".to_owned() },
        newer: Some(LedgerSeq(2)),
        concerns: vec![Link { label: "provider p".to_owned(), href: "/readiness#providers".to_owned() }],
        entry: entry.clone(),
    };
    let html = page.main(&Shell::of("/ledger/1")).into_string();
    is_tame(&html);
    assert!(
        html.contains("doesn’t fit the chain") && html.contains("its content has another hash"),
        "{html}"
    );
    assert!(html.contains(&entry.hash.to_string()) && html.contains("/ledger/2"), "{html}");
    assert!(html.contains("&quot;base_url&quot;: &quot;sim:&quot;"), "{html}");
    let sound = EntryPage { holds: Holds::Yes, ..page }.main(&Shell::of("/ledger/1")).into_string();
    assert!(sound.contains("is that of its content") && !sound.contains("role=\"alert\""), "{sound}");
}
