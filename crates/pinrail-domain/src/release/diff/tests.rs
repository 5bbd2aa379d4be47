use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn contract(manifest: Value, system: Option<&str>, tools: Option<&Value>) -> Contract {
    let mut manifest: Manifest = serde_json::from_value(manifest).unwrap();
    manifest.prompt.system = system.map(|text| Digest::of(text.as_bytes()));
    manifest.tools.schema = tools.map(|tools| Digest::of(tools.to_string().as_bytes()));
    Contract {
        id: manifest.id().unwrap(),
        manifest: Arc::new(manifest),
        system: system.map(Into::into),
        tools: tools.map(|tools| tools.to_string().into()),
        pins: BTreeMap::new(),
    }
}

fn least() -> Value {
    json!({"pinrail": 1, "model": {"provider": "p", "snapshot": "m-2026-01-01"}})
}

/// The diff's JSON without the ids, after a way through the wire and back.
fn shown(a: &Contract, b: &Contract) -> Value {
    let diff = diff(a, b);
    let mut value = serde_json::to_value(&diff).unwrap();
    assert_eq!(serde_json::from_value::<Diff>(value.clone()).unwrap(), diff);
    let fields = value.as_object_mut().unwrap();
    assert_eq!(fields.remove("from"), Some(json!(a.id)));
    assert_eq!(fields.remove("to"), Some(json!(b.id)));
    assert_eq!(diff.is_empty(), fields.is_empty());
    value
}

fn sides(diff: &TextDiff) -> (String, String) {
    let join = |without: Op| diff.runs.iter().filter(|run| run.op != without).map(|run| &*run.text).collect();
    (join(Op::Insert), join(Op::Delete))
}

/// `[-deleted-]`, `{+inserted+}`, `…` where folded.
fn marked(diff: &TextDiff) -> String {
    let mark = |run: &Run| match run.op {
        Op::Equal if run.folded => "…".to_owned(),
        Op::Equal => run.text.clone(),
        Op::Delete => format!("[-{}-]", run.text),
        Op::Insert => format!("{{+{}+}}", run.text),
    };
    diff.runs.iter().map(mark).collect()
}

#[test]
fn model_and_state_changes_show_both_sides() {
    let check = |patch_a: Value, patch_b: Value, expected: Value| {
        let side = |patch: Value| {
            let mut manifest = least();
            for (field, value) in patch.as_object().unwrap() {
                for (key, value) in value.as_object().unwrap() {
                    manifest[field][key] = value.clone();
                }
            }
            contract(manifest, None, None)
        };
        assert_eq!(shown(&side(patch_a), &side(patch_b)), expected);
    };
    let digest = Digest::of(b"w");
    let embedder = |dims: u32| json!({"embedder": "e", "dims": dims, "metric": "cosine"});
    let params = |params: Value| json!({"model": {"params": params}});
    check(json!({}), json!({}), json!({}));
    check(
        json!({}),
        json!({"model": {"provider": "q", "snapshot": "n", "weights": digest}}),
        json!({"model": {"provider": {"before": "p", "after": "q"},
            "snapshot": {"before": "m-2026-01-01", "after": "n"}, "weights": {"after": digest}}}),
    );
    let listing = |fallbacks: Value| json!({"model": {"fallbacks": fallbacks}});
    let other = json!([{"provider": "q", "snapshot": "n", "params": {"temperature": 1.0}}]);
    let same = json!([{"provider": "q", "snapshot": "n", "params": {"temperature": 1}}]);
    check(listing(other.clone()), listing(same), json!({}));
    check(json!({}), listing(other.clone()), json!({"model": {"fallbacks": {"after": other}}}));
    check(
        json!({"model": {"lossy": ["a", "b"]}}),
        json!({"model": {"lossy": ["b", "c"]}}),
        json!({"model": {"lossy_added": ["c"], "lossy_removed": ["a"]}}),
    );
    check(
        params(json!({"kept": [1], "changed": 0.2, "removed": null, "spelled": 1.0})),
        params(json!({"kept": [1], "changed": 0.3, "added": {"x": null}, "spelled": 1})),
        params(json!({"changed": {"before": 0.2, "after": 0.3}, "removed": {"before": null},
            "added": {"after": {"x": null}}})),
    );
    check(
        json!({"state": {"vectors": {"kb": embedder(1), "old": embedder(1), "same": embedder(1)}}}),
        json!({"state": {"vectors": {"kb": embedder(2), "new": embedder(1), "same": embedder(1)}}}),
        json!({"state": {"vectors": {"kb": {"before": embedder(1), "after": embedder(2)},
            "old": {"before": embedder(1)}, "new": {"after": embedder(1)}}}}),
    );
    check(
        json!({"state": {"memory": {"schema": "chat/v1"}}}),
        json!({"state": {"memory": {"schema": "chat/v2"}, "context": {"protocol": 2, "accepts": [1, 2]}}}),
        json!({"state": {"memory": {"before": {"schema": "chat/v1"}, "after": {"schema": "chat/v2"}},
            "context": {"after": {"protocol": 2, "accepts": [1, 2]}}}}),
    );
    check(
        json!({"prompt": {"mode": "managed"}, "tools": {"side_effects": ["a", "b"]}}),
        json!({"prompt": {"mode": "verify"}, "tools": {"side_effects": ["b", "c"]}}),
        json!({"prompt": {"mode": {"before": "managed", "after": "verify"}},
            "tools": {"side_effects_added": ["c"], "side_effects_removed": ["a"]}}),
    );
}

#[test]
fn tools_differ_by_name_and_then_by_path() {
    let check = |a: Value, b: Value, expected: Value| {
        let [a, b] = [a, b].map(|tools| contract(least(), None, Some(&tools)));
        assert_eq!(shown(&a, &b), expected);
    };
    let tool = |name: &str, parameters: Value| json!({"type": "function", "function": {"name": name, "parameters": parameters}});
    let none = json!({});
    check(json!([tool("a", json!({}))]), json!([tool("a", json!({}))]), none.clone());
    // Order of tools and keys, and 1 for 1.0, say nothing.
    check(
        json!([tool("a", json!({"x": 1, "y": 2})), tool("b", json!(1.0))]),
        json!([tool("b", json!(1)), {"function": {"parameters": {"y": 2, "x": 1}, "name": "a"}, "type": "function"}]),
        none,
    );
    check(
        json!([tool("gone", json!({})), tool("kept", json!({}))]),
        json!([tool("kept", json!({})), {"name": "mcp", "inputSchema": {}}, {"type": "web_search"}, 7]),
        json!({"tools": {"added": ["#3", "mcp", "web_search"], "removed": ["gone"]}}),
    );
    check(
        json!([tool("a", json!({"a/b": {"~": 1}, "enum": [1, 2], "old": null, "required": ["x"]}))]),
        json!([tool("a", json!({"a/b": {"~": 2}, "enum": [1, 3], "new": null, "required": ["x", "y"]}))]),
        json!({"tools": {"changed": {"a": [
            {"path": "/function/parameters/a~1b/~0", "before": 1, "after": 2},
            {"path": "/function/parameters/enum/1", "before": 2, "after": 3},
            {"path": "/function/parameters/old", "before": null},
            {"path": "/function/parameters/required", "before": ["x"], "after": ["x", "y"]},
            {"path": "/function/parameters/new", "after": null},
        ]}}}),
    );
    // Integers that one double stands for are two integers all the same.
    check(
        json!([tool("a", json!(9_007_199_254_740_993_u64))]),
        json!([tool("a", json!(9_007_199_254_740_992_u64))]),
        json!({"tools": {"changed": {"a": [{"path": "/function/parameters",
            "before": 9_007_199_254_740_993_u64, "after": 9_007_199_254_740_992_u64}]}}}),
    );
    // One name twice loses neither, and no tools at all are no tools.
    check(json!([tool("a", json!(1))]), json!([tool("a", json!(1)), tool("a", json!(2))]), {
        json!({"tools": {"added": ["a#2"]}})
    });
    let (some, no) = (contract(least(), None, Some(&json!([]))), contract(least(), None, None));
    assert_eq!(shown(&some, &no), json!({}));
}

#[test]
fn a_prompt_that_appears_is_told_from_one_that_is_empty() {
    let [none, empty, text] =
        [None, Some(""), Some("Be kind.")].map(|system| contract(least(), system, None));
    let runs = |runs: Value| json!({"grain": "word", "runs": runs});
    assert_eq!(
        shown(&none, &empty),
        json!({"prompt": {"system": {"after": Digest::of(b"")}, "text": runs(json!([]))}})
    );
    assert_eq!(
        shown(&text, &none),
        json!({"prompt": {"system": {"before": Digest::of(b"Be kind.")},
            "text": runs(json!([{"op": "delete", "text": "Be kind."}]))}})
    );
    assert_eq!(shown(&text, &text), json!({}));
}

#[test]
fn prompts_differ_word_by_word() {
    let check = |a: &str, b: &str, expected: &str| {
        let diff = TextDiff::between(a, b);
        assert_eq!(marked(&diff), expected);
        assert_eq!(sides(&diff), (a.to_owned(), b.to_owned()));
    };
    check("", "", "");
    check("Be kind.\n", "Be kind.\n", "Be kind.\n");
    check("Be kind.", "Be very kind.", "Be {+very +}kind.");
    check(
        "Ask {{ name }}, then wait.",
        "Ask {{ user }}, then wait.",
        "Ask {{ [-name-]{+user+} }}, then wait.",
    );
    // Neighbouring replacements read as one.
    check("the quick brown fox", "the slow grey fox", "the [-quick brown-]{+slow grey+} fox");
    check("one\ntwo\n", "one\ntwo", "one\ntwo[-\n-]");
    check("a\r\nb\r\n", "a\nb\n", "a[-\r\n-]{+\n+}b[-\r\n-]{+\n+}");
    check("Grüße, 世界", "Grüße, 世間", "Grüße, 世[-界-]{+間+}");
    check("tab\there", "tab  here", "tab[-\t-]{+  +}here");
}

#[test]
fn what_is_far_from_a_change_is_folded() {
    let long =
        |word: &str| format!("{} {word} {}", "before it ".repeat(50).trim_end(), "after it ".repeat(50));
    let diff = TextDiff::between(&long("old"), &long("new"));
    let before = "before it ".repeat(6);
    let after = " after it".repeat(6);
    assert_eq!(marked(&diff), format!("…{}[-old-]{{+new+}}{after}…", &before));
    assert_eq!(sides(&diff), (long("old"), long("new")));
}

#[test]
fn texts_too_long_for_words_are_compared_by_lines_and_then_as_a_whole() {
    let check = |a: &str, b: &str, grain: Grain, runs: usize| {
        let diff = TextDiff::between(a, b);
        assert_eq!((diff.grain, diff.runs.len()), (grain, runs));
        assert!(sides(&diff) == (a.to_owned(), b.to_owned()));
    };
    let text = |seed: u32, lines: usize, words: usize| {
        // A few words in an order that looks random: the case in which a search for matches finds most to try.
        let mut state = seed;
        let mut line = || {
            let word = |_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ["to ", "be ", "or ", "not "][(state >> 30) as usize]
            };
            (0..words).map(word).collect::<String>() + "\n"
        };
        (0..lines).map(|_| line()).collect::<String>()
    };
    let most = text(1, 300, 80);
    assert!(TextDiff::between(&most, &text(2, 300, 80)).grain == Grain::Word);
    // A mebibyte with one word changed in the middle is still a word diff.
    let (head, tail) = (text(3, 5_000, 35), text(4, 5_000, 35));
    let around = |word: &str| format!("{head}{word}\n{tail}");
    check(&around("this"), &around("that"), Grain::Word, 6);
    check(&format!("x{head}y"), &format!("z{head}w"), Grain::Line, 7);
    check(&"a\nb\n".repeat(30_000), &"c\nd\n".repeat(30_000), Grain::Whole, 2);
}

fn prompt() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "be", " ", "kind", "\n", "{{", "}}", "ü", ",", "\r\n", "\t", "e\u{301}", "🙂",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Nothing is lost or made up, whatever the texts.
    #[test]
    fn both_texts_come_back_from_the_runs(a in prompt(), b in prop_oneof![prompt(), ".{0,80}"]) {
        let diff = TextDiff::between(&a, &b);
        prop_assert_eq!(sides(&diff), (a.clone(), b.clone()));
        prop_assert!(diff.runs.iter().all(|run| !run.text.is_empty()));
        prop_assert_eq!(a == b, diff.runs.iter().all(|run| run.op == Op::Equal));
        let shown = |run: &Run| (run.op, run.folded);
        prop_assert!(diff.runs.windows(2).all(|pair| shown(&pair[0]) != shown(&pair[1])));
    }
}
