//! YAML 1.2 → values with places. Plain scalars follow the core schema, so `no` and `2026-01-01` are texts; anchors,
//! aliases and merge keys (`<<`) are resolved here.

use std::collections::BTreeMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::Number;

use super::node::{At, Content, DEPTH_MAX, Entry, NODES_MAX, Node};

/// Why a file can't be read as YAML, or as JSON.
#[derive(Debug)]
pub struct Bad {
    pub at: At,
    pub what: String,
}

struct Builder {
    file: Rc<str>,
    open: Vec<Open>,
    /// What aliases stand for, with the number of values in it.
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
    documents: usize,
}

/// A list or map that isn't whole yet.
struct Open {
    at: At,
    anchor: usize,
    /// How many values there were when it began.
    nodes: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, merged: Vec<Node>, key: Option<(String, At)> },
}

/// Reads a file that holds one document; an empty one is null.
pub fn read(text: &str, file: &Rc<str>) -> Result<Node, Bad> {
    let mut builder = Builder {
        file: Rc::clone(file),
        open: Vec::new(),
        anchors: BTreeMap::new(),
        nodes: 0,
        root: None,
        documents: 0,
    };
    let mut parser = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| {
            let mark = error.marker();
            let at = At { file: Rc::clone(file), line: mark.line(), column: mark.col() + 1 };
            Bad { at, what: format!("is not YAML: {}", error.info()) }
        })?;
        builder.take(event, span)?;
    }
    Ok(builder.root.unwrap_or(Node::new(Content::Null, At::file(file))))
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Bad> {
        let at = At { file: Rc::clone(&self.file), line: span.start.line(), column: span.start.col() + 1 };
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(bad(at, "holds a second document (`---`): put it in a file of its own"));
                }
                Ok(())
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(bad(at, "has an alias to what it stands in itself"));
                };
                self.count(size, &at)?;
                self.add(Node { at, ..node }, 0)
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, &at)?;
                let content = scalar(&text, style, tag.as_deref(), &at)?;
                self.add(Node::new(content, at), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(at, anchor, Kind::List(Vec::new()), tag.as_deref())
            }
            Event::MappingStart(anchor, tag) => {
                let kind = Kind::Map { entries: Vec::new(), merged: Vec::new(), key: None };
                self.begin(at, anchor, kind, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    fn count(&mut self, more: usize, at: &At) -> Result<(), Bad> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > NODES_MAX {
            return Err(bad(at.clone(), &format!("holds more than {NODES_MAX} values, aliases counted out")));
        }
        Ok(())
    }

    fn begin(&mut self, at: At, anchor: usize, kind: Kind, tag: Option<&Tag>) -> Result<(), Bad> {
        if tag.is_some_and(|tag| !tag.is_yaml_core_schema()) {
            return Err(bad(at, "has a tag (`!…`), which a suite has no use for"));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(bad(at, &format!("is nested deeper than {DEPTH_MAX}")));
        }
        self.count(1, &at)?;
        self.open.push(Open { at, anchor, nodes: self.nodes - 1, kind });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Bad> {
        let open = self.open.pop().expect("the parser ends only what it began");
        let size = self.nodes - open.nodes;
        let content = match open.kind {
            Kind::List(items) => Content::List(items),
            Kind::Map { entries, merged, .. } => Content::Map(merge(entries, merged)?),
        };
        let node = Node::new(content, open.at);
        if open.anchor != 0 {
            self.anchors.insert(open.anchor, (node.clone(), size));
        }
        self.add(node, 0)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Bad> {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), 1));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.kind {
            Kind::List(items) => items.push(node),
            Kind::Map { entries, merged, key } => match key.take() {
                None => {
                    let Some(name) = key_text(&node) else {
                        return Err(bad(node.at, "has a list or map as a key: keys are texts"));
                    };
                    if entries.iter().any(|entry| entry.key == name) {
                        return Err(bad(node.at, &format!("has the key `{name}` twice in one map")));
                    }
                    *key = Some((name, node.at));
                }
                Some((name, _)) if name == "<<" => merged.push(node),
                Some((name, at)) => entries.push(Entry { key: name, at, value: node }),
            },
        }
        Ok(())
    }
}

/// Adds what `<<` brings: a key of the map itself wins, then the earlier of what is merged.
fn merge(mut entries: Vec<Entry>, merged: Vec<Node>) -> Result<Vec<Entry>, Bad> {
    for node in merged {
        let at = node.at.clone();
        let maps = match node.content {
            Content::List(items) => items,
            content @ (Content::Null
            | Content::Bool(_)
            | Content::Number(_)
            | Content::Text(_)
            | Content::Map(_)) => vec![Node::new(content, node.at)],
        };
        for map in maps {
            let Content::Map(more) = map.content else {
                return Err(bad(at, "merges (`<<`) something that is no map"));
            };
            for entry in more {
                if !entries.iter().any(|own| own.key == entry.key) {
                    entries.push(entry);
                }
            }
        }
    }
    Ok(entries)
}

fn key_text(node: &Node) -> Option<String> {
    match &node.content {
        Content::Text(text) => Some(text.clone()),
        Content::Null => Some("null".to_owned()),
        Content::Bool(flag) => Some(flag.to_string()),
        Content::Number(number) => Some(number.to_string()),
        Content::List(_) | Content::Map(_) => None,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, at: &At) -> Result<Content, Bad> {
    let whole = || Content::Text(text.to_owned());
    match tag {
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => return Ok(whole()),
        Some(tag) if !tag.is_yaml_core_schema() && tag.suffix != "!" && !tag.suffix.is_empty() => {
            return Err(bad(at.clone(), "has a tag (`!…`), which a suite has no use for"));
        }
        Some(_) | None => {}
    }
    if style != ScalarStyle::Plain {
        return Ok(whole());
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        _ => match number(text) {
            Some(Ok(number)) => Content::Number(number),
            Some(Err(())) => {
                return Err(bad(at.clone(), "is a number that JSON doesn't have: write it in quotes"));
            }
            None => whole(),
        },
    })
}

/// A number of the core schema; an error is one that JSON can't say.
fn number(text: &str) -> Option<Result<Number, ()>> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (if text.starts_with('-') { "-" } else { "" }, rest),
        None => ("", text),
    };
    if matches!(text.trim_start_matches(['-', '+']), ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Some(Err(()));
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u64::from_str_radix(digits, radix).ok().map(|number| Ok(number.into()));
        }
    }
    let first = digits.as_bytes().first()?;
    if !(first.is_ascii_digit() || *first == b'.') {
        return None;
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let whole = format!("{sign}{digits}");
        if let Ok(number) = whole.parse::<i64>() {
            return Some(Ok(number.into()));
        }
        if let Ok(number) = whole.parse::<u64>() {
            return Some(Ok(number.into()));
        }
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte)) {
        return None;
    }
    let float: f64 = format!("{sign}{digits}").parse().ok()?;
    Some(Number::from_f64(float).ok_or(()))
}

fn bad(at: At, what: &str) -> Bad {
    Bad { at, what: what.to_owned() }
}
