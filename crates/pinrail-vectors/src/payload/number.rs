//! A JSON number that compares exactly: `1` equals `1.0`, and large ids don't melt into each other.

use std::cmp::Ordering;

use serde_json::Value;

/// A finite number: a whole one, or one that isn't, or is beyond all whole ones of JSON.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    Whole(i128),
    /// Never a whole number below 1e30.
    Other(f64),
}

/// Up to here floating-point numbers without a fraction are taken as whole ones; larger than any 64-bit number.
const WHOLE_MAX: f64 = 1e30;

impl Number {
    /// Less than all numbers.
    pub(crate) const LEAST: Number = Number::Other(f64::NEG_INFINITY);

    #[must_use]
    pub fn of(number: &serde_json::Number) -> Number {
        if let Some(whole) = number.as_i128() {
            return Number::Whole(whole);
        }
        let value = number.as_f64().unwrap_or(f64::INFINITY);
        if value.fract() == 0.0 && value.abs() < WHOLE_MAX {
            Number::Whole(value as i128)
        } else {
            Number::Other(value)
        }
    }

    pub(crate) fn to_json(self) -> Value {
        match self {
            Number::Other(other) => Value::from(other),
            // What is beyond 64 bits came as a floating-point number, and goes back to the same.
            Number::Whole(whole) => {
                serde_json::Number::from_i128(whole).map_or_else(|| Value::from(whole as f64), Value::Number)
            }
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        match (*self, *other) {
            (Number::Whole(a), Number::Whole(b)) => a.cmp(&b),
            (Number::Other(a), Number::Other(b)) => a.total_cmp(&b),
            (Number::Whole(a), Number::Other(b)) => against(a, b),
            (Number::Other(a), Number::Whole(b)) => against(b, a).reverse(),
        }
    }
}

/// A whole number against one that is never equal to it.
fn against(whole: i128, other: f64) -> Ordering {
    // Beyond `WHOLE_MAX` the conversion stays beyond every 64-bit number; below it is exact.
    if whole <= other.floor() as i128 { Ordering::Less } else { Ordering::Greater }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl std::hash::Hash for Number {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Number::Whole(whole) => whole.hash(state),
            Number::Other(other) => other.to_bits().hash(state),
        }
    }
}
