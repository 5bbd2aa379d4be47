//! What a person meets: an id goes in, an answer comes out.

use proptest::prelude::*;

use super::date::{DAY_MS, Date};
use super::file::Kind;
use super::*;
use crate::time::Timestamp;

/// A judged id in one line: `pinned`, `floating` or `unknown`, then the suggested pins.
fn judged(catalogue: &Catalogue, provider: &str, id: &str) -> String {
    let identity = catalogue.judge(provider, id);
    let word = match identity {
        Identity::Pinned { .. } => "pinned",
        Identity::Floating { .. } => "floating",
        Identity::Unknown { .. } => "unknown",
    };
    format!("{word} {}", identity.pins().join(" ")).trim_end().to_owned()
}

fn check(provider: &str, id: &str, expected: &str) {
    let got = judged(Catalogue::embedded(), provider, id);
    // An expectation without pins speaks of the identity alone.
    let got = if expected.contains(' ') { got } else { got.split(' ').next().unwrap().to_owned() };
    assert_eq!(got, expected, "{provider} {id}: {:?}", Catalogue::embedded().judge(provider, id));
}

fn at(date: &str) -> Timestamp {
    Date::parse(date).unwrap().start()
}

fn user(text: &str) -> Catalogue {
    Catalogue::from_toml(&format!("version = 1\nas_of = \"2026-11-20\"\n{text}")).unwrap()
}

fn over(text: &str) -> Catalogue {
    Catalogue::overlaid(Catalogue::embedded().clone(), user(text))
}

#[test]
fn openai_ids() {
    check("openai", "gpt-4o-2024-08-06", "pinned");
    check("openai", "gpt-4o-audio-preview-2024-12-17", "pinned"); // Not listed: the shape tells.
    check("openai", "gpt-4-0613", "pinned");
    check("openai", "gpt-4-32k-0613", "pinned");
    check("openai", "gpt-4-1106-preview", "pinned");
    check("openai", "gpt-4o-latest", "floating gpt-4o-2024-11-20 gpt-4o-2024-08-06 gpt-4o-2024-05-13");
    check("openai", "gpt-4o", "floating gpt-4o-2024-11-20 gpt-4o-2024-08-06 gpt-4o-2024-05-13");
    check("openai", "chatgpt-4o-latest", "floating");
    check("openai", "gpt-4-turbo", "floating gpt-4-turbo-2024-04-09"); // Not listed, its sibling is.
    check("openai", "o3-mini", "floating o3-mini-2025-01-31");
    check("openai", "gpt-5.6-sol", "unknown");
    check("openai", "gpt-6-luna", "unknown");
    check("openai", "gpt-4o-audio", "unknown");
    check("openai", "text-embedding-3-small", "unknown");
    check("openai", "gpt-4o-2024-02-30", "unknown"); // No such day.
    check("openai", "GPT-4O", "unknown");
    check("openai", "ft:gpt-4o-2024-08-06:acme::abc123", "unknown");
    check("openai", "", "unknown");
    check("openai", &"x".repeat(ID_BYTES_MAX + 1), "unknown");
}

#[test]
fn anthropic_ids() {
    check("anthropic", "claude-3-5-sonnet-20241022", "pinned");
    check("anthropic", "claude-opus-4-6-20260205", "pinned");
    check("anthropic", "claude-sonnet-4-6", "pinned");
    check("anthropic", "claude-opus-4-12", "pinned");
    check("anthropic", "claude-haiku-5", "pinned");
    check("anthropic", "claude-opus-5-5", "pinned");
    check(
        "anthropic",
        "claude-3-5-sonnet-latest",
        "floating claude-3-5-sonnet-20241022 claude-3-5-sonnet-20240620",
    );
    check("anthropic", "claude-3-7-sonnet", "floating claude-3-7-sonnet-20250219");
    check("anthropic", "claude-sonnet-4-5", "floating claude-sonnet-4-5-20250929");
    check("anthropic", "claude-sonnet-4", "floating claude-sonnet-4-20250514");
    check("anthropic", "claude-haiku-4-2", "floating");
    check("anthropic", "claude-instant-1.2", "unknown");
    check("anthropic", "claude-mythos-preview", "unknown");
}

#[test]
fn gemini_mistral_and_simulated_ids() {
    check("gemini", "gemini-2.0-flash-001", "pinned");
    check("gemini", "gemini-2.5-pro-preview-06-05", "pinned");
    check("gemini", "gemini-2.5-flash-preview-09-2025", "pinned");
    check("gemini", "gemini-flash-latest", "floating");
    check("gemini", "gemini-2.0-flash", "floating gemini-2.0-flash-001");
    check("gemini", "gemini-2.5-pro", "unknown");
    check("gemini", "gemini-2.0-flash-exp", "unknown");
    check("mistral", "mistral-large-2411", "pinned");
    check("mistral", "codestral-2501", "pinned");
    check("mistral", "mistral-large-2413", "unknown");
    check("mistral", "mistral-large-latest", "floating mistral-large-2512 mistral-large-2411");
    check("mistral", "mistral-large", "floating");
    check("mistral", "mistral-medium-3-5", "unknown");
    check("sim", "sim-1-2026-01-15", "pinned");
    check("sim", "sim-7-2031-12-31", "pinned");
    check("sim", "sim-1", "floating sim-1-2026-06-01 sim-1-2026-01-15");
    check("sim", "sim-1-latest", "floating sim-1-2026-06-01 sim-1-2026-01-15");
    check("sim", "sim-one", "unknown");
}

#[test]
fn cloud_ids() {
    check("bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0", "pinned");
    check("bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0", "pinned");
    check("bedrock", "apac.amazon.nova-lite-v1:0", "pinned");
    check("bedrock", "us-gov.anthropic.claude-3-haiku-20240307-v1:0", "pinned");
    check("bedrock", "anthropic.claude-3-sonnet-20240229-v1:0:200k", "pinned");
    check("bedrock", "eu.anthropic.claude-sonnet-4-6", "pinned");
    check("bedrock", "anthropic.claude-opus-4-6-v1", "pinned");
    check("bedrock", "anthropic.claude-sonnet-4-5", "unknown anthropic.claude-sonnet-4-5-20250929-v1:0");
    check(
        "bedrock",
        "us.anthropic.claude-sonnet-4-5",
        "unknown us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    );
    check("bedrock", "amazon.titan-text-express-v1", "unknown");
    check("bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/x", "unknown");
    check("azure", "gpt-4o@2024-08-06", "pinned");
    check("azure", "gpt-4@0613", "pinned");
    check("azure", "gpt-4@turbo-2024-04-09", "pinned");
    check("azure", "gpt-4o@auto-upgrade", "floating gpt-4o@2024-11-20 gpt-4o@2024-08-06 gpt-4o@2024-05-13");
    check("azure", "my-production-chat", "unknown");
    check("azure", "gpt-4o", "unknown gpt-4o@2024-11-20 gpt-4o@2024-08-06 gpt-4o@2024-05-13");
    check("azure", "gpt-4o-2024-08-06", "unknown");
    check("vertex", "claude-sonnet-4@20250514", "pinned");
    check("vertex", "claude-sonnet-4@default", "floating claude-sonnet-4@20250514");
    check("vertex", "claude-sonnet-4", "floating claude-sonnet-4@20250514");
    check("vertex", "claude-sonnet-4-6", "pinned");
    check("vertex", "gemini-2.0-flash-001", "pinned");
    check("vertex", "gemini-2.5-pro", "unknown");
}

#[test]
fn an_unlisted_provider_is_unknown_and_says_how_to_add_it() {
    let Identity::Unknown { why, pins } = Catalogue::embedded().judge("house-llm", "gpt-4o-2024-08-06")
    else {
        panic!("a provider without an entry can't be judged");
    };
    assert!(why.contains("`house-llm`") && why.contains("[[providers.house-llm.patterns]]"), "{why}");
    assert!(pins.is_empty());
}

#[test]
fn suggestions_are_near_few_and_retired_last() {
    let pins = |provider, id| judged(Catalogue::embedded(), provider, id);
    // The longest family that the id begins with comes first; the retired snapshot goes last.
    assert!(pins("openai", "gpt-4o-audio").starts_with("unknown gpt-4o-2024-11-20 gpt-4o-2024-08-06 "));
    let (live, retired) = ("gpt-4o-mini-2024-07-18", "gpt-4o-2024-05-13");
    assert!(pins("openai", "gpt-4o-audio").contains(&format!("{live} {retired}")));
    check(
        "mistral",
        "mistral-medium",
        "floating mistral-medium-2604 mistral-medium-2508 mistral-medium-2505",
    );
    assert!(pins("openai", "gpt-4.1-mni").starts_with("unknown gpt-4.1-2025-04-14 gpt-4.1-mini-2025-04-14"));
    assert!(pins("anthropic", "claude-sonnet-4-0").contains("claude-sonnet-4-20250514"));
    assert!(pins("openai", "chatgpt-4o-latest").contains("gpt-4o-2024-11-20"));
    let regional = pins("bedrock", "eu.anthropic.claude-opus-4-x");
    assert!(regional.contains(" eu.anthropic.claude-opus-4-7"), "{regional}");
    assert!(!regional.contains("eu.us.") && !regional.contains("eu.eu."), "{regional}");
    assert_eq!(pins("openai", "zzzzzzzzzzzzzzzzzzzzzz"), "unknown");
    for id in ["gpt", "gpt-5", "gpt-4o-x", "o", "gpt-5.4-something-else"] {
        assert!(pins("openai", id).split(' ').count() <= PINS_MAX + 1, "{id}");
    }
}

#[test]
fn reasons_name_the_rule() {
    for (provider, id, part) in [
        ("openai", "gpt-4o-2024-08-06", "developers.openai.com"),
        ("openai", "gpt-4o-2023-01-01", "pattern `*-{YYYY-MM-DD}`"),
        ("openai", "gpt-4-turbo", "such as `gpt-4-turbo-2024-04-09`"),
        ("azure", "x@2024-01-01", "NoAutoUpgrade"),
        ("gemini", "gemini-nope", "no rule"),
    ] {
        let identity = Catalogue::embedded().judge(provider, id);
        let reason = identity.why();
        assert!(reason.contains(part), "{id}: {reason}");
    }
}

#[test]
fn every_listed_id_judges_to_what_it_declares_and_agrees_with_the_patterns() {
    let catalogue = Catalogue::embedded();
    for (name, provider) in &catalogue.providers {
        for (id, entry) in &provider.entries {
            let declared = entry.identity.expect("the embedded catalogue states each identity");
            let got = match catalogue.judge(name, id) {
                Identity::Pinned { .. } => Kind::Pinned,
                Identity::Floating { .. } => Kind::Floating,
                Identity::Unknown { .. } => Kind::Unknown,
            };
            assert_eq!(got, declared, "{name} {id}");
            if let Some(rule) = provider.rules_for(id).next() {
                assert_eq!(rule.kind, declared, "{name} {id}: the entry and the pattern disagree");
            }
            assert!(!entry.source.is_empty() && entry.as_of <= catalogue.as_of, "{name} {id}");
            assert!(entry.released.is_none_or(|day| day <= catalogue.as_of), "{name} {id}");
            if let (Some(released), Some(deprecated)) = (entry.released, entry.deprecated) {
                assert!(released < deprecated, "{name} {id}");
            }
        }
    }
    let names: Vec<_> = catalogue.providers().collect();
    assert_eq!(names, ["anthropic", "azure", "bedrock", "gemini", "mistral", "openai", "sim", "vertex"]);
    assert!(catalogue.ids("openai").any(|id| id == "gpt-4o-2024-08-06"));
}

#[test]
fn the_users_file_wins_and_leaves_the_rest() {
    let catalogue = over(
        r#"
        [[providers.openai.patterns]]
        kind = "pinned"
        shapes = ["ft:*:*::*", "house-*"]
        why = "our own fine-tunes"
        [[providers.openai.groups]]
        source = "our contract"
        as_of = "2026-11-01"
        models = [
          { id = "gpt-4o-2024-08-06", price = { input = 1, output = 2 } },
          { id = "text-embedding-3-small", identity = "pinned" },
          { id = "gpt-4o-2024-11-20", retires = "2030-01-01" },
        ]
        [[providers.house-llm.patterns]]
        kind = "pinned"
        shapes = ["llama-{N}b@{word}"]
        why = "weights are named by digest"
        "#,
    );
    let says = |provider, id| judged(&catalogue, provider, id);
    assert_eq!(says("openai", "ft:gpt-4o:acme::abc"), "pinned");
    assert_eq!(says("openai", "house-latest"), "pinned"); // Before the catalogue's floating patterns.
    assert_eq!(says("openai", "gpt-4o-2024-08-06"), "pinned"); // Untouched.
    assert_eq!(says("openai", "text-embedding-3-small"), "pinned");
    assert_eq!(says("house-llm", "llama-70b@abc123"), "pinned");
    assert_eq!(says("anthropic", "claude-sonnet-4-5"), "floating claude-sonnet-4-5-20250929");
    let million = Tokens { input: 1_000_000, cached_input: 0, output: 1_000_000 };
    let cost = |id| catalogue.price("openai", id).map(|price| price.cost(million).to_string());
    assert_eq!(cost("gpt-4o-2024-08-06").as_deref(), Some("$3.00"));
    assert_eq!(cost("text-embedding-3-small").as_deref(), Some("$0.02"));
    let then = catalogue.lifecycle("openai", "gpt-4o-2024-11-20", at("2027-06-01"));
    assert_eq!(
        then,
        Lifecycle::Deprecated { since: Some(at("2026-10-14")), retires: Some(at("2030-01-01")) }
    );

    let twice = Catalogue::overlaid(
        catalogue,
        user(
            "[[providers.openai.patterns]]\nkind = \"unknown\"\nshapes = [\"house-*\"]\nwhy = \"no longer\"",
        ),
    );
    assert!(judged(&twice, "openai", "house-latest").starts_with("unknown"));
}

#[test]
fn bad_files_are_refused_by_name() {
    let head = "version = 1\nas_of = \"2026-11-20\"\n";
    let group = "[[providers.x.groups]]\nsource = \"s\"\nas_of = \"2026-01-01\"\nmodels = ";
    for (text, part) in [
        ("version = 2\nas_of = \"2026-11-20\"".to_owned(), "format version 2"),
        ("as_of = \"2026-11-20\"".to_owned(), "`version`"),
        ("version = 1\nas_of = \"2026-02-30\"".to_owned(), "`2026-02-30`"),
        (format!("{head}colour = 1"), "line 3: unknown field `colour`"),
        (format!("{head}[providers.x]\nregion = []"), "unknown field `region`"),
        (format!("{head}{group}[{{ id = \"a\", relesed = \"2026-01-01\" }}]"), "unknown field `relesed`"),
        (format!("{head}{group}[{{ id = \"a\", retires = \"soon\" }}]"), "`soon`"),
        (format!("{head}{group}[{{ id = \"a\", identity = \"maybe\" }}]"), "`maybe`"),
        (format!("{head}{group}[{{ id = \"\" }}]"), "providers.x"),
        (format!("{head}{group}[{{ id = \"a\" }}, {{ id = \"a\" }}]"), "`a` is listed twice"),
        (
            format!("{head}{group}[{{ id = \"a\", deprecated = \"2026-02-01\", retires = \"2026-01-01\" }}]"),
            "after it retires",
        ),
        (format!("{head}{group}[{{ id = \"a\", price = {{ input = -1, output = 1 }} }}]"), "`input` is -1"),
        (format!("{head}{group}[{{ id = \"a\", price = {{ input = nan, output = 1 }} }}]"), "`input`"),
        (
            format!("{head}{group}[{{ id = \"a\", price = {{ input = 1, output = 0.00000001 }} }}]"),
            "`output`",
        ),
        (format!("{head}{group}[{{ id = \"a\", price = {{ input = 1 }} }}]"), "`output`"),
        (
            format!("{head}[[providers.x.patterns]]\nkind = \"pinned\"\nshapes = [\"{{day}}\"]\nwhy = \"\""),
            "`{day}`",
        ),
        ("version = ".to_owned(), "line 1"),
        ("#".repeat(CATALOGUE_BYTES_MAX + 1), "more than"),
    ] {
        let error = Catalogue::from_toml(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{error} should name {part}");
    }
}

#[test]
fn the_example_in_the_guide_is_valid() {
    let guide = include_str!("../../../../docs/model-identity.md");
    let start = guide.find("# models.toml").expect("the guide shows a file");
    let example = guide[start..].split("```").next().unwrap();
    let catalogue =
        Catalogue::overlaid(Catalogue::embedded().clone(), Catalogue::from_toml(example).unwrap());
    assert_eq!(judged(&catalogue, "openai", "ft:gpt-4o-2024-08-06:acme::abc123"), "pinned");
    assert_eq!(judged(&catalogue, "house-llm", "llama-70b@abc123"), "pinned");
}

#[test]
fn lifecycle_edges() {
    let see = |id: &str, now| Catalogue::embedded().lifecycle("openai", id, now);
    let (since, end) = (at("2026-10-14"), at("2027-01-14"));
    let retires = Some(end);
    let id = "gpt-4o-2024-08-06";
    assert_eq!(see(id, at("2026-10-14")), Lifecycle::Deprecated { since: Some(since), retires });
    assert_eq!(see(id, Timestamp(since.0 - 1)), Lifecycle::Deprecated { since: None, retires });
    assert_eq!(
        see(id, Timestamp(end.0 - 60 * DAY_MS - 1)),
        Lifecycle::Deprecated { since: Some(since), retires }
    );
    assert_eq!(see(id, Timestamp(end.0 - 60 * DAY_MS)), Lifecycle::RetiringSoon { at: end, days_left: 60 });
    assert_eq!(see(id, Timestamp(end.0 - 1)), Lifecycle::RetiringSoon { at: end, days_left: 1 });
    assert_eq!(see(id, end), Lifecycle::Retired { at: end });
    assert_eq!(see(id, Timestamp(u64::MAX)), Lifecycle::Retired { at: end });
    assert_eq!(see("gpt-5.5-2026-04-23", at("2026-11-20")), Lifecycle::Active);
    assert_eq!(see("gpt-4o-audio-preview-2024-12-17", at("2026-11-20")), Lifecycle::Unlisted);
    let bedrock = Catalogue::embedded().lifecycle(
        "bedrock",
        "us.anthropic.claude-3-7-sonnet-20250219-v1:0",
        at("2026-11-20"),
    );
    assert_eq!(bedrock, Lifecycle::Retired { at: at("2026-04-28") });
    let deprecated = user(
        "[[providers.x.groups]]\nsource = \"s\"\nas_of = \"2026-01-01\"\nmodels = [{ id = \"a\", deprecated = \"2026-01-01\" }]",
    );
    let day = at("2026-01-01");
    assert_eq!(
        deprecated.lifecycle("x", "a", day),
        Lifecycle::Deprecated { since: Some(day), retires: None }
    );
    assert_eq!(deprecated.lifecycle("x", "a", Timestamp(day.0 - 1)), Lifecycle::Active);
    assert_eq!(deprecated.lifecycle("nobody", "a", day), Lifecycle::Unlisted);
}

#[test]
fn costs_are_exact_and_never_overflow() {
    let price = |provider, id| Catalogue::embedded().price(provider, id).unwrap();
    let cost = |provider, id, input, cached_input, output| {
        price(provider, id).cost(Tokens { input, cached_input, output }).to_string()
    };
    assert_eq!(cost("openai", "gpt-4o-2024-08-06", 1_000_000, 0, 0), "$2.50");
    assert_eq!(cost("openai", "gpt-4o-2024-08-06", 1_000, 400, 100), "$0.003");
    assert_eq!(cost("openai", "gpt-4o-2024-08-06", 10, 99, 0), "$0.0000125"); // Cached is at most input.
    assert_eq!(cost("openai", "gpt-4o-2024-05-13", 1_000, 1_000, 0), "$0.005"); // No cached price: the full one.
    assert_eq!(cost("openai", "gpt-5-nano-2025-08-07", 1, 1, 0), "$0.000000005");
    assert_eq!(cost("sim", "sim-3-2030-01-01", 1_000_000, 0, 1_000_000), "$0.50");
    assert_eq!(cost("sim", "sim-3", 1, 0, 0), "$0.0000001");
    assert_eq!(cost("openai", "o1-pro-2025-03-19", u64::MAX, 0, u64::MAX), NanoUsd(u64::MAX).to_string());
    assert!(Catalogue::embedded().price("openai", "gpt-7").is_none());
    assert!(Catalogue::embedded().price("nobody", "gpt-4o").is_none());
    assert_eq!(NanoUsd(0).to_string(), "$0.00");
    assert_eq!(NanoUsd(123_000).to_string(), "$0.000123");
    assert_eq!(NanoUsd(12_340_000_000).to_string(), "$12.34");
    assert_eq!(NanoUsd(u64::MAX).saturating_add(NanoUsd(1)), NanoUsd(u64::MAX));
}

#[test]
fn served_ids() {
    fn check(provider: &str, pinned: &str, served: &str, expected: &str) {
        let got = match Catalogue::embedded().served_matches(provider, pinned, served) {
            Served::Same => "same",
            Served::SameCheckpoint { .. } => "checkpoint",
            Served::Different => "different",
            Served::Unsaid => "unsaid",
        };
        assert_eq!(got, expected, "{provider}: {pinned} answered as {served}");
    }
    check("openai", "gpt-4o-2024-08-06", "gpt-4o-2024-08-06", "same");
    check("openai", "gpt-4o-2024-08-06", "gpt-4o-2024-11-20", "different");
    check("openai", "gpt-4o-2024-08-06", "gpt-4o", "different");
    check("openai", "gpt-4o", "gpt-4o-2024-08-06", "different");
    check("openai", "gpt-4o-2024-08-06", "", "unsaid");
    check("anthropic", "claude-opus-4-6", "claude-opus-4-6-20260205", "checkpoint");
    check("anthropic", "claude-opus-4-6-20260205", "claude-opus-4-6", "checkpoint");
    check("anthropic", "claude-opus-4-6", "claude-opus-4-7", "different");
    check("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5", "different");
    let bedrock = "anthropic.claude-3-5-sonnet-20241022-v2:0";
    check("bedrock", bedrock, "us.anthropic.claude-3-5-sonnet-20241022-v2:0", "checkpoint");
    check(
        "bedrock",
        "eu.anthropic.claude-3-5-sonnet-20241022-v2:0",
        "claude-3-5-sonnet-20241022",
        "checkpoint",
    );
    check("bedrock", bedrock, "claude-3-5-sonnet-20240620", "different");
    check("bedrock", bedrock, "anthropic.claude-3-5-sonnet-20241022-v1:0", "different");
    check("bedrock", bedrock, "mars.anthropic.claude-3-5-sonnet-20241022-v2:0", "different");
    check("bedrock", "anthropic.claude-sonnet-4-6", "claude-sonnet-4-6", "checkpoint");
    check("bedrock", "meta.llama3-70b-instruct-v1:0", "llama3-70b-instruct", "different");
    check("azure", "gpt-4o@2024-08-06", "gpt-4o-2024-08-06", "checkpoint");
    check("azure", "gpt-4o@2024-08-06", "gpt-4o-2024-11-20", "different");
    check("azure", "gpt-4o@2024-08-06", "gpt-4o", "different");
    check("vertex", "claude-sonnet-4@20250514", "claude-sonnet-4-20250514", "checkpoint");
    check("house-llm", "a", "a", "same");
    check("house-llm", "a", "b", "different");
    check("house-llm", "a", "", "unsaid");
}

#[test]
fn days_are_counted_from_the_epoch() {
    assert_eq!(at("1970-01-01"), Timestamp(0));
    assert_eq!(at("2000-02-29"), Timestamp(951_782_400_000));
    assert_eq!(at("2026-11-20"), Timestamp(1_795_132_800_000));
    for bad in [
        "2025-02-29",
        "2026-13-01",
        "2026-1-1",
        "26-01-01",
        "2026-01-00",
        "1969-12-31",
        "2026/01/01",
        "２026-01",
    ] {
        assert!(Date::parse(bad).is_none(), "{bad}");
    }
}

proptest! {
    /// Whatever is typed gets an answer, and what is suggested is itself a pin.
    #[test]
    fn any_text_is_judged(id in "\\PC{0,40}", tail in prop::sample::select(vec!["", "-latest", "-2024-08-06", "-v1:0", "@default"])) {
        let catalogue = Catalogue::embedded();
        let id = format!("{id}{tail}");
        for provider in catalogue.providers() {
            match catalogue.judge(provider, &id) {
                Identity::Pinned { .. } => {}
                Identity::Floating { pins, .. } | Identity::Unknown { pins, .. } => {
                    prop_assert!(pins.len() <= PINS_MAX);
                    for pin in pins {
                        let pinned = matches!(catalogue.judge(provider, &pin), Identity::Pinned { .. });
                        prop_assert!(pinned, "{provider} {pin}");
                    }
                }
            }
        }
    }

    /// Next day, 24 hours later.
    #[test]
    fn days_follow_each_other(year in 1970_u32..2400, month in 1_u32..=12, day in 1_u32..=27) {
        let first = at(&format!("{year:04}-{month:02}-{day:02}"));
        let second = at(&format!("{year:04}-{month:02}-{:02}", day + 1));
        prop_assert_eq!(second.ms_since(first), DAY_MS);
    }
}
