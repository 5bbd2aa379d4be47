//! JSON → values. The parser gives no places but those of its errors; a key that stands twice is an error.

use std::fmt;
use std::rc::Rc;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::node::{At, Content, DEPTH_MAX, Entry, Node};
use super::yaml::Bad;

/// Reads a file, or one line of one that begins in `line`; line 0: a whole file.
pub fn read(text: &str, file: &Rc<str>, line: usize) -> Result<Node, Bad> {
    let at = At { line, ..At::file(file) };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = serde_json::Deserializer::from_str(text);
    let read = Seed { at: &at, depth: 0 }.deserialize(&mut parser);
    let read = read.and_then(|node| parser.end().map(|()| node));
    read.map_err(|error| {
        let place = error.to_string();
        let what = place.split(" at line ").next().unwrap_or_default();
        let at =
            At { line: line.max(1) + error.line().saturating_sub(1), column: error.column(), ..at.clone() };
        Bad { at, what: format!("is not JSON that can be read: {what}") }
    })
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    at: &'a At,
    depth: usize,
}

impl Seed<'_> {
    fn node(self, content: Content) -> Node {
        Node::new(content, self.at.clone())
    }

    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format!("it is nested deeper than {DEPTH_MAX}")));
        }
        Ok(Seed { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Node, E> {
        Ok(self.node(Content::Bool(flag)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(self.node(Content::Number(number.into())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(self.node(Content::Number(number.into())))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Node, E> {
        let number = Number::from_f64(number).ok_or_else(|| E::custom("a number is not finite"))?;
        Ok(self.node(Content::Number(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(self.node(Content::Text(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(self.node(Content::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let seed = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(seed)? {
            items.push(item);
        }
        Ok(self.node(Content::List(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let seed = self.deeper()?;
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if entries.iter().any(|entry| entry.key == key) {
                return Err(A::Error::custom(format!("the key `{key}` is twice in one object")));
            }
            let value = map.next_value_seed(seed)?;
            entries.push(Entry { key, at: self.at.clone(), value });
        }
        Ok(self.node(Content::Map(entries)))
    }
}
