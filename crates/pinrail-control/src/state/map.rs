//! The map: which agents read and write which spaces, and so which agents depend on which.
//!
//! Taken from what runs did, not from what anybody declared. An agent depends on another when it read a space that the
//! other wrote: what the other concludes, and what a release of it gets wrong, reaches it that way.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_domain::id::{AgentName, TenantId};
use pinrail_domain::state::{Layer, Space};
use pinrail_domain::time::Timestamp;
use pinrail_store::StoreError;
use pinrail_store::state::Use;

use super::States;

/// Who uses what, and who depends on whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    pub agents: BTreeSet<AgentName>,
    /// By name; with how many spaces of how many tenants stand behind each.
    pub spaces: BTreeMap<Place, Behind>,
    pub uses: Vec<Used>,
    pub depends: Vec<Depends>,
}

/// A space on the map, or several that are drawn as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub layer: Layer,
    pub name: String,
    /// None where spaces of several tenants are drawn as one.
    pub tenant: Option<TenantId>,
}

/// What stands behind a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    pub spaces: u64,
    pub tenants: u64,
}

/// How an agent uses a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    pub agent: AgentName,
    pub place: Place,
    pub reads: u64,
    pub writes: u64,
    pub last_at: Timestamp,
}

/// `reader` read what `writer` writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depends {
    pub reader: AgentName,
    pub writer: AgentName,
    /// Through these places.
    pub through: Vec<Place>,
    /// How often the reader read there.
    pub reads: u64,
    pub last_at: Timestamp,
}

impl States {
    /// The map of these tenants, or of all. `each_space` draws every space by itself; otherwise the sessions of an
    /// agent's memory are one place, and so are the spaces of one name of several tenants.
    pub async fn map(&self, tenants: Option<&[TenantId]>, each_space: bool) -> Result<Map, StoreError> {
        self.notes.settled().await;
        Ok(draw(&self.parts.store.state_uses(tenants).await?, each_space))
    }
}

/// Draws the map of these uses.
#[must_use]
pub fn draw(uses: &[Use], each_space: bool) -> Map {
    let mut map = Map::default();
    let mut behind: BTreeMap<Place, BTreeSet<&Space>> = BTreeMap::new();
    let mut used: BTreeMap<(AgentName, Place), Used> = BTreeMap::new();
    let mut of_space: BTreeMap<&Space, Vec<&Use>> = BTreeMap::new();
    for one in uses {
        let place = Place::of(&one.space, each_space);
        map.agents.insert(one.agent.clone());
        behind.entry(place.clone()).or_default().insert(&one.space);
        of_space.entry(&one.space).or_default().push(one);
        let key = (one.agent.clone(), place.clone());
        let nothing = || Used { agent: key.0.clone(), place, reads: 0, writes: 0, last_at: Timestamp(0) };
        let sum = used.entry(key.clone()).or_insert_with(nothing);
        sum.reads += one.reads;
        sum.writes += one.writes;
        sum.last_at = sum.last_at.max(one.last_at);
    }
    map.uses = used.into_values().collect();
    map.depends = depends(&of_space, each_space);
    let count = |spaces: BTreeSet<&Space>| {
        let tenants: BTreeSet<&TenantId> = spaces.iter().map(|space| &space.tenant).collect();
        Behind { spaces: spaces.len() as u64, tenants: tenants.len() as u64 }
    };
    map.spaces = behind.into_iter().map(|(place, spaces)| (place, count(spaces))).collect();
    map
}

/// Found space by space, before any are drawn as one: who reads another session depends on nobody of this one.
fn depends(of_space: &BTreeMap<&Space, Vec<&Use>>, each_space: bool) -> Vec<Depends> {
    let mut found: BTreeMap<(AgentName, AgentName), (BTreeSet<Place>, u64, Timestamp)> = BTreeMap::new();
    for (space, uses) in of_space {
        for reader in uses.iter().filter(|one| one.reads > 0) {
            for writer in uses.iter().filter(|one| one.writes > 0 && one.agent != reader.agent) {
                let key = (reader.agent.clone(), writer.agent.clone());
                let (through, reads, last_at) = found.entry(key).or_default();
                through.insert(Place::of(space, each_space));
                *reads += reader.reads;
                *last_at = (*last_at).max(reader.last_at);
            }
        }
    }
    let depends = |((reader, writer), (through, reads, last_at)): (_, (BTreeSet<Place>, _, _))| Depends {
        reader,
        writer,
        through: through.into_iter().collect(),
        reads,
        last_at,
    };
    found.into_iter().map(depends).collect()
}

impl Place {
    fn of(space: &Space, each_space: bool) -> Place {
        let Space { tenant, layer, name } = space;
        let name = name.as_str();
        let name = match (layer, name.split_once('/')) {
            (Layer::Memory, Some((agent, _))) if !each_space => format!("{agent}/*"),
            (Layer::Memory | Layer::Context | Layer::Vectors, _) => name.to_owned(),
        };
        Place { layer: *layer, name, tenant: each_space.then(|| tenant.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(agent: &str, space: &str, tenant: &str, reads: u64, writes: u64) -> Use {
        let (layer, name) = space.split_once('/').unwrap();
        let space = Space {
            tenant: tenant.parse().unwrap(),
            layer: layer.parse().unwrap(),
            name: name.parse().unwrap(),
        };
        Use { agent: agent.parse().unwrap(), space, reads, writes, last_at: Timestamp(reads + writes) }
    }

    fn dependencies(map: &Map) -> Vec<String> {
        let through = |places: &[Place]| places.iter().map(|place| place.name.clone()).collect::<Vec<_>>();
        let line = |depends: &Depends| {
            let Depends { reader, writer, reads, .. } = depends;
            format!("{reader} → {writer} ({reads}: {})", through(&depends.through).join(", "))
        };
        map.depends.iter().map(line).collect()
    }

    #[test]
    fn sessions_are_one_place_and_whoever_reads_what_another_writes_depends_on_it() {
        let uses = [
            used("planner", "memory/planner/s-1", "acme", 3, 4),
            used("planner", "memory/planner/s-2", "umbrella", 1, 2),
            used("planner", "context/orders", "acme", 0, 5),
            used("executor", "context/orders", "acme", 7, 1),
            used("auditor", "context/orders", "umbrella", 9, 0),
            used("auditor", "memory/planner/s-1", "acme", 2, 0),
        ];
        let map = draw(&uses, false);
        let places: Vec<String> = map.spaces.keys().map(|place| place.name.clone()).collect();
        assert_eq!(places, ["planner/*", "orders"]);
        let behind: Vec<(u64, u64)> = map.spaces.values().map(|it| (it.spaces, it.tenants)).collect();
        assert_eq!(behind, [(2, 2), (2, 2)]);
        let planner: Vec<(u64, u64)> = map
            .uses
            .iter()
            .filter(|it| it.agent.as_str() == "planner")
            .map(|it| (it.reads, it.writes))
            .collect();
        assert_eq!(planner, [(4, 6), (0, 5)]);
        // The auditor read umbrella's orders, which nobody wrote: that makes it depend on nobody.
        let expected = ["auditor → planner (2: planner/*)", "executor → planner (7: orders)"];
        assert_eq!(dependencies(&map), expected);
        let each = draw(&uses, true);
        assert_eq!(each.spaces.len(), 4);
        assert!(each.spaces.keys().all(|place| place.tenant.is_some()));
        assert_eq!(draw(&[], false), Map::default());
    }
}
