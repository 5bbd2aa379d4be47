use proptest::prelude::*;

use super::*;
use crate::state::Moment;
use crate::state::view::{Hidden, Ranges, View};

proptest! {
    /// The index says of the newest views what the rule says of every operation on its own.
    #[test]
    fn the_index_follows_the_rule(steps in prop::collection::vec((0..4_u8, 0..4_u64, 0..5_u8, any::<bool>()), 0..60)) {
        let (mut commits, mut index) = (Commits::default(), Index::new());
        let mut operations: Vec<Operation> = Vec::new();
        let mut ledger = LedgerSeq(0);
        for (what, deployment, key, flag) in steps {
            let deployment = DeploymentId(deployment);
            let span = commits.span(deployment);
            match what {
                0 if deployment.0 > 0 && span == crate::state::view::Span::default() => {
                    ledger = ledger.next();
                    commits.commit(deployment, ledger);
                }
                1 if deployment.0 > 0 && span.retracted.is_none() => {
                    ledger = ledger.next();
                    let taken = operations.iter().map(|o| o.seq).filter(|seq| flag && seq.0 % 5 == u64::from(key));
                    commits.retract(deployment, ledger, &Ranges::of(taken));
                }
                _ => {
                    let seq = StateSeq(operations.len() as u64 * 2 + 1);
                    let op = if flag { Op::Put } else { Op::Delete };
                    let key = StateKey::new(&format!("k{key}")).unwrap();
                    operations.push(Operation { seq, ledger, deployment, key, op });
                    index.apply(operations.last().unwrap().clone());
                }
            }
            let commits = Arc::new(commits.clone());
            if !operations.len().is_multiple_of(3) {
                index.sync(&commits);
            } else if index.generation() != commits.generation {
                continue;
            }
            let loaded = Index::load(&commits, operations.clone());
            // One that knew the commits, cascades included, before the operations.
            let mut late = Index::new();
            late.sync(&commits);
            operations.iter().for_each(|operation| late.apply(operation.clone()));
            for own in [None, Some(0), Some(1), Some(2), Some(3)].map(|own| own.map(DeploymentId)) {
                let at = Moment { state: StateSeq(u64::MAX), ledger: LedgerSeq(u64::MAX) };
                let view = View { own, at, commits: Arc::clone(&commits) };
                let expected: Bits = (0..operations.len()).filter(|place| {
                    let later: Vec<Operation> =
                        operations[place + 1..].iter().filter(|o| o.key == operations[*place].key).cloned().collect();
                    view.hidden(&operations[*place], &later).is_none()
                }).collect();
                prop_assert_eq!(&*index.visible(own), &expected, "{:?} {:?} {:#?}", own, operations, commits);
                prop_assert_eq!(&*loaded.visible(own), &expected, "loaded {:?}", own);
                prop_assert_eq!(&*late.visible(own), &expected, "late {:?}", own);
                prop_assert_eq!(&index.at(&view), &expected);
            }
        }
    }
}

/// Deployments 1 and 2 are open from the start; entries 10, 11, … commit or take back.
struct Small {
    index: Index,
    commits: Commits,
    ledger: LedgerSeq,
}

impl Small {
    fn new() -> Small {
        Small { index: Index::new(), commits: Commits::default(), ledger: LedgerSeq(9) }
    }

    fn write(&mut self, deployment: u64, name: &str, op: Op) -> StateSeq {
        // Other spaces have places in between.
        let seq = StateSeq(self.index.newest().0 + 3);
        let deployment = DeploymentId(deployment);
        self.index.apply(Operation { seq, ledger: self.ledger, deployment, key: key(name), op });
        seq
    }

    fn commit(&mut self, deployment: u64) {
        self.ledger = self.ledger.next();
        self.commits.commit(DeploymentId(deployment), self.ledger);
        self.index.sync(&Arc::new(self.commits.clone()));
    }

    fn take_back(&mut self, deployment: u64, derived: &[StateSeq]) {
        self.ledger = self.ledger.next();
        let derived = Ranges::of(derived.iter().copied());
        self.commits.retract(DeploymentId(deployment), self.ledger, &derived);
        self.index.sync(&Arc::new(self.commits.clone()));
    }

    fn seqs(&self, own: u64) -> Vec<u64> {
        self.index.iter(Some(DeploymentId(own))).map(|(seq, _)| seq.0).collect()
    }

    fn conflicts(&self, deployment: u64) -> Vec<(String, u64, u64, u64, Winner)> {
        let conflicts = self.index.conflicts(DeploymentId(deployment)).into_iter();
        conflicts.map(|c| (c.key.to_string(), c.own.0, c.theirs.0, c.their_deployment.0, c.wins)).collect()
    }
}

fn key(name: &str) -> StateKey {
    StateKey::new(name).unwrap()
}

#[test]
fn places_are_found_by_sequence_and_by_author() {
    let mut small = Small::new();
    for (deployment, name) in [(0, "a"), (1, "b"), (1, "c"), (0, "a"), (1, "b")] {
        small.write(deployment, name, Op::Put);
    }
    small.write(1, "b", Op::Delete);
    let index = &small.index;
    assert_eq!((index.len(), index.newest(), index.is_empty()), (6, StateSeq(18), false));
    assert_eq!((index.place(StateSeq(6)), index.place(StateSeq(7))), (Some(1), None));
    assert_eq!([5, 6, 7, 99].map(|seq| index.end(StateSeq(seq))), [1, 2, 2, 6]);
    assert_eq!(
        (index.seq(2), index.key(2), index.deployment(2), index.op(5)),
        (StateSeq(9), &key("c"), DeploymentId(1), Op::Delete)
    );
    assert_eq!(index.touched(DeploymentId(1)).collect::<Vec<_>>(), [1, 2, 4, 5]);
    assert_eq!(index.touched(DeploymentId(1)).next_back(), Some(5));
    assert_eq!(index.touched(DeploymentId(7)).count(), 0);
    assert_eq!(index.deployments().collect::<Vec<_>>(), [DeploymentId(0), DeploymentId(1)]);
    // Compare-and-set compares with whatever is newest, be it another's, be it a delete.
    assert_eq!(index.newest_of(&key("b")), Some(StateSeq(18)));
    assert_eq!((index.newest_of(&key("x")), index.get(None, &key("b"))), (None, None));
    assert_eq!(index.operation(5).key, key("b"));
    assert!(index.memory_bytes() > Index::new().memory_bytes());
}

#[test]
#[should_panic(expected = "operation 3 after 3")]
fn an_operation_comes_once_and_in_order() {
    let mut small = Small::new();
    let seq = small.write(0, "a", Op::Put);
    let again =
        Operation { seq, ledger: LedgerSeq(1), deployment: DeploymentId(0), key: key("b"), op: Op::Put };
    small.index.apply(again);
}

/// A reader may bring a world that is older than what another reader brought.
#[test]
fn older_commits_change_nothing() {
    let mut small = Small::new();
    small.write(1, "a", Op::Put);
    let before = Arc::new(small.commits.clone());
    small.commit(1);
    small.index.sync(&before);
    assert_eq!((small.index.generation(), small.index.count(None)), (LedgerSeq(10), 1));
}

/// A committed deployment goes on seeing what a cascade took from it; nobody else does, and as of before all did.
#[test]
fn a_cascade_takes_single_records_along() {
    let mut small = Small::new();
    let poison = small.write(1, "fact", Op::Put);
    let fine = small.write(2, "other", Op::Put);
    let derived = small.write(2, "conclusion", Op::Put);
    small.commit(1);
    small.commit(2);
    let before = Moment { state: derived, ledger: small.ledger };
    small.take_back(1, &[derived]);
    assert_eq!(small.seqs(0), [fine.0]);
    assert_eq!(small.seqs(1), [poison.0, fine.0]);
    assert_eq!(small.seqs(2), [fine.0, derived.0]);
    // It goes on writing, also over what was taken.
    let again = small.write(2, "conclusion", Op::Put);
    assert_eq!((small.seqs(0), small.seqs(2)), (vec![fine.0, again.0], vec![fine.0, again.0]));
    let view = View { own: None, at: before, commits: Arc::new(small.commits.clone()) };
    assert_eq!(small.index.at(&view).iter().collect::<Vec<_>>(), [0, 1, 2]);
    let now = View { at: Moment { state: again, ledger: small.ledger }, ..view };
    let reasons: Vec<_> = small.index.history_of(&now, &key("conclusion"));
    assert_eq!(reasons, [(2, Some(Hidden::Derived { from: DeploymentId(1) })), (3, None)]);
    assert!(small.index.history_of(&now, &key("nothing")).is_empty());
    small.take_back(2, &[]);
    assert_eq!((small.seqs(0), small.seqs(2)), (vec![], vec![fine.0, again.0]));
}

#[test]
fn conflicts_name_what_promotion_decides() {
    let mut small = Small::new();
    let check = |small: &Small, expected: &[(&str, u64, u64, u64, Winner)]| {
        let found = small.conflicts(1);
        let found: Vec<_> =
            found.iter().map(|(key, a, b, c, wins)| (key.as_str(), *a, *b, *c, *wins)).collect();
        assert_eq!(found, expected);
    };
    small.write(0, "seen", Op::Put);
    small.write(2, "late", Op::Put); // 6: written before, committed after.
    let [seen, late, lost, _mine] =
        ["seen", "late", "lost", "mine"].map(|name| small.write(1, name, Op::Put).0);
    check(&small, &[]);
    let lost_to = small.write(0, "lost", Op::Delete).0;
    check(&small, &[("lost", lost, lost_to, 0, Winner::Theirs)]);
    small.commit(2);
    check(&small, &[("late", late, 6, 2, Winner::Own), ("lost", lost, lost_to, 0, Winner::Theirs)]);
    // It writes once more: now its own is the later one.
    let lost = small.write(1, "lost", Op::Put).0;
    check(&small, &[("late", late, 6, 2, Winner::Own), ("lost", lost, lost_to, 0, Winner::Own)]);
    small.take_back(2, &[]);
    check(&small, &[("lost", lost, lost_to, 0, Winner::Own)]);
    small.commit(1);
    check(&small, &[]);
    assert_eq!(small.index.get(None, &key("seen")), Some(StateSeq(seen)));
    assert_eq!(small.conflicts(9), []);
}
