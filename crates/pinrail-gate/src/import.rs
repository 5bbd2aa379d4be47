//! Evals that other tools ran, as evidence for a gate.
//!
//! Answers are told apart by what was asked and how it was judged, never by their place in a file; the same content again
//! is a repeat. What must not count is refused and says why: cached answers, errors, answers of another model than the
//! release's pin, such that nothing judged. A case that only one arm has stays in the suite and lowers what is compared.
//!
//! Without a suite to fit into, an import makes one of its own: [`own_suite`]. Its digest depends on the cases' content
//! alone, so the same tests import as the same suite, whoever answered them.

use std::collections::BTreeMap;
use std::sync::Arc;

use pinrail_domain::canonical;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::{SuiteKind, SuitePin};
use pinrail_domain::id::ReleaseId;
use pinrail_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::row::{Outcome, Row};
use crate::suite::{Case, FORMAT, Suite};
use crate::verdict::{Arm, Held, bounded};

pub mod inspect;
pub mod promptfoo;

#[cfg(test)]
mod tests;

/// An arm's answers.
pub struct ArmFrom<'a> {
    pub release: ReleaseId,
    /// The file.
    pub document: &'a [u8],
    /// Of a file with several providers or prompts: whose answers these are.
    pub label: Option<&'a str>,
    /// Whether a served model is the release's pin.
    pub is_pin: &'a dyn Fn(&str) -> bool,
}

/// What is imported into what.
pub struct Wish<'a> {
    pub candidate: ArmFrom<'a>,
    pub incumbent: Option<ArmFrom<'a>>,
    pub suite: Fit<'a>,
    /// The score from which on an answer passes, where the tool doesn't say it.
    pub pass_at: Option<f64>,
    /// The scorer that counts, where there are several.
    pub scorer: Option<&'a str>,
    /// Whether evidence of this time (RFC 3339) still counts.
    pub is_fresh: &'a dyn Fn(&str) -> bool,
    pub at: Timestamp,
}

/// Where the cases come from.
pub enum Fit<'a> {
    /// A suite that the agent is held to: what isn't in it is refused.
    Into(&'a Held),
    /// A suite of its own.
    Own { name: &'a str, kind: SuiteKind },
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Imported {
    pub held: Held,
    pub rows: Vec<Row>,
    pub refused: Vec<Refused>,
}

/// Answers that don't count, for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    pub arm: Arm,
    pub why: String,
    pub answers: u64,
    /// Some of them, by description or content.
    pub which: Vec<String>,
}

/// Why nothing is imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportFailed {
    #[error("the {} file is no JSON of that kind", .0.as_str())]
    Unreadable(Arm, #[source] serde_json::Error),
    #[error("the {} file is an `.eval` archive; make JSON of it: `inspect log dump FILE.eval > FILE.json`, or `inspect log convert FILE.eval --to json --output-dir DIR`", .0.as_str())]
    Archive(Arm),
    #[error("the {} file has results of version {found}; version 3 can be read", .arm.as_str())]
    Version { arm: Arm, found: String },
    #[error("the {} file has no answers{}", .arm.as_str(), .label.as_ref().map(|label| format!(" of `{label}`")).unwrap_or_default())]
    Empty { arm: Arm, label: Option<String> },
    #[error("the {} file has answers of several: {}; say whose count", .arm.as_str(), .labels.join(", "))]
    Several { arm: Arm, labels: Vec<String> },
    #[error("the {} file has more than {ANSWERS_MAX} answers", .0.as_str())]
    TooMany(Arm),
    #[error("the {} file is of {when}, and counts no longer", .arm.as_str())]
    Old { arm: Arm, when: String },
    #[error("the {} file doesn't say when it was made", .0.as_str())]
    Undated(Arm),
    #[error(
        "none of the {answers} answers is to a case of suite {suite}: vars and assertions must be the same"
    )]
    NoneFits { answers: usize, suite: String },
    #[error("the imported cases have no canonical form")]
    Canonical(#[from] canonical::NotCanonical),
}

/// One answer as a tool's file has it.
struct Found {
    description: String,
    vars: BTreeMap<String, Value>,
    /// What was asked and how it was judged.
    content: Value,
    must_pass: bool,
    outcome: Outcome,
    answer: Answer,
    served: Option<String>,
}

/// Answers in one file; beyond it a verdict wouldn't change any more.
const ANSWERS_MAX: usize = 100_000;
const WHICH_MAX: usize = 5;
const TEXT_CHARS_MAX: usize = 300;
/// Where a case of an imported suite says what its content is.
const CONTENT: &str = "imported";

/// The suite that an import without one makes: its cases by content, in the order of that.
fn own_suite(name: &str, kind: SuiteKind, cases: BTreeMap<Digest, Case>) -> Result<Held, ImportFailed> {
    let suite = Suite {
        pinrail_suite: FORMAT,
        name: name.to_owned(),
        kind,
        description: "imported: it can be imported again, not run".to_owned(),
        cases: cases.into_values().collect(),
    };
    let digest = suite.digest()?;
    let pin = SuitePin {
        name: name.to_owned(),
        kind,
        digest,
        margin: None,
        better: false,
        floor: None,
        imported: true,
    };
    Ok(Held { pin, suite: Arc::new(suite) })
}

/// Puts both arms' answers together.
fn put_together(wish: &Wish<'_>, arms: [(Arm, ReleaseId, Vec<Found>); 2]) -> Result<Imported, ImportFailed> {
    let mut refusals = Refusals::default();
    let mut keyed: Vec<(Arm, ReleaseId, Digest, Found)> = Vec::new();
    for (arm, release, found) in arms {
        for found in found {
            match canonical::digest(&found.content) {
                Ok(content) => keyed.push((arm, release, content, found)),
                Err(_) => refusals.add(
                    arm,
                    "a number in its variables can't be told from others",
                    &found.description,
                ),
            }
        }
    }
    let held = match wish.suite {
        Fit::Into(held) => held.clone(),
        Fit::Own { name, kind } => {
            let mut cases: BTreeMap<Digest, Case> = BTreeMap::new();
            for (_, _, content, found) in &keyed {
                let case = cases.entry(*content).or_insert_with(|| found.case(content));
                // Files may differ in what they say of a case: the digest mustn't depend on which comes first.
                case.must_pass |= found.must_pass;
                case.description = case.description.clone().min(found.description.clone());
            }
            own_suite(name, kind, cases)?
        }
    };
    let answers = keyed.len();
    let places = places(&held)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut repeats: BTreeMap<(ReleaseId, Digest), u32> = BTreeMap::new();
    for (arm, release, content, found) in keyed {
        let Some(case) = places.get(&content) else {
            refusals.add(
                arm,
                "the suite has no case with these variables and assertions",
                &found.description,
            );
            continue;
        };
        if let Outcome::Error { why } | Outcome::Refused { why } = &found.outcome {
            refusals.add(arm, why, &found.description);
        }
        let repeat = repeats.entry((release, *case)).or_default();
        rows.push(found.row(release, *case, *repeat, wish.at));
        *repeat += 1;
    }
    if rows.is_empty() {
        return Err(ImportFailed::NoneFits { answers, suite: held.pin.name });
    }
    refusals.without_partner(wish, &rows);
    Ok(Imported { held, rows, refused: refusals.listed() })
}

/// The suite's cases by the content that answers to them have.
fn places(held: &Held) -> Result<BTreeMap<Digest, Digest>, ImportFailed> {
    let mut places = BTreeMap::new();
    for case in &held.suite.cases {
        let imported = case.request.get(CONTENT).and_then(Value::as_str).and_then(|text| text.parse().ok());
        let content = match imported {
            Some(content) => content,
            None => canonical::digest(&promptfoo::content_of(case))?,
        };
        places.entry(content).or_insert(case.digest()?);
    }
    Ok(places)
}

impl Found {
    fn case(&self, content: &Digest) -> Case {
        Case {
            description: self.description.clone(),
            vars: self.vars.clone(),
            request: [(CONTENT.to_owned(), json!(content))].into(),
            must_pass: self.must_pass,
            ..Case::default()
        }
    }

    fn row(self, release: ReleaseId, case: Digest, repeat: u32, at: Timestamp) -> Row {
        Row {
            release,
            case,
            repeat,
            at,
            run: None,
            outcome: self.outcome,
            answers: vec![self.answer],
            served: self.served.into_iter().collect(),
            retries: 0,
            reused: None,
        }
    }
}

/// Whether the answering model may count.
fn check_served(served: Option<&str>, from: &ArmFrom<'_>) -> Result<(), String> {
    match served {
        Some(served) if !(from.is_pin)(served) => {
            Err(format!("{} answered, which isn't the release's pin", bounded(served, TEXT_CHARS_MAX)))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether a file is young enough.
fn check_time(arm: Arm, when: Option<&str>, wish: &Wish<'_>) -> Result<(), ImportFailed> {
    match when {
        None => Err(ImportFailed::Undated(arm)),
        Some(when) if (wish.is_fresh)(when) => Ok(()),
        Some(when) => Err(ImportFailed::Old { arm, when: bounded(when, 64) }),
    }
}

#[derive(Default)]
struct Refusals(BTreeMap<(bool, String), (u64, Vec<String>)>);

impl Refusals {
    fn add(&mut self, arm: Arm, why: &str, what: &str) {
        let key = (arm == Arm::Incumbent, bounded(why, TEXT_CHARS_MAX));
        let (answers, which) = self.0.entry(key).or_default();
        *answers += 1;
        if which.len() < WHICH_MAX && !what.is_empty() {
            which.push(bounded(what, TEXT_CHARS_MAX));
        }
    }

    /// Lists what one arm answered and the other didn't.
    fn without_partner(&mut self, wish: &Wish<'_>, rows: &[Row]) {
        let Some(incumbent) = &wish.incumbent else { return };
        let releases = [(Arm::Candidate, wish.candidate.release), (Arm::Incumbent, incumbent.release)];
        let of = |release: ReleaseId| {
            rows.iter().filter(move |row| row.release == release).map(|row| row.case).collect::<Vec<Digest>>()
        };
        for ((arm, mine), (_, theirs)) in [(releases[0], releases[1]), (releases[1], releases[0])] {
            let partners: std::collections::BTreeSet<Digest> = of(theirs).into_iter().collect();
            for case in of(mine).into_iter().filter(|case| !partners.contains(case)) {
                self.add(arm, "the other arm has no answer to it", &case.short());
            }
        }
    }

    fn listed(self) -> Vec<Refused> {
        let one = |((of_incumbent, why), (answers, which)): ((bool, String), (u64, Vec<String>))| Refused {
            arm: if of_incumbent { Arm::Incumbent } else { Arm::Candidate },
            why,
            answers,
            which,
        };
        self.0.into_iter().map(one).collect()
    }
}
