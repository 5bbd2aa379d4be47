//! Looking at a source's JSON: every value with its path, every object with an account of the keys that were looked at.

use std::borrow::Cow;

use super::losses::Losses;
use crate::json::{self, Fields, Str};

/// A value of the source, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub path: String,
    /// Its JSON.
    pub text: &'a str,
}

/// An object of the source. What nobody took is told at the end.
#[derive(Debug)]
pub(super) struct Object<'a> {
    pub path: String,
    fields: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Node<'a> {
    pub fn is_str(&self) -> bool {
        self.text.starts_with('"')
    }

    pub fn is_object(&self) -> bool {
        self.text.starts_with('{')
    }

    /// Reads a string.
    pub fn str(&self, losses: &mut Losses) -> Option<Cow<'a, str>> {
        let read = serde_json::from_str(self.text).ok().map(|Str(text)| text);
        if read.is_none() {
            losses.malformed(&self.path, "a string");
        }
        read
    }

    /// Reads `true` or `false`.
    pub fn flag(&self, losses: &mut Losses) -> Option<bool> {
        match self.text {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                losses.malformed(&self.path, "true or false");
                None
            }
        }
    }

    /// Gives a number's text as it came.
    pub fn number(&self, losses: &mut Losses) -> Option<&'a str> {
        let number = self.text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        if !number {
            losses.malformed(&self.path, "a number");
        }
        number.then_some(self.text)
    }

    /// Reads an object.
    pub fn object(&self, losses: &mut Losses) -> Option<Object<'a>> {
        let read = if self.is_object() { Fields::read(self.text).ok() } else { None };
        let Some(fields) = read else {
            losses.malformed(&self.path, "an object");
            return None;
        };
        if fields.overflow {
            losses.malformed(&self.path, "an object with fewer fields");
            return None;
        }
        if let Some(key) = fields.duplicate() {
            losses.malformed(join(&self.path, key), "given once");
            return None;
        }
        let fields = fields.list.into_iter().map(|(key, value)| (key, value.get())).collect();
        Some(Object { path: self.path.clone(), fields })
    }

    /// Reads an array.
    pub fn items(&self, losses: &mut Losses) -> Vec<Node<'a>> {
        if !self.text.starts_with('[') {
            losses.malformed(&self.path, "an array");
            return Vec::new();
        }
        let node = |(at, text)| Node { path: format!("{}[{at}]", self.path), text };
        json::items(self.text).enumerate().map(node).collect()
    }
}

impl<'a> Object<'a> {
    /// Takes a field; `null` is the same as none.
    pub fn take(&mut self, key: &str) -> Option<Node<'a>> {
        let at = self.fields.iter().position(|(name, _)| name == key)?;
        let (_, text) = self.fields.remove(at);
        (text != "null").then(|| Node { path: self.path_of(key), text })
    }

    /// Takes a field that must be there.
    pub fn need(&mut self, key: &str, expected: &str, losses: &mut Losses) -> Option<Node<'a>> {
        let found = self.take(key);
        if found.is_none() {
            losses.malformed(self.path_of(key), expected);
        }
        found
    }

    /// Takes a string, if it is there.
    pub fn str(&mut self, key: &str, losses: &mut Losses) -> Option<Cow<'a, str>> {
        self.take(key)?.str(losses)
    }

    /// Takes a string that must be there.
    pub fn need_str(&mut self, key: &str, losses: &mut Losses) -> Option<Cow<'a, str>> {
        self.need(key, "a string", losses)?.str(losses)
    }

    /// Takes a flag, if it is there.
    pub fn flag(&mut self, key: &str, losses: &mut Losses) -> Option<bool> {
        self.take(key)?.flag(losses)
    }

    /// The `type` of the object, or nothing.
    pub fn kind(&mut self, losses: &mut Losses) -> Cow<'a, str> {
        self.str("type", losses).unwrap_or_default()
    }

    pub fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|(name, text)| name == key && *text != "null")
    }

    /// Takes fields that may fall without a word.
    pub fn hints(&mut self, keys: &[&str]) {
        self.fields.retain(|(name, _)| !keys.contains(&name.as_ref()));
    }

    /// Takes the fields whose names begin so.
    pub fn forget(&mut self, prefix: &str) {
        self.fields.retain(|(name, _)| !name.starts_with(prefix));
    }

    /// Takes a field that can't be carried unless its JSON is one of `usual`, which say nothing.
    pub fn lose(&mut self, key: &str, feature: &'static str, usual: &[&str], why: &str, losses: &mut Losses) {
        if let Some(node) = self.take(key)
            && !usual.contains(&node.text)
        {
            losses.add(node.path, feature, why);
        }
    }

    pub fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Every field that is left, taken.
    pub fn drain(&mut self) -> impl Iterator<Item = (Cow<'a, str>, &'a str)> {
        std::mem::take(&mut self.fields).into_iter()
    }

    /// Tells what nobody took.
    pub fn rest(mut self, losses: &mut Losses) {
        for (key, text) in self.drain().collect::<Vec<_>>() {
            if text != "null" {
                losses.add(self.path_of(&key), "unknown_fields", "is not known to Pinrail");
            }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
