//! Reading JSON without building a tree of it: depth, items of an array, fields of an object, equality.
//!
//! Conditions: [`check_depth`] comes before any parsing of a body from outside, because skipping a raw
//! value has no recursion limit of its own, and neither do the programs that we pass the body on to.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Says that a body nests deeper than allowed, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the JSON nests deeper than {depth_max} levels at byte {at}")]
pub struct TooDeep {
    pub depth_max: usize,
    /// Byte offset of the bracket that went too deep.
    pub at: usize,
}

/// A JSON string that borrows from its source unless it holds escapes.
///
/// Stands wherever a field is optional: `Option<Cow<str>>` would copy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Str<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// The fields of one JSON object in their order, values untouched.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    pub list: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// More than [`FIELDS_MAX`] fields were there; `list` holds the first of them.
    pub overflow: bool,
}

/// Most fields that one object may have where we look for duplicates; the API defines about forty.
pub(crate) const FIELDS_MAX: usize = 256;

/// Refuses a body whose arrays and objects nest deeper than `depth_max`; a flat object has depth 1.
///
/// One pass that looks at brackets and skips strings. It doesn't validate: up to the first syntax error
/// it agrees with every parser, and after that there is nothing to parse.
///
/// # Errors
/// [`TooDeep`] at the first bracket that is too deep.
pub fn check_depth(body: &[u8], depth_max: usize) -> Result<(), TooDeep> {
    let (mut depth, mut at) = (0_usize, 0_usize);
    while let Some(&byte) = body.get(at) {
        match byte {
            b'"' => {
                at = string_end(body, at);
                continue;
            }
            b'[' | b'{' => {
                depth += 1;
                if depth > depth_max {
                    return Err(TooDeep { depth_max, at });
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Splits the text of a JSON array that is known to be valid into the texts of its items.
pub(crate) fn items(array: &str) -> Items<'_> {
    Items { text: array, at: 1 }
}

/// Walks an array; see [`items`].
pub(crate) struct Items<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r' | b',')) {
            self.at += 1;
        }
        let (start, mut depth) = (self.at, 0_usize);
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.at = string_end(bytes, self.at);
                    continue;
                }
                b'[' | b'{' => depth += 1,
                b',' if depth == 0 => break,
                b']' | b'}' if depth == 0 => break,
                b']' | b'}' => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        let item = self.text[start..self.at].trim_end();
        (!item.is_empty()).then_some(item)
    }
}

impl<'a> Fields<'a> {
    /// Reads the fields of an object; the error says `is_data` when the text is JSON but no object.
    pub fn read(text: &'a str) -> Result<Fields<'a>, serde_json::Error> {
        serde_json::from_str(text)
    }

    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.list.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// Names the first key that is there twice: parsers disagree on which of the two counts.
    pub fn duplicate(&self) -> Option<&str> {
        let twice = |at: &usize| self.list[..*at].iter().any(|(earlier, _)| *earlier == self.list[*at].0);
        let at = (1..self.list.len()).find(twice)?;
        Some(&self.list[at].0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Fields { list: Vec::with_capacity(16), overflow: false };
                while let Some(Str(key)) = map.next_key()? {
                    if fields.list.len() == FIELDS_MAX {
                        fields.overflow = true;
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        fields.list.push((key, map.next_value()?));
                    }
                }
                Ok(fields)
            }
        }
        from.deserialize_map(Reader)
    }
}

/// Writes a value so that two values have the same text exactly when they are the same JSON.
///
/// Keys are sorted, `1.0` is `1`, escapes are uniform. It serves comparison only: it is not RFC 8785.
pub(crate) fn comparable(value: &Value) -> String {
    let mut text = String::new();
    write_comparable(value, &mut text);
    text
}

/// Appends `text` as a JSON string.
pub(crate) fn write_str(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is written to memory");
}

/// Serialises a value of ours, whose keys are all strings.
pub(crate) fn to_vec(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data with string keys serialises")
}

fn write_comparable(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => out.push_str(&value.to_string()),
        Value::Number(number) => match number.as_f64() {
            // Between ±2^53 a float without a fraction is exactly that integer.
            Some(float)
                if number.is_f64() && float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0 =>
            {
                let whole = float as i64;
                out.push_str(&whole.to_string());
            }
            Some(_) | None => out.push_str(&number.to_string()),
        },
        Value::Array(list) => {
            for (at, item) in list.iter().enumerate() {
                out.push(if at == 0 { '[' } else { ',' });
                write_comparable(item, out);
            }
            out.push_str(if list.is_empty() { "[]" } else { "]" });
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_str());
            for (at, (key, item)) in entries.iter().enumerate() {
                out.push(if at == 0 { '{' } else { ',' });
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_comparable(item, out);
            }
            out.push_str(if entries.is_empty() { "{}" } else { "}" });
        }
    }
}

/// Finds the offset behind the string whose opening quote is at `open`.
fn string_end(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn depth_counts_brackets_outside_strings() {
        let check = |body: &str, depth_max: usize, deep_at: Option<usize>| {
            let want = deep_at.map_or(Ok(()), |at| Err(TooDeep { depth_max, at }));
            assert_eq!(check_depth(body.as_bytes(), depth_max), want, "{body}");
        };
        check("{}", 1, None);
        check("{}", 0, Some(0));
        check(r#"{"a":[1]}"#, 2, None);
        check(r#"{"a":[1]}"#, 1, Some(5));
        check(r#"["[[[[",{"k\"[[":"\\"}]"#, 2, None);
        check(r#"["\\",[[]]]"#, 2, Some(7));
        check("[[],[],[]]", 2, None);
        check(r#""unterminated [[["#, 0, None);
        check(r#""ends in a backslash \"#, 0, None);
        check("", 0, None);
        check(&"[".repeat(1_000_000), 64, Some(64));
    }

    #[test]
    fn equality_ignores_key_order_spelling_of_numbers_and_escapes() {
        let check = |a: &str, b: &str, same: bool| {
            let read = |text| comparable(&serde_json::from_str(text).unwrap());
            assert_eq!(read(a) == read(b), same, "{a} and {b}");
        };
        check(r#"{"a":1,"b":[{}]}"#, r#"{ "b" : [ { } ], "a" : 1.0 }"#, true);
        check(r#""é""#, r#""\u00e9""#, true);
        check("1e2", "100", true);
        check("-0.0", "0", true);
        check("0.1", "0.10", true);
        check("[1,2]", "[2,1]", false);
        check("[]", "{}", false);
        check("1", "\"1\"", false);
        check("9007199254740993", "9007199254740992", false);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[\\[\\]{},:\"\\\\ a-cé\n]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c\"\\\\]{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
            Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        }
    }

    proptest! {
        #[test]
        fn depth_agrees_with_the_tree(value in any_json()) {
            let text = value.to_string();
            let deep = depth(&value);
            prop_assert!(check_depth(text.as_bytes(), deep).is_ok());
            if deep > 0 {
                prop_assert!(check_depth(text.as_bytes(), deep - 1).is_err());
            }
        }

        #[test]
        fn items_agree_with_the_parser(list in prop::collection::vec(any_json(), 0..5), pretty: bool) {
            let value = Value::from(list.clone());
            let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let split: Vec<Value> = items(&text).map(|item| serde_json::from_str(item).unwrap()).collect();
            prop_assert_eq!(split, list);
        }
    }
}
