use proptest::prelude::*;

use super::*;
use crate::rescore::score;
use crate::testing::{METRICS, Random};

const COSINE: Shape = Shape { dims: 3, metric: Metric::Cosine };

#[test]
fn what_has_no_place_among_vectors_is_refused_by_name() {
    let check = |metric, vector: &[f32], expected| {
        let shape = Shape { metric, ..COSINE };
        let mut arena = Arena::new(shape);
        assert_eq!(arena.push(Some(vector)), Err(expected), "{vector:?} under {metric:?}");
        assert_eq!(arena.places(), 0, "a refused vector takes no place");
        assert!(Query::new(shape, vector).is_err());
    };
    check(Metric::Dot, &[1.0, 2.0], BadVector::Dims { expected: 3, found: 2 });
    check(Metric::Cosine, &[1.0, f32::NAN, 2.0], BadVector::NotFinite { at: 1 });
    check(Metric::Euclidean, &[1.0, 2.0, f32::INFINITY], BadVector::NotFinite { at: 2 });
    check(Metric::Cosine, &[0.0, -0.0, 0.0], BadVector::Zero);
    check(Metric::Dot, &[f32::MAX, 0.0, 0.0], BadVector::TooLong);
}

#[test]
fn a_delete_takes_a_place_and_is_never_found() {
    let mut arena = Arena::new(COSINE);
    assert_eq!(arena.push(Some(&[1.0, 0.0, 0.0])), Ok(0));
    assert_eq!(arena.push(None), Ok(1));
    assert_eq!(arena.push(Some(&[0.0, 1.0, 0.0])), Ok(2));
    let mut nearest = Nearest::new(10, f32::NEG_INFINITY);
    let query = Query::new(COSINE, &[1.0, 1.0, 1.0]).unwrap();
    assert_eq!(arena.scan(&query, &Bits::all(3), &mut nearest), 2);
    let places: Vec<usize> = nearest.finish(10).0.iter().map(|candidate| candidate.place).collect();
    assert_eq!(places, [0, 2]);
}

#[test]
fn a_snapshot_stays_as_it_was() {
    let mut random = Random(3);
    let mut arena = Arena::new(Shape { dims: 8, metric: Metric::Dot });
    for _ in 0..BLOCK + 10 {
        arena.push(Some(&random.vector(8))).unwrap();
    }
    let snapshot = arena.clone();
    let all = Bits::all(snapshot.places());
    let before = snapshot.digest(&all);
    for _ in 0..BLOCK {
        arena.push(Some(&random.vector(8))).unwrap();
    }
    assert_eq!((snapshot.places(), snapshot.digest(&all)), (BLOCK + 10, before));
    assert_eq!(arena.digest(&all), before, "the places that both have are the same");
}

#[test]
fn a_vector_takes_a_byte_for_each_dimension_and_eight_more() {
    let mut arena = Arena::new(Shape { dims: 384, metric: Metric::Cosine });
    let vector = Random(1).vector(384);
    for _ in 0..4 * BLOCK {
        arena.push(Some(&vector)).unwrap();
    }
    let each = arena.bytes() as f64 / arena.places() as f64;
    assert!((392.0..393.0).contains(&each), "{each}");
}

proptest! {
    /// The bound on an estimate is what makes a scan exact: no vector may break it.
    #[test]
    fn an_estimate_is_never_off_by_more_than_it_says(
        seed: u64,
        dims in 1_usize..200,
        metric in prop::sample::select(METRICS.to_vec()),
        exponents in prop::array::uniform2(-20_i32..20),
    ) {
        let shape = Shape { dims, metric };
        let mut random = Random(seed);
        let mut vector = |exponent: i32| -> Vec<f32> {
            let spiky = random.unit() < 0.3;
            let scaled = random.vector(dims).into_iter().map(|value| value * 2_f32.powi(exponent));
            scaled.map(|value| if spiky { value * value * value } else { value }).collect()
        };
        let (vector, asked) = (vector(exponents[0]), vector(exponents[1]));
        let mut arena = Arena::new(shape);
        let (Ok(_), Ok(query)) = (arena.push(Some(&vector)), Query::new(shape, &asked)) else { return Ok(()) };
        // The place is kept by a search for what scores at least as much as it does.
        let least = score(&query, &vector).unwrap();
        let mut nearest = Nearest::new(1, crate::rescore::floor(&query, Some(least)));
        arena.offer(&query, 0, &mut nearest);
        prop_assert_eq!(nearest.finish(1).0.len(), 1, "{} was not found", least);
    }

    #[test]
    fn the_dot_product_is_the_sum_of_products(pairs in prop::collection::vec((-127_i8..=127, -9_999_i16..=9_999), 0..200)) {
        let (code, query): (Vec<i8>, Vec<i16>) = pairs.iter().copied().unzip();
        let expected: i32 = pairs.iter().map(|(code, query)| i32::from(*code) * i32::from(*query)).sum();
        prop_assert_eq!(dot::dot(&code, &query), expected);
    }
}
