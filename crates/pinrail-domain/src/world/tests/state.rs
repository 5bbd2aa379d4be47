//! What the ledger says of state, folded: data jobs, two-step rollbacks, cascades, manifests, collections.

use super::play::Play;
use super::*;
use crate::deployment::Status;
use crate::id::{IngestName, StateSeq, TenantId};
use crate::share::Share;
use crate::state::view::{Ranges, Span};

fn ingest(play: &mut Play, name: &str) -> DeploymentId {
    let name: IngestName = name.parse().unwrap();
    let (id, body) = deploy::open_ingest(&play.world, &name, Salt(1)).unwrap();
    play.append(vec![body]);
    id
}

fn back(deployment: DeploymentId, keep_state: bool, derived: Ranges) -> Body {
    Body::DeploymentRolledBack { deployment, keep_state, derived, to: BTreeMap::new(), evidence: None }
}

fn committed_now(play: &Play, id: DeploymentId) -> bool {
    play.world.commits.is_committed(id, play.world.head.seq)
}

/// I4, I5: one entry each, and no pointer moves.
#[test]
fn a_data_job_commits_or_aborts_by_one_entry_and_moves_no_pointer() {
    let mut play = Play::new();
    play.open(&["planner"], 1, "default", Traffic::Now);
    let pointers = format!("{:?}", play.world.pointers);
    let [good, bad] = ["good", "bad"].map(|name| ingest(&mut play, name));
    let generation = play.world.commits.generation;
    assert!(!committed_now(&play, good));
    let head = play.world.head.seq;
    play.promote(good);
    assert_eq!(play.world.head.seq, head.next());
    play.append(vec![back(bad, false, Ranges::default())]);
    assert_eq!((committed_now(&play, good), committed_now(&play, bad)), (true, false));
    assert_eq!(play.world.commits.span(good), Span { committed: Some(head.next()), retracted: None });
    assert_eq!(play.world.commits.span(bad), Span { committed: None, retracted: Some(head.next().next()) });
    assert!(play.world.commits.generation > generation);
    // As of before it was committed it isn't; as of before it was taken back it still is.
    let end = play.world.head.seq;
    play.roll_back(good);
    let at = |ledger| play.world.commits.is_committed(good, ledger);
    assert_eq!((at(head), at(end), at(end.next())), (false, true, false));
    assert_eq!(format!("{:?}", play.world.pointers), pointers);
}

#[test]
fn pointers_go_back_first_and_the_state_later_once() {
    let mut play = Play::new();
    let [old, new] = [1, 2].map(|n| play.open(&["planner"], n, "default", Traffic::Now));
    let active = |play: &Play| play.world.pointer(&agent("planner"), &segment("default")).active;
    play.append(vec![back(new, true, Ranges::default())]);
    assert_eq!((active(&play), committed_now(&play, new)), (Some(old), true));
    assert!(play.try_append(back(new, true, Ranges::default())).is_err());
    let newer = play.open(&["planner"], 3, "default", Traffic::Now);
    play.append(vec![back(new, false, Ranges::default())]);
    // The pointer is another's by now, and isn't held for the second rollback.
    assert_eq!((active(&play), committed_now(&play, new)), (Some(newer), false));
    assert_eq!(play.world.pointer(&agent("planner"), &segment("default")).hold, None);
    let status = &play.world.deployments[&new].status;
    assert!(matches!(status, Status::RolledBack { was_promoted: true, kept_state: false, .. }));
    assert!(play.try_append(back(new, false, Ranges::default())).is_err());
    assert_eq!(format!("{:?}", replay(&play.entries)), format!("{:?}", play.world));
}

/// What was never committed can't go on counting, whatever was asked.
#[test]
fn a_candidate_that_is_rolled_back_keeps_no_state() {
    let mut play = Play::new();
    let candidate = play.open(&["planner"], 1, "default", Traffic::Canary(share(100)));
    play.append(vec![back(candidate, true, Ranges::default())]);
    assert!(!committed_now(&play, candidate));
    assert!(play.world.commits.span(candidate).retracted.is_some());
    assert!(play.try_append(back(candidate, false, Ranges::default())).is_err());
}

#[test]
fn what_a_ledger_may_not_say_of_state_is_named() {
    let check = |play: &Play, body: Body, expected: &str| {
        let mut play = play.clone();
        let before = format!("{:?}", play.world);
        let corrupt = play.try_append(body).unwrap_err().to_string();
        assert!(corrupt.ends_with(&format!("contradicts the entries before it: {expected}")), "{corrupt}");
        assert_eq!(format!("{:?}", play.world), before);
    };
    let mut play = Play::new();
    let id = ingest(&mut play, "docs");
    let ranges = |pairs: serde_json::Value| serde_json::from_value::<Ranges>(pairs).unwrap();
    let unsound = "the derived records are no set";
    for pairs in [
        serde_json::json!([[2, 1]]),
        serde_json::json!([[1, 2], [2, 3]]),
        serde_json::json!([[5, 6], [1, 2]]),
    ] {
        check(&play, back(id, false, ranges(pairs)), unsound);
    }
    check(&play, back(id, true, Ranges::of([StateSeq(1)])), unsound);
    let manifest = |id, of: &[u8]| Body::ManifestRecorded { deployment: id, manifest: Digest::of(of) };
    check(&play, manifest(DeploymentId(9), b"m"), "no such deployment");
    play.append(vec![manifest(id, b"m")]);
    check(&play, manifest(id, b"m"), "its manifest is recorded");
    check(&play, manifest(id, b"another"), "its manifest is recorded");
    assert_eq!(play.world.deployments[&id].manifest, Some(Digest::of(b"m")));
    let neither = |ingest, releases| Body::DeploymentOpened {
        deployment: play.world.next_deployment(),
        releases,
        segment: SegmentName::default_segment(),
        weight: Share::NONE,
        salt: Salt(0),
        ingest,
        rollout: None,
    };
    let what = "a deployment holds releases or is a data job";
    check(&play, neither(None, BTreeMap::new()), what);
    let both = [(agent("planner"), play::release_id(1))].into();
    check(&play, neither(Some("both".parse().unwrap()), both), what);
}

#[test]
fn a_cascade_is_kept_with_its_rollback() {
    let mut play = Play::new();
    let id = ingest(&mut play, "docs");
    play.promote(id);
    let derived = Ranges::of([4, 5, 9].map(StateSeq));
    assert_eq!((derived.len(), derived.ranges().len()), (3, 2));
    play.append(vec![back(id, false, derived.clone())]);
    let at = play.world.head.seq;
    let commits = &play.world.commits;
    let cascade = commits.cascade(StateSeq(5), at).unwrap();
    assert_eq!((cascade.from, cascade.at, &cascade.records), (id, at, &derived));
    assert!(commits.cascade(StateSeq(6), at).is_none());
    assert!(commits.cascade(StateSeq(5), LedgerSeq(at.0 - 1)).is_none());
}

/// The floor only rises, and neither it nor an erasure changes what counts.
#[test]
fn a_collection_raises_the_floor() {
    let mut play = Play::new();
    let generation = play.world.commits.generation;
    let floor = |state, ledger| Moment { state: StateSeq(state), ledger: LedgerSeq(ledger) };
    for (given, expected) in
        [(floor(9, 4), floor(9, 4)), (floor(5, 6), floor(9, 6)), (floor(10, 6), floor(10, 6))]
    {
        play.append(vec![Body::StateCollected { deployments: vec![], records: 0, floor: given }]);
        assert_eq!(play.world.floor, expected);
    }
    let (tenant, proof) = (TenantId::shared(), Digest::ZERO);
    play.append(vec![Body::StateErased { tenant, subject: None, records: 1, runs: 0, proof }]);
    assert_eq!((play.world.floor, play.world.commits.generation), (floor(10, 6), generation));
}
