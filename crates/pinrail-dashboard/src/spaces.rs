//! The spaces: what there is of state, who wrote it, and when last.

use askama::Template;
use pinrail_api::spaces::Space;
use pinrail_domain::id::TenantId;
use pinrail_domain::state::Layer;
use pinrail_domain::time::Timestamp;
use serde::Serialize;

use crate::page::{Nav, Page};
use crate::shell::Shell;
use crate::ui::{self, Html, Tone};

/// The spaces, by tenant, layer and name.
#[derive(Clone, Debug, Serialize)]
pub struct Spaces {
    pub items: Vec<Row>,
    /// Pass as `after` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    pub layer: Option<Layer>,
    pub tenant: Option<TenantId>,
    pub prefix: Option<String>,
}

/// A space, and when something was last written there.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    #[serde(flatten)]
    pub space: Space,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
}

#[derive(Template)]
#[template(path = "state/spaces.html")]
struct Main<'a> {
    it: &'a Spaces,
    shell: &'a Shell,
}

/// Deployments named in a row; a space that lives for years was written by hundreds.
const NAMED_MAX: usize = 6;

impl Page for Spaces {
    fn nav(&self) -> Nav {
        Nav::State
    }

    fn title(&self) -> String {
        "State".to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, shell })
    }
}

/// An address with those of its parameters that say something.
#[must_use]
pub fn href(path: &str, pairs: &[(&str, &str)]) -> String {
    let said = pairs.iter().filter(|(_, value)| !value.is_empty());
    let query: Vec<String> = said.map(|(name, value)| format!("{name}={}", ui::url(value))).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// Where a space is looked at.
#[must_use]
pub fn space_href(tenant: &TenantId, space: &str) -> String {
    href("/state/space", &[("tenant", tenant.as_str()), ("space", space)])
}

impl Spaces {
    fn is_narrowed(&self) -> bool {
        self.layer.is_some() || self.tenant.is_some() || self.prefix.is_some()
    }
}

impl Main<'_> {
    fn layer(&self) -> &'static str {
        self.it.layer.map_or("", Layer::as_str)
    }

    fn tenant(&self) -> String {
        self.it.tenant.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    fn prefix(&self) -> &str {
        self.it.prefix.as_deref().unwrap_or_default()
    }

    fn href(&self, row: &Row) -> String {
        space_href(&row.space.tenant, &row.space.space)
    }

    /// The layer's word and the name behind it.
    fn parts<'s>(&self, row: &'s Row) -> (&'s str, &'s str) {
        row.space.space.split_once('/').unwrap_or(("", &row.space.space))
    }

    /// Values that are kept and that nobody sees.
    fn hidden(&self, row: &Row) -> u64 {
        row.space.puts.saturating_sub(row.space.visible)
    }

    /// Who wrote there, the newest first.
    fn writers(&self, row: &Row) -> Html {
        let all = &row.space.deployments;
        let mut said: Vec<String> = all.iter().rev().take(NAMED_MAX).map(|id| writer(id.0)).collect();
        if all.len() > NAMED_MAX {
            said.push(format!("<span class=\"dim\">+ {} more</span>", all.len() - NAMED_MAX));
        }
        Html::from_trusted(said.join(", "))
    }

    fn next(&self) -> Option<String> {
        let next = self.it.next.as_deref()?;
        let (tenant, prefix) = (self.tenant(), self.prefix());
        let pairs = [("layer", self.layer()), ("tenant", &tenant), ("prefix", prefix), ("after", next)];
        Some(href("/state", &pairs))
    }
}

/// A deployment's number, as a link; the ground has no page.
#[must_use]
pub fn writer(deployment: u64) -> String {
    match deployment {
        0 => "<span title=\"facts from outside, which lie on the ground and stay\">ground</span>".to_owned(),
        id => format!("<a href=\"/deployments/{id}\">{id}</a>"),
    }
}

#[cfg(test)]
mod tests {
    use pinrail_domain::id::{DeploymentId, StateSeq};

    use super::*;

    fn row(space: &str) -> Row {
        let space = Space {
            tenant: "acme".parse().unwrap(),
            space: space.to_owned(),
            puts: 1_300,
            deletes: 2,
            visible: 1_200,
            newest: StateSeq(9),
            deployments: (0..9).map(DeploymentId).collect(),
        };
        Row { space, last_at: Some(Timestamp(1_799_999_940_000)) }
    }

    #[test]
    fn spaces_say_what_is_visible_what_is_hidden_and_who_wrote() {
        let page = Spaces {
            items: vec![row("memory/support/<script>&\"")],
            next: Some("acme memory/support/s&1".to_owned()),
            layer: Some(Layer::Memory),
            tenant: None,
            prefix: Some("<b>".to_owned()),
        };
        let html = page.main(&Shell::of("/state")).into_string();
        assert!(html.contains("1\u{202f}200") && html.contains("100") && html.contains("+ 3 more"), "{html}");
        assert!(!html.contains("<script>") && !html.contains("<b>"), "{html}");
        assert!(html.contains("space=memory%2Fsupport%2F%3Cscript%3E%26%22"), "{html}");
        assert!(
            html.contains("layer=memory&amp;prefix=%3Cb%3E&amp;after=acme%20memory%2Fsupport%2Fs%261"),
            "{html}"
        );
        assert!(html.contains("1 min 0 s ago"), "{html}");
    }

    #[test]
    fn an_empty_list_says_how_to_fill_it() {
        let page = Spaces { items: Vec::new(), next: None, layer: None, tenant: None, prefix: None };
        let html = page.main(&Shell::of("/state")).into_string();
        assert!(html.contains("pinrail context put"), "{html}");
        let page = Spaces { prefix: Some("x".to_owned()), ..page };
        assert!(page.main(&Shell::of("/state")).into_string().contains("Nothing fits"));
    }
}
