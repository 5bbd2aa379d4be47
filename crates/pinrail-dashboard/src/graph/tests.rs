use proptest::prelude::*;

use super::*;

fn node(column: usize, name: &str, weight: u64) -> Node {
    Node {
        column,
        kind: Kind::Space,
        name: name.to_owned(),
        says: String::new(),
        href: None,
        weight,
        folds: 0,
    }
}

fn edge(from: usize, to: usize) -> Edge {
    Edge { from, to, forth: 1, back: 0, says: "1 record".to_owned() }
}

/// Any graph whose lines go from a column to the next.
fn graphs() -> impl Strategy<Value = Graph> {
    let columns = prop::collection::vec(1_usize..20, 1..6);
    (columns, prop::collection::vec((any::<u16>(), any::<u16>()), 0..80)).prop_map(|(columns, pairs)| {
        let nodes: Vec<Node> = columns
            .iter()
            .enumerate()
            .flat_map(|(column, count)| (0..*count).map(move |n| node(column, &format!("n{n}"), n as u64)))
            .collect();
        let all = nodes.len();
        let of = |any: u16| usize::from(any) % all;
        let edges = pairs
            .into_iter()
            .map(|(a, b)| (of(a), of(b)))
            .filter(|(a, b)| nodes[*a].column + 1 == nodes[*b].column)
            .map(|(a, b)| edge(a, b))
            .collect();
        Graph { nodes, edges }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn boxes_and_the_ends_of_lines_never_overlap_and_stay_within(graph in graphs()) {
        let drawing = graph.layout();
        prop_assert_eq!(&drawing, &graph.layout());
        for (n, a) in drawing.boxes.iter().enumerate() {
            prop_assert!(a.x + a.width <= drawing.width && a.y + a.height <= drawing.height);
            for b in &drawing.boxes[n + 1..] {
                let apart = a.x + a.width < b.x || b.x + b.width < a.x || a.y + a.height < b.y || b.y + b.height < a.y;
                prop_assert!(apart, "{:?} {:?}", a, b);
            }
        }
        let mut ends: Vec<(u32, u32)> = drawing.lines.iter().map(|line| (line.x2, line.y2)).collect();
        ends.sort_unstable();
        for pair in ends.windows(2) {
            prop_assert!(pair[0].0 != pair[1].0 || pair[1].1 - pair[0].1 >= 14, "{:?}", pair);
        }
        for (edge, line) in graph.edges.iter().zip(&drawing.lines) {
            let (from, to) = (drawing.boxes[edge.from], drawing.boxes[edge.to]);
            prop_assert!((from.y..=from.y + from.height).contains(&line.y1));
            prop_assert!((to.y..=to.y + to.height).contains(&line.y2));
        }
    }

    #[test]
    fn folding_bounds_each_column_and_loses_nothing(graph in graphs()) {
        let (weight, forth) = (weight(&graph), forth(&graph));
        let folded = graph.folded(5, |_, n, _| (format!("+ {n} more"), String::new()));
        for column in 0..6 {
            prop_assert!(folded.nodes.iter().filter(|node| node.column == column).count() <= 5);
        }
        prop_assert_eq!((self::weight(&folded), self::forth(&folded)), (weight, forth));
    }
}

fn weight(graph: &Graph) -> u64 {
    graph.nodes.iter().map(|node| node.weight).sum()
}

fn forth(graph: &Graph) -> u64 {
    graph.edges.iter().map(|edge| edge.forth).sum()
}

#[test]
fn joined_boxes_stand_beside_each_other() {
    let nodes = vec![node(0, "a", 1), node(0, "b", 1), node(1, "of b", 1), node(1, "of a", 1)];
    let drawing = Graph { nodes, edges: vec![edge(1, 2), edge(0, 3)] }.layout();
    assert!(drawing.boxes[3].y < drawing.boxes[2].y, "{drawing:?}");
}

#[test]
fn the_heaviest_stay_and_hostile_names_are_only_read() {
    let mut nodes: Vec<Node> = (0..20).map(|n| node(0, &format!("n{n}"), n)).collect();
    nodes[19].name = "<script>\u{202e}\0</script>".to_owned();
    nodes[18].href = Some("/x?a=\"><b>".to_owned());
    let folded =
        Graph { nodes, edges: Vec::new() }.folded(12, |_, n, _| (format!("+ {n} more"), "of it".into()));
    let svg = folded.svg("a \"graph\"").into_string();
    assert!(svg.contains("+ 9 more") && svg.contains("n9<") && !svg.contains("n8<"), "{svg}");
    assert!(
        !svg.contains("<script") && !svg.contains('\u{202e}') && !svg.contains('\0') && !svg.contains("<b>")
    );
    assert!(!svg.contains("style="));
}
