//! Reads a TOML file table by table, so that all of its faults are found at once, each with its line.
//!
//! Whoever reads a table asks for its keys by name; what was not asked for when the reading ends is unknown, and
//! a fault with a suggestion.

use std::cell::RefCell;
use std::fs;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::{Fault, SETTINGS_BYTES_MAX, nearest};

/// One table of a file.
pub struct Section<'s> {
    sheet: &'s Sheet<'s>,
    /// Its name with dots, and one at the end; empty for the whole file.
    prefix: String,
    span: Range<usize>,
    table: &'s DeTable<'s>,
    asked: RefCell<Vec<&'static str>>,
}

struct Sheet<'s> {
    file: &'s Path,
    text: &'s str,
    faults: RefCell<Vec<Fault>>,
}

/// Reads a file of settings. Gives nothing when `read` does, or when anything in the file is at fault.
///
/// `shown` is how faults name the file.
pub fn read_file<T>(
    path: &Path,
    shown: &Path,
    faults: &mut Vec<Fault>,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Option<T> {
    match read_text(path, SETTINGS_BYTES_MAX) {
        Ok(text) => read_text_of(&text, shown, faults, read),
        Err(what) => {
            faults.push(Fault { file: shown.to_owned(), line: None, what });
            None
        }
    }
}

/// [`read_file`] for a text that is at hand.
pub fn read_text_of<T>(
    text: &str,
    shown: &Path,
    faults: &mut Vec<Fault>,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Option<T> {
    let sheet = Sheet { file: shown, text, faults: RefCell::default() };
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut value = None;
    if errors.is_empty() {
        value = Section::of(&sheet, String::new(), root.span(), root.get_ref()).read(read);
    }
    for error in errors {
        sheet.fault(error.span(), error.message().to_owned());
    }
    let found = sheet.faults.into_inner();
    let whole = found.is_empty();
    faults.extend(found);
    value.filter(|_| whole)
}

/// Reads a text file of at most `bytes_max`; the error is for a person.
pub fn read_text(path: &Path, bytes_max: u64) -> Result<String, String> {
    let bytes = read_bytes(path, bytes_max)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("is not UTF-8 text: byte {at} is wrong")
    })
}

fn read_bytes(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(cannot)?.take(bytes_max + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("has more than {bytes_max} bytes"));
    }
    Ok(bytes)
}

impl<'s> Section<'s> {
    fn of(sheet: &'s Sheet<'s>, prefix: String, span: Range<usize>, table: &'s DeTable<'s>) -> Section<'s> {
        Section { sheet, prefix, span, table, asked: RefCell::default() }
    }

    fn read<T>(&self, read: impl FnOnce(&Section<'_>) -> Option<T>) -> Option<T> {
        let value = read(self);
        self.refuse_unknown();
        value
    }

    /// A key's value; none when it is missing or at fault.
    pub fn get<T: DeserializeOwned>(&self, key: &'static str) -> Option<T> {
        let value = self.find(key)?;
        match T::deserialize(ValueDeserializer::from(value.clone())) {
            Ok(value) => Some(value),
            Err(error) => {
                let span = error.span().unwrap_or_else(|| value.span());
                self.sheet.fault(Some(span), format!("{}{key}: {}", self.prefix, error.message()));
                None
            }
        }
    }

    /// A key's value; its absence is a fault.
    pub fn need<T: DeserializeOwned>(&self, key: &'static str) -> Option<T> {
        if self.find(key).is_none() {
            self.sheet.fault(Some(self.span.clone()), format!("{}{key} is missing", self.prefix));
        }
        self.get(key)
    }

    /// A key's value as JSON. Dates and numbers that JSON lacks are faults.
    pub fn json<T: DeserializeOwned>(&self, key: &'static str) -> Option<T> {
        if let Some(what) = not_json(self.find(key)?.get_ref()) {
            self.refuse(key, &format!("holds {what}, which JSON does not have"));
            return None;
        }
        self.get(key)
    }

    /// Reads a table below this one.
    pub fn table<T>(&self, key: &'static str, read: impl FnOnce(&Section<'_>) -> Option<T>) -> Option<T> {
        let value = self.find(key)?;
        self.below(key, value)?.read(read)
    }

    /// Reads each table below a key by its name, such as `providers.openai`.
    pub fn each<T>(
        &self,
        key: &'static str,
        mut read: impl FnMut(&str, &Section<'_>) -> Option<T>,
    ) -> Vec<T> {
        let Some(table) = self.find(key).and_then(|value| self.below(key, value)) else { return Vec::new() };
        let named = table.table.iter().filter_map(|(name, value)| {
            let name = name.get_ref();
            table.below(name, value)?.read(|section| read(name, section))
        });
        named.collect()
    }

    /// Reads each table of a list of tables, such as `[[segments]]`.
    pub fn list<T>(&self, key: &'static str, mut read: impl FnMut(&Section<'_>) -> Option<T>) -> Vec<T> {
        let Some(value) = self.find(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.refuse(key, &format!("must be a list of tables, [[{}{key}]]", self.prefix));
            return Vec::new();
        };
        let tables = items.iter().enumerate();
        tables
            .filter_map(|(index, item)| self.below(&format!("{key}[{index}]"), item)?.read(&mut read))
            .collect()
    }

    /// Whether a key is there.
    pub fn has(&self, key: &'static str) -> bool {
        self.find(key).is_some()
    }

    /// The line of a key, counted from 1.
    pub fn line(&self, key: &'static str) -> Option<usize> {
        Some(self.sheet.line(&self.find(key)?.span()))
    }

    /// Notes a fault at a key, or at the table where the key is missing.
    pub fn refuse(&self, key: &'static str, what: &str) {
        let span = self.find(key).map_or_else(|| self.span.clone(), Spanned::span);
        self.sheet.fault(Some(span), format!("{}{key} {what}", self.prefix));
    }

    /// Notes a fault at a key of a table below this one.
    pub fn refuse_in(&self, table: &'static str, key: &str, what: &str) {
        let place = self.find(table).and_then(|below| below.get_ref().get(key));
        let span = place.map_or_else(|| self.span.clone(), Spanned::span);
        self.sheet.fault(Some(span), format!("{}{table}.{key} {what}", self.prefix));
    }

    /// Notes a fault of the table itself.
    pub fn refuse_whole(&self, what: &str) {
        self.sheet.fault(Some(self.span.clone()), format!("{}{what}", self.label()));
    }

    fn below(&self, name: &str, value: &'s Spanned<DeValue<'s>>) -> Option<Section<'s>> {
        match value.get_ref().as_table() {
            Some(table) => {
                Some(Section::of(self.sheet, format!("{}{name}.", self.prefix), value.span(), table))
            }
            None => {
                let found = value.get_ref().type_str();
                self.sheet
                    .fault(Some(value.span()), format!("{}{name} must be a table, not {found}", self.prefix));
                None
            }
        }
    }

    fn find(&self, key: &'static str) -> Option<&'s Spanned<DeValue<'s>>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    fn label(&self) -> String {
        if self.prefix.is_empty() {
            String::new()
        } else {
            format!("{}: ", self.prefix.trim_end_matches('.'))
        }
    }

    fn refuse_unknown(&self) {
        let mut asked = self.asked.borrow().clone();
        asked.sort_unstable();
        asked.dedup();
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if asked.contains(&name) {
                continue;
            }
            let hint = match nearest(name, asked.iter().copied()) {
                Some(like) => format!("did you mean `{like}`?"),
                None => format!("the keys are {}", asked.join(", ")),
            };
            let what = format!("{}{name} is not a key that Pinrail knows; {hint}", self.prefix);
            self.sheet.fault(Some(key.span()), what);
        }
    }
}

impl Sheet<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    fn fault(&self, span: Option<Range<usize>>, what: String) {
        let line = span.map(|span| self.line(&span));
        self.faults.borrow_mut().push(Fault { file: self.file.to_owned(), line, what });
    }
}

fn not_json(value: &DeValue<'_>) -> Option<&'static str> {
    match value {
        DeValue::Datetime(_) => Some("a date"),
        DeValue::Float(float) if float.as_str().contains(['n', 'N']) => Some("a number that is not finite"),
        DeValue::Array(items) => items.iter().find_map(|item| not_json(item.get_ref())),
        DeValue::Table(table) => table.iter().find_map(|(_, item)| not_json(item.get_ref())),
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => None,
    }
}

/// JSON that a release may set as a request field.
pub type Params = std::collections::BTreeMap<String, Value>;
