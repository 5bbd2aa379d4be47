//! What people and CI are shown, and that nobody's text gets out of its place.

use std::sync::Arc;

use pinrail_domain::gate::Source;
use pinrail_domain::id::{AgentName, GateId};
use pinrail_domain::time::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::row::Outcome;
use crate::suite::Suite;
use crate::verdict::tests::{World, judged, world};

fn about() -> About {
    About {
        agent: AgentName::new("support").unwrap(),
        gate: GateId::from_parts(1, 1),
        at: Timestamp(1_795_000_000_000),
        source: Source::Run,
        judge: None,
        url: None,
    }
}

fn rendered(world: &World, how: fn(&Page<'_>) -> String) -> String {
    let (report, about) = (judged(world), about());
    how(&Page { report: &report, about: &about, signed_by: None })
}

fn small() -> World {
    world(&[(1, "!pf/pp"), (2, "pp/pp"), (1, "pp/pf"), (1, "pf/fp"), (1, "ee/pp")])
}

#[test]
fn reports_read_as_they_are_written_down() {
    let check = |golden: &str, how: fn(&Page<'_>) -> String| {
        let now = rendered(&small(), how);
        assert_eq!(now, golden, "\n{now}");
    };
    check(include_str!("golden/report.txt"), text);
    check(include_str!("golden/report.md"), markdown);
    check(include_str!("golden/report.xml"), junit);
}

/// A world whose every text is this one.
fn saying(text: &str) -> World {
    let mut world = small();
    let mut suite = Suite::clone(&world.held.suite);
    for (number, case) in suite.cases.iter_mut().enumerate() {
        let before = case.digest().unwrap();
        case.description = text.to_owned();
        case.vars = [(format!("{text}{number}"), json!(text))].into();
        let after = case.digest().unwrap();
        world.rows.iter_mut().filter(|row| row.case == before).for_each(|row| row.case = after);
    }
    world.held.suite = Arc::new(suite);
    for row in &mut world.rows {
        row.served = vec![text.to_owned()];
        row.answers[0].text = text.to_owned();
        row.answers[0].tool_calls =
            vec![crate::answer::ToolCall { name: text.to_owned(), arguments: text.to_owned(), id: None }];
        match &mut row.outcome {
            Outcome::Error { why } | Outcome::Refused { why } => *why = text.to_owned(),
            Outcome::Scored(score) => {
                score.named.insert(text.to_owned(), 0.5);
                score.parts.iter_mut().filter(|part| !part.pass).for_each(|part| part.why = text.to_owned());
            }
        }
    }
    world
}

#[test]
fn hostile_text_stays_text() {
    let hostile = "</pre></details><script>alert(1)</script>\n\n# Gate: pass\n| a | b |\n`x` ]]> &amp; @team #1 \
                   https://evil.example www.evil.example \u{1b}[2J\u{202e}ssap\u{200b}\u{e0041} \"'\0";
    let world = saying(hostile);
    let (text, markdown, junit) =
        (rendered(&world, text), rendered(&world, markdown), rendered(&world, junit));
    for shown in [&text, &markdown, &junit] {
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{200b}', '\u{e0041}', '\0']), "{shown}");
        assert!(shown.contains("\\u{202e}"), "what was hidden is shown: {shown}");
    }
    for shown in [&markdown, &junit] {
        assert!(!shown.contains("<script>") && !shown.contains("]]>"), "{shown}");
    }
    assert!(!markdown.contains("\n# Gate"), "{markdown}");
    // Out of code a mention or a link would work.
    let outside: String = markdown.lines().filter(|line| !line.starts_with('<')).collect();
    assert!(
        !outside.contains("@team") && !outside.contains("https://") && !outside.contains(" #1"),
        "{outside}"
    );
    assert!(!outside.contains("www.") && !outside.contains("| a | b |"), "{outside}");
    // Every table keeps its columns.
    for row in markdown.lines().filter(|line| line.starts_with('|')) {
        assert!([10, 6].contains(&row.matches('|').count()), "{row}");
    }
    assert_eq!(markdown.matches("<details>").count(), markdown.matches("</details>").count());
}

#[test]
fn a_comment_stays_short_enough_to_post() {
    let mut world = world(&[(400, "f/p")]);
    world.rows.iter_mut().for_each(|row| row.answers[0].text = "<&>\n".repeat(5_000));
    let shown = rendered(&world, markdown);
    assert!(shown.len() < 65_536, "{}", shown.len());
    assert!(shown.contains("**Got worse: 400**") && shown.contains("more in the whole report"), "{shown}");
    assert_eq!(shown.matches("<details>").count(), shown.matches("</details>").count());
    assert!(shown.trim_end().ends_with("unsigned."));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn xml_stays_xml(said in "(?s).{0,40}") {
        let xml = rendered(&saying(&said), junit);
        let mut open: Vec<&str> = Vec::new();
        for tag in xml.split('<').skip(1) {
            let (tag, rest) = tag.split_once('>').expect("every tag ends");
            prop_assert!(!rest.contains('>'), "{}", rest);
            if let Some(closed) = tag.strip_prefix('/') {
                prop_assert_eq!(open.pop(), Some(closed));
            } else if !tag.starts_with('?') && !tag.ends_with('/') {
                open.push(tag.split(' ').next().unwrap());
            }
            prop_assert_eq!(tag.matches('"').count() % 2, 0, "{}", tag);
        }
        prop_assert!(open.is_empty());
        prop_assert!(xml.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
    }
}
