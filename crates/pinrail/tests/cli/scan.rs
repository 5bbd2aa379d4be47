//! `pinrail scan` on small trees: exit codes, formats, fixes, baselines. No server is asked.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::{NOBODY, command, text};

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn scan(folder: &Path, args: &[&str]) -> Output {
    command(NOBODY, &[&["scan"], args].concat()).current_dir(folder).output().unwrap()
}

const FLOATING: &str = "llm = ChatOpenAI(model=\"gpt-4.1\")\n";
const PINNED: &str = "llm = ChatOpenAI(model=\"gpt-5.4-2026-03-05\")\n";

#[test]
fn the_exit_code_says_whether_something_was_found() {
    let check = |content: &str, args: &[&str], expected: i32, says: &str| {
        let folder = tree(&[("a.py", content)]);
        let output = scan(folder.path(), args);
        let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(expected), "{args:?}: {all}");
        assert!(all.contains(says), "{args:?}: {all}");
    };
    check(PINNED, &[], 0, "nothing found in 1 files");
    check(FLOATING, &[], 1, "a.py:1:25  high: the value of `model`");
    check(FLOATING, &[], 1, "Pinned: gpt-4.1-2025-04-14");
    check(FLOATING, &["--fail-on", "retired"], 0, "floating-model");
    check(FLOATING, &["--fail-on", "none"], 0, "floating-model");
    check(FLOATING, &["--except", "floating,retiring,retired"], 0, "nothing found");
    check(FLOATING, &["--provider", "anthropic"], 0, "nothing found");
    check(PINNED, &["--all", "--verbose"], 0, "pinned-model");
    check("print('gpt-4.1')", &[], 0, "2 less sure findings are not shown");
    check("print('gpt-4.1')", &["--min-confidence", "low"], 1, "low: given to a call");
    check(FLOATING, &["nowhere"], 3, "not read: nowhere");
    check(FLOATING, &["--only", "nothing"], 2, "there is no rule `nothing`");
    check(FLOATING, &["--fail-on", "nothing"], 2, "there is no rule `nothing`");
    check(FLOATING, &["--provider", "nobody"], 2, "the catalogue has no provider `nobody`");
    check(FLOATING, &["--dry-run"], 2, "--fix");
    check(
        FLOATING,
        &["--format", "github"],
        1,
        "::warning file=a.py,line=1,col=25,endColumn=32,title=floating-model::",
    );
}

#[test]
fn json_and_sarif_are_alone_on_stdout() {
    let folder = tree(&[("a.py", FLOATING)]);
    let output = scan(folder.path(), &["--json", "--only", "floating"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(text(&output.stderr), "");
    let finding = &json["findings"][0];
    assert_eq!((&finding["rule"], &finding["id"]), (&"floating-model".into(), &"gpt-4.1".into()));
    assert_eq!((&finding["provider"], &finding["fix"]), (&"openai".into(), &"gpt-4.1-2025-04-14".into()));
    assert_eq!((&json["failed"], &json["skipped"]["read"]), (&true.into(), &1.into()));

    let output = scan(folder.path(), &["--sarif", "--sarif-file", "out.sarif", "--only", "floating"]);
    let sarif: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 1);
    let file: Value = serde_json::from_slice(&fs::read(folder.path().join("out.sarif")).unwrap()).unwrap();
    assert_eq!(file, sarif);
}

#[test]
fn a_fix_is_shown_first_and_then_made() {
    let folder = tree(&[
        ("a.py", FLOATING),
        ("b.py", "x = ChatOpenAI(model=\"chatgpt-4o-latest\")\ny = X(model=\"gpt-4\")\n"),
    ]);
    let output = scan(folder.path(), &["--fix", "--dry-run"]);
    assert!(
        text(&output.stdout).contains("+llm = ChatOpenAI(model=\"gpt-4.1-2025-04-14\")"),
        "{}",
        text(&output.stdout)
    );
    assert_eq!(fs::read_to_string(folder.path().join("a.py")).unwrap(), FLOATING);

    let output = scan(folder.path(), &["--fix"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("1 pinned in 1 files"), "{}", text(&output.stderr));
    let after = fs::read_to_string(folder.path().join("a.py")).unwrap();
    assert_eq!(after, FLOATING.replace("gpt-4.1", "gpt-4.1-2025-04-14"));
    assert!(text(&scan(folder.path(), &["--fix"]).stderr).contains("0 pinned"));
}

#[test]
fn a_baseline_leaves_out_what_was_there() {
    let folder = tree(&[("a.py", FLOATING)]);
    let output = scan(folder.path(), &["--write-baseline", "base.json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = scan(folder.path(), &["--baseline", "base.json", "--verbose"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(
        text(&output.stdout).contains("by the baseline, which gives no reason"),
        "{}",
        text(&output.stdout)
    );

    fs::write(folder.path().join("a.py"), format!("import x\n{PINNED}")).unwrap();
    let output = scan(folder.path(), &["--baseline", "base.json"]);
    assert!(text(&output.stdout).contains("is not there any more"), "{}", text(&output.stdout));
    fs::write(folder.path().join("base.json"), "{}").unwrap();
    assert_eq!(scan(folder.path(), &["--baseline", "base.json"]).status.code(), Some(1));
}
