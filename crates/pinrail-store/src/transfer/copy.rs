//! One pass: walks both sides in the order of their keys, and brings the target up.

use std::cmp::Ordering;

use super::{Cell, Depth, Page, Part, Row, Sink, Source};
use crate::StoreError;

/// What one pass does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Looks at what tells of a change. The source may go on meanwhile.
    Quick,
    /// Looks at everything: content that was erased in place is met, too.
    Whole,
}

/// What a pass did in a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Rows looked at in the source.
    pub seen: u64,
    pub added: u64,
    pub changed: u64,
    pub removed: u64,
}

/// How far it is, for whoever waits.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub part: Part,
    pub so_far: Copied,
    pub is_done: bool,
}

/// Why nothing more was copied. What was copied stays; repeat it.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("the source can't be read")]
    Source(#[source] StoreError),
    #[error("the target failed")]
    Target(#[source] StoreError),
    /// It has a life of its own.
    #[error("the target is in use already: it is no copy that was begun and not finished")]
    InUse,
    #[error("the target is another installation's: its {} say otherwise at {key}", part.as_str())]
    Foreign { part: Part, key: String },
}

/// Copies what the target lacks. Tells of each page.
pub async fn copy(
    source: &dyn Source,
    target: &dyn Sink,
    pass: Pass,
    tell: &mut (dyn FnMut(Step) + Send),
) -> Result<Vec<(Part, Copied)>, CopyError> {
    if !target.is_unfinished().await.map_err(CopyError::Target)? {
        if !target.is_empty().await.map_err(CopyError::Target)? {
            return Err(CopyError::InUse);
        }
        target.begin().await.map_err(CopyError::Target)?;
    }
    let mut copied = Vec::with_capacity(Part::ALL.len());
    // What can't differ first, over all of it: a foreign target isn't touched.
    for part in [Part::Ledger, Part::Artifacts] {
        foreign(source, target, part).await?;
    }
    for part in Part::ALL {
        let walk = Walk { source, target, part, pass };
        copied.push((part, walk.run(tell).await?));
    }
    target.settle().await.map_err(CopyError::Target)?;
    Ok(copied)
}

/// Refuses a target in which something is that isn't in the source and can't have been.
async fn foreign(source: &dyn Source, target: &dyn Sink, part: Part) -> Result<(), CopyError> {
    let mut after: Option<Vec<Cell>> = None;
    loop {
        let page =
            |until| Page { part, after: after.as_deref(), until, depth: Depth::Telling, limit: part.page() };
        let theirs = target.rows(&page(None)).await.map_err(CopyError::Target)?;
        let Some(last) = theirs.last() else { return Ok(()) };
        let last = last[..part.key()].to_vec();
        let page = Page { limit: usize::MAX, ..page(Some(&last)) };
        let ours = source.rows(&page).await.map_err(CopyError::Source)?;
        let ours: std::collections::HashMap<String, &Row> =
            ours.iter().map(|row| (name(part, row), row)).collect();
        for row in &theirs {
            if ours.get(&name(part, row)) != Some(&row) {
                return Err(CopyError::Foreign { part, key: name(part, row) });
            }
        }
        after = Some(last);
    }
}

struct Walk<'a> {
    source: &'a dyn Source,
    target: &'a dyn Sink,
    part: Part,
    pass: Pass,
}

/// How a page of both sides differs.
#[derive(Default)]
struct Differences {
    added: Vec<Row>,
    changed: Vec<Row>,
    removed: Vec<Row>,
}

impl Walk<'_> {
    async fn run(&self, tell: &mut (dyn FnMut(Step) + Send)) -> Result<Copied, CopyError> {
        let Walk { source, target, part, pass } = *self;
        let mut copied = Copied::default();
        let mut after: Option<Vec<Cell>> = None;
        // A target that has nothing of a part isn't asked again: the first copy of all is one walk over the source.
        let mut depth = match pass {
            Pass::Quick => Depth::Telling,
            Pass::Whole => Depth::Whole,
        };
        let beginning = Page { part, after: None, until: None, depth: Depth::Telling, limit: 1 };
        if target.rows(&beginning).await.map_err(CopyError::Target)?.is_empty() {
            depth = Depth::Whole;
        }
        loop {
            let limit = part.page();
            let page = Page { part, after: after.as_deref(), until: None, depth, limit };
            let ours = source.rows(&page).await.map_err(CopyError::Source)?;
            let last = ours.last().filter(|_| ours.len() == limit).map(|row| row[..part.key()].to_vec());
            let theirs = self.theirs(after.as_deref(), last.as_deref(), depth).await?;
            copied.seen += ours.len() as u64;
            let end = ours.last().map(|row| row[..part.key()].to_vec());
            let stretch = Page { until: end.as_deref(), ..page };
            let differences = self.compare(ours, theirs)?;
            self.apply(differences, &stretch, &mut copied).await?;
            tell(Step { part, so_far: copied, is_done: last.is_none() });
            match last {
                None => return Ok(copied),
                last => after = last,
            }
        }
    }

    /// All of the target's rows of a stretch, however many there are.
    async fn theirs(
        &self,
        after: Option<&[Cell]>,
        until: Option<&[Cell]>,
        depth: Depth,
    ) -> Result<Vec<Row>, CopyError> {
        let part = self.part;
        let mut rows: Vec<Row> = Vec::new();
        let mut from = after.map(<[Cell]>::to_vec);
        loop {
            let page = Page { part, after: from.as_deref(), until, depth, limit: part.page() };
            let some = self.target.rows(&page).await.map_err(CopyError::Target)?;
            let more = some.len() == part.page();
            from = some.last().map(|row| row[..part.key()].to_vec());
            rows.extend(some);
            if !more {
                return Ok(rows);
            }
        }
    }

    fn compare(&self, ours: Vec<Row>, theirs: Vec<Row>) -> Result<Differences, CopyError> {
        let part = self.part;
        let mut differences = Differences::default();
        let mut theirs = theirs.into_iter().peekable();
        for row in ours {
            while let Some(extra) = theirs.next_if(|their| order(part, their, &row) == Ordering::Less) {
                differences.removed.push(extra);
            }
            match theirs.next_if(|their| order(part, their, &row) == Ordering::Equal) {
                None => differences.added.push(row),
                Some(their) if their != row => {
                    if part.changing().is_empty() {
                        return Err(CopyError::Foreign { part, key: name(part, &row) });
                    }
                    differences.changed.push(row);
                }
                Some(_) => {}
            }
        }
        differences.removed.extend(theirs);
        if let Some(row) = differences.removed.first()
            && !part.may_shrink()
        {
            return Err(CopyError::Foreign { part, key: name(part, row) });
        }
        Ok(differences)
    }

    async fn apply(
        &self,
        differences: Differences,
        stretch: &Page<'_>,
        copied: &mut Copied,
    ) -> Result<(), CopyError> {
        let (target, part) = (self.target, self.part);
        let Differences { mut added, mut changed, removed } = differences;
        if stretch.depth == Depth::Telling && !(added.is_empty() && changed.is_empty()) {
            let page = Page { depth: Depth::Whole, limit: usize::MAX, ..stretch.clone() };
            let whole = self.source.rows(&page).await.map_err(CopyError::Source)?;
            // One that is gone by now is left to the next pass.
            added = among(part, &whole, &added);
            changed = among(part, &whole, &changed);
        }
        if !removed.is_empty() {
            copied.removed += removed.len() as u64;
            target.remove(part, removed).await.map_err(CopyError::Target)?;
        }
        if !changed.is_empty() {
            copied.changed += changed.len() as u64;
            target.change(part, changed).await.map_err(CopyError::Target)?;
        }
        if !added.is_empty() {
            copied.added += added.len() as u64;
            target.add(part, added).await.map_err(CopyError::Target)?;
        }
        Ok(())
    }
}

/// The rows of `all` that have the keys of `wanted`; both are in the order of their keys.
fn among(part: Part, all: &[Row], wanted: &[Row]) -> Vec<Row> {
    let mut wanted = wanted.iter().peekable();
    let mut found = Vec::with_capacity(wanted.len());
    for row in all {
        while wanted.next_if(|asked| order(part, asked, row) == Ordering::Less).is_some() {}
        if wanted.next_if(|asked| order(part, asked, row) == Ordering::Equal).is_some() {
            found.push(row.clone());
        }
    }
    found
}

/// The order of two rows' keys.
pub(super) fn order(part: Part, one: &Row, other: &Row) -> Ordering {
    let key = part.key();
    one[..key].partial_cmp(&other[..key]).expect("keys hold numbers, texts and bytes")
}

/// A row's key, for people.
pub(super) fn name(part: Part, row: &Row) -> String {
    let cell = |cell: &Cell| match cell {
        Cell::Null => "nothing".to_owned(),
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) => text.escape_debug().to_string(),
        Cell::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Cell::Places(places) => format!("{places:?}"),
    };
    row[..part.key()].iter().map(cell).collect::<Vec<_>>().join("/")
}
