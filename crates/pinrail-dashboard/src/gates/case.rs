//! One case of a gate: what was asked, what a good answer is, and what both arms said.

use askama::Template;
use pinrail_domain::id::{GateId, RunId};
use pinrail_domain::release::diff::TextDiff;
use serde::Serialize;

use crate::page::Nav;
use crate::shell::Shell;
use crate::ui::{self, Html, Tone};

/// A case with the answers to it.
#[derive(Clone, Debug, Serialize)]
pub struct CaseView {
    pub suite: String,
    /// Its place in the suite, from 1.
    pub number: u64,
    pub description: String,
    pub must_pass: bool,
    /// The arms passed unequally often.
    pub flipped: bool,
    /// What was said to the agent, turn by turn.
    pub asked: Vec<Said>,
    /// What a good answer is, an assertion each.
    pub expected: Vec<String>,
    pub candidate: ArmView,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incumbent: Option<ArmView>,
}

/// A message.
#[derive(Clone, Debug, Serialize)]
pub struct Said {
    pub role: String,
    pub text: String,
}

/// What an arm said.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ArmView {
    pub passed: u64,
    /// Answers that were judged.
    pub counted: u64,
    /// Answers that aren't shown: more repeats than a page holds.
    pub more: u64,
    /// By repeat.
    pub answers: Vec<AnswerView>,
}

/// One answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AnswerView {
    /// From 0.
    pub repeat: u32,
    /// None where the answer doesn't count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Why it failed, or doesn't count.
    pub why: String,
    pub parts: Vec<PartView>,
    /// What was answered to each turn.
    pub texts: Vec<String>,
    pub calls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    pub latency_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    pub served: Vec<String>,
    /// The gate that asked, where this one took the answer over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reused: Option<GateId>,
    /// Its texts are cut: the whole is in the gate's rows and in its run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// How one assertion went.
#[derive(Clone, Debug, Serialize)]
pub struct PartView {
    pub kind: String,
    pub pass: bool,
    pub score: f64,
    pub why: String,
}

/// Answers are compared word by word up to this length each.
const COMPARED_CHARS_MAX: usize = 8_000;

#[derive(Template)]
#[template(path = "gates/case.html")]
struct Drawn<'a> {
    it: &'a CaseView,
    paired: bool,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "gates/answer.html")]
struct Answer<'a> {
    it: &'a AnswerView,
    shell: &'a Shell,
}

impl CaseView {
    /// The case as it is shown; `paired` where there is an incumbent.
    #[must_use]
    pub fn drawn(&self, paired: bool, shell: &Shell) -> Html {
        ui::written(&Drawn { it: self, paired, shell })
    }

    /// The answers to look at side by side: of one repeat, one that passed and one that failed, so that the arm that
    /// passes less often is the one that failed, if there is such a repeat.
    #[must_use]
    pub fn pair(&self) -> (Option<&AnswerView>, Option<&AnswerView>) {
        let candidate = &self.candidate.answers;
        let Some(arm) = &self.incumbent else {
            let failed = candidate.iter().find(|answer| answer.pass != Some(true));
            return (failed.or(candidate.first()), None);
        };
        let is_better = self.candidate.passed * arm.counted > arm.passed * self.candidate.counted;
        let apart = |passes: bool| {
            let mut mine = candidate.iter().filter(|mine| mine.pass == Some(passes));
            mine.find_map(|mine| {
                let same =
                    |theirs: &&AnswerView| theirs.repeat == mine.repeat && theirs.pass == Some(!passes);
                Some((mine, arm.answers.iter().find(same)?))
            })
        };
        match apart(is_better).or_else(|| apart(!is_better)) {
            Some((mine, theirs)) => (Some(mine), Some(theirs)),
            None => (candidate.first(), arm.answers.first()),
        }
    }
}

impl Drawn<'_> {
    fn tally(&self, arm: &ArmView) -> Html {
        let tone = match (arm.passed, arm.counted) {
            (_, 0) => Tone::Plain,
            (passed, counted) if passed == counted => Tone::Good,
            (0, _) => Tone::Bad,
            _ => Tone::Warn,
        };
        ui::badge(tone, format!("{} of {} passed", arm.passed, arm.counted))
    }

    fn first(&self, answer: Option<&AnswerView>) -> Html {
        match answer {
            Some(it) => ui::written(&Answer { it, shell: self.shell }),
            None => Html::from_trusted("<p class=\"dim\">No answer.</p>".to_owned()),
        }
    }

    fn mine(&self) -> Html {
        self.first(self.it.pair().0)
    }

    fn theirs(&self) -> Html {
        self.first(self.it.pair().1)
    }

    fn answer(&self, it: &AnswerView) -> Html {
        ui::written(&Answer { it, shell: self.shell })
    }

    fn repeats(&self) -> usize {
        self.it.candidate.answers.len().max(self.it.incumbent.as_ref().map_or(0, |arm| arm.answers.len()))
    }

    /// From what the incumbent said to what the candidate said.
    fn changed(&self) -> Html {
        let (Some(mine), Some(theirs)) = self.it.pair() else { return Html::default() };
        let (old, new) = (whole(theirs), whole(mine));
        if old == new {
            return Html::from_trusted("<p class=\"dim\">Both said the same, word for word.</p>".to_owned());
        }
        ui::diff::words(&TextDiff::between(&old, &new))
    }
}

impl Answer<'_> {
    fn verdict(&self) -> Html {
        match (self.it.pass, self.it.score) {
            (Some(true), Some(score)) => ui::badge(Tone::Good, format!("pass, score {score:.2}")),
            (Some(false), Some(score)) => ui::badge(Tone::Bad, format!("fail, score {score:.2}")),
            (Some(_) | None, _) => ui::badge(Tone::Warn, "doesn’t count"),
        }
    }

    fn facts(&self) -> String {
        let it = self.it;
        let mut facts = vec![format!("repeat {}", it.repeat + 1)];
        facts.push(ui::took_us((it.latency_ms.max(0.0) * 1_000.0) as u64));
        facts.extend(it.cost_nano_usd.map(ui::usd));
        facts.extend(it.finish_reason.clone().filter(|why| why != "stop"));
        facts.join(" · ")
    }

    fn turn(&self, place: &usize) -> String {
        if self.it.texts.len() > 1 { format!("Turn {}", place + 1) } else { String::new() }
    }

    fn word(&self, part: &PartView) -> Html {
        if part.pass { ui::badge(Tone::Good, "pass") } else { ui::badge(Tone::Bad, "fail") }
    }

    fn score(&self, part: &PartView) -> String {
        format!("{:.2}", part.score)
    }

    fn run(&self) -> Option<Html> {
        let run = self.it.run?;
        let whole = run.to_string();
        let short = crate::releases::short_gate(&whole);
        let is_seen = self.shell.sees(Nav::Runs);
        Some(if is_seen { ui::link_id(&format!("/runs/{whole}"), short, run) } else { ui::id(short, run) })
    }
}

/// All that was answered, for comparing.
fn whole(answer: &AnswerView) -> String {
    let text = answer.texts.iter().chain(&answer.calls).map(String::as_str).collect::<Vec<_>>().join("\n");
    text.chars().take(COMPARED_CHARS_MAX).collect()
}
