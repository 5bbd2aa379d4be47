//! What all the reading shares: the files, and what was found wrong in them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use serde::Serialize;

use super::files::{FILE_BYTES_MAX, Files};
use super::node::{At, Node};
use super::template::Templates;
use super::yaml::Bad;
use super::{json, yaml};

/// The most faults that are told: whoever has more mends the first ones anyway.
pub const FAULTS_MAX: usize = 100;
/// All the files of a suite together.
const BYTES_MAX: u64 = 4 * FILE_BYTES_MAX;

/// Something in a suite's files that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The path from the suite's folder.
    pub file: String,
    /// From 1; none: of the whole file, or of a JSON file.
    pub line: Option<usize>,
    pub column: Option<usize>,
    /// The key with those above it, such as `tests[3].assert[0].type`; empty for the file itself.
    pub key: String,
    /// What is wrong, and what to do.
    pub what: String,
}

/// One reading of a suite.
pub struct Reading<'f> {
    pub templates: Templates,
    files: &'f dyn Files,
    notes: RefCell<Notes>,
}

#[derive(Default)]
struct Notes {
    faults: Vec<Fault>,
    /// Faults that were not kept.
    more: usize,
    warnings: Vec<String>,
    /// By path, in the order in which they were read.
    texts: BTreeMap<String, Rc<str>>,
    order: Vec<String>,
    bytes: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = At {
            file: self.file.as_str().into(),
            line: self.line.unwrap_or(0),
            column: self.column.unwrap_or(0),
        };
        write_place(f, &at)?;
        match self.key.as_str() {
            "" => write!(f, ": {}", self.what),
            key => write!(f, ": {key} {}", self.what),
        }
    }
}

/// Writes `file:line:column` as far as it is known.
pub fn write_place(f: &mut fmt::Formatter<'_>, at: &At) -> fmt::Result {
    f.write_str(&at.file)?;
    if at.line > 0 {
        write!(f, ":{}", at.line)?;
        if at.column > 0 {
            write!(f, ":{}", at.column)?;
        }
    }
    Ok(())
}

impl<'f> Reading<'f> {
    pub fn new(files: &'f dyn Files) -> Reading<'f> {
        Reading { templates: Templates::new(), files, notes: RefCell::default() }
    }

    /// Notes a fault, once.
    pub fn fault(&self, at: &At, key: &str, what: &str) {
        let known = |number: usize| (number > 0).then_some(number);
        let fault = Fault {
            file: at.file.to_string(),
            line: known(at.line),
            column: known(at.column),
            key: key.to_owned(),
            what: what.to_owned(),
        };
        let notes = &mut *self.notes.borrow_mut();
        if notes.faults.contains(&fault) {
            return;
        }
        if notes.faults.len() < FAULTS_MAX {
            notes.faults.push(fault);
        } else {
            notes.more += 1;
        }
    }

    pub fn warn(&self, what: String) {
        let warnings = &mut self.notes.borrow_mut().warnings;
        if !warnings.contains(&what) {
            warnings.push(what);
        }
    }

    /// Whether nothing was found wrong so far.
    pub fn is_whole(&self) -> bool {
        self.notes.borrow().faults.is_empty()
    }

    /// Whether so much is wrong that going on tells nobody more.
    pub fn is_hopeless(&self) -> bool {
        self.notes.borrow().more > 0
    }

    /// A text file; the error is for a person.
    pub fn text(&self, path: &str) -> Result<Rc<str>, String> {
        if let Some(text) = self.notes.borrow().texts.get(path) {
            return Ok(Rc::clone(text));
        }
        let bytes = self.files.read(path).map_err(|error| format!("cannot be read: {error}"))?;
        let notes = &mut *self.notes.borrow_mut();
        notes.bytes += bytes.len() as u64;
        if notes.bytes > BYTES_MAX {
            return Err(format!(
                "cannot be read: the suite's files have more than {BYTES_MAX} bytes together"
            ));
        }
        let text: Rc<str> = match String::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                return Err(format!("is not UTF-8 text: byte {at} is wrong"));
            }
        };
        notes.order.push(path.to_owned());
        notes.texts.insert(path.to_owned(), Rc::clone(&text));
        Ok(text)
    }

    /// The values of a YAML or JSON file; `named` is the place that names it.
    pub fn document(&self, path: &str, named: Option<(&At, &str)>) -> Option<Node> {
        let file: Rc<str> = path.into();
        let text = match self.text(path) {
            Ok(text) => text,
            Err(what) => {
                match named {
                    Some((at, key)) => self.fault(at, key, &format!("names {path}, which {what}")),
                    None => self.fault(&At::file(&file), "", &what),
                }
                return None;
            }
        };
        let is_json = extension(path) == "json";
        self.parsed(if is_json { json::read(&text, &file, 0) } else { yaml::read(&text, &file) })
    }

    /// What was parsed; an error is noted.
    pub fn parsed(&self, read: Result<Node, Bad>) -> Option<Node> {
        read.map_err(|Bad { at, what }| self.fault(&at, "", &what)).ok()
    }

    /// The files that a pattern fits; without a wildcard the one that it names.
    pub fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        if !pattern.contains(['*', '?', '[']) {
            return Ok(vec![pattern.to_owned()]);
        }
        let found = self.files.glob(pattern).map_err(|error| format!("cannot be searched: {error}"))?;
        if found.is_empty() { Err("fits no file".to_owned()) } else { Ok(found) }
    }

    /// The faults, the warnings and the files.
    pub fn end(self) -> (Vec<Fault>, Vec<String>, Vec<String>) {
        let Notes { mut faults, more, warnings, order, .. } = self.notes.into_inner();
        faults.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        if more > 0 {
            let file = faults.first().map(|fault| fault.file.clone()).unwrap_or_default();
            let what = format!("there are at least {more} faults more");
            faults.push(Fault { file, line: None, column: None, key: String::new(), what });
        }
        (faults, warnings, order)
    }
}

/// A path's ending after the last dot, in small letters.
pub fn extension(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.rsplit_once('.').map_or_else(String::new, |(_, ending)| ending.to_ascii_lowercase())
}

/// The known word that `word` is most like, if it is like one.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let scored = known.into_iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate));
    // Up to a third of the letters may differ: more is another word.
    let like = scored.filter(|(distance, candidate)| *distance * 3 <= candidate.len().max(3));
    like.min().map(|(_, candidate)| candidate)
}
