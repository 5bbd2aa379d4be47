//! Reads a suite's files, in promptfoo's vocabulary, into the suite that is stored.
//!
//! What comes out is whole: files are taken in, templates are filled, defaults are merged, lists of variables are
//! multiplied out. Reading goes on after a fault, so that all of them are told at once, each with its place; a key that
//! isn't known is a fault, never skipped. Where promptfoo itself would ask something that Pinrail settles elsewhere, the
//! fault says where. docs/suites.md is the format; start at [`read`], then [`test`] (one test as written) and [`case`]
//! (what is asked).
//!
//! Order: a test's own settings win over its scenario's, and those over `defaultTest`; assertions are put together the
//! other way round, `defaultTest`'s first. Cases stand in the order of the files. Two cases that ask and judge the same
//! are one: the later is left out, with a warning, since answers are paired by what was asked.

use std::collections::{BTreeMap, BTreeSet};

use pinrail_domain::canonical;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::SuiteKind;

use crate::suite::{Case, FORMAT, Suite};

mod assertion;
mod case;
mod context;
mod csv;
mod files;
mod foreign;
mod json;
mod node;
mod options;
mod prompt;
mod script;
mod shape;
mod sources;
mod table;
mod template;
mod test;
mod value;
mod vars;
mod yaml;

#[cfg(test)]
mod tests;

use context::Reading;
pub use context::{FAULTS_MAX, Fault};
pub use files::{FILE_BYTES_MAX, Files, Folder, Memory};
use node::{At, Node};
use table::Table;

/// As many as a gate can ask in a day at a provider's usual limits.
pub const CASES_MAX: usize = 20_000;
/// The longest case, written out: models take some hundred thousand characters.
pub const CASE_BYTES_MAX: usize = 1 << 20;
/// The longest suite, written out: what an artifact may have.
pub const SUITE_BYTES_MAX: usize = 64 << 20;

/// A suite as it is stored, and how it was read.
#[derive(Clone, Debug)]
pub struct ReadSuite {
    pub suite: Suite,
    pub digest: Digest,
    /// The suite's canonical JSON: the artifact.
    pub bytes: Vec<u8>,
    /// What looks like a mistake and can be used all the same.
    pub warnings: Vec<String>,
    /// Every file that it was read from, its own first.
    pub files: Vec<String>,
}

/// Reads the suite in the file `path`; `kind` is for a suite that doesn't say its own.
///
/// # Errors
/// Every fault of every file, at most [`FAULTS_MAX`] and one that says how many more there are.
pub fn read(path: &str, kind: Option<SuiteKind>, files: &dyn Files) -> Result<ReadSuite, Vec<Fault>> {
    let reading = Reading::new(files);
    let suite = reading.document(path, None).and_then(|root| suite(&reading, path, &root, kind));
    let whole = suite.and_then(|suite| finish(&reading, path, suite));
    let (faults, warnings, files) = reading.end();
    match whole {
        Some((suite, bytes)) if faults.is_empty() => {
            let digest = Digest::of(&bytes);
            Ok(ReadSuite { suite, digest, bytes, warnings, files })
        }
        Some(_) | None => Err(faults),
    }
}

fn suite(reading: &Reading<'_>, path: &str, root: &Node, wished: Option<SuiteKind>) -> Option<Suite> {
    let table = Table::open(reading, root, "")?;
    let name = table.text("name").unwrap_or_else(|| stem(path));
    if pinrail_domain::id::CollectionName::new(&name).is_err() {
        let what = format!("`{name}` is not 1 to 64 of a-z 0-9 . _ -, starting with a letter or digit");
        table.fault("name", &what);
    }
    let kind = kind(&table, wished);
    let description = table.text("description").unwrap_or_default();
    let cases = sources::cases(&table);
    table.close(foreign::SUITE_KEYS);
    if cases.is_empty() && reading.is_whole() {
        table.fault("tests", "gives no case: list at least one test");
    }
    Some(Suite { pinrail_suite: FORMAT, name, kind: kind?, description, cases: distinct(reading, cases) })
}

/// The cases without those that ask and judge what an earlier one does.
fn distinct(reading: &Reading<'_>, cases: Vec<Placed>) -> Vec<Case> {
    let mut seen: BTreeMap<Digest, Place> = BTreeMap::new();
    let mut kept = Vec::with_capacity(cases.len());
    let mut repeated = BTreeSet::new();
    for placed in cases {
        let Placed { case, place } = placed;
        match canonical::to_vec(&case) {
            Ok(bytes) if bytes.len() > CASE_BYTES_MAX => {
                let what =
                    format!("makes a case of {} bytes; at most {CASE_BYTES_MAX} are allowed", bytes.len());
                reading.fault(&place.at, &place.key, &what);
            }
            Ok(_) => {}
            Err(error) => reading.fault(&place.at, &place.key, &format!("cannot be stored: {error}")),
        }
        let Ok(digest) = case.digest() else { continue };
        match seen.get(&digest) {
            Some(first) => {
                repeated.insert(format!("{place} asks what {first} asks: it is left out"));
            }
            None => {
                seen.insert(digest, place);
                kept.push(case);
            }
        }
    }
    let count = repeated.len();
    for warning in repeated.into_iter().take(WARNINGS_MAX) {
        reading.warn(warning);
    }
    if count > WARNINGS_MAX {
        reading.warn(format!(
            "{} more cases ask what an earlier one asks: they are left out",
            count - WARNINGS_MAX
        ));
    }
    kept
}

fn finish(reading: &Reading<'_>, path: &str, suite: Suite) -> Option<(Suite, Vec<u8>)> {
    // What has no canonical form was told with its case.
    let bytes = canonical::to_vec(&suite).ok()?;
    if bytes.len() > SUITE_BYTES_MAX {
        let what = format!(
            "the suite has {} bytes with all that it includes; an artifact has at most {SUITE_BYTES_MAX}: split it",
            bytes.len()
        );
        reading.fault(&At::file(&path.into()), "", &what);
    }
    Some((suite, bytes))
}

fn kind(table: &Table<'_, '_>, wished: Option<SuiteKind>) -> Option<SuiteKind> {
    let Some(named) = table.text("kind") else {
        if wished.is_none() && !table.has("kind") {
            table.fault("kind", "is missing: say success, regression or safety");
        }
        return wished;
    };
    let Some(kind) = SuiteKind::ALL.into_iter().find(|kind| kind.as_str() == named) else {
        table.fault("kind", &format!("is `{named}`; it must be success, regression or safety"));
        return None;
    };
    if wished.is_some_and(|wished| wished != kind) {
        table.fault("kind", "is not the kind that it was asked to have");
    }
    Some(kind)
}

/// The most warnings of one sort.
const WARNINGS_MAX: usize = 20;

/// Where something is written, for a person.
#[derive(Clone, Debug)]
struct Place {
    at: At,
    key: String,
}

/// A case and the test that it is of.
struct Placed {
    case: Case,
    place: Place,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        context::write_place(f, &self.at)?;
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        Ok(())
    }
}

fn stem(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_owned()
}
