//! Shows that what is visible now is what a deployment's manifest says plus what others did since.
//!
//! Space by space, from the store: every record's digests are recomputed from its content, the visible set as of the
//! manifest's moment is worked out anew and held against the manifest, and what reads show now is held against
//! both ([`compare`]). Places in the sequence that hold no record at all are named too. Writers and readers go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pinrail_domain::digest::Digest;
use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq};
use pinrail_domain::state::bits::Bits;
use pinrail_domain::state::index::Index;
use pinrail_domain::state::manifest::{
    Discrepancy, Histories, Line, Manifest, Member, SetDigest, Verdict, compare,
};
use pinrail_domain::state::view::{Commits, View};
use pinrail_domain::state::{Content, Moment, Record, Space, StateKey};
use pinrail_store::StoreError;
use pinrail_store::state::SpaceFilter;
use serde::Serialize;

use super::probes::{self, Asked};
use crate::Control;

/// A verification under way: one space after the other.
pub struct Verification {
    control: Control,
    deployment: DeploymentId,
    manifest: Arc<Manifest>,
    lines: BTreeMap<Space, Line>,
    /// The spaces that are still to be looked at, in order.
    left: std::vec::IntoIter<Space>,
    total: usize,
    /// The newest record when it began: up to here every place must hold a record.
    until: StateSeq,
    seen: Bits,
    summary: Summary,
}

/// What a space came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    pub space: Space,
    /// None when the space couldn't be read: `damaged` says why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Records whose content was recomputed, hidden ones included.
    pub records: u64,
    /// Of these, how many had their content erased by right: only their places and digests can be checked.
    pub erased: u64,
    /// Questions of the manifest that got the same answer again, byte for byte.
    pub probes: u64,
    /// What is wrong, record by record.
    pub findings: Vec<Finding>,
    pub findings_count: u64,
}

/// Something that isn't as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<StateSeq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<StateKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// For programs: `corrupt`, `missing`, `unreadable`, `leaked`, …
    pub what: &'static str,
    /// For people.
    pub detail: String,
}

/// What all spaces together came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    pub holds: bool,
    pub spaces: u64,
    pub records: u64,
    pub erased: u64,
    pub probes: u64,
    pub findings: u64,
    /// Places in the sequence where no record is, although nothing was removed there: the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<StateSeq>,
    pub gone_count: u64,
}

/// Why nothing can be verified.
#[derive(Debug, thiserror::Error)]
pub enum CannotVerify {
    #[error("there is no deployment {0}")]
    NoDeployment(DeploymentId),
    #[error("the manifest of deployment {0} is being worked out")]
    NotYet(DeploymentId),
    #[error(
        "deployment {0} has no manifest: it was opened before manifests were recorded, or retracted data of that time is removed"
    )]
    Never(DeploymentId),
    #[error("manifest {digest} of deployment {deployment} is not what the ledger says it is")]
    Damaged { deployment: DeploymentId, digest: Digest },
    /// What was visible then can't be worked out any more.
    #[error("what was visible when deployment {deployment} was opened can't be worked out: data up to record {} was removed", floor.state)]
    Collected { deployment: DeploymentId, floor: Moment },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whoever has more than this has one cause, not as many.
pub const FINDINGS_MAX: usize = 100;
/// Records read at once, with their content: of vectors, a megabyte or two.
const PAGE: usize = 500;
/// Spaces listed at once.
const SPACES: usize = 1_000;

impl Control {
    /// What was there when the deployment was opened, with its digest.
    pub async fn manifest(&self, id: DeploymentId) -> Result<(Digest, Manifest), CannotVerify> {
        let snapshot = self.snapshot();
        let deployment = snapshot.world.deployments.get(&id).ok_or(CannotVerify::NoDeployment(id))?;
        let Some(digest) = deployment.manifest else {
            let wanted = super::manifests::missing(&snapshot.world).contains(&id);
            return Err(if wanted { CannotVerify::NotYet(id) } else { CannotVerify::Never(id) });
        };
        let bytes = self.inner.store.artifact_get(digest).await?;
        let bytes = bytes.filter(|bytes| Digest::of(bytes) == digest);
        let manifest = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let manifest: Option<Manifest> = manifest.filter(|manifest: &Manifest| manifest.deployment == id);
        Ok((digest, manifest.ok_or(CannotVerify::Damaged { deployment: id, digest })?))
    }

    /// Begins to verify a deployment.
    pub async fn verify(&self, id: DeploymentId) -> Result<Verification, CannotVerify> {
        let (_, manifest) = self.manifest(id).await?;
        let floor = self.snapshot().world.floor;
        if manifest.at.state < floor.state || manifest.at.ledger < floor.ledger {
            return Err(CannotVerify::Collected { deployment: id, floor });
        }
        let until = self.inner.store.state_head().await?.state;
        let lines: BTreeMap<Space, Line> =
            manifest.spaces.iter().map(|line| (line.space.clone(), line.clone())).collect();
        let mut spaces: BTreeSet<Space> = lines.keys().cloned().collect();
        let mut after: Option<Space> = None;
        loop {
            let page = self.inner.store.space_list(&SpaceFilter::default(), after.as_ref(), SPACES).await?;
            let is_last = page.len() < SPACES;
            after = page.last().map(|facts| facts.space.clone());
            spaces.extend(page.into_iter().map(|facts| facts.space));
            if is_last {
                break;
            }
        }
        let total = spaces.len();
        let left = spaces.into_iter().collect::<Vec<_>>().into_iter();
        let (control, manifest) = (self.clone(), Arc::new(manifest));
        let (seen, summary) = (Bits::new(), Summary { holds: true, ..Summary::default() });
        Ok(Verification { control, deployment: id, manifest, lines, left, total, until, seen, summary })
    }
}

impl Verification {
    /// How many spaces there are to look at.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// As of when the manifest is.
    #[must_use]
    pub fn at(&self) -> Moment {
        self.manifest.at
    }

    /// Looks at the next space; none when all were looked at.
    pub async fn next(&mut self) -> Result<Option<Checked>, StoreError> {
        let Some(space) = self.left.next() else { return Ok(None) };
        let checked = self.check(space).await?;
        self.summary.spaces += 1;
        self.summary.records += checked.records;
        self.summary.erased += checked.erased;
        self.summary.probes += checked.probes;
        self.summary.findings += checked.findings_count;
        self.summary.holds &= checked.findings_count == 0;
        Ok(Some(checked))
    }

    /// What all spaces came to, once [`Verification::next`] gave none.
    #[must_use]
    pub fn summary(mut self) -> Summary {
        // At or below the floor, what was removed by right can't be told from what is missing.
        let floor = self.control.snapshot().world.floor.state;
        for place in floor.0 + 1..=self.until.0 {
            if !self.seen.contains(usize::try_from(place).unwrap_or(usize::MAX)) {
                self.summary.gone_count += 1;
                if self.summary.gone.len() < FINDINGS_MAX {
                    self.summary.gone.push(StateSeq(place));
                }
            }
        }
        self.summary.findings += self.summary.gone_count;
        self.summary.holds &= self.summary.gone_count == 0;
        self.summary
    }

    async fn check(&mut self, space: Space) -> Result<Checked, StoreError> {
        let line = self.lines.get(&space).cloned();
        let line = line.unwrap_or_else(|| SetDigest::new().line(space.clone()));
        // First what reads show, then what the store holds: so everything shown must be there.
        let (commits, newest, shown) = self
            .control
            .inner
            .states
            .look(&space, |index| {
                let shown: Vec<(StateSeq, DeploymentId)> = index
                    .visible(None)
                    .iter()
                    .map(|place| (index.seq(place), index.deployment(place)))
                    .collect();
                (Arc::clone(index.commits()), index.newest(), shown)
            })
            .await?;
        let mut reading =
            Reading { checked: Checked::of(space), index: Index::load(&commits, []), records: Vec::new() };
        reading.read(&self.control, newest, &mut self.seen).await?;
        let Reading { mut checked, index, records } = reading;
        if checked.verdict_impossible() {
            return Ok(checked);
        }
        let now = Moment { state: newest, ledger: LedgerSeq(u64::MAX) };
        let view = |at: Moment, commits: &Arc<Commits>| View { own: None, at, commits: Arc::clone(commits) };
        let then = view(self.manifest.at, &commits);
        let of = |seq: StateSeq, deployment: DeploymentId| {
            let found = records.binary_search_by_key(&seq, |member| member.seq);
            // A record that reads show and the store doesn't hold is no whole one.
            let gone = Member { seq, deployment, digest: Digest::ZERO, is_whole: false };
            found.map_or(gone, |found| records[found])
        };
        let was: Vec<Member> =
            index.at(&then).iter().map(|place| of(index.seq(place), index.deployment(place))).collect();
        let is: Vec<Member> = shown.into_iter().map(|(seq, deployment)| of(seq, deployment)).collect();
        let facts = Histories::new(&index, &then, view(now, &commits));
        let verdict = compare(&line, self.deployment, &was, &is, &facts);
        checked.object_to(&verdict, &index);
        let (states, at) = (&self.control.inner.states, self.manifest.at);
        for asked in probes::ask_again(states, &checked.space, at, &verdict, &line.probes).await? {
            checked.answered(asked);
        }
        checked.verdict = Some(verdict);
        Ok(checked)
    }
}

/// One space's records, as they are read.
struct Reading {
    checked: Checked,
    index: Index,
    records: Vec<Member>,
}

impl Reading {
    /// Reads the space's records up to `until`. What can't be read is found at fault, and everything behind it is
    /// read all the same.
    async fn read(&mut self, control: &Control, until: StateSeq, seen: &mut Bits) -> Result<(), StoreError> {
        let store = &control.inner.store;
        let (mut after, mut at_once) = (StateSeq(0), PAGE);
        while after < until {
            let page = match store.state_scan(&self.checked.space, after, at_once).await {
                Ok(page) => page,
                // One of them is damaged: from here on they are read singly.
                Err(StoreError::Damaged(_)) if at_once > 1 => {
                    at_once = 1;
                    continue;
                }
                Err(StoreError::Damaged(what)) => {
                    match store.state_operations(&self.checked.space, after, 1).await {
                        Ok(operations) => {
                            let Some(operation) = operations.into_iter().next() else { return Ok(()) };
                            after = operation.seq;
                            mark(seen, after);
                            let member = Member {
                                seq: after,
                                deployment: operation.deployment,
                                digest: Digest::ZERO,
                                is_whole: false,
                            };
                            self.records.push(member);
                            self.checked.find(Finding {
                                record: Some(after),
                                key: Some(operation.key.clone()),
                                deployment: Some(operation.deployment),
                                what: "unreadable",
                                detail: what,
                            });
                            self.index.apply(operation);
                            continue;
                        }
                        Err(StoreError::Damaged(_)) => {
                            self.checked.cannot_go_on(what);
                            return Ok(());
                        }
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            };
            if page.is_empty() {
                return Ok(());
            }
            for record in page.into_iter().take_while(|record| record.operation.seq <= until) {
                after = record.operation.seq;
                mark(seen, after);
                self.take(record);
            }
            if self.records.last().is_none_or(|last| last.seq < after) {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn take(&mut self, record: Record) {
        let is_whole = record.is_whole();
        self.checked.records += 1;
        self.checked.erased += u64::from(matches!(record.content, Content::Erased));
        let Record { operation, digest, .. } = record;
        if !is_whole {
            self.checked.find(Finding {
                record: Some(operation.seq),
                key: Some(operation.key.clone()),
                deployment: Some(operation.deployment),
                what: "corrupt",
                detail: "its content, key or author isn't what was written: the digests don't fit".to_owned(),
            });
        }
        let member = Member { seq: operation.seq, deployment: operation.deployment, digest, is_whole };
        self.records.push(member);
        self.index.apply(operation);
    }
}

impl Checked {
    fn of(space: Space) -> Checked {
        Checked {
            space,
            verdict: None,
            records: 0,
            erased: 0,
            probes: 0,
            findings: Vec::new(),
            findings_count: 0,
        }
    }

    fn find(&mut self, finding: Finding) {
        self.findings_count += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    /// Not even the order of the space's records can be read.
    fn cannot_go_on(&mut self, detail: String) {
        self.find(Finding { record: None, key: None, deployment: None, what: "unreadable_space", detail });
    }

    fn verdict_impossible(&self) -> bool {
        self.findings.last().is_some_and(|finding| finding.what == "unreadable_space")
    }

    fn answered(&mut self, asked: Asked<'_>) {
        match asked {
            Asked::Same => self.probes += 1,
            // What was erased by right may have been among the nearest.
            Asked::Differs(_) if self.erased > 0 => {}
            Asked::Differs(probe) => self.find(Finding {
                record: Some(probe.seq),
                key: Some(probe.key.clone()),
                deployment: None,
                what: "answers_differ",
                detail:
                    "what is nearest to it isn't what it was: a search of the same view gives other bytes"
                        .to_owned(),
            }),
            Asked::Impossible => {}
        }
    }

    fn object_to(&mut self, verdict: &Verdict, index: &Index) {
        let mut named = 0;
        for discrepancy in &verdict.discrepancies {
            // Damaged records were found one by one already, hidden ones included.
            let finding = finding(discrepancy, index);
            if finding.what == "corrupt" && self.findings.iter().any(|known| known.record == finding.record) {
                named += 1;
                continue;
            }
            named += 1;
            self.find(finding);
        }
        self.findings_count += verdict.discrepancies_count - named;
    }
}

fn mark(seen: &mut Bits, seq: StateSeq) {
    if let Ok(place) = usize::try_from(seq.0) {
        seen.insert(place);
    }
}

fn finding(discrepancy: &Discrepancy, index: &Index) -> Finding {
    let (record, what, detail) = match discrepancy {
        Discrepancy::ThenDiffers { recorded, recomputed } => {
            let detail = format!(
                "when the deployment was opened {} records were visible (digest {}); worked out today it is {} ({}): \
                 a record was changed, added or removed behind Pinrail's back",
                recorded.count,
                recorded.digest.short(),
                recomputed.count,
                recomputed.digest.short()
            );
            (None, "then_differs", detail)
        }
        Discrepancy::Corrupt { record } => {
            (Some(*record), "corrupt", "the store doesn't hold what was written".to_owned())
        }
        Discrepancy::Leaked { record } => {
            (Some(*record), "leaked", "everybody sees it, although its deployment isn't committed".to_owned())
        }
        Discrepancy::HiddenBy { record, by } => {
            let detail = format!("record {by} of the deployment, which isn't committed, hides it");
            (Some(*record), "hidden_by", detail)
        }
        Discrepancy::Shown { record, although } => {
            (Some(*record), "shown", format!("reads show it, although it must be hidden: {although:?}"))
        }
        Discrepancy::Missing { record } => {
            (Some(*record), "missing", "it must be visible, and reads don't show it".to_owned())
        }
        Discrepancy::Appeared { record, was } => {
            let was = was.as_ref().map(|was| format!("{was:?}")).unwrap_or_default();
            (Some(*record), "appeared", format!("it is visible now, and nothing says why (then: {was})"))
        }
        Discrepancy::Vanished { record, is } => {
            let is = is.as_ref().map(|is| format!("{is:?}")).unwrap_or_default();
            (
                Some(*record),
                "vanished",
                format!("it was visible then, and nothing says why not now (now: {is})"),
            )
        }
    };
    let place = record.and_then(|record| index.place(record));
    Finding {
        record,
        key: place.map(|place| index.key(place).clone()),
        deployment: place.map(|place| index.deployment(place)),
        what,
        detail,
    }
}
