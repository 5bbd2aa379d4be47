//! The map: which agents write and read which spaces, and so who depends on whom.

use std::collections::BTreeMap;

use askama::Template;
use pinrail_api::spaces::{Map, Place, Used};
use pinrail_domain::id::{AgentName, TenantId};
use serde::Serialize;

use crate::graph::{COLUMN_MAX, Edge, Graph, Kind, Node};
use crate::page::{Nav, Page};
use crate::shell::Shell;
use crate::spaces::{href, space_href};
use crate::ui::{self, Html, Tone};

/// Agents and spaces.
#[derive(Clone, Debug, Serialize)]
pub struct Uses {
    #[serde(flatten)]
    pub map: Map,
    pub tenant: Option<TenantId>,
    /// Each space by itself.
    pub each: bool,
}

#[derive(Template)]
#[template(path = "state/map.html")]
struct Main<'a> {
    it: &'a Uses,
    shell: &'a Shell,
}

impl Page for Uses {
    fn nav(&self) -> Nav {
        Nav::State
    }

    fn title(&self) -> String {
        "Map of agents and spaces".to_owned()
    }

    fn main(&self, shell: &Shell) -> Html {
        ui::written(&Main { it: self, shell })
    }
}

impl Uses {
    /// Agents on the left, places on the right, a line for each use.
    #[must_use]
    pub fn graph(&self) -> Graph {
        let uses = &self.map.uses;
        let weight = |is_of: &dyn Fn(&Used) -> bool| {
            uses.iter().filter(|used| is_of(used)).map(|used| used.reads + used.writes).sum()
        };
        let agents = self.map.agents.iter().map(|agent| Node {
            column: 0,
            kind: Kind::Agent,
            name: agent.to_string(),
            says: "agent".to_owned(),
            href: Some(href("/runs", &[("agent", agent.as_str())])),
            weight: weight(&|used| used.agent == *agent),
            folds: 0,
        });
        let places = self.map.spaces.iter().map(|place| Node {
            column: 1,
            kind: Kind::Space,
            name: place.space.clone(),
            says: behind(place),
            href: Some(place_href(place, self.tenant.as_ref())),
            weight: weight(&|used| used.place == place.id),
            folds: 0,
        });
        let nodes: Vec<Node> = agents.chain(places).collect();
        let agent_at: BTreeMap<&AgentName, usize> =
            self.map.agents.iter().enumerate().map(|(at, agent)| (agent, at)).collect();
        let first = self.map.agents.len();
        let place_at: BTreeMap<&str, usize> =
            self.map.spaces.iter().enumerate().map(|(at, place)| (place.id.as_str(), first + at)).collect();
        let edges = uses.iter().filter_map(|used| {
            let (from, to) = (*agent_at.get(&used.agent)?, *place_at.get(used.place.as_str())?);
            let said = [(used.writes, "written"), (used.reads, "read")];
            let said = said.iter().filter(|(n, _)| *n > 0);
            let says =
                said.map(|(n, word)| format!("{} {word}", ui::grouped(*n))).collect::<Vec<_>>().join(", ");
            Some(Edge { from, to, forth: used.writes, back: used.reads, says })
        });
        let graph = Graph { edges: edges.collect(), nodes };
        graph
            .folded(COLUMN_MAX, |kind, n, _| (format!("+ {n} more"), format!("{}, in the table", word(kind))))
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Agent => "agents",
        Kind::Space => "spaces",
        Kind::Deployment | Kind::Run | Kind::Tool | Kind::Parents => "others",
    }
}

/// What stands behind a place.
fn behind(place: &Place) -> String {
    match &place.tenant {
        Some(tenant) => format!("tenant {tenant}"),
        None => format!(
            "{}, {}",
            ui::count(place.spaces, "space", "spaces"),
            ui::count(place.tenants, "tenant", "tenants")
        ),
    }
}

/// The space, or the list of those behind the place.
fn place_href(place: &Place, tenant: Option<&TenantId>) -> String {
    if let Some(tenant) = &place.tenant {
        return space_href(tenant, &place.space);
    }
    let (layer, name) = place.space.split_once('/').unwrap_or(("", &place.space));
    let of = tenant.map(ToString::to_string).unwrap_or_default();
    href("/state", &[("layer", layer), ("prefix", name.trim_end_matches('*')), ("tenant", &of)])
}

impl Main<'_> {
    fn tenant(&self) -> String {
        self.it.tenant.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    fn drawn(&self) -> Html {
        let Map { agents, spaces, uses, .. } = &self.it.map;
        let label = format!(
            "{} and {} that they write and read, {}; the table under it says the same",
            ui::count(agents.len() as u64, "agent", "agents"),
            ui::count(spaces.len() as u64, "space", "spaces"),
            ui::count(uses.len() as u64, "line", "lines")
        );
        self.it.graph().svg(&label)
    }

    fn place(&self, id: &str) -> Html {
        match self.it.map.spaces.iter().find(|place| place.id == id) {
            Some(place) => Html::from_trusted(format!(
                "<a href=\"{}\">{}</a>",
                ui::plain(place_href(place, self.it.tenant.as_ref())),
                ui::plain(id)
            )),
            None => ui::plain(id),
        }
    }

    fn through(&self, places: &[String]) -> Html {
        Html::from_trusted(
            places.iter().map(|id| self.place(id).into_string()).collect::<Vec<_>>().join(", "),
        )
    }

    fn agent_href(&self, agent: &AgentName) -> String {
        href("/runs", &[("agent", agent.as_str())])
    }

    fn each_href(&self) -> String {
        let each = if self.it.each { "" } else { "true" };
        href("/state/map", &[("tenant", &self.tenant()), ("spaces", each)])
    }
}

#[cfg(test)]
mod tests {
    use pinrail_api::spaces::Depends;
    use pinrail_domain::time::Timestamp;

    use super::*;

    fn uses() -> Uses {
        let used = |agent: &str, place: &str, reads, writes| Used {
            agent: agent.parse().unwrap(),
            place: place.to_owned(),
            reads,
            writes,
            last_at: Timestamp(1_799_999_940_000),
        };
        let place =
            |id: &str| Place { id: id.to_owned(), space: id.to_owned(), tenant: None, spaces: 3, tenants: 2 };
        let depends = Depends {
            reader: "executor".parse().unwrap(),
            writer: "planner".parse().unwrap(),
            through: vec!["context/orders".to_owned()],
            reads: 7,
            last_at: Timestamp(1_799_999_940_000),
        };
        let map = Map {
            agents: vec!["executor".parse().unwrap(), "planner".parse().unwrap()],
            spaces: vec![place("memory/planner/*"), place("context/orders")],
            uses: vec![
                used("planner", "memory/planner/*", 4, 6),
                used("planner", "context/orders", 0, 5),
                used("executor", "context/orders", 7, 0),
            ],
            depends: vec![depends],
        };
        Uses { map, tenant: None, each: false }
    }

    #[test]
    fn lines_point_to_where_something_went() {
        let graph = uses().graph();
        let lines: Vec<_> =
            graph.edges.iter().map(|edge| (edge.from, edge.to, edge.forth, edge.back)).collect();
        assert_eq!(lines, [(0, 3, 0, 7), (1, 2, 6, 4), (1, 3, 5, 0)]);
        let html = uses().main(&Shell::of("/state/map")).into_string();
        assert!(html.contains("layer=memory&amp;prefix=planner%2F"), "{html}");
        assert_eq!(html.matches("<h1>").count(), 1);
        assert!(html.contains("3 spaces, 2 tenants") && html.contains("executor"), "{html}");
    }

    #[test]
    fn a_map_of_nothing_says_why() {
        let empty = Uses { map: Map::default(), tenant: None, each: false };
        let html = empty.main(&Shell::of("/state/map")).into_string();
        assert!(html.contains("class=\"empty\"") && !html.contains("<svg"), "{html}");
    }
}
