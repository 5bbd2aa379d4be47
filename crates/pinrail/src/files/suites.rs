//! `agents/NAME/evals/`: an agent's suites, and `[gate]` of its agent.toml, which says how it is held to them.
//!
//! Every `.yaml`, `.yml` and `.json` file right in the folder is a suite; what suites include stands in folders below it,
//! or is CSV, JSONL or text. Suites are pinned in the order of their names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pinrail_domain::digest::Digest;
use pinrail_domain::gate::{GateSpec, SuiteKind, SuitePin};
use pinrail_domain::rollout::quantity::Margin;
use pinrail_gate::read::{Folder, ReadSuite};

use super::Fault;
use super::section::Section;

/// The suites of an agent's folder.
#[derive(Clone, Debug, Default)]
pub struct Suites {
    /// By name.
    pub read: BTreeMap<String, ReadSuite>,
    /// Names of files that can't be used: their faults are told, and nothing else should be told of them.
    broken: Vec<String>,
    /// What looks like a mistake, each with its file.
    pub warnings: Vec<String>,
}

/// What `[gate.suites.NAME]` says.
#[derive(Default)]
struct Settings {
    margin: Option<Margin>,
    better: bool,
    floor: Option<f64>,
    /// Of a suite that is no file.
    elsewhere: Option<(Digest, SuiteKind)>,
}

impl Suites {
    /// Reads the suites in the folder `shown` of the project `dir`.
    pub fn read(dir: &Path, shown: &Path, faults: &mut Vec<Fault>) -> Suites {
        let mut suites = Suites::default();
        let files = suite_files(&dir.join(shown));
        if files.is_empty() {
            return suites;
        }
        let folder = match Folder::new(&dir.join(shown), dir) {
            Ok(folder) => folder,
            Err(error) => {
                let what = format!("cannot be read: {error}");
                faults.push(Fault { file: shown.to_owned(), line: None, what });
                return suites;
            }
        };
        for file in files {
            suites.take(&file, &folder, shown, faults);
        }
        suites
    }

    fn take(&mut self, file: &str, folder: &Folder, shown: &Path, faults: &mut Vec<Fault>) {
        match pinrail_gate::read::read(file, None, folder) {
            Ok(read) => {
                let name = read.suite.name.clone();
                let warnings = read.warnings.iter();
                self.warnings.extend(warnings.map(|warning| format!("{}/{warning}", shown.display())));
                if self.read.insert(name.clone(), read).is_some() {
                    let what = format!("name: another suite of this agent is called `{name}`");
                    faults.push(Fault { file: shown.join(file), line: None, what });
                }
            }
            Err(found) => {
                let stem = Path::new(file).file_stem().unwrap_or_default();
                self.broken.push(stem.to_string_lossy().into_owned());
                faults.extend(found.into_iter().map(|fault| from_suite(shown, fault)));
            }
        }
    }
}

/// A suite's fault as a project's files have them, its paths from the project's folder.
pub fn from_suite(shown: &Path, fault: pinrail_gate::read::Fault) -> Fault {
    let file = shown.join(&fault.file);
    // One form for all files: `file:line`; the column is only told where it is known.
    let column = fault.column.map(|column| format!("column {column}: ")).unwrap_or_default();
    let what = match fault.key.as_str() {
        "" => format!("{column}{}", fault.what),
        key => format!("{column}{key} {}", fault.what),
    };
    Fault { file, line: fault.line, what }
}

/// What an agent's candidates are held to; none where nothing says anything of it.
pub fn gate(file: &Section<'_>, suites: &Suites) -> Option<GateSpec> {
    let mut settings = BTreeMap::new();
    let read = file.table("gate", |gate| {
        settings = gate
            .each("suites", |name, section| Some((name.to_owned(), of_suite(name, section, suites))))
            .into_iter()
            .collect();
        Some(GateSpec {
            suites: Vec::new(),
            requires: gate.get("requires").unwrap_or_default(),
            repeats: gate.get("repeats"),
            alpha: gate.get("alpha"),
            max_age: gate.get("max_age"),
            budget: gate.get("budget"),
            concurrency: gate.get("concurrency"),
            calls_per_minute: gate.get("calls_per_minute"),
            repeats_max: gate.get("repeats_max"),
            auto: gate.get("auto"),
            judge: gate.get("judge"),
        })
    });
    let mut pins: Vec<SuitePin> = Vec::new();
    for (name, read) in &suites.read {
        let Settings { margin, better, floor, .. } = settings.remove(name).unwrap_or_default();
        let (name, kind, digest) = (name.clone(), read.suite.kind, read.digest);
        pins.push(SuitePin { name, kind, digest, margin, better, floor, imported: false });
    }
    for (name, Settings { margin, better, floor, elsewhere }) in settings {
        pins.extend(elsewhere.map(|(digest, kind)| SuitePin {
            name,
            kind,
            digest,
            margin,
            better,
            floor,
            imported: true,
        }));
    }
    pins.sort_by(|a, b| a.name.cmp(&b.name));
    if read.is_none() && pins.is_empty() {
        return None;
    }
    Some(GateSpec { suites: pins, ..read.unwrap_or_default() })
}

fn of_suite(name: &str, section: &Section<'_>, suites: &Suites) -> Settings {
    let (digest, kind) = (section.get("digest"), section.get("kind"));
    let settings = Settings {
        margin: section.get("margin"),
        better: section.get("better").unwrap_or_default(),
        floor: section.get("floor"),
        elsewhere: digest.zip(kind),
    };
    if suites.read.contains_key(name) {
        for key in ["digest", "kind"].into_iter().filter(|key| section.has(key)) {
            section.refuse(key, "is the file's: it is only written here for a suite that is no file");
        }
    } else if !suites.broken.iter().any(|broken| broken == name) && settings.elsewhere.is_none() {
        let names = suites.read.keys().map(String::as_str);
        let like =
            super::nearest(name, names).map(|like| format!("; did you mean `{like}`?")).unwrap_or_default();
        section.refuse_whole(&format!(
            "there is no such suite in evals/{like} One that is no file has a `digest` and a `kind`"
        ));
    }
    settings
}

fn suite_files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path()).filter(|path| path.is_file() && is_suite(path));
    let mut names: Vec<String> =
        paths.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

fn is_suite(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ["yaml", "yml", "json"].contains(&ending))
}
