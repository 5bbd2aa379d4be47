//! A release diff for people: what changed, one line each, and the prompt word by word.
//!
//! Removed words are `[-so-]`, added ones `{+so+}`; on a terminal they are red and green as well.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pinrail_domain::digest::Digest;
use pinrail_domain::release::Embedder;
use pinrail_domain::release::diff::{Change, Diff, Op, StateDiff, TextDiff, ToolsDiff};
use serde::Serialize;
use serde_json::Value;

use super::{clean, one_line};

/// Longest value shown of a changed schema.
const VALUE_CHARS: usize = 120;

/// Writes how two sets of tools differ, with descriptions word by word.
pub fn render_tools(diff: &ToolsDiff, colours: bool) -> String {
    let mut out = String::new();
    tools(&mut out, diff, colours);
    out
}

/// Writes a diff, with colours where asked for.
pub fn render(diff: &Diff, colours: bool) -> String {
    let mut out = format!("{} → {}\n", diff.from.short(), diff.to.short());
    if diff.is_empty() {
        out.push_str("nothing that an agent would notice: only the spelling of an artifact differs\n");
        return out;
    }
    let model = &diff.model;
    change(&mut out, "model.provider", model.provider.as_ref());
    change(&mut out, "model.snapshot", model.snapshot.as_ref());
    for (name, param) in &model.params {
        change(&mut out, &format!("model.params.{name}"), Some(param));
    }
    change(&mut out, "model.weights", model.weights.as_ref());
    change(&mut out, "model.fallbacks", model.fallbacks.as_ref());
    for name in &model.lossy_added {
        line(&mut out, format_args!("model.lossy + {}", clean(name)));
    }
    for name in &model.lossy_removed {
        line(&mut out, format_args!("model.lossy - {}", clean(name)));
    }
    change(&mut out, "prompt.mode", diff.prompt.mode.as_ref());
    if let Some(text) = &diff.prompt.text {
        out.push_str("prompt.system\n");
        prompt(&mut out, text, colours);
    }
    tools(&mut out, &diff.tools, colours);
    state(&mut out, &diff.state);
    out
}

fn tools(out: &mut String, tools: &ToolsDiff, colours: bool) {
    for name in &tools.added {
        line(out, format_args!("tools + {}", clean(name)));
    }
    for name in &tools.removed {
        line(out, format_args!("tools - {}", clean(name)));
    }
    for (name, changes) in &tools.changed {
        line(out, format_args!("tools ~ {}", clean(name)));
        for place in changes {
            if let (Some(Value::String(before)), Some(Value::String(after))) = (&place.before, &place.after)
                && place.path.ends_with("/description")
            {
                line(out, format_args!("    {}:", clean(&place.path)));
                prompt(out, &TextDiff::between(before, after), colours);
                continue;
            }
            let (before, after) = (json(place.before.as_ref()), json(place.after.as_ref()));
            line(out, format_args!("    {}: {before} → {after}", clean(&place.path)));
        }
    }
    for (server, pin) in &tools.mcp {
        let short = |pin: Option<Digest>| pin.map_or_else(|| "(none)".to_owned(), |pin| pin.short());
        line(out, format_args!("tools.mcp.{server}: {} → {}", short(pin.before), short(pin.after)));
    }
    for name in &tools.side_effects_added {
        line(out, format_args!("tools.side_effects + {name}"));
    }
    for name in &tools.side_effects_removed {
        line(out, format_args!("tools.side_effects - {name}"));
    }
}

fn state(out: &mut String, state: &StateDiff) {
    for (name, space) in &state.vectors {
        embedder(out, &format!("state.vectors.{name}"), space);
    }
    change(out, "state.memory", state.memory.as_ref());
    change(out, "state.context", state.context.as_ref());
}

/// Where both sides pin an embedder, the terms that differ: one of them makes it another embedder.
fn embedder(out: &mut String, name: &str, space: &Change<Embedder>) {
    let terms = |side: &Option<Embedder>| match serde_json::to_value(side) {
        Ok(Value::Object(terms)) => Some(terms),
        Ok(_) | Err(_) => None,
    };
    let (Some(before), Some(after)) = (terms(&space.before), terms(&space.after)) else {
        return change(out, name, Some(space));
    };
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys.into_iter().filter(|key| before.get(*key) != after.get(*key)) {
        let (before, after) = (json(before.get(key)), json(after.get(key)));
        line(out, format_args!("{}.{key}: {before} → {after}", clean(name)));
    }
}

fn prompt(out: &mut String, text: &TextDiff, colours: bool) {
    let mut body = String::new();
    for run in &text.runs {
        let shown = clean(&run.text);
        match run.op {
            Op::Equal if run.folded => {
                let _ = write!(body, "\n[… {} unchanged characters …]\n", run.text.chars().count());
            }
            Op::Equal => body.push_str(&shown),
            Op::Delete => mark(&mut body, ("[-", &shown, "-]"), "31", colours),
            Op::Insert => mark(&mut body, ("{+", &shown, "+}"), "32", colours),
        }
    }
    for row in body.trim_end_matches('\n').lines() {
        line(out, format_args!("    {row}"));
    }
}

fn mark(out: &mut String, (open, text, close): (&str, &str, &str), code: &str, colours: bool) {
    let (on, off) = if colours { (format!("\x1b[{code}m"), "\x1b[0m") } else { (String::new(), "") };
    let _ = write!(out, "{on}{open}{text}{close}{off}");
}

fn change<T: Serialize>(out: &mut String, name: &str, change: Option<&Change<T>>) {
    if let Some(Change { before, after }) = change {
        let (before, after) = (json(before.as_ref()), json(after.as_ref()));
        line(out, format_args!("{}: {before} → {after}", clean(name)));
    }
}

fn json<T: Serialize>(value: Option<&T>) -> String {
    match value.map(serde_json::to_string) {
        Some(Ok(text)) => clean(&one_line(&text, VALUE_CHARS)),
        Some(Err(_)) | None => "(none)".to_owned(),
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pinrail_domain::release::{Contract, Manifest};
    use serde_json::json;

    use super::*;

    fn contract(snapshot: &str, prompt: &str, tools: &str) -> Contract {
        let digest = Digest::of(prompt.as_bytes());
        let manifest: Manifest = serde_json::from_value(json!({
            "pinrail": 1,
            "model": { "provider": "sim", "snapshot": snapshot, "params": { "temperature": 0.2 } },
            "prompt": { "system": digest }, "tools": { "schema": Digest::of(tools.as_bytes()) },
        }))
        .unwrap();
        let id = manifest.id().unwrap();
        Contract {
            id,
            manifest: Arc::new(manifest),
            system: Some(prompt.into()),
            tools: Some(tools.into()),
            pins: Default::default(),
        }
    }

    #[test]
    fn a_diff_says_what_changed_without_relying_on_colour() {
        let a =
            contract("sim-1-2026-01-15", "Be kind.\n", r#"[{"function":{"name":"look","strict":false}}]"#);
        let b = contract("sim-1-2026-06-01", "Be \u{1b}[2Jbrief.\n", r#"[{"function":{"name":"look"}}]"#);
        let diff = pinrail_domain::release::diff::diff(&a, &b);
        let text = render(&diff, false);
        assert!(text.contains("model.snapshot: \"sim-1-2026-01-15\" → \"sim-1-2026-06-01\"\n"), "{text}");
        assert!(text.contains("[-kind-]"), "{text}");
        assert!(text.contains("    /function/strict: false → (none)\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "what a prompt holds must not steer the terminal: {text:?}");
        assert!(render(&diff, true).contains("\u{1b}[31m[-kind-]\u{1b}[0m"));
    }

    #[test]
    fn an_embedder_that_changes_says_in_which_terms() {
        let release = |state: serde_json::Value| {
            let manifest: Manifest = serde_json::from_value(json!({
                "pinrail": 1, "model": { "provider": "sim", "snapshot": "sim-1-2026-01-15" }, "state": state
            }))
            .unwrap();
            let id = manifest.id().unwrap();
            Contract { id, manifest: Arc::new(manifest), system: None, tools: None, pins: Default::default() }
        };
        let check = |before, after, expected: &[&str]| {
            let diff = pinrail_domain::release::diff::diff(&release(before), &release(after));
            let text = render(&diff, false);
            assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), expected);
        };
        let kb = |more: serde_json::Value| {
            let mut embedder = json!({ "embedder": "e", "dims": 3, "metric": "cosine" });
            embedder.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({ "vectors": { "kb": embedder } })
        };
        check(
            kb(json!({ "revision": "a", "prefix": "query: " })),
            kb(json!({ "revision": "b", "pooling": "cls" })),
            &[
                r#"state.vectors.kb.pooling: (none) → "cls""#,
                r#"state.vectors.kb.prefix: "query: " → (none)"#,
                r#"state.vectors.kb.revision: "a" → "b""#,
            ],
        );
        check(
            json!({}),
            kb(json!({})),
            &[r#"state.vectors.kb: (none) → {"embedder":"e","dims":3,"metric":"cosine"}"#],
        );
    }
}
