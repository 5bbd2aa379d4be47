//! `/deployments/{id}/pairs`: what a candidate answered to copies of live requests, beside what was served.

use askama::Template;
use pinrail_api::deployments::pairs::{Pair, Pairs, Side};
use pinrail_domain::id::DeploymentId;
use pinrail_domain::time::Timestamp;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use crate::page::{Nav, Page};
use crate::shell::Shell;
use crate::ui::{self, Html};

/// A page of pairs.
#[derive(Clone, Debug, Serialize)]
pub struct PairList {
    pub deployment: DeploymentId,
    /// Those that differ most come first.
    pub worst: bool,
    #[serde(flatten)]
    pub pairs: Pairs,
}

/// One pair, whole.
#[derive(Clone, Debug, Serialize)]
pub struct OnePair {
    pub deployment: DeploymentId,
    #[serde(flatten)]
    pub pair: Pair,
}

#[derive(Template)]
#[template(path = "pairs.html")]
struct List<'a> {
    it: &'a PairList,
    pairs: Vec<Html>,
    more: Option<String>,
}

#[derive(Template)]
#[template(path = "pair.html")]
struct One<'a> {
    deployment: DeploymentId,
    it: &'a Pair,
    now: Timestamp,
    /// It is one of several on its page.
    listed: bool,
    said: [Html; 2],
}

/// Characters of both texts for which words are compared: more take too long for a page, and are shown as they are.
const COMPARED_BYTES_MAX: usize = 40_000;

impl Page for PairList {
    fn nav(&self) -> Nav {
        Nav::Deployments
    }

    fn title(&self) -> String {
        format!("Shadow pairs of deployment {}", self.deployment)
    }

    fn main(&self, shell: &Shell) -> Html {
        let id = self.deployment;
        let pair = |pair: &Pair| ui::written(&One::of(id, pair, shell.now, true));
        let more =
            self.pairs.next.as_ref().map(|next| format!("/deployments/{id}/pairs?newest=true&before={next}"));
        ui::written(&List { it: self, pairs: self.pairs.items.iter().map(pair).collect(), more })
    }
}

impl Page for OnePair {
    fn nav(&self) -> Nav {
        Nav::Deployments
    }

    fn title(&self) -> String {
        format!("A shadow pair of deployment {}", self.deployment)
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&One::of(self.deployment, &self.pair, shell.now, false))
    }
}

impl<'a> One<'a> {
    fn of(deployment: DeploymentId, it: &'a Pair, now: Timestamp, listed: bool) -> One<'a> {
        One { deployment, it, now, listed, said: said(it) }
    }

    fn divergence(&self) -> String {
        match &self.it.compared {
            Some(compared) => format!("{:.3} apart", compared.divergence),
            None => self.it.failed.clone().unwrap_or_else(|| "not compared yet".to_owned()),
        }
    }

    fn ago(&self) -> Html {
        ui::ago(self.it.at, self.now)
    }

    fn run(&self, side: &Side) -> Html {
        let run = side.run.to_string();
        let short: String = run.chars().rev().take(8).collect::<Vec<_>>().into_iter().rev().collect();
        ui::link_id(&format!("/runs/{run}"), format!("…{short}"), &run)
    }

    fn facts(&self, side: &Side) -> String {
        let mut facts = Vec::new();
        facts.extend(side.last_byte_us.map(ui::took_us));
        facts.extend(side.cost_nano_usd.map(ui::usd));
        facts.extend(side.finish_reason.as_ref().map(|why| format!("ended: {why}")));
        if side.refusal {
            facts.push("refused".to_owned());
        }
        facts.join(" · ")
    }
}

/// What was served and what the candidate says, with the words that differ marked.
fn said(pair: &Pair) -> [Html; 2] {
    let live = pair.live.as_ref().and_then(|live| live.text.as_deref());
    let candidate = pair.candidate.text.as_deref();
    let (Some(live), Some(candidate)) = (live, candidate) else {
        let whole = |text: Option<&str>| match text {
            Some(text) => ui::block(text),
            None => Html::from_trusted(
                "<p class=\"dim\">No text: the agent’s journal keeps no bodies, or there was none.</p>"
                    .to_owned(),
            ),
        };
        return [whole(live), whole(candidate)];
    };
    if live.len() + candidate.len() > COMPARED_BYTES_MAX {
        return [ui::block(live), ui::block(candidate)];
    }
    let diff = TextDiff::from_words(live, candidate);
    let (mut left, mut right) = (String::new(), String::new());
    for change in diff.iter_all_changes() {
        let text = ui::lines(change.value());
        match change.tag() {
            ChangeTag::Equal => {
                left.push_str(text.as_str());
                right.push_str(text.as_str());
            }
            ChangeTag::Delete => left.push_str(&format!("<del>{text}</del>")),
            ChangeTag::Insert => right.push_str(&format!("<ins>{text}</ins>")),
        }
    }
    [left, right].map(|text| Html::from_trusted(format!("<pre dir=\"auto\">{text}</pre>")))
}
