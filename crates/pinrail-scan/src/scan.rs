//! A whole scan: files in, findings out.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use pinrail_domain::model::Catalogue;
use pinrail_domain::time::Timestamp;
use serde::Serialize;

use crate::baseline::fingerprint;
use crate::directive::{Directive, directives};
use crate::extract::{Candidate, Form, extract};
use crate::family::{Families, Family};
use crate::finding::{Cell, Confidence, Finding, Suppression};
use crate::judge::{Judge, Verdict};
use crate::language::Language;
use crate::lex::{Tokens, lex};
use crate::notebook::{CodeCell, code_cells};
use crate::position::Lines;
use crate::rule::Rule;
use crate::usage::Reader;
use crate::walk::{Counts, Unreadable, Walk, walk};

/// The longest file that is read, in bytes, unless told otherwise: longer ones are data.
pub const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The longest line whose ids are reported, in bytes: longer ones are written by programs.
const LINE_BYTES_MAX: usize = 4_000;

/// From so many different ids on, a file of data is a table of models: nobody uses thirty.
const REGISTRY_IDS_MIN: usize = 30;

/// How much of a source line is shown, in characters.
const SNIPPET_CHARS_MAX: usize = 160;

/// What to look for, and where.
#[derive(Clone, Debug)]
pub struct Options<'c> {
    pub walk: Walk,
    /// The folder that paths are told from.
    pub base: PathBuf,
    /// Files that aren't looked at, as findings tell paths: a baseline names ids without using them.
    pub leave_out: BTreeSet<String>,
    pub catalogue: &'c Catalogue,
    pub now: Timestamp,
    /// How many days before its end a model counts as retiring.
    pub within_days: u64,
    /// The rules that are asked for.
    pub rules: BTreeSet<Rule>,
    /// Only ids of this provider, by the catalogue's name.
    pub provider: Option<String>,
    pub min_confidence: Confidence,
    /// Take tests for code like any other.
    pub tests: bool,
}

/// What a scan found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// By path, line, column and rule.
    pub findings: Vec<Finding>,
    /// How many were found that are less sure than asked for.
    pub less_sure: u64,
    pub skipped: Skipped,
}

/// What was read and what wasn't.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Skipped {
    #[serde(flatten)]
    pub counts: Counts,
    /// Lines that are too long to be written by people, and hold an id.
    pub long_lines: u64,
    /// Path and reason of what couldn't be read.
    pub unreadable: Vec<(String, String)>,
}

enum Message {
    Found(Vec<Finding>, u64, u64),
    Unreadable(String, String),
}

/// Scans. Findings are in the same order every time.
#[must_use]
pub fn scan(options: &Options<'_>) -> Report {
    let families = Families::of(options.catalogue);
    let verdicts = Verdicts::default();
    let (send, receive) = mpsc::channel();
    let cannot = |unreadable: Unreadable| {
        let path = unreadable.path.map_or_else(String::new, |path| shown(&path, &options.base));
        // The receiver lives until the walk is over.
        let _ = send.send(Message::Unreadable(path, unreadable.why));
    };
    let send_found: &Sender<Message> = &send;
    let counts = walk(
        &options.walk,
        |path, language, bytes| {
            if !families.may_be_in(bytes) {
                return;
            }
            let shown = shown(path, &options.base);
            if options.leave_out.contains(&shown) {
                return;
            }
            let file =
                InFile { options, families: &families, verdicts: &verdicts, path, shown, language, bytes };
            let found = file.findings();
            if !found.all.is_empty() || found.less_sure > 0 || found.long_lines > 0 {
                let _ = send_found.send(Message::Found(found.all, found.less_sure, found.long_lines));
            }
        },
        &cannot,
    );
    drop(send);
    let mut report = Report { skipped: Skipped { counts, ..Skipped::default() }, ..Report::default() };
    for message in receive {
        match message {
            Message::Found(findings, less_sure, long_lines) => {
                report.findings.extend(findings);
                report.less_sure += less_sure;
                report.skipped.long_lines += long_lines;
            }
            Message::Unreadable(path, why) => report.skipped.unreadable.push((path, why)),
        }
    }
    let place = |finding: &Finding| (finding.path.clone(), finding.line, finding.column, finding.rule);
    report.findings.sort_by_cached_key(place);
    // Overlapping roots read a file twice.
    report
        .findings
        .dedup_by(|a, b| (&a.path, a.line, a.column, a.rule) == (&b.path, b.line, b.column, b.rule));
    report.skipped.unreadable.sort();
    report
}

/// The path as findings tell it.
#[must_use]
pub fn shown(path: &Path, base: &Path) -> String {
    let inside = path.strip_prefix(base).or_else(|_| path.strip_prefix(".")).unwrap_or(path);
    inside.to_string_lossy().replace('\\', "/")
}

/// What was judged: the same few ids come again and again.
#[derive(Default)]
struct Verdicts(Mutex<HashMap<Asked, Arc<Verdict>>>);

/// An id, and the provider that the place names.
type Asked = (String, Option<&'static str>);

impl Verdicts {
    fn get(
        &self,
        options: &Options<'_>,
        id: &str,
        family: Family,
        named: Option<&'static str>,
    ) -> Arc<Verdict> {
        let key = (id.to_owned(), named);
        let known = |verdicts: &Verdicts| {
            verdicts.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
        };
        known(self).unwrap_or_else(|| {
            let judge =
                Judge { catalogue: options.catalogue, now: options.now, within_days: options.within_days };
            let verdict = Arc::new(judge.judge(id, family, named));
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(key.clone(), Arc::clone(&verdict));
            verdict
        })
    }
}

/// A file that may hold ids.
struct InFile<'f> {
    options: &'f Options<'f>,
    families: &'f Families,
    verdicts: &'f Verdicts,
    path: &'f Path,
    shown: String,
    language: Language,
    bytes: &'f [u8],
}

#[derive(Default)]
struct Found {
    all: Vec<Finding>,
    less_sure: u64,
    long_lines: u64,
}

/// A text in a file: all of it, or a notebook's cell.
struct Text<'f> {
    tokens: Tokens<'f>,
    language: Language,
    cell: Option<&'f CodeCell>,
}

impl InFile<'_> {
    fn findings(&self) -> Found {
        let mut found = Found::default();
        if self.language == Language::Notebook {
            for cell in &code_cells(self.bytes) {
                let text = Text {
                    tokens: lex(&cell.text, cell.language),
                    language: cell.language,
                    cell: Some(cell),
                };
                self.look(&text, &mut found);
            }
        } else {
            let text = Text { tokens: lex(self.bytes, self.language), language: self.language, cell: None };
            self.look(&text, &mut found);
        }
        found
    }

    fn look(&self, text: &Text<'_>, found: &mut Found) {
        let tokens = &text.tokens;
        let (file_lines, lines) = (Lines::of(self.bytes), Lines::of(tokens.text));
        let said = directives(tokens, &lines);
        let mut used = vec![false; said.len()];
        let place = Place { file: self, text, file_lines: &file_lines, lines: &lines };
        let is_id = |at: usize| {
            let token = tokens.all[at];
            self.families.read(tokens.text, token.start as usize..token.end as usize).is_some()
        };
        let doubt = self.doubt().or_else(|| self.is_registry(tokens, text.language));
        let reader = Reader::new(tokens, text.language, doubt, &is_id);
        let mut last = None;
        for hit in self.families.hits(tokens.text) {
            let Some(at) = tokens.text_at(hit).filter(|at| last != Some(*at)) else { continue };
            last = Some(at);
            if reader.is_documentation(at) {
                continue;
            }
            let token = tokens.all[at];
            for candidate in extract(self.families, tokens.text, token.start as usize..token.end as usize) {
                let line = lines.line(candidate.id.range.start);
                if lines.text(line).len() > LINE_BYTES_MAX {
                    found.long_lines += 1;
                    continue;
                }
                for mut finding in place.findings(&reader, at, &candidate) {
                    for (directive, used) in said.iter().zip(&mut used) {
                        if let Some(reason) = directive.covers(finding.rule, line) {
                            *used = true;
                            let reason = reason.to_owned();
                            let line = place.line_in_file(directive.bytes.start);
                            finding.suppressed = Some(Suppression::Comment { line, reason });
                        }
                    }
                    if finding.confidence < self.options.min_confidence {
                        found.less_sure += u64::from(finding.rule != Rule::PinnedModel);
                    } else {
                        found.all.push(finding);
                    }
                }
            }
        }
        for (directive, used) in said.iter().zip(used) {
            found.all.extend(place.of_directive(directive, used));
        }
    }

    /// Whether data lists so many ids that it is a table of what there is.
    fn is_registry(&self, tokens: &Tokens<'_>, language: Language) -> Option<&'static str> {
        if !matches!(language, Language::Json | Language::Yaml | Language::Toml | Language::Lines) {
            return None;
        }
        let mut ids = BTreeSet::new();
        for hit in self.families.hits(tokens.text) {
            let Some(at) = tokens.text_at(hit) else { continue };
            let token = tokens.all[at];
            if let Some(id) = self.families.read(tokens.text, token.start as usize..token.end as usize) {
                ids.insert(&tokens.text[id.range]);
            }
            if ids.len() >= REGISTRY_IDS_MIN {
                return Some("the file lists many models");
            }
        }
        None
    }

    /// Why nothing in this file is sure.
    fn doubt(&self) -> Option<&'static str> {
        if self.shown.ends_with(".d.ts")
            || self.shown.ends_with(".d.mts")
            || self.shown.ends_with(".d.cts")
            || self.shown.ends_with(".pyi")
        {
            return Some("it stands in declarations of types");
        }
        // Only what lies under a root tells: a whole project may lie in a folder called `test`.
        let roots = &self.options.walk.roots;
        let inside = roots.iter().find_map(|root| self.path.strip_prefix(root).ok());
        let inside = inside
            .filter(|inside| !inside.as_os_str().is_empty())
            .unwrap_or_else(|| Path::new(self.path.file_name().unwrap_or_default()));
        (!self.options.tests && is_test(inside)).then_some("it stands in a test")
    }
}

/// Where findings of a text are made.
struct Place<'f> {
    file: &'f InFile<'f>,
    text: &'f Text<'f>,
    file_lines: &'f Lines<'f>,
    lines: &'f Lines<'f>,
}

impl Place<'_> {
    fn findings(&self, reader: &Reader<'_>, at: usize, candidate: &Candidate) -> Vec<Finding> {
        let options = self.file.options;
        let id = String::from_utf8_lossy(&self.text.tokens.text[candidate.id.range.clone()]).into_owned();
        let usage = reader.usage(at, candidate);
        let verdict = self.file.verdicts.get(options, &id, candidate.id.family, usage.provider);
        if options.provider.is_some() && options.provider != verdict.provider {
            return Vec::new();
        }
        let (range, is_literal) = self.in_file(&candidate.id.range);
        let may_fix = is_literal && usage.confidence == Confidence::High && candidate.form != Form::Url;
        let rules = verdict.rules.iter().filter(|(rule, _)| options.rules.contains(rule));
        let finding = |(rule, why): &(Rule, String)| Finding {
            why: why.clone(),
            id: id.clone(),
            provider: verdict.provider.clone(),
            or_provider: verdict.or_provider.clone(),
            pins: match rule {
                Rule::PinnedModel | Rule::BadIgnore | Rule::UnusedIgnore => Vec::new(),
                Rule::RetiredModel | Rule::RetiringModel => verdict.lasting_pins.clone(),
                Rule::FloatingModel | Rule::UnknownModel => verdict.pins.clone(),
            },
            fix: verdict.only_snapshot.clone().filter(|_| may_fix && *rule == Rule::FloatingModel),
            confidence: usage.confidence,
            because: usage.because.clone(),
            ..self.bare(*rule, &range, candidate.id.range.start)
        };
        rules.map(finding).collect()
    }

    /// A finding about a comment that ignores badly or nothing.
    fn of_directive(&self, directive: &Directive, used: bool) -> Option<Finding> {
        let (rule, why) = match &directive.said {
            Err(why) => (Rule::BadIgnore, format!("this comment ignores nothing: {why}")),
            Ok(_) if used => return None,
            Ok(_) => (Rule::UnusedIgnore, "this comment ignores a finding that isn't there".to_owned()),
        };
        let (range, _) = self.in_file(&directive.bytes);
        let finding = Finding { why, ..self.bare(rule, &range, directive.bytes.start) };
        self.file.options.rules.contains(&rule).then_some(finding)
    }

    /// A finding at a range of the file, which is at `at` in the text, that says nothing yet.
    fn bare(&self, rule: Rule, range: &std::ops::Range<usize>, at: usize) -> Finding {
        let line = self.file_lines.line(range.start);
        let column = self.file_lines.column(range.start);
        let source = String::from_utf8_lossy(self.lines.text(self.lines.line(at)));
        let width = u32::try_from(range.len()).unwrap_or(u32::MAX);
        Finding {
            rule,
            path: self.file.shown.clone(),
            line,
            column,
            end_column: column + width,
            cell: self.text.cell.map(|cell| Cell { number: cell.number, line: self.lines.line(at) }),
            id: String::new(),
            provider: None,
            or_provider: Vec::new(),
            why: String::new(),
            pins: Vec::new(),
            fix: None,
            confidence: Confidence::High,
            because: "a comment says what it means".to_owned(),
            snippet: source.trim().chars().take(SNIPPET_CHARS_MAX).collect(),
            fingerprint: fingerprint(&source),
            suppressed: None,
            bytes: range.clone(),
        }
    }

    /// Where a range of the text stands in the file, and whether it is written there as it is here.
    fn in_file(&self, range: &std::ops::Range<usize>) -> (std::ops::Range<usize>, bool) {
        match self.text.cell {
            None => (range.clone(), true),
            Some(cell) => match cell.range_in_file(range, self.file.bytes) {
                Some(there) => (there, true),
                None => {
                    let start = cell.in_file(range.start);
                    (start..start + range.len(), false)
                }
            },
        }
    }

    fn line_in_file(&self, at: usize) -> u32 {
        self.file_lines.line(self.in_file(&(at..at)).0.start)
    }
}

/// Whether a path below a root is a test's, or of what tests read.
fn is_test(path: &Path) -> bool {
    const FOLDERS: [&str; 19] = [
        "test",
        "tests",
        "__tests__",
        "testing",
        "testdata",
        "test-data",
        "test_data",
        "spec",
        "specs",
        "fixtures",
        "__fixtures__",
        "mocks",
        "__mocks__",
        "cassettes",
        "e2e",
        "__snapshots__",
        "snapshots",
        "unit_tests",
        "integration_tests",
    ];
    let folders = path.parent().into_iter().flat_map(Path::components);
    let in_folder = folders
        .filter_map(|part| part.as_os_str().to_str())
        .any(|part| FOLDERS.contains(&part) || part.ends_with("_tests") || part.ends_with(".Tests"));
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    in_folder
        || name.starts_with("test_")
        || name == "conftest.py"
        || [".test.", ".spec.", "_test.", ".mock."].iter().any(|part| name.contains(part))
        || ["_spec", "Test", "Tests"].iter().any(|end| stem.ends_with(end))
}

#[cfg(test)]
mod tests;
