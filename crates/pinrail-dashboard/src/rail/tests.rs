use super::*;

fn line(agent: &str) -> Line {
    let pinned = |deployment, model: &str| Pinned {
        deployment: DeploymentId(deployment),
        release: ReleaseId(format!("sha256:{}", "ab".repeat(32)).parse().unwrap()),
        model: model.to_owned(),
        since: Timestamp(1_799_000_000_000),
    };
    Line {
        agent: agent.parse().unwrap(),
        segment: SegmentName::default_segment(),
        active: Some(pinned(1, "gpt-5.4-2026-03-05")),
        candidate: Some(Candidate {
            pinned: pinned(2, "<i>sim</i>"),
            weight: Share::from_bps(500).unwrap(),
            step: Some("canary 5%, step 2 of 4".to_owned()),
        }),
        dial: None,
        hold: None,
        warnings: Vec::new(),
        runs_per_minute: Some(12.44),
        errors: Errors { errors: 1, ended: 3, rate: Some(1.0 / 3.0) },
        minutes: (0..60).collect(),
    }
}

fn rail(lines: Vec<Line>) -> Rail {
    let totals = Totals { agents: lines.len(), lines: lines.len(), ..Totals::default() };
    Rail {
        epoch: Epoch(1),
        seq: LedgerSeq(1),
        totals,
        q: None,
        warn: false,
        lines,
        complete: true,
        next: None,
    }
}

#[test]
fn a_line_says_what_serves_what_is_proven_and_how_it_goes() {
    let html = rail(vec![line("support")]).main(&Shell::of("/")).into_string();
    let check = |needle: &str| assert!(html.contains(needle), "{needle}\n{html}");
    check("gpt-5.4-2026-03-05");
    check("&lt;i&gt;sim&lt;/i&gt;");
    check("<b class=\"share\">5 %</b>");
    check("canary 5%, step 2 of 4");
    check("12/min");
    check("1 of 3"); // Three runs are no rate.
    check("1\u{202f}770 runs in the last hour");
    check("href=\"/releases/abababababab\"");
}

#[test]
fn a_page_of_busy_lines_stays_small() {
    let lines = (0..LINES_MAX).map(|n| line(&format!("agent-number-{n:03}"))).collect();
    let html = crate::page::document(&rail(lines), &Shell::of("/"));
    assert!(html.len() < 100_000, "{}", html.len());
    let mut quiet = line("support");
    (quiet.candidate, quiet.errors) = (None, Errors { errors: 2, ended: 400, rate: Some(0.005) });
    let html = rail(vec![quiet]).main(&Shell::of("/")).into_string();
    assert!(html.contains("0.5 %"));
}

#[test]
fn only_what_changed_is_sent_and_each_part_is_in_its_place() {
    let before = rail(vec![line("a"), line("b")]);
    let mut after = before.clone();
    after.lines[1].runs_per_minute = Some(99.0);
    let (one, other) = (before.parts(&Shell::of("/")), after.parts(&Shell::of("/")));
    let changed: Vec<_> = one.iter().zip(&other).filter(|(a, b)| a.digest() != b.digest()).collect();
    assert_eq!(changed.len(), 1);
    let html = before.main(&Shell::of("/")).into_string();
    assert!(one.iter().all(|part| html.contains(part.html.as_str())));
}

#[test]
fn hostile_reasons_stay_in_their_attributes() {
    let mut odd = line("support");
    let why = "\" onmouseover=\"alert(1)\u{202e}<b>".to_owned();
    odd.hold = Some(Held { deployment: DeploymentId(3), since: Timestamp(0), why });
    let html = odd.html(Timestamp(1_800_000_000_000)).into_string();
    assert!(html.contains("title=\"&#34; onmouseover=&#34;alert(1)U+202E&#60;b&#62;\">held by #3"), "{html}");
}

#[test]
fn an_empty_rail_says_what_to_type() {
    let html = rail(Vec::new()).main(&Shell::of("/")).into_string();
    assert!(html.contains("pinrail init"), "{html}");
}
