//! Which payloads a search wants, as JSON.
//!
//! ```json
//! {"lang": "en", "year": {"gte": 2020, "lt": 2026},
//!  "or": [{"team": {"in": ["a", "b"]}}, {"draft": {"exists": false}}]}
//! ```
//!
//! An object holds when all its parts do. `{"field": value}` holds when one of the field's values equals it;
//! `{"field": {...}}` takes `in`, `ne`, `exists`, and the ranges `gt`, `gte`, `lt`, `lte`, of which one value must
//! hold all. `and`, `or` and `not` combine filters. `ne` and `not` hold for records without the field too. Ranges are of numbers or of texts (byte
//! order, which is the order of ISO dates). A field called `and`, `or` or `not` can't be named.

use std::ops::Bound;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

use crate::payload::{Number, Scalar, TEXT_BYTES_MAX};

/// A condition on a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Holds when all do; so the empty one always does.
    And(Vec<Filter>),
    /// Holds when one does; so the empty one never does.
    Or(Vec<Filter>),
    Not(Box<Filter>),
    Field {
        path: String,
        test: Test,
    },
}

/// A condition on the values of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// One of the field's values is one of these.
    In(Vec<Scalar>),
    /// None of the field's values is this one.
    NotEqual(Scalar),
    Exists(bool),
    /// One of the field's values is in the range.
    Range(Range),
}

/// A range of numbers or of texts; at least one end is given, and both are of the same kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    low: Bound<Scalar>,
    high: Bound<Scalar>,
}

/// Filters inside filters. People write three, generated ones a few more.
pub const DEPTH_MAX: usize = 16;
/// Conditions in all, each value of an `in` counted: each costs a lookup or a pass over its places.
pub const CONDITIONS_MAX: usize = 4_096;

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter at {at}: {why}")]
pub struct BadFilter {
    /// Where, as a path from `$`.
    pub at: String,
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error("expected an object")]
    NotAnObject,
    #[error("expected a list of filters")]
    NotAList,
    #[error("expected a text, a number, true, false or null")]
    NotAScalar,
    #[error("a text of more than {TEXT_BYTES_MAX} bytes is never compared with")]
    TextTooLong,
    #[error("`exists` takes true or false")]
    NotABool,
    #[error("a range takes numbers, or texts")]
    NotOrdered,
    #[error("a range takes numbers or texts, not both")]
    MixedRange,
    #[error("a range takes one of `gt` and `gte`, and one of `lt` and `lte`")]
    TwoBounds,
    #[error("unknown condition; known are in, ne, exists, gt, gte, lt, lte")]
    UnknownCondition,
    #[error("a field's conditions can't be empty")]
    NoCondition,
    #[error("filters are nested more than {DEPTH_MAX} deep")]
    TooDeep,
    #[error("there are more than {CONDITIONS_MAX} conditions")]
    TooMany,
}

impl Filter {
    /// Reads a filter, or says what is wrong with it and where.
    pub fn parse(value: &Value) -> Result<Filter, BadFilter> {
        Parser { conditions: 0 }.filter("$", value, 0)
    }

    /// The filter as JSON; parsing that gives the same filter, or one that holds for the same payloads.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let one = |key: &str, value: Value| Value::Object(Map::from_iter([(key.to_owned(), value)]));
        let list = |filters: &[Filter]| filters.iter().map(Filter::to_json).collect();
        match self {
            Filter::And(all) => one("and", list(all)),
            Filter::Or(any) => one("or", list(any)),
            Filter::Not(filter) => one("not", filter.to_json()),
            Filter::Field { path, test } => one(path, test.to_json()),
        }
    }
}

impl Test {
    fn to_json(&self) -> Value {
        let mut conditions = Map::new();
        let mut add = |key: &str, value: Value| conditions.insert(key.to_owned(), value);
        match self {
            Test::In(values) => add("in", values.iter().map(Scalar::to_json).collect()),
            Test::NotEqual(value) => add("ne", value.to_json()),
            Test::Exists(there) => add("exists", Value::Bool(*there)),
            Test::Range(range) => {
                let ends = [(&range.low, "gte", "gt"), (&range.high, "lte", "lt")];
                for (end, with, without) in ends {
                    match end {
                        Bound::Included(value) => add(with, value.to_json()),
                        Bound::Excluded(value) => add(without, value.to_json()),
                        Bound::Unbounded => None,
                    };
                }
                None
            }
        };
        Value::Object(conditions)
    }
}

impl Range {
    /// The range among values of all kinds, in the order of [`Scalar`].
    pub(crate) fn bounds(&self) -> (Bound<Scalar>, Bound<Scalar>) {
        let (Bound::Included(given) | Bound::Excluded(given)) = self.either() else { unreachable_range() };
        let (least, beyond) = match given {
            Scalar::Number(_) => {
                (Scalar::Number(Number::LEAST), Bound::Excluded(Scalar::Text(Box::default())))
            }
            Scalar::Text(_) => (Scalar::Text(Box::default()), Bound::Unbounded),
            Scalar::Null | Scalar::Bool(_) => unreachable_range(),
        };
        let low = if self.low == Bound::Unbounded { Bound::Included(least) } else { self.low.clone() };
        let high = if self.high == Bound::Unbounded { beyond } else { self.high.clone() };
        (low, high)
    }

    fn either(&self) -> &Bound<Scalar> {
        if self.low == Bound::Unbounded { &self.high } else { &self.low }
    }
}

/// A range is only made by the parser, which sees to its kinds.
fn unreachable_range() -> ! {
    unreachable!("a range has an end, which is a number or a text")
}

struct Parser {
    conditions: usize,
}

impl Parser {
    fn filter(&mut self, at: &str, value: &Value, depth: usize) -> Result<Filter, BadFilter> {
        if depth > DEPTH_MAX {
            return bad(at, Why::TooDeep);
        }
        let Some(object) = value.as_object() else { return bad(at, Why::NotAnObject) };
        let mut parts = Vec::new();
        for (key, value) in object {
            let at = format!("{at}.{key}");
            match key.as_str() {
                "and" => parts.push(Filter::And(self.list(&at, value, depth)?)),
                "or" => parts.push(Filter::Or(self.list(&at, value, depth)?)),
                "not" => parts.push(Filter::Not(Box::new(self.filter(&at, value, depth + 1)?))),
                path => self.field(&at, path, value, &mut parts)?,
            }
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => Filter::And(parts),
        })
    }

    fn list(&mut self, at: &str, value: &Value, depth: usize) -> Result<Vec<Filter>, BadFilter> {
        let Some(items) = value.as_array() else { return bad(at, Why::NotAList) };
        let one = |(number, item)| {
            self.count(at, 1)?;
            self.filter(&format!("{at}[{number}]"), item, depth + 1)
        };
        items.iter().enumerate().map(one).collect()
    }

    fn field(
        &mut self,
        at: &str,
        path: &str,
        value: &Value,
        parts: &mut Vec<Filter>,
    ) -> Result<(), BadFilter> {
        self.count(at, 1)?;
        let mut part = |test| parts.push(Filter::Field { path: path.to_owned(), test });
        let Some(conditions) = value.as_object() else {
            part(Test::In(vec![scalar(at, value)?]));
            return Ok(());
        };
        if conditions.is_empty() {
            return bad(at, Why::NoCondition);
        }
        let mut range = Range { low: Bound::Unbounded, high: Bound::Unbounded };
        for (condition, operand) in conditions {
            let at = format!("{at}.{condition}");
            match condition.as_str() {
                "in" => part(Test::In(self.values(&at, operand)?)),
                "ne" => part(Test::NotEqual(scalar(&at, operand)?)),
                "exists" => match operand.as_bool() {
                    Some(there) => part(Test::Exists(there)),
                    None => return bad(&at, Why::NotABool),
                },
                "gt" => set(&at, &mut range.low, Bound::Excluded(ordered(&at, operand)?))?,
                "gte" => set(&at, &mut range.low, Bound::Included(ordered(&at, operand)?))?,
                "lt" => set(&at, &mut range.high, Bound::Excluded(ordered(&at, operand)?))?,
                "lte" => set(&at, &mut range.high, Bound::Included(ordered(&at, operand)?))?,
                _ => return bad(&at, Why::UnknownCondition),
            }
        }
        match (&range.low, &range.high) {
            (Bound::Unbounded, Bound::Unbounded) => return Ok(()),
            (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high))
                if matches!(low, Scalar::Text(_)) != matches!(high, Scalar::Text(_)) =>
            {
                return bad(at, Why::MixedRange);
            }
            (Bound::Unbounded | Bound::Included(_) | Bound::Excluded(_), _) => {}
        }
        part(Test::Range(range));
        Ok(())
    }

    fn values(&mut self, at: &str, value: &Value) -> Result<Vec<Scalar>, BadFilter> {
        let Some(items) = value.as_array() else { return bad(at, Why::NotAList) };
        self.count(at, items.len())?;
        items.iter().enumerate().map(|(number, item)| scalar(&format!("{at}[{number}]"), item)).collect()
    }

    fn count(&mut self, at: &str, conditions: usize) -> Result<(), BadFilter> {
        self.conditions += conditions;
        if self.conditions > CONDITIONS_MAX { bad(at, Why::TooMany) } else { Ok(()) }
    }
}

fn bad<T>(at: &str, why: Why) -> Result<T, BadFilter> {
    Err(BadFilter { at: at.to_owned(), why })
}

fn scalar(at: &str, value: &Value) -> Result<Scalar, BadFilter> {
    match Scalar::of(value) {
        Some(scalar) => Ok(scalar),
        None if value.is_string() => bad(at, Why::TextTooLong),
        None => bad(at, Why::NotAScalar),
    }
}

fn ordered(at: &str, value: &Value) -> Result<Scalar, BadFilter> {
    match scalar(at, value)? {
        ordered @ (Scalar::Number(_) | Scalar::Text(_)) => Ok(ordered),
        Scalar::Null | Scalar::Bool(_) => bad(at, Why::NotOrdered),
    }
}

fn set(at: &str, end: &mut Bound<Scalar>, bound: Bound<Scalar>) -> Result<(), BadFilter> {
    if *end != Bound::Unbounded {
        return bad(at, Why::TwoBounds);
    }
    *end = bound;
    Ok(())
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Filter, D::Error> {
        Filter::parse(&Value::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
