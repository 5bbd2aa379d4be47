use std::fs;
use std::path::Path;

use pinrail_domain::id::{AgentName, ReleaseId};
use pinrail_domain::release::Manifest;
use serde_json::Value;
use tempfile::TempDir;

use super::project::{Project, read_release};
use super::{Observe, nearest, tools};
use crate::commands::init;

/// A folder with some files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

const PROJECT: &str = "[providers.sim]\nbase_url = 'sim:'\n";
const MODEL: &str = "[model]\nprovider = 'sim'\nsnapshot = 'sim-1-2026-01-15'\n";

/// What is wrong with a project whose one agent has this release.
fn faults_of(release: &str, more: &[(&str, &str)]) -> String {
    let mut files =
        vec![("pinrail.toml", PROJECT), ("agents/a/agent.toml", ""), ("agents/a/release.toml", release)];
    files.extend(more);
    Project::read(folder(&files).path()).map_or_else(|bad| bad.to_string(), |_| String::new())
}

#[test]
fn a_release_file_has_the_id_of_the_golden_manifest() {
    let golden: Vec<Value> =
        serde_json::from_str(include_str!("../../../../docs/golden/releases.json")).unwrap();
    let check = |name: &str, toml: &str| {
        let golden = golden.iter().find(|one| one["name"] == name).unwrap();
        let dir = folder(&[("release.toml", toml)]);
        let prepared = read_release(&dir.path().join("release.toml"), Path::new("release.toml")).unwrap();
        let expected: Manifest = serde_json::from_value(golden["manifest"].clone()).unwrap();
        assert_eq!(prepared.manifest, expected);
        assert_eq!(prepared.id.to_string(), golden["id"].as_str().unwrap(), "{name}"); // I1
    };
    check("the least a release can say", "[model]\nprovider = 'openai'\nsnapshot = 'gpt-4o-2024-08-06'");
    check(
        "a number that canonical JSON writes without its fraction",
        "[model]\nprovider = 'openai'\nsnapshot = 'gpt-4o-2024-08-06'\nparams = { top_p = 1.0 }",
    );
    check(
        "a whole state contract and pinned weights",
        "[model]\nprovider = 'local'\nsnapshot = 'llama-3.1-8b'
        weights = 'sha256:9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c'
        [state]
        vectors.kb = { embedder = 'text-embedding-3-small', dims = 1536, metric = 'cosine' }
        memory = { schema = 'chat/v1' }
        context = { protocol = 2, accepts = [2, 1] }",
    );
}

/// I12: each of these makes it another embedder.
#[test]
fn an_embedders_whole_contract_is_read() {
    let embedder = |terms: &str| {
        let toml = format!(
            "[model]\nprovider = 'openai'\nsnapshot = 'gpt-4o-2024-08-06'\n[state.vectors.kb]\n{terms}"
        );
        let dir = folder(&[("release.toml", &toml)]);
        let prepared = read_release(&dir.path().join("release.toml"), Path::new("release.toml")).unwrap();
        prepared.manifest.state.vectors["kb"].clone()
    };
    let least = "embedder = 'e'\ndims = 3\nmetric = 'dot'";
    let mut ids = vec![embedder(least).id().unwrap()];
    let terms = [
        "provider = 'local'",
        "endpoint = 'https://e.example/v1'",
        "revision = '4f1c22'",
        "pooling = 'mean'",
        "normalisation = 'l2'",
        "prefix = 'query: '",
    ];
    for term in terms {
        let read = embedder(&format!("{least}\n{term}"));
        let (name, value) = term.split_once(" = ").unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap()[name], value.trim_matches('\''));
        ids.push(read.id().unwrap());
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1 + terms.len());
}

#[test]
fn what_init_makes_is_read_as_it_is() {
    let dir = folder(&init::FILES);
    let project = Project::read(dir.path()).unwrap();
    let agent = &project.agents[&AgentName::new("support").unwrap()];
    let release = agent.release.as_ref().unwrap();
    assert_eq!(release.manifest.model.snapshot, "sim-1-2026-01-15");
    // Texts are stored byte for byte.
    for file in ["prompts/system.md", "tools.json"] {
        let bytes = fs::read(dir.path().join("agents/support").join(file)).unwrap();
        assert!(release.artifacts.values().any(|artifact| artifact.bytes == bytes), "{file}");
    }
    // So is the comment that shows how a real provider is written.
    let text = init::FILES[0].1;
    let commented: String = text
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|l| l.contains(['=', '[']))
        .collect::<Vec<_>>()
        .join("\n");
    let real = commented.split_once("[providers.openai]").unwrap().1;
    let dir = folder(&[("pinrail.toml", &format!("[providers.openai]{real}"))]);
    assert_eq!(Project::read(dir.path()).unwrap().providers.len(), 1);
}

#[test]
fn every_fault_is_named_with_its_file_and_line() {
    let dir = folder(&[
        (
            "pinrail.toml",
            "[server]\nlisten = 7070\n[provider.x]\n[providers.sim]\nbase_url = 'sim'\nretries = 2\n",
        ),
        ("agents/Bad/agent.toml", ""),
        ("agents/a/agent.toml", "teir = 'critical'\n[[segments]]\ntenants = ['acme']\n"),
        ("agents/b/release.toml", "[modle]\n"),
        ("agents/c/agent.toml", "tier = 'urgent'\n"),
        ("agents/d/agent.toml", "tier = \n"),
    ]);
    let text = Project::read(dir.path()).unwrap_err().to_string();
    for expected in [
        "pinrail.toml:2: server.listen: ",
        "pinrail.toml:3: provider is not a key that Pinrail knows; did you mean `providers`?",
        "pinrail.toml:6: providers.sim.retries is not a key",
        "pinrail.toml:4: providers.sim: base_url `sim` must start with",
        "agents/Bad: the folder's name is not a valid agent name",
        "agents/a/agent.toml:1: teir is not a key that Pinrail knows; did you mean `tier`?",
        "agents/a/agent.toml:2: segments[0].name is missing",
        "agents/b/agent.toml: cannot be read",
        "agents/b/release.toml:1: modle is not a key that Pinrail knows; did you mean `model`?",
        "agents/c/agent.toml:1: tier: unknown variant `urgent`",
        "agents/d/agent.toml:1: ",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}

#[test]
fn a_release_that_cannot_be_is_refused_by_key() {
    let check = |tail: &str, expected: &str| {
        let tools = r#"[{"type":"function","function":{"name":"look_up"}}]"#;
        let text =
            faults_of(&format!("{MODEL}{tail}"), &[("agents/a/tools.json", tools), ("secret.md", "s")]);
        assert!(text.contains(expected), "{tail}: {expected} is not in\n{text}");
    };
    check("params = { stop = 2026-01-01 }", "agents/a/release.toml:4: model.params holds a date");
    check("params = { top_p = nan }", "model.params holds a number that is not finite");
    check("params = { model = 'x' }", "model.params.model is set by Pinrail itself");
    check(
        "[prompt]\nsystem = 'none.md'",
        "agents/a/release.toml:5: prompt.system names none.md, which cannot be read",
    );
    check("[prompt]\nsystem = '../../secret.md'", "it must be a path inside the agent's folder");
    check("[prompt]\nsystem = '/etc/passwd'", "it must be a path inside the agent's folder");
    check("[prompt]\nmode = 'checked'", "prompt.mode: unknown variant `checked`");
    check("[tools]\nmcp = ['https://x']", "is an address: give the server a name in pinrail.toml");
    check("[tools]\nschema = 'tools.json'\nside_effects = ['lookup']", "did you mean `look_up`?");
    check("[tools]\nside_effects = ['look_up']", "which is not a tool of `schema`");
    check("[state]\nvectors.kb = { embedder = 'e', dims = 3 }", "state.vectors.kb.metric is missing");
    check(
        "[state]\nvectors.kb = { embedder = 'e', dims = 3, metric = 'dot', pooled = 'cls' }",
        "release.toml:5: state.vectors.kb.pooled is not a key that Pinrail knows",
    );
    check("[state]\ncontext = { protocol = 2, accepts = [1] }", "must hold its own protocol 2");
    let other = faults_of(&MODEL.replace("'sim'", "'sin'"), &[]);
    assert!(
        other.contains("release.toml:2: model.provider `sin` is not in pinrail.toml; did you mean `sim`?"),
        "{other}"
    );
    assert_eq!(faults_of(MODEL, &[]), "");
}

#[cfg(unix)]
#[test]
fn a_link_cannot_bring_a_file_from_elsewhere_into_a_release() {
    let dir = folder(&[
        ("pinrail.toml", PROJECT),
        ("secret.md", "s"),
        ("agents/a/agent.toml", ""),
        ("agents/a/release.toml", &format!("{MODEL}[prompt]\nsystem = 'system.md'")),
    ]);
    std::os::unix::fs::symlink("../../secret.md", dir.path().join("agents/a/system.md")).unwrap();
    let text = Project::read(dir.path()).unwrap_err().to_string();
    assert!(text.contains("a link that leaves the agent's folder"), "{text}");
}

#[test]
fn a_catalogue_of_ones_own_is_laid_over() {
    let own = "version = 1\nas_of = '2026-11-20'\n[[providers.house.patterns]]\nkind = 'pinned'\nshapes = ['m@{word}']\nwhy = 'ours'\n";
    let project = "catalogue = 'models.toml'\n[providers.house]\nbase_url = 'https://llm.example.com/v1'\n";
    let dir = folder(&[("pinrail.toml", project), ("models.toml", own)]);
    let read = Project::read(dir.path()).unwrap();
    assert!(read.catalogue.judge("house", "m@1").pins().is_empty());
    let dir = folder(&[("pinrail.toml", project)]);
    let text = Project::read(dir.path()).unwrap_err().to_string();
    assert!(text.contains("pinrail.toml:1: catalogue names models.toml, which cannot be read"), "{text}");
    assert!(text.contains("providers.house.catalogue is missing"), "{text}");
}

#[test]
fn openai_tools_stay_as_they_are_and_mcp_tools_become_openai_tools() {
    let openai = "[ {\"type\":\"function\", \"function\":{\"name\":\"a\",\"strict\":true}} ]\n";
    assert_eq!(tools::read(openai).unwrap().bytes, openai.as_bytes());
    let mcp = r#"{"tools":[{"name":"b","title":"B","description":"does b","inputSchema":{"type":"object","properties":{}}},
                          {"inputSchema":{"type":"object"},"name":"c"}]}"#;
    let read = tools::read(mcp).unwrap();
    assert_eq!(
        String::from_utf8(read.bytes).unwrap(),
        r#"[{"function":{"description":"does b","name":"b","parameters":{"properties":{},"type":"object"}},"type":"function"},{"function":{"name":"c","parameters":{"type":"object"}},"type":"function"}]"#
    );
    assert_eq!(read.converted, 2);
    let check = |text: &str, expected: &str| {
        let what = tools::read(text).unwrap_err();
        assert!(what.contains(expected), "{text}: {what}");
    };
    check("{", "is not JSON");
    check("{}", "must be a JSON array");
    check("[1]", "tool 0 is neither OpenAI-shaped");
    check(r#"[{"name":"a"}]"#, "(`a`) has no inputSchema");
    check(r#"[{"name":"a b","inputSchema":{}}]"#, "not a valid tool name");
    check(r#"[{"name":"a","inputSchema":{}},{"function":{"name":"a"}}]"#, "`a` is defined twice");
}

#[test]
fn a_suggestion_is_a_word_that_is_like_the_misspelt_one() {
    assert_eq!(nearest("provdier", ["provider", "snapshot"]), Some("provider"));
    assert_eq!(nearest("colour", ["provider", "snapshot"]), None);
}

#[test]
fn how_long_rolled_back_data_is_kept_is_a_span_of_time() {
    let check = |toml: &str, expected: Result<Option<u64>, &str>| {
        let read = Project::read_settings(folder(&[("pinrail.toml", toml)]).path());
        match expected {
            Ok(ms) => assert_eq!(read.unwrap().aborted_kept_ms, ms, "{toml}"),
            Err(what) => assert!(read.unwrap_err().to_string().contains(what), "{toml}"),
        }
    };
    check("", Ok(None));
    check("[state]\naborted_kept = '12h'", Ok(Some(43_200_000)));
    check("[state]\naborted_kept = '0s'", Ok(Some(0)));
    check("[state]\naborted_kept = 'a month'", Err("aborted_kept"));
    check("[state]\nkept = '12h'", Err("kept"));
}

#[test]
fn how_long_journals_are_kept_is_a_day_at_least() {
    let check = |toml: &str, expected: Result<Option<u64>, &str>| {
        let read = Project::read_settings(folder(&[("pinrail.toml", toml)]).path());
        match expected {
            Ok(ms) => assert_eq!(read.unwrap().journals_kept_ms, ms, "{toml}"),
            Err(what) => assert!(read.unwrap_err().to_string().contains(what), "{toml}"),
        }
    };
    check("", Ok(None));
    check("[journal]\nkeep = '90d'", Ok(Some(7_776_000_000)));
    check("[journal]\nkeep = '12h'", Err("a day at least"));
    check("[journal]\nkeep = 90", Err("keep"));
    check("[journal]\nkept = '90d'", Err("kept"));
}

#[test]
fn a_fallback_may_be_named_by_its_first_digits() {
    let whole = format!("sha256:{}", "ab".repeat(32));
    let settings = format!(
        "[[segments]]\nname = 'vip'\ntenants = ['t']\n[dial]\nfallback = '4F1C22'\nretry_after = '2m'\n\
         [dial.segments.vip]\nfallback = 'sha256:90ab12'\n[dial.segments.default]\nfallback = '{whole}'\n"
    );
    let dir = folder(&[("pinrail.toml", PROJECT), ("agents/a/agent.toml", &settings)]);
    let project = Project::read(dir.path()).unwrap_or_else(|bad| panic!("{bad}"));
    let agent = &project.agents[&AgentName::new("a").unwrap()];
    let named: Vec<_> = agent.fallbacks.iter().map(|named| (named.digits.as_str(), named.line)).collect();
    assert_eq!(named, [("4f1c22", Some(5)), ("90ab12", Some(8))]);
    assert_eq!(agent.fallbacks[1].segment, Some("vip".parse().unwrap()));
    let dial = agent.spec.dial.as_deref().unwrap();
    assert_eq!((dial.fallback, dial.retry_after.unwrap().ms), (None, 120_000));
    assert_eq!(dial.fallback(&"default".parse().unwrap()), Some(ReleaseId(whole.parse().unwrap())));
    let check = |text: &str, expected: &str| {
        let dir = folder(&[("pinrail.toml", PROJECT), ("agents/a/agent.toml", text)]);
        let bad = Project::read(dir.path()).unwrap_err().to_string();
        assert!(bad.contains(expected), "{text}: {bad}");
    };
    check("[dial]\nfallback = 'newest'", "dial.fallback names no release: give 6 to 64 hex digits");
    check("[dial]\nfallbak = '4f1c22'", "fallbak");
    check("[dial.segments.nobody]\nfallback = '4f1c22'", "nobody");
}

const SUITE: &str = "kind: safety\ntests: [{vars: {input: q}, assert: [{type: is-refusal}]}]\n";

#[test]
fn what_an_agent_is_held_to_is_read_from_its_files() {
    let digest = "sha256:1743b50f2728eed52d5ec8466b80991f1ede7ca20721ce5dad91303b6ba6aa68";
    let settings = format!(
        "[gate]\nrequires = ['success']\nrepeats = 5\nalpha = 0.01\nmax_age = '30d'\nbudget = '$5'\nconcurrency = 4\n\
         calls_per_minute = 60\nrepeats_max = 9\nauto = false\njudge = 'a'\n[gate.suites.harm]\nmargin = '1%'\nfloor = 0.9\n\
         [gate.suites.bought]\ndigest = '{digest}'\nkind = 'regression'\nbetter = true\n"
    );
    let dir = folder(&[
        ("pinrail.toml", PROJECT),
        ("agents/a/agent.toml", &settings),
        ("agents/a/evals/harm.yaml", SUITE),
        ("agents/a/evals/data/rows.yaml", "not a suite"),
        ("agents/a/evals/.draft.yaml", "not a suite"),
        ("agents/b/agent.toml", ""),
        ("agents/b/evals/x.json", r#"{"name": "mine", "kind": "success", "tests": "../../../shared.csv"}"#),
        ("shared.csv", "input,__expected\nq,a\n"),
        ("agents/c/agent.toml", ""),
    ]);
    let project = Project::read(dir.path()).unwrap_or_else(|bad| panic!("{bad}"));
    let gate = |name: &str| project.agents[&AgentName::new(name).unwrap()].spec.gate.clone();
    let read = serde_json::to_value(gate("a").unwrap()).unwrap();
    let harm = project.agents[&AgentName::new("a").unwrap()].suites.read["harm"].digest;
    assert_eq!(
        read,
        serde_json::json!({
            "suites": [
                { "name": "bought", "kind": "regression", "digest": digest, "better": true, "imported": true },
                { "name": "harm", "kind": "safety", "digest": harm, "margin": read["suites"][1]["margin"], "floor": 0.9 },
            ],
            "requires": ["success"], "repeats": 5, "alpha": 0.01, "max_age": "30d", "budget": read["budget"], "concurrency": 4,
            "calls_per_minute": 60, "repeats_max": 9, "auto": false, "judge": "a",
        })
    );
    assert!((gate("a").unwrap().suites[1].margin() - 0.01).abs() < 1e-9);
    assert_eq!(gate("b").unwrap().suites[0].name, "mine");
    assert_eq!(gate("c"), None);
}

#[test]
fn faults_of_suites_are_told_with_all_others() {
    let check = |agent: &str, suites: &[(&str, &str)], expected: &str| {
        let mut files = vec![("pinrail.toml", PROJECT), ("agents/a/agent.toml", agent)];
        files.extend(suites);
        let text = Project::read(folder(&files).path()).unwrap_err().to_string();
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    };
    let one = [("agents/a/evals/harm.yaml", SUITE)];
    check(
        "[gate.suites.ham]\nmargin = '1%'",
        &one,
        "agent.toml:1: gate.suites.ham: there is no such suite in evals/; did you mean `harm`?",
    );
    check("[gate.suites.harm]\nkind = 'safety'", &one, "gate.suites.harm.kind is the file's");
    check(
        "[gate]\nrepeat = 3",
        &one,
        "agent.toml:2: gate.repeat is not a key that Pinrail knows; did you mean `repeats`?",
    );
    check("[gate]\nsuites.harm.margins = 1", &one, "gate.suites.harm.margins is not a key");
    check("[gate]\nrepeats = 0", &one, "gate cannot be used: gate: repeats is 0; it must be from 1 to 100");
    check("[gate.suites.harm]\nmargin = '1%'\nbetter = true", &one, "it is one or the other");
    let bad = [("agents/a/evals/harm.yaml", "kind: safety\ntests:\n- vars: {input: q}\n  asert: []\n")];
    check(
        "",
        &bad,
        "agents/a/evals/harm.yaml:4: column 3: tests[0].asert is not a key that Pinrail knows; did you mean `assert`?",
    );
    let text = Project::read(
        folder(&[
            ("pinrail.toml", PROJECT),
            ("agents/a/agent.toml", "[gate.suites.harm]\nfloor = 0.5"),
            bad[0],
        ])
        .path(),
    );
    assert_eq!(text.unwrap_err().0.len(), 1);
    check(
        "",
        &[one[0], ("agents/a/evals/more.yaml", &format!("name: harm\n{SUITE}"))],
        "another suite of this agent is called `harm`",
    );
    check(
        "",
        &[("agents/a/evals/x.yaml", "tests: ../../../../x.csv\nkind: safety")],
        "outside the project's folder",
    );
}

#[test]
fn how_the_server_may_be_observed_is_read_or_refused() {
    let check = |toml: &str, expected: Result<Observe, &str>| {
        let read = Project::read_settings(folder(&[("pinrail.toml", toml)]).path());
        match (read, expected) {
            (Ok(project), Ok(expected)) => assert_eq!(project.observe, expected, "{toml}"),
            (Err(faults), Err(part)) => assert!(faults.to_string().contains(part), "{toml}: {faults}"),
            (read, _) => panic!("{toml}: {:?}", read.map(|project| project.observe)),
        }
    };
    check("", Ok(Observe::default()));
    check("[metrics]\nopen = true", Ok(Observe { metrics_open: true, ..Observe::default() }));
    let sent = Observe {
        otlp: Some("http://127.0.0.1:4318".to_owned()),
        content: true,
        sample_ratio: Some(0.1),
        ..Observe::default()
    };
    let toml = "[telemetry]\notlp = 'http://127.0.0.1:4318'\ncontent = true\nsample_ratio = 0.1";
    check(toml, Ok(sent));
    check("[telemetry]\notlp = '127.0.0.1:4318'", Err("telemetry.otlp must be an address"));
    check("[telemetry]\nsample_ratio = 1.5", Err("telemetry.sample_ratio must be 0.0 to 1.0"));
    check("[telemetry]\nheaders = 'api-key=x'", Err("telemetry.headers"));
}

/// I15: a file that may be in a repository holds no password, by whichever of the two addresses.
#[test]
fn addresses_of_the_store_are_postgres_and_hold_no_password() {
    for key in ["url", "direct_url"] {
        let read = |url: &str| {
            let toml = format!("[store]\n{key} = '{url}'");
            Project::read_settings(folder(&[("pinrail.toml", &toml)]).path()).map(|project| project.store)
        };
        let refused = |url: &str, part: &str| {
            let faults = read(url).unwrap_err().to_string();
            assert!(faults.contains(&format!("store.{key} {part}")), "{url}: {faults}");
        };
        refused("postgres://me:secret@db/pinrail", "must not hold a password");
        refused("postgres://me@db/pinrail?password=secret", "must not hold a password");
        refused("db:5432", "must begin with postgres://");
        let store = read("postgres://me@db/pinrail").unwrap();
        assert_eq!(store.url.or(store.direct_url).as_deref(), Some("postgres://me@db/pinrail"));
    }
}
