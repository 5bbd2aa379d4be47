//! What changes from one release to another.

use std::fmt::{Display, Write as _};

use askama::Template;
use pinrail_domain::id::{AgentName, ReleaseId};
use pinrail_domain::release::diff::{Change, Diff};
use pinrail_domain::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::Verdict;
use crate::page::{Nav, Page};
use crate::releases;
use crate::shell::Shell;
use crate::ui::{self, Html};

/// Two releases and what differs.
#[derive(Clone, Debug, Serialize)]
pub struct ReleaseDiff {
    pub before: Side,
    pub after: Side,
    pub diff: Diff,
    /// The tools whose definitions differ, whole on both sides.
    pub tools: Vec<ToolChange>,
    /// Verdicts of gates that compared exactly these two, newest first.
    pub verdicts: Vec<Verdict>,
}

/// One of the two.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    pub release: ReleaseId,
    pub snapshot: String,
    pub created_at: Timestamp,
    pub retired: bool,
    pub agents: Vec<AgentName>,
}

/// A tool on both sides; a side that doesn't have it is absent.
#[derive(Clone, Debug, Serialize)]
pub struct ToolChange {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// Tools that are shown in full; the names of all are there, and their definitions in the page's JSON.
const TOOLS_SHOWN: usize = 50;
/// Places in a tool's definition that are named.
const PATHS_SHOWN: usize = 40;

#[derive(Template)]
#[template(path = "releases/diff.html")]
struct Main<'a> {
    it: &'a ReleaseDiff,
    diff: &'a Diff,
    shell: &'a Shell,
}

/// A value on both sides, in a row of a table.
struct Row {
    what: String,
    before: Html,
    after: Html,
}

impl Page for ReleaseDiff {
    fn nav(&self) -> Nav {
        Nav::Releases
    }

    fn title(&self) -> String {
        format!("From {} to {}", self.before.release.short(), self.after.release.short())
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, diff: &self.diff, shell })
    }
}

impl Main<'_> {
    fn side(&self, side: &Side) -> Html {
        ui::link_id(&format!("/releases/{}", side.release.0.hex()), side.release.short(), side.release)
    }

    fn swapped(&self) -> String {
        format!("/releases/{}/diff/{}", self.it.after.release.0.hex(), self.it.before.release.0.hex())
    }

    /// What has these two compared; nothing where no agent has both.
    fn command(&self) -> String {
        let (before, after) = (&self.it.before, &self.it.after);
        let shared = after.agents.iter().find(|agent| before.agents.contains(agent));
        let run = |agent: &AgentName| {
            format!(
                "pinrail gate run {agent} --candidate {} --incumbent {}",
                after.release.short(),
                before.release.short()
            )
        };
        shared.map(run).unwrap_or_default()
    }

    fn model(&self) -> Vec<Row> {
        let model = &self.diff.model;
        let mut rows = Vec::new();
        rows.extend(model.provider.as_ref().map(|change| row("provider", change)));
        rows.extend(model.snapshot.as_ref().map(|change| row("snapshot", change)));
        for (name, change) in &model.params {
            rows.push(json_row(&format!("params.{name}"), change));
        }
        rows.extend(model.weights.as_ref().map(|change| row("weights", change)));
        rows.extend(model.fallbacks.as_ref().map(|change| json_row("fallbacks", change)));
        rows.extend(set("lossy", &model.lossy_removed, &model.lossy_added));
        rows
    }

    fn state(&self) -> Vec<Row> {
        let state = &self.diff.state;
        let vectors =
            state.vectors.iter().map(|(space, change)| json_row(&format!("vectors.{space}"), change));
        let memory = state.memory.iter().map(|change| json_row("memory", change));
        let context = state.context.iter().map(|change| json_row("context", change));
        vectors.chain(memory).chain(context).collect()
    }

    fn tool_rows(&self) -> Vec<Row> {
        let tools = &self.diff.tools;
        let pins = tools.mcp.iter().map(|(server, change)| row(&format!("pin of {server}"), change));
        let side_effects = set("changes the world", &tools.side_effects_removed, &tools.side_effects_added);
        pins.chain(side_effects).collect()
    }

    fn table(&self, label: &str, rows: &[Row]) -> Html {
        let mut body = String::new();
        for Row { what, before, after } in rows {
            let _ = write!(
                body,
                "<tr><th scope=\"row\"><code>{}</code></th><td>{before}</td><td>{after}</td></tr>",
                ui::plain(what)
            );
        }
        Html::from_trusted(format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\"><table><thead><tr><th scope=\"col\">What</th>\
             <th scope=\"col\">Before</th><th scope=\"col\">After</th></tr></thead><tbody>{body}</tbody></table></div>",
            ui::plain(label)
        ))
    }

    fn mode(&self) -> Vec<Row> {
        self.diff.prompt.mode.iter().map(|change| json_row("mode", change)).collect()
    }

    fn shown(&self) -> &[ToolChange] {
        &self.it.tools[..self.it.tools.len().min(TOOLS_SHOWN)]
    }

    fn hidden(&self) -> usize {
        self.it.tools.len() - self.shown().len()
    }

    fn tool(&self, tool: &ToolChange) -> Html {
        match (&tool.before, &tool.after) {
            (Some(before), Some(after)) => ui::diff::json(before, after),
            (Some(only), None) | (None, Some(only)) => ui::block(&ui::diff::pretty(only)),
            (None, None) => Html::default(),
        }
    }

    fn word(&self, tool: &ToolChange) -> Html {
        match (&tool.before, &tool.after) {
            (None, _) => ui::badge(ui::Tone::Good, "added"),
            (Some(_), None) => ui::badge(ui::Tone::Bad, "removed"),
            (Some(_), Some(_)) => ui::badge(ui::Tone::Warn, "changed"),
        }
    }

    /// The places in a tool's definition that differ.
    fn paths(&self, tool: &ToolChange) -> String {
        let paths = self.diff.tools.changed.get(&tool.name).map(Vec::as_slice).unwrap_or_default();
        let mut names: Vec<&str> =
            paths.iter().take(PATHS_SHOWN).map(|change| change.path.as_str()).collect();
        names.dedup();
        let more = if paths.len() > PATHS_SHOWN { ", …" } else { "" };
        format!("{}{more}", names.join(", "))
    }
}

fn row<T: Display>(what: &str, change: &Change<T>) -> Row {
    let one = |side: &Option<T>, tag: &str| match side {
        None => absent(),
        Some(value) => Html::from_trusted(format!("<{tag}><code>{}</code></{tag}>", ui::plain(value))),
    };
    Row { what: what.to_owned(), before: one(&change.before, "del"), after: one(&change.after, "ins") }
}

fn json_row<T: Serialize>(what: &str, change: &Change<T>) -> Row {
    let one = |side: &Option<T>, tag: &str| match side {
        None => absent(),
        Some(value) => {
            let value = serde_json::to_value(value).expect("a release is plain data");
            let text = ui::diff::pretty(&value);
            if text.contains('\n') {
                ui::block(&text)
            } else {
                Html::from_trusted(format!("<{tag}><code>{}</code></{tag}>", ui::plain(text)))
            }
        }
    };
    Row { what: what.to_owned(), before: one(&change.before, "del"), after: one(&change.after, "ins") }
}

fn set<T: Display>(
    what: &str,
    removed: impl IntoIterator<Item = T>,
    added: impl IntoIterator<Item = T>,
) -> Option<Row> {
    let removed: Vec<String> = removed.into_iter().map(|name| name.to_string()).collect();
    let added: Vec<String> = added.into_iter().map(|name| name.to_string()).collect();
    if removed.is_empty() && added.is_empty() {
        return None;
    }
    let one = |names: Vec<String>, tag: &str| {
        let one = |name: &String| format!("<li><{tag}><code>{}</code></{tag}></li>", ui::plain(name));
        if names.is_empty() {
            return absent();
        }
        Html::from_trusted(format!("<ul class=\"lines\">{}</ul>", names.iter().map(one).collect::<String>()))
    };
    Some(Row { what: what.to_owned(), before: one(removed, "del"), after: one(added, "ins") })
}

fn absent() -> Html {
    Html::from_trusted("<span class=\"dim\">–</span>".to_owned())
}
