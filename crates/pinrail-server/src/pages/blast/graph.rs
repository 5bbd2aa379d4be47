//! A blast radius as a graph: the deployment, the records that it wrote and the tools that its runs called, the runs that read
//! those records, what they wrote and called, and so on.

use std::collections::BTreeMap;

use pinrail_control::deploy::blast::{Blast, Done, Why};
use pinrail_control::deploy::flow::{Flow, Writer};
use pinrail_dashboard::graph::{COLUMN_MAX, Edge, Graph, Kind, Node};
use pinrail_dashboard::space::short_run;
use pinrail_dashboard::spaces::href;
use pinrail_dashboard::ui;
use pinrail_domain::id::RunId;
use pinrail_domain::state::Space;

/// Whose box it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Deployment,
    /// By wave.
    Space(usize, Space),
    Parents(usize),
    Run(usize, RunId),
    Tool(usize, String),
}

#[derive(Default)]
struct Drawn {
    graph: Graph,
    at: BTreeMap<Of, usize>,
    edges: BTreeMap<(usize, usize), u64>,
}

/// Tools are few, and what people look for first: they aren't folded before anything else is.
const TOOL_WEIGHT: u64 = 1_000_000;

/// Draws it.
pub fn of(blast: &Blast, flow: &Flow, calls: &[(RunId, Done)]) -> Graph {
    let mut drawn = Drawn::default();
    let id = blast.deployment;
    drawn.node(
        Of::Deployment,
        Node {
            column: 0,
            kind: Kind::Deployment,
            name: format!("deployment {id}"),
            says: ui::count(blast.counts.own_runs, "run", "runs"),
            href: Some(format!("/deployments/{id}")),
            weight: 1,
            folds: 0,
        },
    );
    for (number, wave) in flow.waves.iter().enumerate() {
        for (space, writers) in &wave.written {
            let to = drawn.space(blast, number, space, writers.values().sum());
            for (writer, records) in writers {
                let from = match writer {
                    Writer::Deployment => drawn.at[&Of::Deployment],
                    Writer::Run(run) => drawn.run(blast, number - 1, *run),
                    Writer::Parent(parent) => drawn.parents(number - 1, parent, *records),
                };
                *drawn.edges.entry((from, to)).or_default() += records;
            }
        }
        for (run, spaces) in &wave.readers {
            let to = drawn.run(blast, number, *run);
            for space in spaces {
                if let Some(from) = drawn.at.get(&Of::Space(number, space.clone())) {
                    drawn.edges.entry((*from, to)).or_insert(0);
                }
            }
        }
    }
    for (run, done) in calls {
        drawn.calls(blast, flow, *run, done);
    }
    drawn.done()
}

impl Drawn {
    fn node(&mut self, of: Of, node: Node) -> usize {
        let next = self.graph.nodes.len();
        let at = *self.at.entry(of).or_insert(next);
        if at == next {
            self.graph.nodes.push(node);
        }
        at
    }

    fn space(&mut self, blast: &Blast, wave: usize, space: &Space, records: u64) -> usize {
        let eyes = blast.deployment.to_string();
        let (name, tenant) = (space.to_string(), space.tenant.as_str());
        let pairs = [("tenant", tenant), ("space", &name), ("deployment", &eyes), ("history", "true")];
        let node = Node {
            column: 1 + 2 * wave,
            kind: Kind::Space,
            says: format!("{}, {tenant}", ui::count(records, "record", "records")),
            href: Some(href("/state/space", &pairs)),
            name,
            weight: records,
            folds: 0,
        };
        self.node(Of::Space(wave, space.clone()), node)
    }

    fn run(&mut self, blast: &Blast, wave: usize, run: RunId) -> usize {
        let says = blast.runs.get(&run).map_or_else(String::new, |affected| {
            format!("{} on deployment {}", affected.stamp.agent, affected.stamp.deployment)
        });
        let node = Node {
            column: 2 + 2 * wave,
            kind: Kind::Run,
            name: short_run(run),
            says,
            href: Some(format!("/runs/{run}")),
            weight: 1 + blast.runs.get(&run).map_or(0, |affected| affected.wrote),
            folds: 0,
        };
        self.node(Of::Run(wave, run), node)
    }

    /// Between a wave's records and those that name them as parents.
    fn parents(&mut self, wave: usize, parent: &Space, records: u64) -> usize {
        let node = Node {
            column: 2 + 2 * wave,
            kind: Kind::Parents,
            name: "named as parents".to_owned(),
            says: "by records that others wrote".to_owned(),
            href: None,
            weight: TOOL_WEIGHT,
            folds: 0,
        };
        let at = self.node(Of::Parents(wave), node);
        if let Some(from) = self.at.get(&Of::Space(wave, parent.clone())) {
            *self.edges.entry((*from, at)).or_default() += records;
        }
        at
    }

    /// What a run called stands beside what it wrote.
    fn calls(&mut self, blast: &Blast, flow: &Flow, run: RunId, done: &Done) {
        let Some(affected) = blast.runs.get(&run) else { return };
        let (from, column) = match affected.why {
            Why::Own => (self.at[&Of::Deployment], 1),
            Why::Misled(_) => {
                let wave = flow.waves.iter().position(|wave| wave.readers.contains_key(&run));
                let Some(wave) = wave else { return };
                (self.run(blast, wave, run), 3 + 2 * wave)
            }
        };
        let mut tools: BTreeMap<&str, u64> = BTreeMap::new();
        for effect in &done.effects {
            *tools.entry(&effect.tool).or_default() += 1;
        }
        for (tool, calls) in tools {
            let node = Node {
                column,
                kind: Kind::Tool,
                name: tool.to_owned(),
                says: String::new(),
                href: Some("#calls".to_owned()),
                weight: TOOL_WEIGHT,
                folds: 0,
            };
            let to = self.node(Of::Tool(column, tool.to_owned()), node);
            self.graph.nodes[to].weight += calls;
            *self.edges.entry((from, to)).or_default() += calls;
        }
    }

    fn done(self) -> Graph {
        let Drawn { mut graph, edges, .. } = self;
        for node in graph.nodes.iter_mut().filter(|node| node.kind == Kind::Tool) {
            node.says = format!("{}, which stay", ui::count(node.weight - TOOL_WEIGHT, "call", "calls"));
        }
        let line = |((from, to), count): ((usize, usize), u64)| {
            let says = match graph.nodes[to].kind {
                // That it read is what the line says.
                Kind::Run => String::new(),
                Kind::Tool => ui::count(count, "call", "calls"),
                Kind::Parents | Kind::Space | Kind::Deployment | Kind::Agent => {
                    ui::count(count, "record", "records")
                }
            };
            // What was read is known, how often isn't.
            Edge { from, to, forth: count.max(1), back: 0, says }
        };
        graph.edges = edges.into_iter().map(line).collect();
        graph.folded(COLUMN_MAX, |kind, n, weight| {
            let says = match kind {
                Kind::Run => "runs, in the table".to_owned(),
                Kind::Space => format!("spaces, {}", ui::count(weight, "record", "records")),
                Kind::Tool | Kind::Deployment | Kind::Agent | Kind::Parents => "others".to_owned(),
            };
            (format!("+ {n} more"), says)
        })
    }
}
