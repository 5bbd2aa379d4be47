use super::*;

fn refused(text: &str) -> String {
    Script::from_toml(text).expect_err("the script is wrong").to_string()
}

#[test]
fn the_builtin_script_has_the_promised_models() {
    let script = Script::builtin();
    let ids: Vec<&str> = script.checkpoints.iter().map(|c| c.id.as_str()).collect();
    assert_eq!(ids, ["sim-1-2026-01-15", "sim-1-2026-06-01", "sim-2-2026-09-01"]);
    let aliases: Vec<&str> = script.aliases.iter().map(|a| a.id.as_str()).collect();
    assert_eq!(aliases, ["sim-1", "sim-1-latest"]);
    let accuracy: Vec<f64> = script.checkpoints.iter().map(|c| c.accuracy.get()).collect();
    assert_eq!(accuracy, [0.95, 0.80, 0.98]);
}

#[test]
fn every_key_can_be_written() {
    let script = Script::from_toml(
        r#"
        api_key = "k"
        [[checkpoint]]
        id = "a"
        fingerprint = "fp_a"
        created = 7
        accuracy = 1
        refusal_rate = 0.1
        empty_rate = 0.1
        content_filter_rate = 0.1
        error_rate = 0.1
        garbage_rate = 0.1
        hang_rate = 0.1
        cut_stream_rate = 0.1
        stall_rate = 0.1
        error_statuses = [{ status = 429, weight = 3, retry_after_seconds = 2 }, { status = 503 }]
        latency = { first_ms = 1, per_token_ms = 2, jitter = 0.5, tail_rate = 0.01, tail_factor = 10 }
        verbosity = "chatty"
        style = "Ahoy!"
        sampling = true
        policy = { fixed = "text" }
        scripted = [
            { contains = "refund", system_contains = "kind", reply = "Done.", tool = { name = "t", arguments = { a = 1 } } },
            { contains = "refund", result_contains = "late", rate = 0.5, tools = [{ name = "t" }, { name = "u" }] },
        ]
        tools = { call_rate = 0.5, wrong_tool_rate = 0.1, unknown_tool_rate = 0.1, malformed_rate = 0.1 }
        replaced_by = { at_request = 50, to = "b" }
        [[checkpoint]]
        id = "b"
        policy = "echo"
        [[alias]]
        id = "latest"
        checkpoint = "a"
        mask = true
        rotate = [{ at_request = 100, to = "b" }, { after_seconds = 60, to = "a" }]
        "#,
    )
    .unwrap();
    assert_eq!(script.checkpoints[0].policy, Policy::Fixed("text".to_owned()));
    assert!(script.checkpoints[1].fingerprint.starts_with("fp_"), "a fingerprint is derived");
    assert_eq!(script.aliases[0].rotate.len(), 2);
}

#[test]
fn a_wrong_script_says_where_and_what_next() {
    let check = |text: &str, wants: &[&str]| {
        let said = refused(text);
        for want in wants {
            assert!(said.contains(want), "{said:?} lacks {want:?} for {text}");
        }
    };
    check("", &["checkpoint", "add a [[checkpoint]]"]);
    check("[[checkpoint]]\nid = \"a\"\nacuracy = 0.5", &["line 3", "acuracy"]);
    check("[[checkpoint]]\nid = \"a\"\n\naccuracy = 1.5", &["line 4", "1.5", "between 0 and 1"]);
    check("[[checkpoint]\nid = 1", &["line 1"]);
    check("[[checkpoint]]\nid = \"\"", &["visible ASCII"]);
    check("[[checkpoint]]\nid = \"a\"\n[[alias]]\nid = \"a\"\ncheckpoint = \"a\"", &["two models", "`a`"]);
    check(
        "[[checkpoint]]\nid = \"a\"\n[[alias]]\nid = \"l\"\ncheckpoint = \"b\"",
        &["`l`", "`b`", "use one of a"],
    );
    check("[[checkpoint]]\nid = \"a\"\nreplaced_by = { at_request = 1, to = \"a\" }", &["replaces itself"]);
    check("[[checkpoint]]\nid = \"a\"\nreplaced_by = { to = \"a\" }", &["exactly one condition"]);
    check("[[checkpoint]]\nid = \"a\"\nreplaced_by = { at_request = 0, to = \"a\" }", &["counted from 1"]);
    check("[[checkpoint]]\nid = \"a\"\nerror_statuses = [{ status = 200 }]", &["200", "400 to 599"]);
    check(
        "[[checkpoint]]\nid = \"a\"\nscripted = [{ contains = \"x\" }]",
        &["does nothing", "`reply` or a `tool`"],
    );
    check(
        "[[checkpoint]]\nid = \"a\"\nscripted = [{ contains = \"x\", tool = { name = \"t\" }, tools = [{ name = \"u\" }] }]",
        &["both `tool` and `tools`", "write all calls in `tools`"],
    );
    check("[[checkpoint]]\nid = \"a\"\nlatency = { first_ms = 900000 }", &["latency", "600000"]);
}

#[test]
fn too_many_models_are_refused() {
    let one_more = crate::limits::MODELS_MAX + 1;
    let text: String = (0..one_more).map(|at| format!("[[checkpoint]]\nid = \"m{at}\"\n")).collect();
    assert!(refused(&text).contains("256"));
}
