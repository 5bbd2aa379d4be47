use super::copy::order;
use super::*;

fn number(number: i64) -> Cell {
    Cell::Number(number)
}

fn mark(ledger: i64, last: i64) -> Row {
    vec![number(ledger), number(last)]
}

fn answer(key: &str, body: &str) -> Row {
    let text = |text: &str| Cell::Text(text.to_owned());
    vec![text(key), text("open"), Cell::Bytes(vec![1; 32]), number(200), text(body), number(7)]
}

async fn pass(source: &Rows, target: &Rows, pass: Pass) -> Result<(u64, u64, u64), CopyError> {
    let copied = copy(source, target, pass, &mut |_| ()).await?;
    let sum = |of: fn(&Copied) -> u64| copied.iter().map(|(_, copied)| of(copied)).sum();
    Ok((sum(|copied| copied.added), sum(|copied| copied.changed), sum(|copied| copied.removed)))
}

fn filled() -> Rows {
    let source = Rows::default();
    (0..5_200).for_each(|place| source.put(Part::Marks, mark(place, place * 2)));
    (0..1_100).for_each(|place| source.put(Part::Answers, answer(&format!("key-{place:05}"), "{}")));
    source
}

async fn assert_equal(source: &Rows, target: &Rows) {
    let (comparisons, _) = compare(source, target, &mut |_| ()).await.unwrap();
    for comparison in comparisons {
        assert_eq!(comparison.source, comparison.target, "{}", comparison.what);
    }
}

#[tokio::test]
async fn a_second_pass_copies_only_what_came_since() {
    let (source, target) = (filled(), Rows::default());
    assert_eq!(pass(&source, &target, Pass::Quick).await.unwrap(), (6_300, 0, 0));
    assert_eq!(pass(&source, &target, Pass::Quick).await.unwrap(), (0, 0, 0));
    source.put(Part::Marks, mark(3, 9_999));
    source.put(Part::Marks, mark(5_200, 1));
    source.take(Part::Answers, &answer("key-00007", ""));
    source.put(Part::Answers, answer("key-00000-more", "{}"));
    assert_eq!(pass(&source, &target, Pass::Quick).await.unwrap(), (2, 1, 1));
    assert_equal(&source, &target).await;
    // What tells nothing is met by whoever looks at everything.
    source.put(Part::Answers, answer("key-00100", "erased"));
    assert_eq!(pass(&source, &target, Pass::Quick).await.unwrap(), (0, 0, 0));
    assert_eq!(pass(&source, &target, Pass::Whole).await.unwrap(), (0, 1, 0));
    assert_equal(&source, &target).await;
}

#[tokio::test]
async fn a_copy_that_was_cut_off_goes_on_wherever_it_was() {
    let whole = filled();
    for writes in 0..5 {
        let target = Rows::default();
        target.fail_after(Some(writes));
        assert!(matches!(pass(&whole, &target, Pass::Quick).await, Err(CopyError::Target(_))), "{writes}");
        target.fail_after(None);
        pass(&whole, &target, Pass::Quick).await.unwrap();
        assert_equal(&whole, &target).await;
    }
}

#[tokio::test]
async fn a_target_of_somebody_else_is_left_alone() {
    let (source, target) = (filled(), Rows::default());
    let artifact = |byte: u8| vec![Cell::Bytes(vec![byte; 32]), Cell::Bytes(vec![byte])];
    source.put(Part::Artifacts, artifact(1));
    target.put(Part::Artifacts, artifact(2));
    assert!(matches!(pass(&source, &target, Pass::Quick).await, Err(CopyError::InUse)));
    target.begin().await.unwrap();
    let refused = pass(&source, &target, Pass::Quick).await;
    assert!(matches!(refused, Err(CopyError::Foreign { part: Part::Artifacts, .. })));
    assert_eq!(target.count(Part::Marks).await.unwrap(), 0);
    source.put(Part::Artifacts, artifact(2));
    pass(&source, &target, Pass::Quick).await.unwrap();
    target.finish().await.unwrap();
    assert!(matches!(pass(&source, &target, Pass::Quick).await, Err(CopyError::InUse)));
}

#[tokio::test]
async fn what_is_wrong_with_a_side_by_itself_is_told() {
    let (source, target) = (Rows::default(), Rows::default());
    let row = vec![Cell::Bytes(vec![1; 32]), Cell::Bytes(vec![1])];
    source.put(Part::Artifacts, row.clone());
    target.put(Part::Artifacts, row);
    let (comparisons, _) = compare(&source, &target, &mut |_| ()).await.unwrap();
    let artifacts = comparisons.iter().find(|line| line.what == Part::Artifacts.as_str()).unwrap();
    assert_eq!(artifacts.source, artifacts.target);
    assert!(!artifacts.is_equal());
}

#[test]
fn parts_are_described_in_agreement() {
    for part in Part::ALL {
        let columns = part.columns();
        assert!((1..=columns.len()).contains(&part.key()), "{}", part.as_str());
        for name in part.telling().iter().chain(part.changing()) {
            assert!(part.place(name) >= part.key(), "{}: {name}", part.as_str());
        }
    }
    assert!(order(Part::Marks, &mark(1, 5), &mark(2, 0)).is_lt());
}
