use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::state::Op;
use crate::state::index::Index;
use crate::state::model::{Act, Model, Step, spaces};
use crate::state::view::{Hidden, View};

/// A deployment opened among random steps, and what each space held then.
struct Story {
    model: Model,
    opened: DeploymentId,
    at: Moment,
}

impl Story {
    fn play(before: &[Step], after: &[Step], back: bool) -> Story {
        let mut model = Model::new();
        before.iter().for_each(|step| {
            model.play(step);
        });
        let opened = model.world.next_deployment();
        assert!(matches!(model.play(&Step::OpenIngest), Act::Append(_)));
        let at = model.moment();
        after.iter().for_each(|step| {
            model.play(step);
        });
        if back && !model.world.deployments[&opened].is_rolled_back() {
            let left = model.world.deployments.values().filter(|d| d.id < opened && !d.is_rolled_back());
            let which = left.count() as u16;
            model.play(&Step::RollBack { which, keep_state: false, cascade: None });
        }
        Story { model, opened, at }
    }

    fn index(&self, space: usize) -> Index {
        let of = self.model.operations.iter().filter(|(other, _)| *other == space);
        Index::load(&self.model.world.commits, of.map(|(_, operation)| operation.clone()))
    }

    fn members(&self, space: usize, at: Moment) -> Vec<Member> {
        let shown = self.model.shown(None, at);
        let mut seqs: Vec<StateSeq> =
            shown.iter().filter(|((of, _), _)| *of == space).map(|(_, seq)| *seq).collect();
        seqs.sort_unstable();
        seqs.into_iter().map(|seq| self.member(seq)).collect()
    }

    fn member(&self, seq: StateSeq) -> Member {
        let operation = self.model.operations.iter().find(|(_, operation)| operation.seq == seq);
        let deployment = operation.unwrap().1.deployment;
        Member { seq, deployment, digest: Digest::of(&seq.0.to_be_bytes()), is_whole: true }
    }

    /// Verifies one space after `tamper` had its way with what is visible then and now.
    fn verify(&self, space: usize, tamper: impl FnOnce(&mut Vec<Member>, &mut Vec<Member>)) -> Verdict {
        let index = self.index(space);
        let commits = &self.model.world.commits;
        let view = |at| View { own: None, at, commits: Arc::clone(commits) };
        let (mut then, mut now) = (self.members(space, self.at), self.members(space, self.model.moment()));
        let line = SetDigest::of(&then).line(spaces()[space].clone());
        tamper(&mut then, &mut now);
        let facts = Histories::new(&index, &view(self.at), view(self.model.moment()));
        compare(&line, self.opened, &then, &now, &facts)
    }
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any::<u64>().prop_map(Step::from_number), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever happened since, every difference is accounted for, and the sums are right.
    #[test]
    fn every_difference_is_accounted_for(before in steps(30), after in steps(30), back in any::<bool>()) {
        let story = Story::play(&before, &after, back);
        for space in 0..spaces().len() {
            let verdict = story.verify(space, |_, _| ());
            prop_assert!(verdict.is_sound(), "{:?}", verdict);
            let sum = |of: fn(&Account) -> u64| verdict.accounts.values().map(of).sum::<u64>();
            prop_assert_eq!(verdict.unchanged + sum(|a| a.added + a.restored), verdict.now.count);
            let ended = sum(|a| a.superseded + a.deleted + a.retracted + a.taken_along);
            prop_assert_eq!(verdict.unchanged + ended, verdict.then.count);
            if story.model.world.commits.span(story.opened).retracted.is_some() {
                // I4: nothing of it is left.
                let own = verdict.accounts.get(&story.opened).copied().unwrap_or_default();
                prop_assert_eq!((own.added, own.superseded, own.deleted), (0, 0, 0));
            }
        }
    }

    /// What was planted is found and named, and nothing else is.
    #[test]
    fn what_was_planted_is_found(before in steps(40), after in steps(30), which in any::<prop::sample::Index>()) {
        let story = Story::play(&before, &after, true);
        for space in 0..spaces().len() {
            let (then, now) = (story.members(space, story.at), story.members(space, story.model.moment()));
            if now.is_empty() {
                continue;
            }
            let victim = which.index(now.len());
            let record = now[victim].seq;
            let vanished = story.verify(space, |_, now| { now.remove(victim); });
            let expected = if then.iter().any(|m| m.seq == record) {
                Discrepancy::Vanished { record, is: None }
            } else {
                Discrepancy::Missing { record }
            };
            prop_assert_eq!(vanished.discrepancies, [expected]);
            let corrupt = story.verify(space, |then, now| {
                let same = |member: &&mut Member| member.seq == record;
                then.iter_mut().chain(now).filter(same).for_each(|member| member.is_whole = false);
            });
            prop_assert_eq!(corrupt.discrepancies, [Discrepancy::Corrupt { record }]);
        }
    }
}

/// `put` on a ground record, then a deployment that overwrites, deletes and adds, and others that do the same.
fn small_story(back: bool) -> Story {
    let write = |author, key, op| Step::Write { author, space: 0, key, op };
    let before = [0, 1, 2].map(|key| write(0, key, Op::Put));
    let after = [write(1, 0, Op::Put), write(1, 1, Op::Delete), write(1, 3, Op::Put), write(0, 2, Op::Put)];
    Story::play(&before, &after, back)
}

#[test]
fn a_leak_and_a_forged_set_are_named() {
    let check =
        |what: &str, tamper: fn(&Story, &mut Vec<Member>, &mut Vec<Member>), expected: &[Discrepancy]| {
            let story = small_story(true);
            let mut recomputed = None;
            let verdict = story.verify(0, |then, now| {
                tamper(&story, then, now);
                recomputed = Some(SetDigest::of(then).line(spaces()[0].clone()));
            });
            let recomputed = recomputed.map(|line| Tally { count: line.count, digest: line.digest }).unwrap();
            let differs = Discrepancy::ThenDiffers { recorded: verdict.recorded, recomputed };
            let found = verdict.discrepancies.iter().filter(|found| **found != differs);
            assert_eq!(found.cloned().collect::<Vec<_>>(), expected, "{what}");
            assert_eq!(verdict.discrepancies.contains(&differs), recomputed != verdict.recorded, "{what}");
            verdict
        };
    let sound = check("nothing", |_, _, _| (), &[]);
    assert_eq!((sound.then.count, sound.now.count, sound.unchanged), (3, 3, 2));
    let of_others = Account { added: 1, superseded: 1, ..Account::default() };
    assert_eq!(sound.accounts, [(DeploymentId(0), of_others)].into());
    // Its put on key 3 is the sixth operation.
    let leak =
        |story: &Story, _: &mut Vec<Member>, now: &mut Vec<Member>| now.insert(2, story.member(StateSeq(6)));
    check("a leak", leak, &[Discrepancy::Leaked { record: StateSeq(6) }]);
    let forged = |_: &Story, then: &mut Vec<Member>, now: &mut Vec<Member>| {
        let same = |member: &&mut Member| member.seq == StateSeq(1);
        then.iter_mut().chain(now).filter(same).for_each(|member| member.digest = Digest::ZERO);
    };
    assert!(!check("content and digest forged", forged, &[]).is_sound());
    let removed = |_: &Story, then: &mut Vec<Member>, now: &mut Vec<Member>| {
        then.retain(|member| member.seq != StateSeq(1));
        now.retain(|member| member.seq != StateSeq(1));
    };
    let missing = [Discrepancy::Missing { record: StateSeq(1) }];
    assert_eq!(check("removed from then and now", removed, &missing).discrepancies_count, 2);
    let revived =
        |story: &Story, _: &mut Vec<Member>, now: &mut Vec<Member>| now.insert(2, story.member(StateSeq(3)));
    let although = Hidden::Superseded { by: StateSeq(7) };
    check("a superseded record back", revived, &[Discrepancy::Shown { record: StateSeq(3), although }]);
}

/// While the deployment is open nobody sees a trace of it either; once it is committed its changes are its account.
#[test]
fn an_open_deployment_leaves_no_trace_and_a_committed_one_an_account() {
    let mut story = small_story(false);
    let open = story.verify(0, |_, _| ());
    assert!(open.is_sound() && !open.accounts.contains_key(&story.opened));
    story.model.play(&Step::Commit { which: 0 });
    let committed = story.verify(0, |_, _| ());
    assert!(committed.is_sound());
    let own = Account { added: 2, superseded: 1, deleted: 1, ..Account::default() };
    assert_eq!(committed.accounts[&story.opened], own);
}

/// Facts that contradict the sets, as after an operation's row was changed: the end's author is the deployment.
#[test]
fn a_record_that_an_uncommitted_deployment_hides_is_named() {
    struct Odd;
    impl Facts for Odd {
        fn hidden_then(&self, _: StateSeq) -> Option<Hidden> {
            Some(Hidden::Aborted { deployment: DeploymentId(4) })
        }
        fn hidden_now(&self, record: StateSeq) -> Option<Hidden> {
            (record.0 < 3).then_some(Hidden::Deleted { by: StateSeq(9 + record.0) })
        }
        fn visible_now(&self) -> Vec<StateSeq> {
            vec![StateSeq(3), StateSeq(4)]
        }
        fn deployment(&self, record: StateSeq) -> Option<DeploymentId> {
            (record.0 == 10).then_some(DeploymentId(1))
        }
        fn counts(&self, _: DeploymentId) -> bool {
            false
        }
    }
    let members = |seqs: &[u64]| -> Vec<Member> {
        let member = |seq: &u64| Member {
            seq: StateSeq(*seq),
            deployment: DeploymentId(0),
            digest: Digest::ZERO,
            is_whole: true,
        };
        seqs.iter().map(member).collect()
    };
    let line = SetDigest::of(&members(&[1, 2])).line(spaces()[0].clone());
    let verdict = compare(&line, DeploymentId(1), &members(&[1, 2]), &members(&[3]), &Odd);
    let expected = [
        Discrepancy::Missing { record: StateSeq(4) },
        Discrepancy::HiddenBy { record: StateSeq(1), by: StateSeq(10) },
        Discrepancy::Vanished { record: StateSeq(2), is: Some(Hidden::Deleted { by: StateSeq(11) }) },
        Discrepancy::Appeared {
            record: StateSeq(3),
            was: Some(Hidden::Aborted { deployment: DeploymentId(4) }),
        },
    ];
    assert_eq!(verdict.discrepancies, expected);
}

/// Stored in people's manifests: this form never changes.
#[test]
fn the_digest_of_a_set_and_the_stored_manifest_keep_their_form() {
    let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(SetDigest::new().digest().to_string(), empty);
    let mut set = SetDigest::new();
    set.add(StateSeq(1), &Digest::of(b"a"));
    set.add(StateSeq(300), &Digest::of(b"b"));
    let mut bytes = Vec::new();
    for (seq, content) in [(1_u64, b"a"), (300, b"b")] {
        bytes.extend(seq.to_be_bytes());
        bytes.extend(Digest::of(content).as_bytes());
    }
    assert_eq!((set.count(), set.digest()), (2, Digest::of(&bytes)));
    let manifest = Manifest {
        deployment: DeploymentId(3),
        at: Moment { state: StateSeq(300), ledger: crate::id::LedgerSeq(7) },
        pointers: vec![Served {
            agent: "support".parse().unwrap(),
            segment: "default".parse().unwrap(),
            active: Some(DeploymentId(2)),
        }],
        spaces: vec![set.line(spaces()[0].clone())],
    };
    let json = format!(
        "{{\"deployment\":3,\"at\":{{\"state\":300,\"ledger\":7}},\"pointers\":[{{\"agent\":\"support\",\"segment\":\"default\",\
         \"active\":2}}],\"spaces\":[{{\"space\":{{\"tenant\":\"default\",\"layer\":\"memory\",\"name\":\"executor/session\"}},\
         \"count\":2,\"digest\":\"{}\"}}]}}",
        set.digest()
    );
    assert_eq!(serde_json::to_string(&manifest).unwrap(), json);
    assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
    assert_eq!(manifest.line(&spaces()[0]).count, 2);
    assert_eq!(manifest.line(&spaces()[1]).digest.to_string(), empty);
}
