//! Drift: what is watched behind its pin, and what was found.

use askama::Template;
use pinrail_api::drift::{Drift as Watched, DriftDay, DriftFinding, DriftModel};
use pinrail_domain::drift::border::date;
use pinrail_domain::drift::{Sign, Subject};
use serde::Serialize;

use crate::page::{Nav, Page, Part};
use crate::shell::Shell;
use crate::ui::{self, Html, Tone};

pub mod pages;

pub use pages::{FindingPage, ModelPage};

/// What is watched, and the open findings.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Drift {
    pub drift: Watched,
}

#[derive(Template)]
#[template(path = "drift.html")]
struct Main<'a> {
    it: &'a Watched,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "drift/findings.html")]
struct Findings<'a> {
    it: &'a Watched,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "drift/models.html")]
struct Models<'a> {
    it: &'a Watched,
    shell: &'a Shell,
}

impl Page for Drift {
    fn nav(&self) -> Nav {
        Nav::Drift
    }

    fn title(&self) -> String {
        "Drift".to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: &self.drift, shell })
    }

    fn parts(&self, shell: &Shell) -> Vec<Part> {
        let it = &self.drift;
        vec![
            Part { id: "drift-findings".to_owned(), html: ui::written(&Findings { it, shell }) },
            Part { id: "drift-models".to_owned(), html: ui::written(&Models { it, shell }) },
        ]
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Main<'_> {
    fn findings(&self) -> Html {
        ui::written(&Findings { it: self.it, shell: self.shell })
    }

    fn models(&self) -> Html {
        ui::written(&Models { it: self.it, shell: self.shell })
    }
}

impl Findings<'_> {
    fn agents(&self, finding: &DriftFinding) -> String {
        names(&finding.agents)
    }
}

impl Models<'_> {
    fn agents(&self, model: &DriftModel) -> String {
        names(&model.agents)
    }

    fn href(&self, model: &DriftModel) -> String {
        format!("/drift/models/{}/{}", ui::url(&model.provider), ui::url(&model.snapshot))
    }

    /// How far answers moved on the last days.
    fn days(&self, model: &DriftModel) -> Html {
        if model.days.is_empty() {
            return Html::from_trusted("<span class=\"dim\">none yet</span>".to_owned());
        }
        let shifts: Vec<f64> = model.days.iter().map(|day| day.shift.unwrap_or(0.0).abs()).collect();
        ui::spark(&shifts, &days_words(&model.days))
    }
}

/// The state of a watch in a frame.
fn state(word: &str) -> Html {
    let tone = match word {
        "quiet" => Tone::Good,
        "suspect" | "blind" => Tone::Warn,
        "drifted" => Tone::Bad,
        "looking" | "calibrating" => Tone::Live,
        _ => Tone::Plain,
    };
    ui::badge(tone, word)
}

/// What was pinned and what is there now.
fn sign(subject: &Subject, sign: &Sign) -> Html {
    let was = match subject {
        Subject::Model { snapshot, provider: _ } => snapshot.clone(),
        Subject::Tools { server, pin } => format!("{server} as pinned in {}", pin.short()),
    };
    let changed = |was: &str, is: &str| {
        Html::from_trusted(format!("<del>{}</del> → <ins>{}</ins>", ui::plain(was), ui::plain(is)))
    };
    match sign {
        Sign::Served { served } => changed(&was, served),
        Sign::Listed { was, is } => changed(was, is),
        Sign::Gone { said } => ui::plain(format!("no such model: {said}")),
        Sign::Border { since_day, days, shift, sigma } => {
            let since = date(u32::try_from(*since_day).unwrap_or(u32::MAX));
            let days = ui::count(u64::from(*days), "day", "days");
            let moved = format!("answers moved by {} over {days} since {since}", ui::percent(*shift));
            ui::plain(format!("{moved}, {sigma:.1} standard deviations of quiet days"))
        }
        Sign::Tools { changed, added, removed, identity } => {
            let lists = [("changed", changed), ("added", added), ("removed", removed)];
            let said = lists.into_iter().filter(|(_, names)| !names.is_empty());
            let mut said: Vec<String> =
                said.map(|(verb, names)| format!("{verb} {}", names.join(", "))).collect();
            said.extend(identity.clone());
            ui::plain(said.join("; "))
        }
    }
}

/// What a row of days says: `14 days: 3 calibrating, 11 quiet; the largest shift 4 %`.
fn days_words(days: &[DriftDay]) -> String {
    let mut counts: Vec<(&str, u64)> = Vec::new();
    for day in days {
        match counts.iter_mut().find(|(state, _)| *state == day.state) {
            Some((_, count)) => *count += 1,
            None => counts.push((&day.state, 1)),
        }
    }
    let states: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let largest = days.iter().filter_map(|day| day.shift).map(f64::abs).fold(0.0, f64::max);
    let days = ui::count(days.len() as u64, "day", "days");
    format!("{days}: {}; the largest shift {}", states.join(", "), ui::percent(largest))
}

fn names<T: std::fmt::Display>(names: &[T]) -> String {
    if names.is_empty() {
        return "–".to_owned();
    }
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
