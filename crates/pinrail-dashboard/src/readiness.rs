//! Readiness: could everything be taken back right now, and what says so.

use askama::Template;
use pinrail_api::agents::Provider;
use pinrail_api::drills::Drill;
use pinrail_api::provider_health::{BreakerState, ModelHealth};
use pinrail_api::readiness::{Indicator, Met, Readiness};
use pinrail_domain::time::Timestamp;
use pinrail_domain::warm::Callable;
use serde::Serialize;

use crate::page::{Nav, Page, Part};
use crate::shell::Shell;
use crate::ui::{self, Html, Tone};

/// What a rollback depends on.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    #[serde(flatten)]
    pub readiness: Readiness,
    /// The last one, if one was ever held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<Drill>,
    pub providers: Vec<Asked>,
    pub catalogue: Known,
}

/// A provider with what its settings need and the environment lacks.
#[derive(Clone, Debug, Serialize)]
pub struct Asked {
    #[serde(flatten)]
    pub provider: Provider,
    /// Environment variables that aren't set.
    pub missing: Vec<String>,
}

/// How fresh what is known of models is.
#[derive(Clone, Debug, Serialize)]
pub struct Known {
    pub as_of: Timestamp,
    pub stale: bool,
    /// What was learnt from last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

macro_rules! section {
    ($name:ident, $path:literal) => {
        #[derive(Template)]
        #[template(path = $path)]
        struct $name<'a> {
            it: &'a Ready,
            shell: &'a Shell,
        }
    };
}

section!(Now, "readiness/now.html");
section!(Warm, "readiness/warm.html");
section!(Drills, "readiness/drill.html");
section!(Providers, "readiness/providers.html");

impl Page for Ready {
    fn nav(&self) -> Nav {
        Nav::Readiness
    }

    fn title(&self) -> String {
        "Readiness".to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        let parts = self.parts(shell);
        Html::from_trusted(parts.iter().map(|part| part.html.as_str()).collect::<Vec<_>>().join("\n"))
    }

    fn parts(&self, shell: &Shell) -> Vec<Part> {
        let part = |id: &str, html| Part { id: id.to_owned(), html };
        vec![
            part("ready-now", ui::written(&Now { it: self, shell })),
            part("warm", ui::written(&Warm { it: self, shell })),
            part("drill", ui::written(&Drills { it: self, shell })),
            part("providers", ui::written(&Providers { it: self, shell })),
        ]
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Now<'_> {
    /// Those that are missed first.
    fn indicators(&self) -> Vec<&Indicator> {
        let mut indicators: Vec<&Indicator> = self.it.readiness.indicators.iter().collect();
        indicators.sort_by_key(|indicator| match indicator.met {
            Met::No => 0,
            Met::Unknown => 1,
            Met::Yes => 2,
        });
        indicators
    }

    fn met(&self, met: Met) -> Html {
        match met {
            Met::Yes => ui::badge(Tone::Good, "met"),
            Met::No => ui::badge(Tone::Bad, "missed"),
            Met::Unknown => ui::badge(Tone::Plain, "unknown"),
        }
    }

    fn missed(&self) -> String {
        let missed = self.it.readiness.indicators.iter().filter(|indicator| indicator.met == Met::No);
        ui::count(missed.count() as u64, "objective is missed", "objectives are missed")
    }
}

impl Warm<'_> {
    fn state(&self, state: Callable) -> Html {
        match state {
            Callable::Yes => ui::badge(Tone::Good, "yes"),
            Callable::Unknown => ui::badge(Tone::Plain, "unknown"),
            Callable::Failing => ui::badge(Tone::Warn, "failing"),
            Callable::Refused => ui::badge(Tone::Bad, "refused"),
            Callable::Gone => ui::badge(Tone::Bad, "gone"),
        }
    }

    fn role(&self, steps_back: Option<u32>) -> String {
        match steps_back {
            None => "candidate".to_owned(),
            Some(0) => "active".to_owned(),
            Some(steps) => format!("{} back", ui::count(u64::from(steps), "rollback", "rollbacks")),
        }
    }
}

impl Providers<'_> {
    fn breaker(&self, asked: &Asked) -> Html {
        match asked.provider.health.as_ref().map(|health| health.breaker) {
            None => ui::badge(Tone::Plain, "nobody called it"),
            Some(state) => breaker(state),
        }
    }

    fn place(&self, asked: &Asked) -> String {
        let url = &asked.provider.spec.base_url;
        if url.is_empty() { "by its region".to_owned() } else { url.clone() }
    }

    /// Its key's variable and whether that is set; never what it holds.
    fn keys(&self, asked: &Asked) -> Html {
        let spec = &asked.provider.spec;
        let named: Vec<&String> = spec.key_env.iter().chain(spec.headers_env.values()).collect();
        let unset = asked.missing.iter().filter(|name| !named.contains(name));
        let all: Vec<String> = named.iter().copied().chain(unset).map(|name| self.key(asked, name)).collect();
        if all.is_empty() {
            return Html::from_trusted("<span class=\"dim\">none</span>".to_owned());
        }
        Html::from_trusted(all.join("<br>"))
    }

    fn key(&self, asked: &Asked, name: &String) -> String {
        let badge = match asked.missing.contains(name) {
            true => ui::badge(Tone::Bad, "not set"),
            false => ui::badge(Tone::Good, "set"),
        };
        format!("<code>{}</code> {badge}", ui::plain(name))
    }

    fn failover(&self, asked: &Asked) -> String {
        let names: Vec<String> = asked.provider.spec.failover.iter().map(ToString::to_string).collect();
        if names.is_empty() { "–".to_owned() } else { names.join(", ") }
    }

    fn models<'a>(&self, asked: &'a Asked) -> &'a [ModelHealth] {
        asked.provider.health.as_ref().map_or(&[], |health| &health.models)
    }
}

/// A sentence with its commands, which stand between backticks, as such.
fn said(text: &str) -> Html {
    let pieces = text.split('`').enumerate().map(|(place, piece)| match place % 2 {
        0 => ui::plain(piece).into_string(),
        _ => format!("<code>{}</code>", ui::plain(piece)),
    });
    Html::from_trusted(pieces.collect())
}

fn breaker(state: BreakerState) -> Html {
    let tone = match state {
        BreakerState::Closed => Tone::Good,
        BreakerState::HalfOpen => Tone::Warn,
        BreakerState::Open => Tone::Bad,
    };
    ui::badge(tone, format!("breaker {}", state.word()))
}

#[cfg(test)]
mod tests;
