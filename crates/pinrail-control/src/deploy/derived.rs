//! What was derived from a deployment's writes, found in the store: the domain's [`Closure`] asks, this answers.
//!
//! A read that showed everything is looked at through the view that its run had; one that showed single records names
//! them. Everything is read in pages, other work goes on in between, and what is found at most has a limit.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use pinrail_domain::id::{DeploymentId, RunId, StateSeq};
use pinrail_domain::state::derive::{Answer, Child, Closure, Derived, Question, Reading, Writing};
use pinrail_domain::state::view::{Commits, GROUND, View};
use pinrail_domain::state::{Origin, Space};
use pinrail_store::StoreError;
use pinrail_store::state::{Read, Seen};

use crate::{Control, Inner};

/// What the closure of a deployment's writes is.
pub(crate) struct Found {
    pub derived: Derived,
    /// Where the tainted records are, and who wrote them.
    pub places: HashMap<StateSeq, Place>,
    pub spaces: Vec<Space>,
    /// There is more: the limit was reached.
    pub cut: bool,
}

/// Where a tainted record is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Its space's number in [`Found::spaces`].
    pub space: u32,
    pub deployment: DeploymentId,
}

/// Records followed at most: about a hundred megabytes while it lasts. A rollback doesn't need them, only
/// a cascade and reports do.
pub const TAINTED_MAX: usize = 1_000_000;
/// Records and reads asked of the store at once.
const PAGE: usize = 1_000;

/// The search while it goes on.
struct Search<'a> {
    inner: &'a Inner,
    commits: Arc<Commits>,
    places: HashMap<StateSeq, Place>,
    spaces: Vec<Space>,
    numbers: HashMap<Space, u32>,
    /// The deployments that runs look through; none for a run that is gone.
    runs: HashMap<RunId, Option<DeploymentId>>,
    cut: bool,
}

impl Found {
    /// Where a tainted record is.
    pub fn space(&self, record: StateSeq) -> &Space {
        &self.spaces[self.places[&record].space as usize]
    }
}

impl Control {
    /// Everything that was derived from what the deployment wrote, as of now. What runs read is in the store first.
    pub(crate) async fn derived_from(&self, id: DeploymentId) -> Result<Found, StoreError> {
        self.inner.states.notes.settled().await;
        self.inner.runs.settled().await;
        let mut search = Search {
            inner: &self.inner,
            commits: Arc::clone(&self.snapshot().world.commits),
            places: HashMap::new(),
            spaces: Vec::new(),
            numbers: HashMap::new(),
            runs: HashMap::new(),
            cut: false,
        };
        let mut closure = Closure::new(search.seeds(id).await?);
        while let Some(question) = closure.ask() {
            let answer = search.answer(question).await?;
            closure.answer(answer);
            tokio::task::yield_now().await;
        }
        let Search { places, spaces, cut, .. } = search;
        Ok(Found { derived: closure.derived(), places, spaces, cut })
    }
}

impl Search<'_> {
    async fn seeds(&mut self, id: DeploymentId) -> Result<Vec<StateSeq>, StoreError> {
        let (mut seeds, mut after) = (Vec::new(), StateSeq(0));
        loop {
            let page = self.inner.store.state_of_deployment(id, after, PAGE).await?;
            let Some((_, last)) = page.last() else { return Ok(seeds) };
            after = last.seq;
            for (space, operation) in &page {
                if self.place(operation.seq, space, id) {
                    seeds.push(operation.seq);
                }
            }
            if self.cut {
                return Ok(seeds);
            }
        }
    }

    async fn answer(&mut self, question: Question) -> Result<Answer, StoreError> {
        Ok(match question {
            Question::Children(parents) => Answer::Children(self.children(&parents).await?),
            Question::Readers(records) => Answer::Readers(self.readers(&records).await?),
            Question::Written { run, after, until } => {
                Answer::Written(self.written(run, after, until).await?)
            }
        })
    }

    async fn children(&mut self, parents: &[StateSeq]) -> Result<Vec<Child>, StoreError> {
        let mut children = Vec::new();
        for parents in parents.chunks(PAGE) {
            let found = self.inner.store.state_children(parents).await?;
            for page in found.chunks(PAGE) {
                for record in self.inner.store.state_records(page).await? {
                    let seq = record.operation.seq;
                    if !self.place(seq, &record.space, record.operation.deployment) {
                        continue;
                    }
                    let named = record.parents.iter().filter(|parent| parents.binary_search(parent).is_ok());
                    children.extend(named.map(|parent| Child { record: seq, parent: *parent }));
                }
            }
        }
        Ok(children)
    }

    /// The reads that showed one of these records, each with the first that it showed.
    async fn readers(&mut self, records: &[StateSeq]) -> Result<Vec<Reading>, StoreError> {
        let mut by_space: BTreeMap<u32, BTreeSet<StateSeq>> = BTreeMap::new();
        for record in records {
            by_space.entry(self.places[record].space).or_default().insert(*record);
        }
        let mut readings = Vec::new();
        for (number, tainted) in by_space {
            let space = self.spaces[number as usize].clone();
            let Some(first) = tainted.first().copied() else { continue };
            let mut skip = 0;
            loop {
                let reads = self.inner.store.reads_of_space(&space, first, skip, PAGE).await?;
                skip += reads.len();
                let is_last = reads.len() < PAGE;
                for read in reads {
                    if let Some(record) = self.shown(&space, &read, &tainted).await? {
                        readings.push(Reading { run: read.run, record, at: read.at.state });
                    }
                }
                if is_last {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(readings)
    }

    /// The first of these records that the read showed.
    async fn shown(
        &mut self,
        space: &Space,
        read: &Read,
        tainted: &BTreeSet<StateSeq>,
    ) -> Result<Option<StateSeq>, StoreError> {
        if let Seen::Records(seen) = &read.what {
            return Ok(seen.iter().copied().find(|record| tainted.contains(record)));
        }
        let view = View { own: self.own(read.run).await?, at: read.at, commits: Arc::clone(&self.commits) };
        let places = &self.places;
        // They have few authors: whether anything of one counts is looked up once.
        let mut counts: BTreeMap<DeploymentId, bool> = BTreeMap::new();
        let visible = self.inner.states.look(space, |index| {
            tainted.range(..=read.at.state).copied().find(|record| {
                let author = places[record].deployment;
                let counts =
                    *counts.entry(author).or_insert_with(|| view.discounted_deployment(author).is_none());
                let Some(place) = index.place(*record).filter(|_| counts) else { return false };
                let history = index.history_of(&view, index.key(place));
                history.iter().any(|(other, hidden)| *other == place && hidden.is_none())
            })
        });
        visible.await
    }

    async fn written(
        &mut self,
        run: RunId,
        after: StateSeq,
        until: Option<StateSeq>,
    ) -> Result<Vec<Writing>, StoreError> {
        let (mut writings, mut after) = (Vec::new(), after);
        loop {
            let page = self.inner.store.state_of_run(run, after, PAGE).await?;
            let Some((_, last)) = page.last() else { return Ok(writings) };
            after = last.seq;
            for (space, operation) in &page {
                if until.is_some_and(|until| operation.seq > until) {
                    return Ok(writings);
                }
                // What a run was told lies on the ground, and nothing else of it does.
                let origin = if operation.deployment == GROUND { Origin::External } else { Origin::Run };
                if origin == Origin::Run && self.place(operation.seq, space, operation.deployment) {
                    writings.push(Writing { record: operation.seq, origin });
                }
            }
            if self.cut {
                return Ok(writings);
            }
        }
    }

    /// Whose own writes the run sees.
    async fn own(&mut self, run: RunId) -> Result<Option<DeploymentId>, StoreError> {
        if let Some(own) = self.runs.get(&run) {
            return Ok(*own);
        }
        let stored = self.inner.store.run_get(run).await?;
        let own = stored.map(|stored| stored.stamp.deployment);
        self.runs.insert(run, own);
        Ok(own)
    }

    /// Remembers where a record is; false when there is no room for another.
    fn place(&mut self, seq: StateSeq, space: &Space, deployment: DeploymentId) -> bool {
        if self.places.contains_key(&seq) {
            return true;
        }
        if self.places.len() >= TAINTED_MAX {
            self.cut = true;
            return false;
        }
        let space = match self.numbers.get(space) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.spaces.len()).expect("there are fewer spaces than records");
                self.spaces.push(space.clone());
                self.numbers.insert(space.clone(), number);
                number
            }
        };
        self.places.insert(seq, Place { space, deployment });
        true
    }
}
