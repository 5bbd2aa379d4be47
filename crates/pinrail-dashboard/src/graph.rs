//! Graphs in columns, drawn as SVG: what follows from something stands to its right.
//!
//! The layout is pure and the same for the same graph: boxes of a column stand under one another in the order in which their
//! neighbours stand, and every line gets a place of its own at both of its ends, so neither boxes nor the words at the lines'
//! ends overlap. A column that would have too many boxes is [folded](Graph::folded): the heaviest stay, the rest is one box
//! that says how many it stands for.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::ui::{self, Html};

/// Boxes in columns, and lines between them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Graph {
    pub nodes: Vec<Node>,
    /// From a column to one on its right, by the nodes' places in `nodes`.
    pub edges: Vec<Edge>,
}

/// A box.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    pub column: usize,
    pub kind: Kind,
    pub name: String,
    /// What is said of it under its name.
    pub says: String,
    /// Its page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub href: Option<String>,
    /// The lighter ones of a full column are folded.
    pub weight: u64,
    /// How many boxes were folded into this one.
    #[serde(skip_serializing_if = "is_zero")]
    pub folds: u64,
}

/// What a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Deployment,
    Agent,
    Space,
    Run,
    Tool,
    /// Records that name others as their parents.
    Parents,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    /// How much went from left to right; nothing draws no arrow there.
    pub forth: u64,
    /// How much went from right to left.
    #[serde(skip_serializing_if = "is_zero")]
    pub back: u64,
    /// What is said at the line's end.
    pub says: String,
}

/// Where everything stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drawing {
    pub width: u32,
    pub height: u32,
    /// In the order of the graph's nodes.
    pub boxes: Vec<Rect>,
    /// In the order of the graph's edges.
    pub lines: Vec<Line>,
}

/// A box's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

/// A line's ends: where it leaves the left box and reaches the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub x1: u32,
    pub y1: u32,
    pub x2: u32,
    pub y2: u32,
}

/// Boxes of a column that stay legible.
pub const COLUMN_MAX: usize = 12;
const BOX_WIDTH: u32 = 216;
const BOX_HEIGHT: u32 = 44;
/// Between columns: room for the words at a line's end.
const GAP_X: u32 = 200;
const GAP_Y: u32 = 14;
const MARGIN: u32 = 12;
/// Between two lines at the same box: a line of small words.
const PORT: u32 = 17;
/// How wide a small letter is.
const SMALL_CHAR: u32 = 7;
/// Characters of a box's width.
const NAME_CHARS: usize = 26;
/// Sweeps that order the boxes: more change little.
const SWEEPS: usize = 4;

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Graph {
    /// The same graph with at most `most` boxes per column: the heaviest, and one for the rest. `rest` says what that one is
    /// called and says, by how many it stands for and what they weigh.
    #[must_use]
    pub fn folded(self, most: usize, rest: impl Fn(Kind, u64, u64) -> (String, String)) -> Graph {
        let Graph { nodes, edges } = self;
        let mut columns: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, node) in nodes.iter().enumerate() {
            columns.entry(node.column).or_default().push(place);
        }
        let mut kept: Vec<Node> = Vec::new();
        let mut now_at = vec![0; nodes.len()];
        for (column, mut places) in columns {
            let heaviest = |place: &usize| (std::cmp::Reverse(nodes[*place].weight), *place);
            let mut tail = Vec::new();
            if places.len() > most {
                places.sort_by_key(heaviest);
                tail = places.split_off(most - 1);
                places.sort_unstable();
            }
            for place in places {
                now_at[place] = kept.len();
                kept.push(nodes[place].clone());
            }
            let Some(first) = tail.first() else { continue };
            let (kind, folds) = (nodes[*first].kind, tail.len() as u64);
            let weight = tail.iter().map(|place| nodes[*place].weight).sum();
            let (name, says) = rest(kind, folds, weight);
            for place in tail {
                now_at[place] = kept.len();
            }
            kept.push(Node { column, kind, name, says, href: None, weight, folds });
        }
        let mut merged: BTreeMap<(usize, usize), Edge> = BTreeMap::new();
        for edge in edges {
            let (from, to) = (now_at[edge.from], now_at[edge.to]);
            merged
                .entry((from, to))
                .and_modify(|known| {
                    known.forth += edge.forth;
                    known.back += edge.back;
                    known.says.clear();
                })
                .or_insert(Edge { from, to, ..edge });
        }
        Graph { nodes: kept, edges: merged.into_values().collect() }
    }

    /// Where everything stands.
    #[must_use]
    pub fn layout(&self) -> Drawing {
        let columns = self.ordered();
        let mut ends = vec![(0_u32, 0_u32); self.nodes.len()];
        for edge in &self.edges {
            ends[edge.from].1 += 1;
            ends[edge.to].0 += 1;
        }
        let height_of = |place: usize| {
            let (into, out) = ends[place];
            BOX_HEIGHT.max(PORT * into.max(out) + 10)
        };
        let tall = |places: &Vec<usize>| {
            let gaps = GAP_Y * u32::try_from(places.len().saturating_sub(1)).unwrap_or_default();
            places.iter().map(|place| height_of(*place)).sum::<u32>() + gaps
        };
        let height = columns.iter().map(tall).max().unwrap_or_default();
        let mut boxes = vec![Rect { x: 0, y: 0, width: BOX_WIDTH, height: BOX_HEIGHT }; self.nodes.len()];
        for (number, places) in (0_u32..).zip(&columns) {
            let mut y = MARGIN + (height - tall(places)) / 2;
            for place in places {
                let own = height_of(*place);
                boxes[*place] =
                    Rect { x: MARGIN + number * (BOX_WIDTH + GAP_X), y, width: BOX_WIDTH, height: own };
                y += own + GAP_Y;
            }
        }
        let count = u32::try_from(columns.len()).unwrap_or_default();
        Drawing {
            width: 2 * MARGIN + count * BOX_WIDTH + count.saturating_sub(1) * GAP_X,
            height: 2 * MARGIN + height,
            lines: self.lines(&boxes),
            boxes,
        }
    }

    /// The boxes of each column, top to bottom: near those that they are joined with, in the graph's order where that says
    /// nothing.
    fn ordered(&self) -> Vec<Vec<usize>> {
        let count = self.nodes.iter().map(|node| node.column + 1).max().unwrap_or_default();
        let mut columns: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (place, node) in self.nodes.iter().enumerate() {
            columns[node.column].push(place);
        }
        let mut height = vec![0.0_f64; self.nodes.len()];
        let stand = |column: &[usize], height: &mut Vec<f64>| {
            for (row, place) in column.iter().enumerate() {
                height[*place] = (row as f64 + 0.5) / column.len() as f64;
            }
        };
        for column in &columns {
            stand(column, &mut height);
        }
        for sweep in 0..SWEEPS {
            let rightward = sweep % 2 == 0;
            for at in 0..count {
                let at = if rightward { at } else { count - 1 - at };
                let mut wished: Vec<(f64, usize)> = Vec::with_capacity(columns[at].len());
                for place in &columns[at] {
                    let near = self.edges.iter().filter_map(|edge| match rightward {
                        true => (edge.to == *place).then_some(height[edge.from]),
                        false => (edge.from == *place).then_some(height[edge.to]),
                    });
                    let (sum, n) = near.fold((0.0, 0_u32), |(sum, n), height| (sum + height, n + 1));
                    wished.push((if n == 0 { height[*place] } else { sum / f64::from(n) }, *place));
                }
                // Stable: equal wishes leave the order as it is.
                wished.sort_by(|a, b| a.0.total_cmp(&b.0));
                columns[at] = wished.into_iter().map(|(_, place)| place).collect();
                stand(&columns[at], &mut height);
            }
        }
        columns
    }

    /// Each line gets its own place at both boxes, by where its other end stands.
    fn lines(&self, boxes: &[Rect]) -> Vec<Line> {
        let mut lines = vec![Line { x1: 0, y1: 0, x2: 0, y2: 0 }; self.edges.len()];
        for (place, rect) in boxes.iter().enumerate() {
            let mut out: Vec<usize> =
                (0..self.edges.len()).filter(|edge| self.edges[*edge].from == place).collect();
            out.sort_by_key(|edge| (boxes[self.edges[*edge].to].y, *edge));
            for (port, edge) in (0..).zip(&out) {
                lines[*edge].x1 = rect.x + rect.width;
                lines[*edge].y1 = port_at(*rect, port, out.len());
            }
            let mut into: Vec<usize> =
                (0..self.edges.len()).filter(|edge| self.edges[*edge].to == place).collect();
            into.sort_by_key(|edge| (boxes[self.edges[*edge].from].y, *edge));
            for (port, edge) in (0..).zip(&into) {
                lines[*edge].x2 = rect.x;
                lines[*edge].y2 = port_at(*rect, port, into.len());
            }
        }
        lines
    }

    /// The graph as SVG; `label` says in words what it shows. The same must stand in a table beside it.
    #[must_use]
    pub fn svg(&self, label: &str) -> Html {
        let drawing = self.layout();
        let Drawing { width, height, boxes, lines } = &drawing;
        let mut svg = String::with_capacity(600 * (boxes.len() + lines.len()) + 600);
        let _ = write!(
            svg,
            "<svg class=\"graph\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"group\" aria-label=\"{}\">\
             <defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" markerUnits=\"userSpaceOnUse\" orient=\"auto-start-reverse\"><path d=\"M0 0 8 4 0 8z\"/></marker></defs>",
            words(label, 400)
        );
        for (edge, line) in self.edges.iter().zip(lines) {
            push_line(&mut svg, edge, *line);
        }
        for (node, rect) in self.nodes.iter().zip(boxes) {
            push_box(&mut svg, node, *rect);
        }
        svg.push_str("</svg>");
        Html::from_trusted(svg)
    }
}

/// The lines of a box are as far apart as small words are high, around its middle.
fn port_at(rect: Rect, port: u32, of: usize) -> u32 {
    let of = u32::try_from(of).unwrap_or(1).max(1);
    let first = rect.y + (rect.height - PORT * (of - 1)) / 2;
    first + PORT * port
}

fn push_line(svg: &mut String, edge: &Edge, line: Line) {
    let Line { x1, y1, x2, y2 } = line;
    // Where its words stand, a line is straight: no other one then runs through them.
    let said = u32::try_from(edge.says.chars().count().min(24)).unwrap_or_default();
    let straight = x2.saturating_sub(if said == 0 { 8 } else { said * SMALL_CHAR + 16 }).max(x1 + 40);
    let (bend, amount) = (straight.saturating_sub(x1) / 2, edge.forth.max(edge.back));
    let thick = 1.0 + f64::from(u32::try_from(amount.min(100_000)).unwrap_or_default()).ln_1p() / 4.0;
    let forth = if edge.forth > 0 { " marker-end=\"url(#arrow)\"" } else { "" };
    let back = if edge.back > 0 { " marker-start=\"url(#arrow)\"" } else { "" };
    let _ = write!(
        svg,
        "<path class=\"edge\" d=\"M{x1} {y1}C{} {y1} {} {y2} {straight} {y2}H{x2}\" stroke-width=\"{thick:.1}\"{forth}{back}/>",
        x1 + bend,
        straight - bend,
    );
    if !edge.says.is_empty() {
        let _ = write!(
            svg,
            "<text class=\"edge-says\" x=\"{}\" y=\"{}\" text-anchor=\"end\" aria-hidden=\"true\">{}</text>",
            x2.saturating_sub(10),
            y2.saturating_sub(4),
            words(&edge.says, 24)
        );
    }
}

fn push_box(svg: &mut String, node: &Node, rect: Rect) {
    let Rect { x, y, width, height } = rect;
    let whole =
        if node.says.is_empty() { node.name.clone() } else { format!("{}: {}", node.name, node.says) };
    if let Some(href) = &node.href {
        let _ = write!(svg, "<a href=\"{}\">", words(href, 2_000));
    }
    let middle = y + height / 2;
    let _ = write!(
        svg,
        "<g class=\"node {}{}\"><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"7\"/>\
         <text x=\"{tx}\" y=\"{}\">{}</text><text class=\"says\" x=\"{tx}\" y=\"{}\">{}</text></g>",
        node.kind.class(),
        if node.folds > 0 { " folds" } else { "" },
        words(&whole, 600),
        middle - 3,
        words(&shortened(&node.name, NAME_CHARS), NAME_CHARS),
        middle + 13,
        words(&shortened(&node.says, NAME_CHARS + 4), NAME_CHARS + 4),
        tx = x + 12,
    );
    svg.push_str(if node.href.is_some() { "</a>" } else { "" });
}

/// Text of unknown origin within SVG, which knows no spans that could frame what isn't seen: such a character becomes a sign.
fn words(text: &str, chars_max: usize) -> Html {
    let seen: String =
        text.chars().take(chars_max).map(|it| if ui::is_unseen(it) { '\u{fffd}' } else { it }).collect();
    ui::plain(seen)
}

/// A long name without its middle: both ends tell it from others.
fn shortened(text: &str, chars_max: usize) -> String {
    let count = text.chars().count();
    if count <= chars_max {
        return text.to_owned();
    }
    let (head, tail) = (chars_max / 2, chars_max - chars_max / 2 - 1);
    let first: String = text.chars().take(head).collect();
    let last: String = text.chars().skip(count - tail).collect();
    format!("{first}…{last}")
}

impl Kind {
    fn class(self) -> &'static str {
        match self {
            Kind::Deployment => "deployment",
            Kind::Agent => "agent",
            Kind::Space => "space",
            Kind::Run => "run",
            Kind::Tool => "tool",
            Kind::Parents => "parents",
        }
    }
}

#[cfg(test)]
mod tests;
