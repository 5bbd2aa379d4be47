//! `pinrail state map`: as tables, as JSON, or for graphviz.

use std::fmt::Write as _;

use pinrail_api::spaces::Map;
use pinrail_domain::id::TenantId;

use crate::cli::Context;
use crate::client::Query;
use crate::output::table::table;
use crate::output::time;

pub fn run(tenant: Option<&TenantId>, spaces: bool, dot: bool, context: &Context) -> anyhow::Result<()> {
    let query = Query::default().add("tenant", tenant).add("spaces", spaces.then_some(true));
    let reply = context.client.get::<Map>(&query.on("/api/v1/state/map"))?;
    if dot {
        context.out.data(&graph(&reply.value))?;
    } else {
        context.out.reply(&reply, |map| tables(map, context))?;
    }
    Ok(())
}

fn tables(map: &Map, context: &Context) -> String {
    if map.uses.is_empty() {
        return "no run has read or written state yet".to_owned();
    }
    let uses = map.uses.iter().map(|used| {
        let (reads, writes) = (used.reads.to_string(), used.writes.to_string());
        vec![used.agent.to_string(), used.place.clone(), reads, writes, time::both(context.now, used.last_at)]
    });
    let uses = table(&["agent", "space", "reads", "writes", "last"], uses.collect(), "");
    let depends = map.depends.iter().map(|depends| {
        let last = time::both(context.now, depends.last_at);
        let (reader, writer) = (depends.reader.to_string(), depends.writer.to_string());
        vec![reader, writer, depends.through.join(" "), depends.reads.to_string(), last]
    });
    let header = ["agent", "depends on", "through", "reads", "last"];
    let depends = table(&header, depends.collect(), "no agent read what another one wrote");
    format!("{uses}\n\n{depends}")
}

/// Agents as boxes, spaces as cylinders; arrows go the way that data goes.
fn graph(map: &Map) -> String {
    let mut text = String::from("digraph state {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
    for agent in &map.agents {
        let _ = writeln!(
            text,
            "  {} [label={}, shape=box];",
            node("agent", agent.as_str()),
            quoted(agent.as_str())
        );
    }
    for place in &map.spaces {
        let behind = if place.spaces > 1 { format!("\n{} spaces", place.spaces) } else { String::new() };
        let label = quoted(&format!("{}{behind}", place.id));
        let _ = writeln!(text, "  {} [label={label}, shape=cylinder];", node("space", &place.id));
    }
    for used in &map.uses {
        let (agent, place) = (node("agent", used.agent.as_str()), node("space", &used.place));
        if used.writes > 0 {
            let _ = writeln!(
                text,
                "  {agent} -> {place} [label={}];",
                quoted(&format!("{} writes", used.writes))
            );
        }
        if used.reads > 0 {
            let _ =
                writeln!(text, "  {place} -> {agent} [label={}];", quoted(&format!("{} reads", used.reads)));
        }
    }
    for depends in &map.depends {
        let (writer, reader) =
            (node("agent", depends.writer.as_str()), node("agent", depends.reader.as_str()));
        let _ = writeln!(text, "  {writer} -> {reader} [style=dashed, constraint=false];");
    }
    text.push_str("}\n");
    text
}

fn node(kind: &str, name: &str) -> String {
    quoted(&format!("{kind} {name}"))
}

/// A string as DOT has it: quotes and backslashes escaped, line ends as `\n`.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_dot_would_read_as_its_own_are_escaped() {
        let map: Map = serde_json::from_value(serde_json::json!({
            "agents": ["planner"],
            "spaces": [{ "id": "a\"b\\:memory/planner/s]", "space": "memory/planner/s]", "spaces": 1, "tenants": 1 }],
            "uses": [{ "agent": "planner", "place": "a\"b\\:memory/planner/s]", "reads": 1, "writes": 2, "last_at": 0 }],
            "depends": []
        }))
        .unwrap();
        let dot = graph(&map);
        let expected = r#"  "agent planner" -> "space a\"b\\:memory/planner/s]" [label="2 writes"];"#;
        assert!(dot.lines().any(|line| line == expected), "{dot}");
        assert_eq!(dot.matches(" -> ").count(), 2);
        assert_eq!(quoted("two\nlines"), r#""two\nlines""#);
    }
}
