//! Random writes, removals and reads of state.

use pinrail_domain::id::{DeploymentId, LedgerSeq, StateSeq};
use pinrail_domain::state::{Author, Layer, Moment, Origin, Space};
use pinrail_domain::time::Timestamp;

use super::{AGENTS, Draw, RUNS, Step, TENANTS};
use crate::conformance::sample::state::{Change, batch, key, set_vector, space, unset};
use crate::conformance::sample::{agent, run, tenant};
use crate::state::{Batch, Expect, Keep, Read, Seen, SpaceFilter};

const NAMES: [&str; 3] = ["a", "ab", "b"];
const KEYS: [&str; 4] = ["k", "it's", "ü", "\"%"];
/// About how many records a test ends with.
const PLACES: u64 = 90;

impl Step<'_> {
    pub(super) async fn state(&self, draw: &mut Draw) {
        let [ours, theirs] = self.stores;
        match draw.below(12) {
            0 => {
                let seqs: Vec<StateSeq> = (0..draw.index(5)).map(|_| draw.place()).collect();
                let erased = ours.state_erase(&seqs).await.unwrap();
                self.equal("state_erase", &erased, &theirs.state_erase(&seqs).await.unwrap());
            }
            1 => {
                let (deployment, until, limit) = (draw.deployment(), draw.place(), draw.index(5));
                let removed = ours.state_remove(deployment, until, limit).await.unwrap();
                let expected = theirs.state_remove(deployment, until, limit).await.unwrap();
                self.equal("state_remove", &removed, &expected);
            }
            2 => {
                let runs: Vec<_> = (0..draw.index(3)).map(|_| run(draw.below(RUNS))).collect();
                let erased = ours.run_erase(&runs).await.unwrap();
                self.equal("run_erase", &erased, &theirs.run_erase(&runs).await.unwrap());
            }
            3 | 4 => {
                let (count, at) = (draw.index(4), Timestamp(draw.below(60)));
                let reads: Vec<Read> = (0..count).map(|_| draw.read()).collect();
                ours.reads_note(&reads, at).await.unwrap();
                theirs.reads_note(&reads, at).await.unwrap();
            }
            _ => {
                let batch = draw.batch();
                let appended = format!("{:?}", ours.state_append(batch.clone()).await);
                let expected = format!("{:?}", theirs.state_append(batch.clone()).await);
                self.equal(&format!("state_append of {batch:?}"), &appended, &expected);
            }
        }
    }

    pub(super) async fn compare_state(&self, draw: &mut Draw) {
        let [ours, theirs] = self.stores;
        macro_rules! compare {
            ($operation:ident($($argument:expr),*)) => {
                let read = ours.$operation($($argument),*).await.unwrap();
                let expected = theirs.$operation($($argument),*).await.unwrap();
                self.equal(stringify!($operation), &read, &expected);
            };
        }
        let (space, deployment, after, limit) =
            (draw.space(), draw.deployment(), draw.place(), draw.index(9));
        let seqs: Vec<StateSeq> = (0..draw.index(9)).map(|_| draw.place()).collect();
        compare!(state_head());
        compare!(state_moment(Timestamp(draw.clone().below(60))));
        compare!(state_until(LedgerSeq(draw.clone().below(40))));
        compare!(state_operations(&space, after, limit));
        compare!(state_scan(&space, after, limit));
        compare!(state_records(&seqs));
        compare!(state_children(&seqs));
        compare!(state_written(deployment));
        compare!(state_of_deployment(deployment, after, limit));
        compare!(state_of_run(run(deployment.0), after, limit));
        compare!(reads_of_space(&space, after, limit, draw.clone().index(5)));
        let (filter, bound) = (draw.space_filter(), draw.space());
        let bound = draw.one_in(2).then_some(&bound);
        compare!(space_list(&filter, bound, limit));
        compare!(state_uses(filter.tenants.as_deref()));
    }
}

impl Draw {
    fn space(&mut self) -> Space {
        let layer = Layer::ALL[self.index(2)];
        space(self.of(&TENANTS), layer, self.of(&NAMES))
    }

    fn place(&mut self) -> StateSeq {
        StateSeq(self.below(PLACES))
    }

    fn batch(&mut self) -> Batch {
        let origin = [Origin::Run, Origin::External, Origin::Ingest][self.index(3)];
        let deployment = self.deployment();
        let author = Author {
            deployment,
            origin,
            run: self.one_in(2).then(|| run(deployment.0)),
            agent: self.one_in(2).then(|| agent(self.of(&AGENTS))),
        };
        let changes: Vec<Change> = (0..=self.index(3)).map(|_| self.change()).collect();
        let expect = self.one_in(4).then(|| {
            let newest = self.one_in(2).then(|| self.place());
            Expect { space: changes[0].space.clone(), key: changes[0].key.clone(), newest }
        });
        let answer = self.answer().map(|answer| Keep { key: answer.key, request: answer.request });
        Batch { expect, answer, ..batch(&author, self.below(60), changes) }
    }

    fn change(&mut self) -> Change {
        let (space, name) = (self.space(), self.of(&KEYS));
        let mut change = if self.one_in(3) {
            unset(&space, name)
        } else {
            let vector = self.one_in(2).then(|| vec![0.5; self.index(4)]);
            set_vector(&space, name, &self.below(9).to_string(), vector)
        };
        change.key = key(name);
        change.parents = (0..self.index(3)).map(|_| self.place()).collect();
        change
    }

    fn read(&mut self) -> Read {
        let at = Moment { state: self.place(), ledger: LedgerSeq(self.below(9)) };
        let what = match self.one_in(2) {
            true => Seen::All,
            false => Seen::Records((0..self.index(3)).map(|_| self.place()).collect()),
        };
        let id: DeploymentId = self.deployment();
        Read { run: run(id.0), agent: agent(self.of(&AGENTS)), space: self.space(), at, what }
    }

    fn space_filter(&mut self) -> SpaceFilter {
        SpaceFilter {
            layer: self.one_in(3).then(|| Layer::ALL[self.index(3)]),
            tenants: self.one_in(3).then(|| {
                let count = self.index(3);
                (0..count).map(|_| tenant(self.of(&TENANTS))).collect()
            }),
            prefix: self.one_in(3).then(|| self.of(&["", "a", "ab", "c"]).to_owned()),
        }
    }
}
