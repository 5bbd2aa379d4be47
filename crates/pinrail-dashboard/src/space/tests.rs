use pinrail_domain::digest::Digest;
use serde_json::value::RawValue;

use super::*;

fn record(seq: u64, key: &str, value: &str, hidden: Option<Hidden>) -> Record {
    Record {
        seq: StateSeq(seq),
        key: key.parse().unwrap(),
        op: if value.is_empty() { Op::Delete } else { Op::Put },
        at: Timestamp(1_799_999_000_000),
        ledger: LedgerSeq(3),
        deployment: DeploymentId(2),
        origin: Origin::Run,
        run: None,
        parents: vec![StateSeq(1)],
        value: RawValue::from_string(value.to_owned()).ok(),
        dims: None,
        erased: false,
        erased_by: None,
        hidden,
        digest: Digest::ZERO,
    }
}

fn browse(layer: Layer, items: Vec<Record>) -> Browse {
    let mark = |ledger, state, what: &str| Mark {
        ledger: LedgerSeq(ledger),
        moment: Moment { state: StateSeq(state), ledger: LedgerSeq(ledger) },
        at: Timestamp(1_799_999_000_000),
        deployment: DeploymentId(2),
        what: what.to_owned(),
    };
    Browse {
        records: Records {
            tenant: "acme".parse().unwrap(),
            space: "memory/support/\"><script>x".to_owned(),
            moment: Moment { state: StateSeq(5), ledger: LedgerSeq(6) },
            items,
            next: Some("5".to_owned()),
        },
        layer,
        asked: Asked { as_of: Some("ledger:6".to_owned()), ..Asked::default() },
        visible: 1,
        kept: 9,
        is_now: false,
        at: None,
        first: StateSeq(0),
        last: StateSeq(9),
        marks: vec![mark(4, 2, "opened"), mark(6, 5, "promoted"), mark(8, 5, "rolled back")],
        writers: vec![DeploymentId(0), DeploymentId(2)],
        norms: BTreeMap::new(),
        compared: None,
        verified: None,
    }
}

fn html(page: &Browse) -> String {
    page.main(&Shell::of("/state/space")).into_string()
}

#[test]
fn whatever_is_kept_is_only_read() {
    let evil =
        "{\"role\":\"user\",\"content\":\"<script>alert(1)</script>\\u202egnp\\u0000\",\"name\":\"<b>\"}";
    let mut page = browse(Layer::Memory, vec![record(5, "<img src=x>", evil, None)]);
    page.asked.key = Some("\"><script>".to_owned());
    page.asked.compare = Some("'><script>".to_owned());
    let html = html(&page);
    assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("<b>"), "{html}");
    assert!(!html.contains('\u{202e}') && !html.contains('\0'), "{html}");
    assert!(html.contains("U+202E") && html.contains("U+0000") && html.contains(">user<"), "{html}");
}

#[test]
fn every_hidden_record_says_why_in_words() {
    let (deployment, by) = (DeploymentId(7), StateSeq(8));
    let check = |hidden: Hidden, word: &str, sentence: &str| {
        let mut page = browse(Layer::Context, vec![record(5, "k", "1", Some(hidden))]);
        page.asked.history = true;
        let html = html(&page);
        assert!(html.contains(&format!("hidden: {word}<")) && html.contains(sentence), "{word}: {html}");
        assert!(html.contains("class=\"unshown\""));
    };
    check(Hidden::AfterAsOf, "later", "after the moment");
    check(Hidden::Uncommitted { deployment }, "not committed", "/deployments/7");
    check(Hidden::Aborted { deployment }, "rolled back", "before it was promoted");
    check(Hidden::Retracted { deployment }, "rolled back", "promoted, and taken back");
    check(Hidden::Derived { from: deployment }, "tainted", "concluded from");
    check(Hidden::Superseded { by }, "superseded", "record 8");
    check(Hidden::Deleted { by }, "deleted", "record 8");
    check(Hidden::Delete, "a delete", "shows nothing itself");
}

#[test]
fn the_slider_stands_at_the_moment_and_its_marks_lead_there() {
    let page = browse(Layer::Context, Vec::new());
    let html = html(&page);
    assert!(html.contains("min=\"0\" max=\"9\" value=\"5\""), "{html}");
    assert!(html.contains("<option value=\"5\" label=\"2 promoted, 2 rolled back\">"), "{html}");
    assert!(html.contains("as_of=ledger%3A8") && html.contains("<li aria-current=\"true\">"), "{html}");
    // The slider's own form doesn't send a moment beside the slider's.
    assert!(!html.contains("<input type=\"hidden\" name=\"as_of\""), "{html}");
    assert!(html.contains("Nothing is visible at this moment"), "{html}");
}

#[test]
fn a_vector_is_its_size_its_norm_and_its_payload() {
    let mut of = record(5, "k", "{\"lang\":\"en\"}", None);
    of.dims = Some(1_536);
    let mut page = browse(Layer::Vectors, vec![of]);
    page.norms.insert(5, 1.0);
    let html = html(&page);
    assert!(
        html.contains("1\u{202f}536") && html.contains("1.0000") && html.contains("&quot;lang&quot;"),
        "{html}"
    );
    assert!(html.contains("after=5"), "{html}");
}

#[test]
fn what_changed_is_marked_by_words() {
    let mut page = browse(Layer::Context, Vec::new());
    let key = |before: Option<&str>, after: Option<&str>| ChangedKey {
        key: "k".parse().unwrap(),
        before: before.map(|value| record(1, "k", value, None)),
        after: after.map(|value| record(2, "k", value, None)),
    };
    let moment = Moment::default();
    let keys = vec![key(None, Some("1")), key(Some("1"), None), key(Some("1"), Some("2"))];
    page.compared =
        Some(Compared { from: moment, to: moment, added: 9, removed: 1, changed: 1, same: 4, keys });
    let html = html(&page);
    for word in ["added", "removed", "changed", "8 more keys", "<del", "<ins"] {
        assert!(html.contains(word), "{word}: {html}");
    }
}
