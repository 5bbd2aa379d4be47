use proptest::prelude::*;

use super::*;
use crate::stats::{Arms, Verdict};

/// What is seen after so many units.
fn judged(units: u64) -> Judged {
    Judged {
        verdict: Verdict::Undecided,
        candidate: Some(0.5),
        incumbent: Some(0.5),
        harm: Some(0.0),
        harm_low: Some(-1.0),
        harm_high: Some(1.0),
        samples: Arms { candidate: units, incumbent: units },
        log_e: Some(0.0),
    }
}

fn course(seen: impl IntoIterator<Item = (u64, u64)>) -> Course {
    let mut course = Course::default();
    for (at, units) in seen {
        course.saw(Point { at: Timestamp(at), judged: judged(units) });
    }
    course
}

proptest! {
    #[test]
    fn thinning_keeps_the_order_the_ends_and_the_bound(gaps in prop::collection::vec((0_u64..5_000, 0_u64..3), 1..2_000)) {
        let (mut at, mut units, mut seen) = (1_000, 0, Vec::new());
        for (gap, more) in gaps {
            (at, units) = (at + gap, units + more);
            seen.push((at, units));
        }
        let course = course(seen.iter().copied());
        let points = course.points();
        let units_of = |point: &Point| point.judged.samples.candidate;
        prop_assert!(points.len() <= POINTS_MAX);
        prop_assert!(points.is_sorted_by_key(|point| point.at));
        prop_assert!(points.is_sorted_by(|a, b| units_of(a) < units_of(b)), "nothing twice");
        prop_assert_eq!((points[0].at, units_of(&points[0])), (Timestamp(seen[0].0), seen[0].1));
        prop_assert_eq!(points.last().map(units_of), seen.last().map(|(_, units)| *units));
        prop_assert!(points.iter().all(|point| seen.contains(&(point.at.0, units_of(point)))));
        // Half of the room is used at least, once it was full.
        let changes = seen.chunk_by(|a, b| a.1 == b.1).count();
        if changes <= POINTS_MAX {
            prop_assert_eq!(points.len(), changes);
        }
    }
}

#[test]
fn points_are_spread_over_the_whole_time() {
    let points = course((0..10_000).map(|n| (n * 1_000, n)));
    let gaps: Vec<u64> = points.points().windows(2).map(|two| two[1].at.ms_since(two[0].at)).collect();
    let (last, even) = gaps.split_last().unwrap();
    assert!(even.iter().all(|gap| *gap == even[0]) && *last <= even[0], "{gaps:?}");
    assert!(gaps.len() >= POINTS_MAX / 2, "{}", gaps.len());
}

#[test]
fn a_clock_that_was_set_back_and_moments_that_are_one_keep_the_ends() {
    let units = |course: &Course| -> Vec<u64> {
        course.points().iter().map(|point| point.judged.samples.candidate).collect()
    };
    let back = course([(5_000, 1), (1_000, 2)]);
    assert_eq!((units(&back), back.points()[1].at), (vec![1, 2], Timestamp(5_000)));
    let still = course((0..500).map(|n| (7, n)));
    assert_eq!((units(&still).first(), units(&still).last()), (Some(&0), Some(&499)));
}
