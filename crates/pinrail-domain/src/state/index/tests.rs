use proptest::prelude::*;

use super::*;
use crate::state::Moment;
use crate::state::view::View;

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
                    commits.retract(deployment, ledger, &crate::state::view::Ranges::of(taken));
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
                prop_assert_eq!(&index.at(&view), &expected);
            }
        }
    }
}
