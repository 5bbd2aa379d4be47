//! Whether both sides are equal: all is read again, from both.
//!
//! Every part is reduced to a count and a digest over its rows. Besides, the ledger's chain is followed, artifacts are hashed, and the records
//! of each space are reduced to what manifests say of them: all that there are, and what everybody sees now.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq};
use pinrail_domain::ledger::{Entry, Head};
use pinrail_domain::state::manifest::SetDigest;
use pinrail_domain::state::view::View;
use pinrail_domain::state::{Moment, Op, Operation, StateKey};

use sha2::{Digest as _, Sha256};

use super::copy::name;
use super::{Cell, CopyError, Depth, Page, Part, Row, Source};
use crate::StoreError;

/// What a side holds of something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub count: u64,
    pub digest: Option<Digest>,
    /// What is wrong with it by itself: a broken chain, an artifact that isn't its name.
    pub faults: Vec<String>,
}

/// What the sides hold of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    pub what: String,
    pub source: Line,
    pub target: Line,
}

/// The spaces that both sides together have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spaces {
    pub spaces: u64,
    /// Those of which something differs.
    pub unequal: u64,
}

/// What is told of at most, of each kind: the first ones say enough.
const FAULTS_MAX: usize = 10;

impl Comparison {
    /// Whether both sides hold the same, and nothing is wrong with it.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.source == self.target && self.source.faults.is_empty()
    }
}

/// Reads both sides and says what each holds; parts first, then the records of each space that differs.
pub async fn compare(
    source: &dyn Source,
    target: &dyn Source,
    tell: &mut (dyn FnMut(Part) + Send),
) -> Result<(Vec<Comparison>, Spaces), CopyError> {
    let (mut ours, mut theirs) = (Reading::new(), Reading::new());
    let mut comparisons = Vec::with_capacity(Part::ALL.len());
    for part in Part::ALL {
        tell(part);
        let (source, target) = tokio::join!(ours.read(source, part), theirs.read(target, part));
        let (source, target) = (source.map_err(CopyError::Source)?, target.map_err(CopyError::Target)?);
        comparisons.push(Comparison { what: part.as_str().to_owned(), source, target });
    }
    let (ours, theirs) = (ours.spaces(), theirs.spaces());
    let mut spaces = Spaces::default();
    for name in ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name))) {
        spaces.spaces += 1;
        let of = |side: &BTreeMap<String, [Line; 2]>| side.get(name).cloned().unwrap_or_default();
        let ([all, seen], [their_all, their_seen]) = (of(&ours), of(&theirs));
        let lines = [("all records of", all, their_all), ("what everybody sees of", seen, their_seen)];
        let differing = lines.into_iter().filter(|(_, ours, theirs)| ours != theirs);
        let before = comparisons.len();
        comparisons.extend(differing.map(|(which, source, target)| Comparison {
            what: format!("{which} {name}"),
            source,
            target,
        }));
        spaces.unequal += u64::from(comparisons.len() > before);
    }
    Ok((comparisons, spaces))
}

/// What was read of a side.
struct Reading {
    head: Head,
    /// Everybody's, now.
    view: View,
    records: HashMap<i64, Space>,
    /// By their numbers.
    names: HashMap<i64, String>,
}

/// The records of a space.
#[derive(Default)]
struct Space {
    all: SetDigest,
    /// The newest operation that counts, of each key.
    newest: HashMap<StateKey, (Op, StateSeq, Digest)>,
}

impl Reading {
    fn new() -> Reading {
        let at = Moment { state: StateSeq(u64::MAX), ledger: LedgerSeq(u64::MAX) };
        Reading {
            head: Head::START,
            view: View { own: None, at, commits: Arc::default() },
            records: HashMap::new(),
            names: HashMap::new(),
        }
    }

    async fn read(&mut self, side: &dyn Source, part: Part) -> Result<Line, StoreError> {
        let mut line = Line::default();
        let mut all = Digesting::default();
        let mut after: Option<Vec<Cell>> = None;
        loop {
            let page =
                Page { part, after: after.as_deref(), until: None, depth: Depth::Whole, limit: part.page() };
            let rows = side.rows(&page).await?;
            for row in &rows {
                all.add(row);
                if let Err(why) = self.look(part, row)
                    && line.faults.len() < FAULTS_MAX
                {
                    line.faults.push(format!("{}: {why}", name(part, row)));
                }
            }
            line.count += rows.len() as u64;
            if rows.len() < part.page() {
                break;
            }
            after = rows.last().map(|row| row[..part.key()].to_vec());
        }
        if part == Part::Ledger {
            let head = side.head().await?;
            if head != self.head {
                line.faults.push(format!("the head is said to be {} {}", head.seq, head.hash));
            }
        }
        line.digest = Some(all.digest());
        Ok(line)
    }

    /// Looks at what a row says; tells what is wrong with it.
    fn look(&mut self, part: Part, row: &Row) -> Result<(), String> {
        match (part, row.as_slice()) {
            (Part::Artifacts, [Cell::Bytes(digest), Cell::Bytes(bytes)]) => {
                let is_so = *digest == Digest::of(bytes).as_bytes();
                if is_so { Ok(()) } else { Err("its bytes have another digest".to_owned()) }
            }
            (Part::Ledger, [_, Cell::Bytes(hash), Cell::Text(text)]) => {
                let entry: Entry = serde_json::from_str(text).map_err(|why| why.to_string())?;
                if *hash != entry.hash.as_bytes() {
                    return Err("it is filed under another hash than its own".to_owned());
                }
                self.head = self.head.follow(&entry).map_err(|why| why.to_string())?;
                Arc::make_mut(&mut self.view.commits).follow(&entry);
                Ok(())
            }
            (Part::Records, row) => self.record(row).ok_or_else(|| "it can't be read".to_owned()),
            (
                Part::Spaces,
                [Cell::Number(number), Cell::Text(tenant), Cell::Number(layer), Cell::Text(name), ..],
            ) => {
                self.names.insert(*number, format!("{tenant}/{layer}/{name}"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn record(&mut self, row: &[Cell]) -> Option<()> {
        let number = |name: &str| match row[Part::Records.place(name)] {
            Cell::Number(number) => Some(number),
            Cell::Null | Cell::Text(_) | Cell::Bytes(_) | Cell::Places(_) => None,
        };
        let natural = |name: &str| number(name).map(i64::unsigned_abs);
        let Cell::Text(key) = &row[Part::Records.place("key")] else { return None };
        let Cell::Bytes(digest) = &row[Part::Records.place("digest")] else { return None };
        let digest = Digest::from_bytes(digest.as_slice().try_into().ok()?);
        let operation = Operation {
            seq: StateSeq(natural("seq")?),
            ledger: LedgerSeq(natural("ledger")?),
            deployment: DeploymentId(natural("deployment")?),
            key: StateKey::new(key).ok()?,
            op: if number("op")? == 0 { Op::Put } else { Op::Delete },
        };
        let space = self.records.entry(number("space")?).or_default();
        space.all.add(operation.seq, &digest);
        if self.view.counts(&operation) {
            space.newest.insert(operation.key, (operation.op, operation.seq, digest));
        }
        Some(())
    }

    /// Of each space, by its name: all records, and what everybody sees.
    fn spaces(self) -> BTreeMap<String, [Line; 2]> {
        let Reading { records, names, .. } = self;
        let lines = records.into_iter().map(|(number, space)| {
            let mut seen: Vec<_> = space.newest.into_values().collect();
            seen.retain(|(op, _, _)| *op == Op::Put);
            seen.sort_unstable_by_key(|(_, seq, _)| *seq);
            let mut visible = SetDigest::new();
            seen.iter().for_each(|(_, seq, digest)| visible.add(*seq, digest));
            let name = names.get(&number).cloned().unwrap_or_else(|| format!("space {number}"));
            (name, [line(&space.all), line(&visible)])
        });
        lines.collect()
    }
}

/// A digest over rows: each cell's kind, length and bytes.
#[derive(Default)]
struct Digesting(Sha256);

impl Digesting {
    fn add(&mut self, row: &Row) {
        let mut say = |kind: u8, bytes: &[u8]| {
            self.0.update([kind]);
            self.0.update((bytes.len() as u64).to_be_bytes());
            self.0.update(bytes);
        };
        for cell in row {
            match cell {
                Cell::Null => say(0, &[]),
                Cell::Number(number) => say(1, &number.to_be_bytes()),
                Cell::Text(text) => say(2, text.as_bytes()),
                Cell::Bytes(bytes) => say(3, bytes),
                Cell::Places(places) => {
                    let bytes: Vec<u8> = places.iter().flat_map(|place| place.to_be_bytes()).collect();
                    say(4, &bytes);
                }
            }
        }
    }

    fn digest(self) -> Digest {
        Digest::from_bytes(self.0.finalize().into())
    }
}

fn line(set: &SetDigest) -> Line {
    Line { count: set.count(), digest: Some(set.digest()), faults: Vec::new() }
}
