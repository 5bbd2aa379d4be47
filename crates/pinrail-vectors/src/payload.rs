//! What the payloads of a space hold, turned round: from a field's value to the places that have it.
//!
//! A field is a path of keys joined by dots (`source.lang`). Its values are the scalar there, or the scalars of the
//! array there; a value inside an object inside an array has no path. A text of more than [`TEXT_BYTES_MAX`] bytes
//! is a passage, not an attribute: `exists` sees it, and nothing equals it or compares with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use pinrail_domain::state::bits::Bits;
use serde_json::Value;

use crate::filter::{Filter, Range, Test};

mod number;
#[cfg(test)]
mod tests;

pub use number::Number;

/// Fields of one payload. A hundred attributes is more than any schema seen; a payload that has more is a document.
pub const FIELDS_MAX: usize = 128;
/// Values of one payload, those of its arrays counted one by one: tags and access lists.
pub const VALUES_MAX: usize = 1_024;
/// Nested objects. Deeper ones are somebody's data, not attributes.
pub const DEPTH_MAX: usize = 8;
/// Bytes of a field's path: paths are kept once for each space.
pub const PATH_BYTES_MAX: usize = 256;
/// Bytes of a text that filters can compare with: an address or an id fits, a passage doesn't.
pub const TEXT_BYTES_MAX: usize = 256;

/// Why a payload is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPayload {
    #[error("a payload is a JSON object")]
    NotAnObject,
    #[error("the payload has more than {FIELDS_MAX} fields")]
    TooManyFields,
    #[error("the payload has more than {VALUES_MAX} values")]
    TooManyValues,
    #[error("`{path}` is nested more than {DEPTH_MAX} objects deep")]
    TooDeep { path: String },
    #[error("the path `{path}` has more than {PATH_BYTES_MAX} bytes")]
    PathTooLong { path: String },
}

/// A value that a filter can compare with. Values of different kinds are never equal, and none is more than the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    Text(Box<str>),
}

/// The payloads of a space.
#[derive(Debug, Default)]
pub struct Payloads {
    records: Bits,
    fields: HashMap<Box<str>, Field>,
}

/// A payload's fields with their values.
pub(crate) type Fields = BTreeMap<String, BTreeSet<Scalar>>;

/// Where a field is, and where it has which value. Places rise in each list.
#[derive(Debug, Default)]
struct Field {
    present: Vec<u32>,
    values: BTreeMap<Scalar, Vec<u32>>,
}

impl Payloads {
    /// The places that a filter lets through.
    #[must_use]
    pub fn resolve(&self, filter: &Filter) -> Bits {
        match filter {
            Filter::And(all) => {
                let mut places = self.records.clone();
                all.iter().for_each(|filter| places.intersect(&self.resolve(filter)));
                places
            }
            Filter::Or(any) => {
                let mut places = Bits::new();
                any.iter().for_each(|filter| places.unite(&self.resolve(filter)));
                places
            }
            Filter::Not(filter) => self.all_but(&self.resolve(filter)),
            Filter::Field { path, test } => self.field(path, test),
        }
    }

    /// The bytes that this holds in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let value = |(scalar, places): (&Scalar, &Vec<u32>)| {
            let text = match scalar {
                Scalar::Null | Scalar::Bool(_) | Scalar::Number(_) => 0,
                Scalar::Text(text) => text.len(),
            };
            text + size_of::<Scalar>() + size_of::<Vec<u32>>() + places.capacity() * size_of::<u32>()
        };
        let field = |field: &Field| {
            size_of::<Field>()
                + field.present.capacity() * size_of::<u32>()
                + field.values.iter().map(value).sum::<usize>()
        };
        let paths = self.fields.keys().map(|path| path.len()).sum::<usize>();
        paths + self.fields.values().map(field).sum::<usize>() + size_of_val(self.records.words())
    }

    /// Adds the record at a place, which is beyond all that were added before.
    pub(crate) fn insert(&mut self, place: usize, fields: Fields) {
        self.records.insert(place);
        let place = u32::try_from(place).expect("a space has at most PLACES_MAX places");
        for (path, values) in fields {
            let field = self.fields.entry(path.into_boxed_str()).or_default();
            field.present.push(place);
            for value in values {
                field.values.entry(value).or_default().push(place);
            }
        }
    }

    fn field(&self, path: &str, test: &Test) -> Bits {
        let field = self.fields.get(path);
        let found = |scalar: &Scalar| field.and_then(|field| field.values.get(scalar)).into_iter().flatten();
        let bits =
            |places: &mut dyn Iterator<Item = &u32>| places.map(|place| *place as usize).collect::<Bits>();
        match test {
            Test::In(values) => bits(&mut values.iter().flat_map(found)),
            Test::NotEqual(value) => self.all_but(&bits(&mut found(value))),
            Test::Exists(there) => {
                let places = bits(&mut field.into_iter().flat_map(|field| &field.present));
                if *there { places } else { self.all_but(&places) }
            }
            Test::Range(range) => {
                let values = field.into_iter().flat_map(|field| within(&field.values, range));
                bits(&mut values.flat_map(|(_, places)| places))
            }
        }
    }

    fn all_but(&self, places: &Bits) -> Bits {
        let mut others = self.records.clone();
        others.subtract(places);
        others
    }
}

/// The values in a range.
fn within<'a>(
    values: &'a BTreeMap<Scalar, Vec<u32>>,
    range: &Range,
) -> impl Iterator<Item = (&'a Scalar, &'a Vec<u32>)> + use<'a> {
    let (low, high) = range.bounds();
    // A map refuses a range that ends before it begins; nothing is in it.
    let empty = match (&low, &high) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high))
        | (Bound::Excluded(low), Bound::Included(high)) => low >= high,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    };
    (!empty).then(|| values.range((low, high))).into_iter().flatten()
}

/// Checks that a payload can be indexed.
pub fn check(payload: &Value) -> Result<(), BadPayload> {
    read(payload).map(drop)
}

/// Reads the fields of a payload, or says why it can't be indexed.
pub(crate) fn read(payload: &Value) -> Result<Fields, BadPayload> {
    let mut reader = Reader::default();
    if !payload.is_object() {
        return Err(BadPayload::NotAnObject);
    }
    reader.object("", payload, 0)?;
    Ok(reader.fields)
}

#[derive(Default)]
struct Reader {
    fields: Fields,
    values: usize,
}

impl Reader {
    fn object(&mut self, at: &str, object: &Value, depth: usize) -> Result<(), BadPayload> {
        if depth == DEPTH_MAX {
            return Err(BadPayload::TooDeep { path: at.to_owned() });
        }
        for (key, value) in object.as_object().into_iter().flatten() {
            let path = if depth == 0 { key.clone() } else { format!("{at}.{key}") };
            if path.len() > PATH_BYTES_MAX {
                return Err(BadPayload::PathTooLong { path });
            }
            self.field(&path, value)?;
            if value.is_object() {
                self.object(&path, value, depth + 1)?;
            }
        }
        Ok(())
    }

    fn field(&mut self, path: &str, value: &Value) -> Result<(), BadPayload> {
        let values: Vec<Scalar> = match value {
            Value::Array(items) => items.iter().filter_map(Scalar::of).collect(),
            Value::Object(_) => Vec::new(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Scalar::of(value).into_iter().collect()
            }
        };
        self.values += values.len();
        self.fields.entry(path.to_owned()).or_default().extend(values);
        if self.fields.len() > FIELDS_MAX {
            return Err(BadPayload::TooManyFields);
        }
        if self.values > VALUES_MAX { Err(BadPayload::TooManyValues) } else { Ok(()) }
    }
}

impl Scalar {
    /// A JSON value as one to compare with: none for arrays, objects and texts that are too long.
    #[must_use]
    pub fn of(value: &Value) -> Option<Scalar> {
        match value {
            Value::Null => Some(Scalar::Null),
            Value::Bool(value) => Some(Scalar::Bool(*value)),
            Value::Number(number) => Some(Scalar::Number(Number::of(number))),
            Value::String(text) if text.len() > TEXT_BYTES_MAX => None,
            Value::String(text) => Some(Scalar::Text(text.as_str().into())),
            Value::Array(_) | Value::Object(_) => None,
        }
    }
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Scalar::Null => Value::Null,
            Scalar::Bool(value) => Value::Bool(*value),
            Scalar::Number(number) => number.to_json(),
            Scalar::Text(text) => Value::String(text.to_string()),
        }
    }
}
