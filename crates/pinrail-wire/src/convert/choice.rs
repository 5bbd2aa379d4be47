//! Which tool is to be called.

use super::look::{Node, Object};
use super::losses::Losses;
use super::out::{List, Map, quoted};
use super::turns::{Choice, Named, Said};

/// Reads the choice of either of OpenAI's dialects: chat wraps names in an object of their own, responses doesn't.
pub(super) fn of_openai<'a>(node: &Node<'a>, losses: &mut Losses) -> Option<Said<Choice<'a>>> {
    let path = node.path.clone();
    if node.is_str() {
        let value = match node.str(losses)?.as_ref() {
            "auto" => Choice::Auto,
            "none" => Choice::Never,
            "required" => Choice::Any,
            _ => {
                losses.malformed(path, "`auto`, `none`, `required` or an object");
                return None;
            }
        };
        return Some(Said { path, value });
    }
    let mut choice = node.object(losses)?;
    let kind = choice.str("type", losses).unwrap_or_default();
    let value = match kind.as_ref() {
        "allowed_tools" => {
            let inner = choice.take("allowed_tools").and_then(|node| node.object(losses));
            let mut inner = match inner {
                Some(inner) => {
                    choice.rest(losses);
                    inner
                }
                None => choice,
            };
            let any = inner.str("mode", losses).is_some_and(|mode| mode == "required");
            let tools = inner.need("tools", "an array", losses)?.items(losses);
            let tools = tools.iter().filter_map(|tool| allowed(tool, losses)).collect();
            inner.rest(losses);
            Choice::Among { any, tools }
        }
        "function" | "custom" => {
            let named = named(&mut choice, &kind, losses)?;
            choice.rest(losses);
            Choice::Tool(named)
        }
        _ => {
            losses.add(path, "server_tools", format!("chooses `{kind}`, a tool that OpenAI runs itself"));
            return None;
        }
    };
    Some(Said { path, value })
}

/// Reads the choice of messages, and whether several tools may be called at once.
pub(super) fn of_messages<'a>(
    node: &Node<'a>,
    losses: &mut Losses,
) -> (Option<Said<Choice<'a>>>, Option<bool>) {
    let Some(mut choice) = node.object(losses) else { return (None, None) };
    let single = choice.flag("disable_parallel_tool_use", losses);
    let value = match choice.kind(losses).as_ref() {
        "auto" => Some(Choice::Auto),
        "none" => Some(Choice::Never),
        "any" => Some(Choice::Any),
        "tool" => choice.need_str("name", losses).map(|name| Choice::Tool(Named { name, free: false })),
        _ => {
            losses.malformed(choice.path_of("type"), "`auto`, `any`, `tool` or `none`");
            None
        }
    };
    choice.rest(losses);
    (value.map(|value| Said { path: node.path.clone(), value }), single.map(|single| !single))
}

/// Writes a choice of chat.
pub(super) fn to_chat(choice: &Choice<'_>) -> String {
    let wrapped = |named: &Named<'_>| {
        let kind = kind(named);
        let mut inner = Map::new();
        inner.str("name", &named.name);
        let mut out = Map::of(kind);
        out.raw(kind, &inner.end());
        out.end()
    };
    match choice {
        Choice::Auto | Choice::Never | Choice::Any => word(choice),
        Choice::Tool(named) => wrapped(named),
        Choice::Among { any, tools } => {
            let mut out = Map::of("allowed_tools");
            out.raw("allowed_tools", &among(Map::new(), *any, tools, wrapped).end());
            out.end()
        }
    }
}

/// Writes a choice of responses.
pub(super) fn to_responses(choice: &Choice<'_>) -> String {
    let flat = |named: &Named<'_>| {
        let mut out = Map::of(kind(named));
        out.str("name", &named.name);
        out.end()
    };
    match choice {
        Choice::Auto | Choice::Never | Choice::Any => word(choice),
        Choice::Tool(named) => flat(named),
        Choice::Among { any, tools } => among(Map::of("allowed_tools"), *any, tools, flat).end(),
    }
}

/// Writes a choice of messages, with the wish for one call at a time.
pub(super) fn to_messages(
    choice: Option<&Said<Choice<'_>>>,
    parallel: Option<bool>,
    losses: &mut Losses,
) -> Option<String> {
    let single = parallel == Some(false);
    let mut out = match choice.map(|said| (&said.path, &said.value)) {
        None if single => Map::of("auto"),
        None => return None,
        Some((_, Choice::Auto)) => Map::of("auto"),
        Some((_, Choice::Never)) => return Some(Map::of("none").end()),
        Some((_, Choice::Any)) => Map::of("any"),
        Some((path, Choice::Tool(named))) => {
            if named.free {
                losses.add(
                    path,
                    "custom_tools",
                    "chooses a tool that takes free text, which the provider's format lacks",
                );
            }
            let mut out = Map::of("tool");
            out.str("name", &named.name);
            out
        }
        Some((path, Choice::Among { any, .. })) => {
            losses.add(
                path,
                "allowed_tools",
                "chooses among some of the tools, which the provider's format can't",
            );
            Map::of(if *any { "any" } else { "auto" })
        }
    };
    if single {
        out.flag("disable_parallel_tool_use", true);
    }
    Some(out.end())
}

fn allowed<'a>(node: &Node<'a>, losses: &mut Losses) -> Option<Named<'a>> {
    let mut tool = node.object(losses)?;
    let kind = tool.kind(losses);
    if kind != "function" && kind != "custom" {
        losses.add(&node.path, "server_tools", format!("allows `{kind}`, a tool that OpenAI runs itself"));
        return None;
    }
    let named = named(&mut tool, &kind, losses);
    tool.rest(losses);
    named
}

fn named<'a>(tool: &mut Object<'a>, kind: &str, losses: &mut Losses) -> Option<Named<'a>> {
    let free = kind == "custom";
    let inner = tool.take(kind).and_then(|node| node.object(losses));
    let name = match inner {
        Some(mut inner) => {
            let name = inner.need_str("name", losses);
            inner.rest(losses);
            name
        }
        None => tool.need_str("name", losses),
    };
    name.map(|name| Named { name, free })
}

fn among(mut out: Map, any: bool, tools: &[Named<'_>], write: impl Fn(&Named<'_>) -> String) -> Map {
    out.str("mode", if any { "required" } else { "auto" });
    let mut list = List::new();
    for tool in tools {
        list.push(&write(tool));
    }
    out.raw("tools", &list.end());
    out
}

fn kind(named: &Named<'_>) -> &'static str {
    if named.free { "custom" } else { "function" }
}

/// The word that both of OpenAI's dialects have for a choice without names.
fn word(choice: &Choice<'_>) -> String {
    quoted(match choice {
        Choice::Never => "none",
        Choice::Any => "required",
        Choice::Auto | Choice::Tool(_) | Choice::Among { .. } => "auto",
    })
}
