//! One run: its stamp, what it came to, every event in order with the time that it took, and the state that it touched.

use askama::Template;
use pinrail_api::runs::Run;
use pinrail_domain::id::{DeploymentId, EventSeq, StateSeq, TenantId};
use pinrail_domain::journal::Recorded;
use pinrail_domain::routes::Via;
use pinrail_domain::state::Layer;
use serde::Serialize;

use crate::page::{Nav, Page, Part};
use crate::shell::Shell;
use crate::ui::{self, Html, Tone};
use crate::{runs, ui::plain};

pub mod said;
mod scale;
mod steps;

/// A run, and a page of its events.
#[derive(Clone, Debug, Serialize)]
pub struct RunPage {
    #[serde(flatten)]
    pub run: Run,
    /// Where its deployment stands now, for who may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_state: Option<String>,
    pub events: Vec<Recorded>,
    /// The place of the first of them.
    pub from: EventSeq,
    /// The first place of the next page, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<EventSeq>,
    pub state: Touched,
}

/// The state that the run touched.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Touched {
    pub reads: Vec<ReadSeen>,
    pub writes: Vec<WriteSeen>,
    /// There may be more than was looked for.
    pub cut: bool,
}

/// A read that was noted.
#[derive(Clone, Debug, Serialize)]
pub struct ReadSeen {
    pub layer: Layer,
    /// The space, with its layer before it.
    pub space: String,
    /// The moment that it saw.
    pub at: String,
    /// Records that it was shown; absent where that was all that was visible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// Deployments that were rolled back since, whose records it was shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tainted: Vec<DeploymentId>,
}

/// A record that the run wrote.
#[derive(Clone, Debug, Serialize)]
pub struct WriteSeen {
    pub layer: Layer,
    pub space: String,
    pub seq: StateSeq,
    pub key: String,
    pub deleted: bool,
    /// 0 is the ground: what the run was told from outside.
    pub deployment: DeploymentId,
}

#[derive(Template)]
#[template(path = "run.html")]
struct Main<'a> {
    it: &'a RunPage,
    head: Html,
    timeline: Html,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "run_head.html")]
struct Head<'a> {
    it: &'a RunPage,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "run_timeline.html")]
struct Timeline<'a> {
    it: &'a RunPage,
    steps: Vec<steps::Step>,
    whole: String,
}

impl Page for RunPage {
    fn nav(&self) -> Nav {
        Nav::Runs
    }

    fn title(&self) -> String {
        format!("Run of {}", self.run.stamp.agent)
    }

    fn main(&self, shell: &Shell) -> Html {
        let [head, timeline] = self.pieces(shell);
        ui::written(&Main { it: self, head, timeline, shell })
    }

    fn parts(&self, shell: &Shell) -> Vec<Part> {
        let [head, timeline] = self.pieces(shell);
        vec![
            Part { id: "run-head".to_owned(), html: head },
            Part { id: "run-timeline".to_owned(), html: timeline },
        ]
    }

    /// An open run goes on, and so does its last page.
    fn is_live(&self) -> bool {
        self.run.summary.status.is_open() && self.next.is_none()
    }
}

impl RunPage {
    fn pieces(&self, shell: &Shell) -> [Html; 2] {
        let scale = scale::Scale::of(&self.events);
        let steps = self.events.iter().map(|recorded| steps::step(recorded, &self.events, &scale)).collect();
        let timeline = Timeline { it: self, steps, whole: ui::took_us(scale.whole_us()) };
        [ui::written(&Head { it: self, shell }), ui::written(&timeline)]
    }

    /// Deployments that were rolled back since, and whose records the run was shown.
    fn tainted(&self) -> Vec<DeploymentId> {
        let mut all: Vec<_> = self.state.reads.iter().flat_map(|read| read.tainted.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// How the run got its deployment, in words.
    fn arm(&self) -> String {
        match self.run.stamp.via {
            Via::Active => "the active release: there was no candidate".to_owned(),
            Via::Bucket(bucket) => format!("bucket {bucket} of 10 000 decided"),
            Via::Session => "its session was bound".to_owned(),
            Via::Parent => "its parent's deployment".to_owned(),
            Via::Shadow => "a copy of a live request".to_owned(),
            Via::Gate => "a gate asked".to_owned(),
            Via::Dial => "the dial's fallback".to_owned(),
        }
    }

    fn deployment_link(&self, shell: &Shell) -> Html {
        deployment(self.run.stamp.deployment, shell)
    }

    /// The session, with the way to its runs.
    fn session(&self) -> Option<Html> {
        let session = self.run.stamp.session.as_ref()?;
        let href = format!("/runs?agent={}&session={}", self.run.stamp.agent, ui::url(session));
        Some(ui::link_id(&href, session, session))
    }

    /// The gate that asked, with the way there for who may go.
    fn gate(&self, shell: &Shell) -> Option<Html> {
        let gate = self.run.stamp.gate?;
        Some(match shell.sees(Nav::Gates) {
            true => ui::link_id(&format!("/gates/{gate}"), gate, gate),
            false => ui::id(gate, gate),
        })
    }

    fn started(&self, shell: &Shell) -> Html {
        ui::ago(self.run.summary.started_at, shell.now)
    }

    fn three_places(&self, number: &f64) -> String {
        format!("{number:.3}")
    }

    fn page_before(&self) -> Option<u64> {
        (self.from.0 > 0).then(|| self.from.0.saturating_sub(EVENTS_PER_PAGE as u64))
    }
}

impl ReadSeen {
    /// What it was shown, in words.
    fn saw(&self) -> String {
        match self.records {
            Some(records) => ui::count(records, "record", "records"),
            None => "all that was visible".to_owned(),
        }
    }
}

/// Events of one page: with folded texts, what a browser lays out at once.
pub const EVENTS_PER_PAGE: usize = 100;

/// A deployment's number, with the way there for who may go.
pub(crate) fn deployment(id: DeploymentId, shell: &Shell) -> Html {
    if id.0 == 0 {
        return plain("0, the ground");
    }
    if shell.sees(Nav::Deployments) {
        return Html::from_trusted(format!("<a href=\"/deployments/{id}\">{id}</a>"));
    }
    plain(id)
}

/// The name of a tenant's space, with the way there for who may go.
pub(crate) fn space(tenant: &TenantId, name: &str, shell: &Shell) -> Html {
    if shell.sees(Nav::State) {
        let href = format!("/state/space?tenant={}&space={}", ui::url(tenant), ui::url(name));
        let (href, name) = (plain(href), plain(name));
        return Html::from_trusted(format!("<a href=\"{href}\"><code>{name}</code></a>"));
    }
    Html::from_trusted(format!("<code>{}</code>", plain(name)))
}

#[cfg(test)]
mod tests;
