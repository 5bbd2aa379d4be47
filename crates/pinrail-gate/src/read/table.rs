//! Reads a map key by key; what nobody asked for is a fault when it is closed.

use std::cell::RefCell;

use super::Place;
use super::context::{Reading, nearest};
use super::node::{At, Content, Entry, Node};

/// A map of a suite's files.
pub struct Table<'r, 'f> {
    pub reading: &'r Reading<'f>,
    at: At,
    entries: &'r [Entry],
    key: String,
    asked: RefCell<Vec<&'static str>>,
}

impl<'r, 'f> Table<'r, 'f> {
    /// Opens a map; anything else is a fault.
    pub fn open(reading: &'r Reading<'f>, node: &'r Node, key: &str) -> Option<Table<'r, 'f>> {
        let Some(entries) = node.map() else {
            reading.fault(&node.at, key, &format!("must be a map of keys, not {}", node.is_a()));
            return None;
        };
        let asked = RefCell::default();
        Some(Table { reading, at: node.at.clone(), entries, key: key.to_owned(), asked })
    }

    /// A key's value; an empty one counts as absent.
    pub fn get(&self, key: &'static str) -> Option<&'r Node> {
        self.entry(key).map(|entry| &entry.value).filter(|node| !node.is_null())
    }

    /// Whether a key is there with a value.
    pub fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    pub fn text(&self, key: &'static str) -> Option<String> {
        let node = self.get(key)?;
        match &node.content {
            Content::Text(text) => Some(text.clone()),
            Content::Number(number) => Some(number.to_string()),
            Content::Null | Content::Bool(_) | Content::List(_) | Content::Map(_) => {
                self.fault(key, &format!("must be a text, not {}", node.is_a()));
                None
            }
        }
    }

    pub fn flag(&self, key: &'static str) -> Option<bool> {
        let node = self.get(key)?;
        match node.content {
            Content::Bool(flag) => Some(flag),
            Content::Null | Content::Number(_) | Content::Text(_) | Content::List(_) | Content::Map(_) => {
                self.fault(key, &format!("must be true or false, not {}", node.is_a()));
                None
            }
        }
    }

    /// A number of at least 0.
    pub fn number(&self, key: &'static str) -> Option<f64> {
        let node = self.get(key)?;
        let number = match &node.content {
            Content::Number(number) => number.as_f64(),
            Content::Null | Content::Bool(_) | Content::Text(_) | Content::List(_) | Content::Map(_) => None,
        };
        match number {
            Some(number) if number >= 0.0 => Some(number),
            Some(number) => {
                self.fault(key, &format!("is {number}; it must not be below 0"));
                None
            }
            None => {
                self.fault(key, &format!("must be a number, not {}", node.is_a()));
                None
            }
        }
    }

    /// The items of a list, each with its key.
    pub fn list(&self, key: &'static str) -> Option<Vec<(&'r Node, String)>> {
        let node = self.get(key)?;
        let Some(items) = node.list() else {
            self.fault(key, &format!("must be a list, not {}", node.is_a()));
            return None;
        };
        let name = self.key_of(key);
        Some(items.iter().enumerate().map(|(index, item)| (item, format!("{name}[{index}]"))).collect())
    }

    /// The entries of a map below this one.
    pub fn map(&self, key: &'static str) -> Option<&'r [Entry]> {
        let node = self.get(key)?;
        let entries = node.map();
        if entries.is_none() {
            self.fault(key, &format!("must be a map of keys, not {}", node.is_a()));
        }
        entries
    }

    /// A key with those above it.
    pub fn key_of(&self, key: &str) -> String {
        below(&self.key, key)
    }

    /// The place of a key, or of the map where the key is missing.
    pub fn place(&self, key: &'static str) -> Place {
        let at = self.entry(key).map_or(&self.at, |entry| &entry.at);
        Place { at: at.clone(), key: self.key_of(key) }
    }

    /// The place of the map itself.
    pub fn here(&self) -> Place {
        Place { at: self.at.clone(), key: self.key.clone() }
    }

    /// Notes a fault at a key, or at the map where the key is missing.
    pub fn fault(&self, key: &'static str, what: &str) {
        let Place { at, key } = self.place(key);
        self.reading.fault(&at, &key, what);
    }

    /// Notes a fault of the map itself.
    pub fn fault_here(&self, what: &str) {
        self.reading.fault(&self.at, &self.key, what);
    }

    /// Refuses every key that nobody asked for; `foreign` are keys of promptfoo's with what to do instead.
    pub fn close(&self, foreign: &[(&str, &str)]) {
        let mut asked = self.asked.borrow().clone();
        asked.sort_unstable();
        asked.dedup();
        for entry in self.entries {
            let name = entry.key.as_str();
            if asked.contains(&name) {
                continue;
            }
            let what = match foreign.iter().find(|(key, _)| *key == name) {
                Some((_, instead)) => format!("has no place in a suite: {instead}"),
                None => match nearest(name, asked.iter().copied()) {
                    Some(like) => format!("is not a key that Pinrail knows; did you mean `{like}`?"),
                    None => format!("is not a key that Pinrail knows; the keys are {}", asked.join(", ")),
                },
            };
            self.reading.fault(&entry.at, &self.key_of(name), &what);
        }
    }

    fn entry(&self, key: &'static str) -> Option<&'r Entry> {
        self.asked.borrow_mut().push(key);
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// A key below another.
pub fn below(above: &str, key: &str) -> String {
    match (above, key) {
        ("", key) => key.to_owned(),
        (above, "") => above.to_owned(),
        (above, key) if key.starts_with('[') => format!("{above}{key}"),
        (above, key) => format!("{above}.{key}"),
    }
}
