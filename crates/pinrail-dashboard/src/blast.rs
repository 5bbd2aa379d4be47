//! The blast radius: whom a deployment may have misled, drawn from cause to effect, and the same as tables.

use askama::Template;
use pinrail_api::deployments::blast::{AffectedRun, BlastRadius, Effects, SideEffect, Step};
use pinrail_domain::state::Layer;
use pinrail_domain::state::derive::Cause;
use serde::Serialize;

use crate::graph::Graph;
use crate::page::{Nav, Page};
use crate::shell::Shell;
use crate::space::short_run;
use crate::spaces::href;
use crate::ui::{self, Html, Tone};

/// Whom a deployment may have misled.
#[derive(Clone, Debug, Serialize)]
pub struct Blast {
    #[serde(flatten)]
    pub radius: BlastRadius,
    /// Calls that no rollback takes back, of all affected runs.
    pub effects: Effects,
    /// From the deployment to the records that it wrote, the runs that read them, what those wrote and called, and so on.
    pub graph: Graph,
    /// Records that are further away than the graph goes.
    pub beyond: u64,
}

#[derive(Template)]
#[template(path = "state/blast.html")]
struct Main<'a> {
    it: &'a Blast,
    shell: &'a Shell,
}

impl Page for Blast {
    fn nav(&self) -> Nav {
        Nav::Deployments
    }

    fn title(&self) -> String {
        format!("Blast radius of deployment {}", self.radius.deployment)
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, shell })
    }
}

impl Blast {
    fn path(&self) -> String {
        format!("/deployments/{}/blast-radius", self.radius.deployment)
    }

    /// Whether anybody else was reached, or anything done that stays.
    fn is_harmless(&self) -> bool {
        self.radius.reach.misled_runs == 0 && self.effects.calls == 0 && self.radius.layers.is_empty()
    }
}

impl Main<'_> {
    fn drawn(&self) -> Html {
        let reach = &self.it.radius.reach;
        let label = format!(
            "What deployment {} wrote, the {} that read it, what those wrote in turn, and {} that no rollback takes back; the \
             tables under it say the same",
            self.it.radius.deployment,
            ui::count(reach.misled_runs, "run", "runs"),
            ui::count(self.it.effects.calls, "call", "calls")
        );
        self.it.graph.svg(&label)
    }

    fn next(&self) -> Option<String> {
        let next = self.it.radius.next.as_deref()?;
        Some(format!("{}#runs", href(&self.it.path(), &[("after", next)])))
    }

    fn layers(&self) -> Vec<(Layer, u64, u64)> {
        self.it
            .radius
            .layers
            .iter()
            .map(|(layer, touched)| (*layer, touched.written, touched.derived))
            .collect()
    }

    fn tools(&self) -> String {
        let tools = &self.it.effects.tools;
        tools.iter().map(|(tool, n)| format!("{tool} ({})", ui::grouped(*n))).collect::<Vec<_>>().join(", ")
    }

    fn open_calls(&self) -> u64 {
        self.it.effects.calls.saturating_sub(self.it.effects.compensated)
    }

    /// The calls of this page's runs.
    fn calls(&self) -> Vec<(&AffectedRun, &SideEffect)> {
        let runs = self.it.radius.runs.iter();
        runs.flat_map(|run| run.side_effects.iter().map(move |effect| (run, effect))).collect()
    }

    fn calls_of(&self, run: &AffectedRun) -> String {
        ui::grouped(run.side_effects.len() as u64)
    }

    fn short(&self, run: &AffectedRun) -> String {
        short_run(run.run)
    }

    fn run_href(&self, run: &AffectedRun) -> String {
        format!("/runs/{}", run.run)
    }

    fn result(&self, effect: &SideEffect) -> Html {
        match effect.result.as_deref() {
            Some("ok") => ui::badge(Tone::Warn, "ok"),
            Some(other) => ui::badge(Tone::Plain, other),
            None => Html::from_trusted("<span class=\"dim\">no result journaled</span>".to_owned()),
        }
    }

    /// Why a run is affected, from what it read back to what the deployment wrote.
    fn chain(&self, run: &AffectedRun) -> Vec<Html> {
        let Some(read) = &run.read else {
            return vec![Html::from_trusted("its own run".to_owned())];
        };
        let mut lines = vec![Html::from_trusted(format!("read record {} as of {}", read.record, read.at))];
        lines.extend(run.chain.iter().map(|Step { record, cause }| {
            Html::from_trusted(match cause {
                Cause::Seed => format!("record {record}: written by deployment {}", self.it.radius.deployment),
                Cause::Parent { record: parent } => format!("record {record}: names record {parent} as its parent"),
                Cause::Run { run, record: read, at } => format!(
                    "record {record}: concluded by <a href=\"/runs/{run}\">{}</a>, which had read record {read} as of {at}",
                    short_run(run)
                ),
            })
        }));
        lines
    }
}

/// A table of the affected runs and their calls: a row per call, and one for a run that called nothing.
#[must_use]
pub fn csv(runs: &[AffectedRun]) -> String {
    const HEAD: &str = "run,agent,tenant,session,deployment,status,why,read_record,records_written,tool,event,called_at,\
                        arguments,result,compensated_at\n";
    let mut text = HEAD.to_owned();
    for run in runs {
        let own = [
            run.run.to_string(),
            run.agent.to_string(),
            run.tenant.to_string(),
            run.session.as_ref().map(ToString::to_string).unwrap_or_default(),
            run.deployment.to_string(),
            run.status.clone(),
            if run.read.is_none() { "own" } else { "misled" }.to_owned(),
            run.read.map(|read| read.record.to_string()).unwrap_or_default(),
            run.wrote.to_string(),
        ];
        let mut push = |of_call: [String; 6]| {
            let cells: Vec<String> = own.iter().chain(&of_call).map(|text| cell(text)).collect();
            text.push_str(&cells.join(","));
            text.push('\n');
        };
        for effect in &run.side_effects {
            push([
                effect.tool.clone(),
                effect.event.to_string(),
                ui::absolute(effect.at),
                effect.arguments.clone(),
                effect.result.clone().unwrap_or_default(),
                effect.compensated_at.map(ui::absolute).unwrap_or_default(),
            ]);
        }
        if run.side_effects.is_empty() {
            push(std::array::from_fn(|_| String::new()));
        }
    }
    text
}

/// A cell that no spreadsheet takes for a formula.
fn cell(text: &str) -> String {
    let text: String = text.chars().map(|it| if ui::is_unseen(it) { '\u{fffd}' } else { it }).collect();
    let is_formula = text.starts_with(['=', '+', '-', '@']);
    let text = if is_formula { format!("'{text}") } else { text };
    if text.contains([',', '"', '\n', '\'']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests;
