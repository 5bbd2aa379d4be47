//! Finding the least and the greatest among hypotheses that aren't rejected.
//!
//! Two arms have two unknown means; "the candidate's is higher by at least δ" is true of many pairs. A pair is rejected
//! when the product of both arms' wealth against it reaches 1/α: the arms are independent given the past, so the product
//! of their wealth is a supermartingale too. The hypothesis is rejected when all its pairs are, that is when the *least*
//! product is large enough (universal inference: Wasserman, Ramdas & Balakrishnan, PNAS 2020). This is tighter than a bound
//! for each arm at α/2, about by half of the traffic when the arms are equally large.

/// Halvings of an interval whose ends are not yet told apart.
const HALVINGS: u32 = 22;
/// Looks at the sum of two functions; a hypothesis that needs more is left standing.
const LOOKS_MAX: u32 = 2_000;
/// A log e-value this low is as good as none.
const LEVEL_MIN: f64 = -32.0;
/// How finely pairs of means are told apart: an interval of [0, 1] halved so often.
const DEPTH_MAX: u32 = 20;

/// Whether `rising(x) + falling(x) ≥ level` everywhere in `[low, high]`; `false` when that can't be seen.
///
/// In a cell the sum is at least `rising` at its lower end and `falling` at its upper, so cells are halved until that is
/// enough, or a point is found that isn't.
pub(super) fn everywhere(
    (low, high): (f64, f64),
    rising: impl Fn(f64) -> f64,
    falling: impl Fn(f64) -> f64,
    level: f64,
) -> bool {
    if low > high {
        return true;
    }
    let mut cells = vec![(low, high, 0)];
    let mut looks = 0;
    while let Some((low, high, depth)) = cells.pop() {
        looks += 1;
        if rising(low) + falling(high) >= level {
            continue;
        }
        let middle = low + (high - low) / 2.0;
        if depth == DEPTH_MAX || looks == LOOKS_MAX || rising(middle) + falling(middle) < level {
            return false;
        }
        cells.extend([(low, middle, depth + 1), (middle, high, depth + 1)]);
    }
    true
}

/// The same over the whole numbers `low..=high`, exactly.
pub(super) fn at_every_rank(
    (low, high): (usize, usize),
    rising: impl Fn(usize) -> f64,
    falling: impl Fn(usize) -> f64,
    level: f64,
) -> bool {
    let mut cells = vec![(low, high)];
    let mut looks = 0;
    while let Some((low, high)) = cells.pop() {
        looks += 1;
        if rising(low) + falling(high) >= level {
            continue;
        }
        let middle = low + (high - low) / 2;
        if low == high || looks == LOOKS_MAX || rising(middle) + falling(middle) < level {
            return false;
        }
        cells.extend([(low, middle), (middle + 1, high)]);
    }
    true
}

/// The least value known to be rejected, when everything above a rejected value is: between `standing`, which isn't
/// known to be, and `rejected`, which is or which nothing can lie above.
pub(super) fn boundary(standing: f64, rejected: f64, is_rejected: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (standing, rejected);
    for _ in 0..HALVINGS {
        let middle = low + (high - low) / 2.0;
        if is_rejected(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// The greatest level at which `is_rejected(level)`, at most `at_most`; [`LEVEL_MIN`] when it is no more than that.
pub(super) fn level(at_most: f64, is_rejected: impl Fn(f64) -> bool) -> f64 {
    if is_rejected(at_most) {
        return at_most;
    }
    let Some(rejected) = [0.0, LEVEL_MIN].into_iter().find(|level| *level < at_most && is_rejected(*level))
    else {
        return LEVEL_MIN.min(at_most);
    };
    // The boundary walks down towards what stands: mirrored, so that the rejected end is returned.
    -boundary(-at_most, -rejected, |mirrored| is_rejected(-mirrored))
}
