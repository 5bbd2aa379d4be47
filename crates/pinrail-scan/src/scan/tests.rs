use std::fs;

use proptest::prelude::*;

use super::*;
use crate::baseline::Baseline;
use crate::fix;
use crate::report::sarif::sarif;

/// 2026-11-21.
const NOW: Timestamp = Timestamp(1_795_219_200_000);

fn options(base: &Path) -> Options<'static> {
    Options {
        walk: Walk {
            roots: vec![base.to_owned()],
            no_ignore: false,
            hidden: false,
            vendored: false,
            file_bytes_max: FILE_BYTES_MAX,
            threads: 1,
        },
        base: base.to_owned(),
        leave_out: BTreeSet::new(),
        catalogue: Catalogue::embedded(),
        now: NOW,
        within_days: 30,
        rules: Rule::ALL.into_iter().filter(|rule| *rule != Rule::PinnedModel).collect(),
        provider: None,
        min_confidence: Confidence::Medium,
        tests: false,
    }
}

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn places(report: &Report) -> Vec<String> {
    let place = |f: &Finding| format!("{}:{}:{} {} {}", f.path, f.line, f.column, f.rule, f.id);
    report.findings.iter().filter(|finding| finding.counts()).map(place).collect()
}

fn check(files: &[(&str, &str)], expected: &[&str]) {
    let folder = tree(files);
    assert_eq!(places(&scan(&options(folder.path()))), expected, "{files:?}");
}

const USE: &str = "model = \"gpt-5.4\"\n";

#[test]
fn findings_say_file_line_and_column() {
    check(&[("a.py", USE)], &["a.py:1:10 floating-model gpt-5.4"]);
    check(
        &[("b/a.ts", "// é\nconst é = {model: 'openai/gpt-5.4'}")],
        &["b/a.ts:2:27 floating-model gpt-5.4"],
    );
    check(
        &[("a.py", "m = X(model='claude-3-opus-20240229')")],
        &["a.py:1:14 retired-model claude-3-opus-20240229"],
    );
    check(&[("a.py", "m = X(model='gpt-9-next')")], &["a.py:1:14 unknown-model gpt-9-next"]);
    check(&[("a.py", "m = X(model='o3-2025-04-16')")], &["a.py:1:14 retiring-model o3-2025-04-16"]);
    check(&[("a.py", "m = X(model='gpt-5.4-2026-03-05')")], &[]);
    check(&[(".env", "OPENAI_MODEL=gpt-5.4\r\n")], &[".env:1:14 floating-model gpt-5.4"]);
    check(&[("run", "#!/bin/sh\ntool --model gpt-5.4")], &["run:2:14 floating-model gpt-5.4"]);
}

#[test]
fn a_notebooks_findings_say_the_cell() {
    let text = "{\"cells\": [{\"cell_type\": \"markdown\", \"source\": []},\n {\"cell_type\": \"code\", \"source\": [\n  \"import x\\n\",\n  \"m = X(model=\\\"gpt-4.1\\\")\"]}]}";
    let folder = tree(&[("a.ipynb", text)]);
    let report = scan(&options(folder.path()));
    assert_eq!(places(&report), ["a.ipynb:4:18 floating-model gpt-4.1"]);
    assert_eq!(report.findings[0].cell, Some(Cell { number: 2, line: 2 }));
    let fixed = fix::prepare(&folder.path().join("a.ipynb"), &fix::edits(&report.findings)).unwrap();
    let after = String::from_utf8(fixed.after).unwrap();
    assert_eq!(after, text.replace("gpt-4.1", "gpt-4.1-2025-04-14"), "nothing else changes");
}

#[test]
fn what_is_not_ours_is_not_read() {
    check(
        &[("node_modules/a.js", USE), ("vendor/a.go", USE), (".hidden/a.py", USE), ("yarn.lock", USE)],
        &[],
    );
    check(&[("a.min.js", USE), ("README.md", USE), ("a.py", "model = \"gpt-5.4\"\0")], &[]);
    check(
        &[(".ignore", "gen/\n"), ("gen/a.py", USE), (".github/w.yml", "model: gpt-5.4")],
        &[".github/w.yml:1:8 floating-model gpt-5.4"],
    );
    check(&[("tests/a.py", USE), ("test_a.py", USE), ("a.test.ts", USE), ("a.d.ts", USE)], &[]);
    let folder =
        tree(&[(".ignore", "gen/\n"), ("gen/a.py", USE), ("node_modules/a.js", USE), ("tests/a.py", USE)]);
    let mut all = options(folder.path());
    (all.walk.no_ignore, all.walk.vendored, all.tests) = (true, true, true);
    assert_eq!(scan(&all).findings.len(), 3);
    let minified = format!("{}var m={{model:\"gpt-5.4\"}}", "a=1;".repeat(1_100));
    let folder = tree(&[("a.js", &minified)]);
    let report = scan(&options(folder.path()));
    assert_eq!((report.findings.len(), report.skipped.long_lines), (0, 1));
}

#[test]
fn a_file_of_data_with_many_ids_is_a_table() {
    let many: String = (0..40).map(|n| format!("- model: gpt-5.{n}\n")).collect();
    check(
        &[("many.yaml", &many), ("few.yaml", "- model: gpt-5.4\n")],
        &["few.yaml:1:10 floating-model gpt-5.4"],
    );
}

#[test]
fn comments_ignore_with_a_reason_and_are_told_when_they_ignore_nothing() {
    let with = |comment: &str| format!("model = \"gpt-5.4\"  # pinrail: ignore {comment}\n");
    check(&[("a.py", &with("floating-model -- an experiment"))], &[]);
    check(&[("a.py", &with("floating"))], &["a.py:1:10 floating-model gpt-5.4", "a.py:1:22 bad-ignore "]);
    check(
        &[("a.py", &with("retired -- x"))],
        &["a.py:1:10 floating-model gpt-5.4", "a.py:1:22 unused-ignore "],
    );
    check(&[("a.py", "# pinrail: ignore -- all of it\nmodel = \"gpt-5.4\"\n")], &[]);
}

#[test]
fn a_baseline_knows_lines_wherever_they_stand_and_counts_them() {
    let folder = tree(&[("a.py", "model = \"gpt-5.4\"\nmodel = \"gpt-5.4\"\n")]);
    let baseline = Baseline::of(&scan(&options(folder.path())).findings, None);
    let mut baseline = Baseline::from_json(baseline.to_json().as_bytes()).unwrap();
    assert_eq!((baseline.entries.len(), baseline.entries[0].count), (1, 2));
    baseline.entries[0].reason = "known".to_owned();

    fs::write(folder.path().join("a.py"), "\n\n  model  = \"gpt-5.4\"\nx(model=\"gpt-5.5\")\n").unwrap();
    let mut report = scan(&options(folder.path()));
    let stale = baseline.apply(&mut report.findings);
    assert_eq!(places(&report), ["a.py:4:10 floating-model gpt-5.5"]);
    assert_eq!((stale.len(), stale[0].count), (1, 1), "one of the two lines is gone");
    let newer = Baseline::of(&report.findings, Some(&baseline));
    let reasons: Vec<_> =
        newer.entries.iter().map(|entry| (entry.id.as_str(), entry.reason.as_str())).collect();
    assert_eq!(reasons, [("gpt-5.4", "known"), ("gpt-5.5", "")]);
    assert!(Baseline::from_json(b"{\"version\": 2, \"entries\": []}").is_err());
}

#[test]
fn fixes_keep_everything_else_as_it_is() {
    let text = "\u{FEFF}a = 1\r\nb = X(model=\"openai/gpt-4.1\")\r\nc = X(model=\"gpt-4o\")";
    let folder = tree(&[("a.py", text)]);
    let path = folder.path().join("a.py");
    let report = scan(&options(folder.path()));
    let fixed = fix::prepare(&path, &fix::edits(&report.findings)).unwrap();
    assert!(fix::diff(&fixed, "a.py").contains("+b = X(model=\"openai/gpt-4.1-2025-04-14\")"));
    #[cfg(unix)]
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o750)).unwrap();
    fix::write(&fixed).unwrap();
    let after = text.replace("openai/gpt-4.1", "openai/gpt-4.1-2025-04-14");
    assert_eq!(fs::read_to_string(&path).unwrap(), after, "gpt-4o may be any of several");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o750);
    }
    assert!(matches!(fix::write(&fixed), Err(fix::FixError::Changed { .. })), "it changed since it was read");
    assert!(fix::edits(&scan(&options(folder.path())).findings).is_empty(), "nothing more to fix");
}

#[test]
fn sarif_has_what_a_code_scanning_page_asks_for() {
    let folder = tree(&[(
        "a b.py",
        "X(model=\"gpt-5.4\")\nX(model=\"gpt-5.5\")  # pinrail: ignore -- known\n  X(model=\"gpt-5.4\")\n",
    )]);
    let sarif = sarif(&scan(&options(folder.path())), "1.2.3");
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for rule in rules {
        for field in [
            "/id",
            "/shortDescription/text",
            "/fullDescription/text",
            "/help/text",
            "/defaultConfiguration/level",
            "/properties/precision",
        ] {
            assert!(rule.pointer(field).is_some_and(serde_json::Value::is_string), "{field} of {rule}");
        }
    }
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    let first = &results[0];
    let index = usize::try_from(first["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(rules[index]["id"], first["ruleId"]);
    let place = &first["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"], serde_json::json!({ "uri": "a%20b.py", "uriBaseId": "%SRCROOT%" }));
    let region = &place["region"];
    assert_eq!(
        (&region["startLine"], &region["startColumn"], &region["endColumn"]),
        (&1.into(), &10.into(), &17.into())
    );
    let line_hash = |result: &serde_json::Value| {
        let hash = result["partialFingerprints"]["primaryLocationLineHash"].as_str().unwrap();
        hash.split_once(':').map(|(hash, place)| (hash.to_owned(), place.to_owned())).unwrap()
    };
    // Lines that look alike are told apart by their place among each other.
    let (hashes, places): (Vec<_>, Vec<_>) = results.iter().map(line_hash).unzip();
    assert_eq!(places, ["1", "1", "2"]);
    assert!(hashes[0] == hashes[2] && hashes[0] != hashes[1]);
    assert_eq!(results[1]["suppressions"][0]["kind"], "inSource");
    assert!(first.get("suppressions").is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever a file holds, a scan ends, and what it says stands where it says.
    #[test]
    fn any_bytes_are_scanned(
        parts in proptest::collection::vec(prop_oneof![
            Just("model"), Just("="), Just(":"), Just("\""), Just("'"), Just("`"), Just("gpt-4.1"), Just("claude-3-opus-20240229"),
            Just("("), Just(")"), Just("{"), Just("}"), Just("["), Just("]"), Just("\n"), Just("# pinrail: ignore"), Just(" -- x"),
            Just(","), Just("//"), Just("  "), Just("- "), Just("é𝄞"), Just("\\"), Just("--model "), Just("|"), Just("?"), Just(".")
        ], 0..40),
        ending in prop_oneof![Just("py"), Just("ts"), Just("yaml"), Just("json"), Just("toml"), Just("env"), Just("sh"), Just("ipynb"), Just("rs"), Just("rb")]
    ) {
        let folder = tree(&[(&format!("a.{ending}"), &parts.concat())]);
        let mut options = options(folder.path());
        options.min_confidence = Confidence::Low;
        let report = scan(&options);
        let path = folder.path().join(format!("a.{ending}"));
        let bytes = fs::read(&path).unwrap();
        for finding in report.findings.iter().filter(|finding| !finding.id.is_empty()) {
            prop_assert_eq!(&bytes[finding.bytes.clone()], finding.id.as_bytes());
        }
        let edits = fix::edits(&report.findings);
        let fixed = fix::prepare(&path, &edits).unwrap();
        fix::write(&fixed).unwrap();
        prop_assert!(fix::edits(&scan(&options).findings).is_empty());
    }
}
