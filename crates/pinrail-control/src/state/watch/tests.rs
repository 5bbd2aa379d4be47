//! A watcher that leaves and comes back at any moment has what a reader sees, whatever happened.

use std::collections::BTreeMap;

use pinrail_domain::id::{DeploymentId, StateSeq};
use pinrail_domain::state::{Moment, Space, StateKey};
use pinrail_domain::tier::Tier;
use proptest::prelude::*;

use super::{Delta, Watch};
use crate::By;
use crate::state::{Change, Decided, NewValue, Reader, WriteAs};
use crate::tests::bench::{Bench, tenant};
use pinrail_domain::deploy::TakeBack;

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A deployment, or the ground, writes a key or deletes it.
    Write {
        who: usize,
        key: u8,
        delete: bool,
    },
    Open,
    Promote(usize),
    RollBack(usize),
    /// The watcher is told all that it can be told.
    Listen,
    /// The watcher is told a part of what it can be told, and the connection breaks.
    Break {
        after: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..6, 0u8..5, prop::bool::weighted(0.3)).prop_map(|(who, key, delete)| Step::Write { who, key, delete }),
        2 => Just(Step::Open),
        2 => (0usize..6).prop_map(Step::Promote),
        2 => (0usize..6).prop_map(Step::RollBack),
        2 => Just(Step::Listen),
        2 => (0usize..6).prop_map(|after| Step::Break { after }),
    ]
}

/// A client that keeps what it was told.
#[derive(Default)]
struct Client {
    shown: BTreeMap<StateKey, StateSeq>,
    /// The last change that it had whole.
    had: Option<Moment>,
}

impl Client {
    /// Takes in the first `most` words of a change.
    async fn take(&mut self, bench: &Bench, delta: Delta, most: usize) {
        let mut left = most;
        for gone in delta.gone {
            if left == 0 {
                return;
            }
            left -= 1;
            self.shown.remove(&gone.key);
        }
        for record in bench.control.states().records(&delta.shown).await.unwrap() {
            if left == 0 {
                return;
            }
            left -= 1;
            self.shown.insert(record.operation.key, record.operation.seq);
        }
        if left > 0 {
            self.had = Some(delta.at);
        }
    }
}

async fn seen(bench: &Bench, space: &Space, own: Option<DeploymentId>) -> BTreeMap<StateKey, StateSeq> {
    let reader = Reader { own, ..Reader::everybody() };
    let look = |sight: &crate::state::Sight<'_>| {
        sight.shown().iter().map(|place| (sight.index.key(place).clone(), sight.index.seq(place))).collect()
    };
    bench.control.states().view(space, &reader, look).await.unwrap()
}

async fn play(steps: Vec<Step>, own: Option<DeploymentId>) {
    let bench = Bench::new(Tier::Standard).await;
    let (states, space) = (bench.control.states(), Space::context(tenant("acme"), &"s".parse().unwrap()));
    let (mut jobs, mut client) = (Vec::<DeploymentId>::new(), Client::default());
    let mut watch: Option<Watch> = None;
    for step in steps {
        match step {
            Step::Write { who, key, delete } => {
                let who = who
                    .checked_sub(1)
                    .and_then(|n| jobs.get(n))
                    .map_or(WriteAs::Operator, |id| WriteAs::Job(*id));
                // A job that is over writes nothing more.
                let Ok(by) = states.author(who).await else { continue };
                let value = (!delete).then(|| NewValue { json: "1".to_owned(), vector: None });
                let change = Change { key: format!("k{key}").parse().unwrap(), value, parents: Vec::new() };
                let decided = Decided { changes: vec![change], expect: None };
                states.write(&by, &space, None, |_| Ok::<_, std::fmt::Error>(decided.clone())).await.unwrap();
            }
            Step::Open => {
                let name = format!("job-{}", jobs.len()).parse().unwrap();
                jobs.push(
                    bench.control.open_ingest(By::system("load"), &name).await.unwrap().value.deployment,
                );
            }
            Step::Promote(n) | Step::RollBack(n) if jobs.is_empty() => {
                let _nothing_to_do = n;
            }
            Step::Promote(n) => {
                let _ = bench.control.promote(By::system("good"), jobs[n % jobs.len()], false).await;
            }
            Step::RollBack(n) => {
                let _ = bench
                    .control
                    .roll_back(By::system("bad"), jobs[n % jobs.len()], TakeBack::default())
                    .await;
            }
            Step::Listen | Step::Break { .. } => {
                let mut live = match watch.take() {
                    Some(live) => live,
                    None => {
                        if client.had.is_none() {
                            // Who never had a whole view begins with nothing.
                            client.shown.clear();
                        }
                        states.watch(&space, own, client.had).await.unwrap()
                    }
                };
                let delta = states.watch_delta(&mut live).await.unwrap();
                if let Step::Break { after } = step {
                    client.take(&bench, delta, after).await;
                } else {
                    client.take(&bench, delta, usize::MAX).await;
                    assert_eq!(client.shown, seen(&bench, &space, own).await);
                    watch = Some(live);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    // I4, I5
    #[test]
    fn a_watcher_ends_with_what_a_reader_sees(steps in prop::collection::vec(step(), 1..60), own in prop::option::of(2u64..5)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let last = [Step::Listen];
        runtime.block_on(play(steps.into_iter().chain(last).collect(), own.map(DeploymentId)));
    }
}
