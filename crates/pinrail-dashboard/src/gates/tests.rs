use pinrail_api::gates::{GateEnd, GateProgress, GateSettings};
use pinrail_domain::id::LedgerSeq;
use pinrail_domain::key::Scope;
use pinrail_domain::ledger::Actor;
use pinrail_domain::stats::paired::{Method, Paired, Repeats, Scale};
use pinrail_domain::stats::{Better, Verdict};
use pinrail_domain::time::Timestamp;

use super::case::{AnswerView, ArmView, CaseView, PartView, Said};
use super::gate::{Cases, Counts, GatePage, Metric, Pairs, Sealed, Show, SuiteJudged, SuiteResult};
use super::*;
use crate::Who;

const HOSTILE: &str = "<script>alert(1)</script></textarea>\u{202e}\u{1b}[31m\"'";

fn gate(status: &str) -> Gate {
    let over = status != "running";
    Gate {
        gate: "gate_00000000010000000000000001".parse().unwrap(),
        agent: "support".parse().unwrap(),
        deployment: Some(DeploymentId(2)),
        candidate: ReleaseId(Digest::of(b"new")),
        incumbent: Some(ReleaseId(Digest::of(b"old"))),
        created_at: Timestamp(1_799_999_000_000),
        status: status.to_owned(),
        settings: GateSettings {
            suites: Vec::new(),
            repeats: 3,
            repeats_max: 6,
            alpha: 0.05,
            budget_nano_usd: 10_000_000_000,
            concurrency: 8,
            calls_per_minute: Some(60),
            reuse: true,
            judge: Some(("judge".parse().unwrap(), ReleaseId(Digest::of(b"judge")))),
            by: Actor::Open,
            reason: HOSTILE.to_owned(),
        },
        progress: GateProgress {
            done: 30,
            total: 120,
            repeats: 3,
            errors: 2,
            spent_nano_usd: 1_500_000_000,
            suite: (!over).then(|| "basics".to_owned()),
            eta_ms: (!over).then_some(90_000),
            ..GateProgress::default()
        },
        ended: over.then(|| GateEnd {
            at: Timestamp(1_799_999_900_000),
            why: HOSTILE.to_owned(),
            verdict: (status == "finished").then_some(GateVerdict::Fail),
            report: None,
            statement: None,
        }),
        report: None,
    }
}

fn paired() -> Paired {
    Paired {
        verdict: Verdict::Worse,
        method: Method::Exact,
        cases: 40,
        repeats: Repeats { least: 3, most: 3 },
        candidate: Some(0.7),
        incumbent: Some(0.9),
        harm: Some(0.2),
        harm_low: Some(0.12),
        harm_high: Some(0.29),
        p_not_worse: None,
        p_worse: None,
        discordant: None,
        needed: None,
    }
}

fn answer(repeat: u32, pass: Option<bool>, text: &str) -> AnswerView {
    AnswerView {
        repeat,
        pass,
        score: pass.map(|pass| if pass { 1.0 } else { 0.25 }),
        why: HOSTILE.to_owned(),
        parts: vec![PartView {
            kind: "contains".to_owned(),
            pass: true,
            score: 1.0,
            why: HOSTILE.to_owned(),
        }],
        texts: vec![text.to_owned()],
        calls: vec![format!("refund({HOSTILE})")],
        latency_ms: 840.0,
        cost_nano_usd: Some(1_000_000),
        ..AnswerView::default()
    }
}

fn case(candidate: Vec<AnswerView>, incumbent: Vec<AnswerView>) -> CaseView {
    CaseView {
        suite: "basics".to_owned(),
        number: 7,
        description: HOSTILE.to_owned(),
        must_pass: true,
        flipped: true,
        asked: vec![Said { role: "user".to_owned(), text: HOSTILE.to_owned() }],
        expected: vec![format!("icontains: {HOSTILE}")],
        candidate: ArmView { passed: 0, counted: 2, more: 0, answers: candidate },
        incumbent: Some(ArmView { passed: 2, counted: 2, more: 4, answers: incumbent }),
    }
}

fn page(status: &str) -> GatePage {
    let metric = |name: &str, decides, scale| Metric {
        name: name.to_owned(),
        decides,
        scale,
        better: Better::Higher,
        margin: 0.05,
        candidate: Some(0.7),
        incumbent: Some(0.9),
        compared: Some(paired()),
    };
    let judged = SuiteJudged {
        verdict: GateVerdict::Fail,
        why: HOSTILE.to_owned(),
        floor: None,
        metrics: vec![metric("pass_rate", true, Scale::Unit), metric("latency_ms", false, Scale::Amount)],
        pairs: Pairs { both: 28, only_candidate: 1, only_incumbent: 8, neither: 3, not_compared: 0 },
        counts: Counts {
            cases: 40,
            compared: 40,
            worse: 8,
            better: 1,
            unstable: 2,
            lost: 1,
            reasons: vec![HOSTILE.into()],
        },
    };
    let suite = SuiteResult {
        name: "basics".to_owned(),
        kind: SuiteKind::Success,
        digest: Digest::of(b"s"),
        margin: 0.05,
        judged: (status == "finished").then_some(judged),
    };
    let sealed = Sealed {
        seq: LedgerSeq(12),
        statement: Digest::of(b"statement"),
        signed_by: None,
        source: "run".to_owned(),
    };
    let failed = vec![answer(0, Some(true), "same"), answer(1, Some(false), "I can’t say when.")];
    let passed = vec![answer(0, Some(true), "same"), answer(1, Some(true), "You get it on Friday.")];
    GatePage {
        gate: gate(status),
        suites: vec![suite],
        served: vec![HOSTILE.to_owned()],
        sealed: (status == "finished").then_some(sealed),
        cases: Cases {
            items: vec![case(failed, passed), case(vec![answer(0, None, HOSTILE)], Vec::new())],
            next: Some("1.7".to_owned()),
            ..Cases::default()
        },
    }
}

fn is_harmless(html: &str) {
    assert!(!html.contains("<script") && !html.contains("</textarea"), "{html}");
    assert!(!html.contains('\u{202e}') && !html.contains('\u{1b}'), "{html}");
    assert!(!html.contains(" style=") && !html.contains(" onerror"), "{html}");
}

fn has(html: &str, all: &[&str]) {
    for one in all {
        assert!(html.contains(one), "{one}: {html}");
    }
}

#[test]
fn a_verdict_is_shown_with_what_it_rests_on() {
    let html = page("finished").main(&Shell::of("/gates/g")).into_string();
    is_harmless(&html);
    has(
        &html,
        &[
            "20 points worse, between 12 points worse and 29 points worse; margin 5 points",
            "<svg class=\"interval\"",
            "70 %",
            "up to 6 ×",
            "at most 60 model calls a minute",
            "/gates/gate_00000000010000000000000001/statement",
            "unsigned",
            "/ledger/12",
            "report?format=junit",
            "what changes",
            "Candidate passes",
            "<td class=\"num\">28</td>",
            "4 more are in the gate’s rows",
            "?show=flipped&amp;after=1.7#cases",
        ],
    );
    // The repeat in which they differ is the one that is compared.
    has(&html, &["<ins>", "<del>", "0 of 2 passed", "2 of 2 passed", "doesn’t count"]);
    assert!(!html.contains("Cancel…") && !html.contains("Resume…"), "{html}");
}

#[test]
fn a_gate_that_runs_lives_and_ends_as_another_part() {
    let (shell, running) = (Shell::of("/gates/g"), page("running"));
    let html = running.main(&shell).into_string();
    is_harmless(&html);
    has(&html, &["<progress value=\"30\" max=\"120\"", "1 min 30 s left", "/cancel\"", "No verdict yet"]);
    assert!(running.is_live() && !page("finished").is_live());
    let (now, over) = (running.parts(&shell), page("finished").parts(&shell));
    assert!(html.contains(now[0].html.as_str()), "a part stands in its place");
    assert_ne!(now[0].id, over[0].id);
    has(page("cancelled").main(&shell).as_str(), &["/resume\"", "cancelled"]);
    let reader = Who::Key {
        name: "r".to_owned(),
        scopes: vec![Scope::Read],
        tenants: pinrail_domain::key::Tenants::All,
    };
    let html = running.main(&Shell { who: reader, ..shell }).into_string();
    assert!(!html.contains("/cancel\""), "{html}");
}

#[test]
fn gates_are_listed_with_their_suites() {
    let line = |status: &str| Line {
        gate: gate(status),
        suites: vec![SuiteEnd {
            name: HOSTILE.to_owned(),
            kind: SuiteKind::Safety,
            verdict: (status == "finished").then_some(GateVerdict::Fail),
        }],
    };
    let suite = AgentSuite {
        agent: "support".parse().unwrap(),
        name: HOSTILE.to_owned(),
        kind: SuiteKind::Success,
        digest: Digest::of(b"s"),
        margin: 0.02,
        better: false,
        cases: Some(1_200),
        imported: false,
    };
    let mut list = Gates {
        items: vec![line("running"), line("finished")],
        next: Some("gate_1".to_owned()),
        filter: Filter { status: Some("running".to_owned()), ..Filter::default() },
        agents: vec!["support".parse().unwrap()],
        suites: vec![suite],
        suites_more: 3,
        is_first: true,
    };
    let shell = Shell::of("/gates");
    let html = list.main(&shell).into_string();
    is_harmless(&html);
    has(
        &html,
        &["30 of 120 answers", "2 points", "1\u{202f}200", "3 more:", "before=gate_1&amp;status=running"],
    );
    assert!(list.is_live() && html.contains(list.parts(&shell)[0].html.as_str()), "{html}");
    (list.items, list.suites, list.filter) = (Vec::new(), Vec::new(), Filter::default());
    has(list.main(&shell).as_str(), &["pinrail gate run", "pinrail gate suite check"]);
    list.is_first = false;
    assert!(!list.is_live() && list.parts(&shell).is_empty());
}

#[test]
fn cases_that_cannot_be_shown_say_why_and_none_says_what_that_means() {
    let shell = Shell::of("/gates/g");
    let mut page = page("finished");
    page.cases = Cases { unreadable: Some(HOSTILE.to_owned()), ..Cases::default() };
    let html = page.main(&shell).into_string();
    is_harmless(&html);
    has(&html, &["The cases can’t be shown"]);
    page.cases = Cases { show: Show::Errors, ..Cases::default() };
    has(page.main(&shell).as_str(), &["Every answer counts."]);
}

#[test]
fn the_pair_shows_the_way_in_which_a_case_flipped() {
    let check = |candidate: [bool; 3], incumbent: [bool; 3], repeat: u32, passes: bool| {
        let arm = |passed: [bool; 3]| {
            let answers = passed.iter().zip(0..).map(|(pass, repeat)| answer(repeat, Some(*pass), "t"));
            let count = passed.iter().filter(|pass| **pass).count() as u64;
            ArmView { passed: count, counted: 3, more: 0, answers: answers.collect() }
        };
        let mut of = case(Vec::new(), Vec::new());
        (of.candidate, of.incumbent) = (arm(candidate), Some(arm(incumbent)));
        let (mine, theirs) = of.pair();
        let (mine, theirs) = (mine.unwrap(), theirs.unwrap());
        assert_eq!((mine.repeat, theirs.repeat, mine.pass), (repeat, repeat, Some(passes)));
    };
    check([true, false, false], [false, true, true], 1, false);
    check([false, true, true], [true, false, false], 1, true);
    check([true, false, false], [false, true, false], 1, false);
    check([true, true, true], [true, true, true], 0, true);
}
