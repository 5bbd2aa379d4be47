//! Runs on several replicas: what one begins all know, and what one binds all keep to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use pinrail_domain::agent::AgentSpec;
use pinrail_domain::begin::{BeginError, Begun, Call};
use pinrail_domain::deploy::Traffic;
use pinrail_domain::id::RunId;
use pinrail_domain::journal::{Event, Outcome, RunStatus, Stamp};
use pinrail_domain::key::Tenants;
use pinrail_domain::routes::Via;
use pinrail_domain::traffic::Minute;
use pinrail_store::memory::Strike;
use pinrail_store::{Journal as _, StoreError};

use super::*;
use crate::append;
use crate::runs::{Spool, SpoolError};

mod again;
mod spool;

const ONE: DeploymentId = DeploymentId(1);

impl Crew {
    async fn begin(&self, replica: usize, session: Option<&str>) -> Result<Begun, BeginError> {
        self.replicas[replica].runs().begin(call(session)).await
    }

    async fn stamp(&self, replica: usize, session: &str) -> Arc<Stamp> {
        self.begin(replica, Some(session)).await.unwrap().stamp
    }

    async fn join_run(&self, replica: usize, run: RunId) -> Result<Begun, BeginError> {
        self.replicas[replica].runs().begin(Call { run: Some(run), ..call(None) }).await
    }

    async fn created(&self, replica: usize) -> RunId {
        let created = self.replicas[replica].runs().create(creating(None), &Tenants::All, None).await;
        created.unwrap().stamp.run
    }

    async fn end(&self, replica: usize, run: RunId, outcome: Outcome) {
        let at = pinrail_domain::time::Clock::now(&*self.clock);
        self.replicas[replica].runs().record(run, vec![(at, Event::Finished { outcome, why: None })]).await;
    }

    async fn weigh(&self, id: DeploymentId, percent: &str) {
        self.replicas[0].set_weight(by("weight"), id, share(percent)).await.unwrap();
    }

    async fn all_caught_up(&self) {
        for replica in &self.replicas {
            self.caught_up(replica).await;
        }
    }

    /// Until nothing is on its way anywhere.
    async fn quiet(&self) {
        for _ in 0..24 {
            self.clock.0.fetch_add(500, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.all_caught_up().await;
    }

    fn unplug(&self) {
        let error = StoreError::Unavailable(Arc::new(std::io::Error::other("unplugged")));
        self.store.fail_next(1_000_000, Strike::BeforeEffect, &error);
    }
}

/// Numbers that look like chance, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// I2, I3: whichever replica is asked.
#[tokio::test(start_paused = true)]
async fn a_run_goes_on_at_any_replica() {
    let crew = Crew::new(2, Tier::Standard).await;
    let run = crew.created(0).await;
    let mut numbers = Vec::new();
    for n in 0..6 {
        let begun = crew.join_run(n % 2, run).await.unwrap();
        assert_eq!((begun.stamp.run, begun.stamp.deployment), (run, ONE));
        numbers.push(begun.call);
    }
    assert_eq!(numbers[0], 1);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 6, "no call of a run has another's number: {numbers:?}");
    // What one was told, the other knows at once.
    let note = vec![note("n")];
    crew.replicas[1].runs().append(run, &Tenants::All, None, note, None).await.unwrap();
    crew.replicas[1].runs().finish(run, &Tenants::All, Outcome::Ok, None, None).await.unwrap();
    match crew.join_run(0, run).await {
        Err(BeginError::NotRunning { status: RunStatus::Finished, .. }) => {}
        other => panic!("{other:?}"),
    }
    // A sub-agent's run at another replica inherits.
    let parent = crew.created(0).await;
    let two = crew.deploy("m2-2026-01-01", Traffic::Now).await;
    crew.all_caught_up().await;
    let child = crate::runs::Create { parent: Some(parent), ..creating(None) };
    let child = crew.replicas[1].runs().create(child, &Tenants::All, None).await.unwrap();
    assert_eq!((child.stamp.deployment, child.stamp.via), (ONE, Via::Parent));
    assert_eq!(crew.stamp(1, "new").await.deployment, two);
}

/// A stamp that nobody waited for lies in the other replica's memory for a moment.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_about_to_be_written_is_waited_for() {
    let crew = Crew::new(2, Tier::Standard).await;
    let run = crew.begin(0, None).await.unwrap().stamp.run;
    assert_eq!(crew.store.run_get(run).await.unwrap(), None);
    let found = crew.replicas[1].runs().get(run, &Tenants::All).await.unwrap();
    assert_eq!(found.unwrap().stamp.run, run);
    let never = RunId::from_parts(run.made_at_ms(), 7);
    assert_eq!(crew.replicas[1].runs().get(never, &Tenants::All).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_that_bind_a_session_at_once_the_stores_wins() {
    let crew = Crew::new(2, Tier::Standard).await;
    let two = crew.deploy("m2-2026-01-01", Traffic::Canary(share("0%"))).await;
    crew.all_caught_up().await;
    assert_eq!(crew.stamp(0, "s").await.deployment, ONE);
    // The other one hears of the weight and of nothing else.
    crew.weigh(two, "100%").await;
    crew.caught_up(&crew.replicas[1]).await;
    let late = crew.stamp(1, "s").await;
    crew.quiet().await;
    assert!(late.deployment == two || late.deployment == ONE);
    let kept = crew.store.run_get(late.run).await.unwrap().unwrap();
    assert_eq!(kept.stamp, *late, "I2: whoever lost keeps its stamp");
    let bound = crew.store.session_get(&session_key("s")).await.unwrap();
    for (n, replica) in crew.replicas.iter().enumerate() {
        assert_eq!(replica.runs().session(&session_key("s")).await.unwrap(), bound);
        assert_eq!(Some(crew.stamp(n, "s").await.deployment), bound);
    }
}

/// What a seed makes happen.
struct Chance {
    seed: u64,
    crew: Crew,
    dice: Dice,
    told: HashMap<RunId, Arc<Stamp>>,
    candidate: Option<DeploymentId>,
    /// Whether a promotion needs no gate.
    flips: bool,
}

impl Chance {
    async fn step(&mut self) {
        let Chance { seed, crew, dice, told, candidate, flips } = self;
        match (dice.below(24), *candidate) {
            (0..=17, _) => {
                let session = format!("s{}", dice.below(20));
                match crew.begin(dice.below(3), Some(&session)).await {
                    Ok(begun) => drop(told.insert(begun.stamp.run, begun.stamp)),
                    Err(error) => panic!("seed {seed}: {error}"),
                }
            }
            (18 | 19, Some(id)) => crew.weigh(id, ["0%", "10%", "50%", "90%", "100%"][dice.below(5)]).await,
            (20, None) if *flips => {
                let snapshot = crew.replicas[0].snapshot();
                let pointer = snapshot.world.pointer(&agent("planner"), &"default".parse().unwrap());
                let active = &snapshot.world.deployments[&pointer.active.unwrap()];
                let model = ["m2-2026-01-01", "m3-2026-01-01", "m1-2026-01-01"][dice.below(3)];
                if active.releases[&agent("planner")] != manifest(model).id().unwrap() {
                    *candidate = Some(crew.deploy(model, Traffic::Canary(share("50%"))).await);
                }
            }
            (21, Some(id)) if *flips => {
                *candidate = None;
                match dice.below(2) {
                    0 => drop(crew.replicas[0].promote(by("good"), id, false).await.unwrap()),
                    _ => drop(crew.replicas[0].roll_back(by("bad"), id, Default::default()).await.unwrap()),
                }
            }
            _ => {
                let ms = [1, 5, 30, 300, 1_500][dice.below(5)];
                crew.clock.0.fetch_add(ms, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
        }
    }

    /// What must hold when all is quiet.
    async fn check(&mut self) {
        let Chance { seed, crew, dice, told, candidate, .. } = self;
        for (run, stamp) in told {
            let stored = crew.store.run_get(*run).await.unwrap();
            assert_eq!(stored.unwrap().stamp, **stamp, "I2, I3 in seed {seed}");
        }
        let mut before = BTreeMap::new();
        for n in 0..20 {
            let key = session_key(&format!("s{n}"));
            let bound = crew.store.session_get(&key).await.unwrap();
            for replica in &crew.replicas {
                assert_eq!(replica.runs().session(&key).await.unwrap(), bound, "seed {seed}, s{n}");
            }
            let stamp = crew.stamp(dice.below(3), &format!("s{n}")).await;
            before.insert(n, stamp.deployment);
        }
        // I10: from here on the weight only rises, and nobody leaves the candidate.
        let Some(id) = *candidate else { return };
        crew.quiet().await;
        crew.weigh(id, "100%").await;
        crew.all_caught_up().await;
        for (n, deployment) in before {
            let after = crew.stamp(dice.below(3), &format!("s{n}")).await.deployment;
            assert_eq!(after, deployment, "seed {seed}, s{n}: a bound session stays");
        }
    }
}

/// I2, I3, I10; and when things are quiet, all replicas answer for a session what the store says.
#[tokio::test(start_paused = true)]
async fn sessions_end_bound_to_one_deployment_whatever_happens() {
    for seed in 0..12 {
        let is_critical = seed % 4 == 3;
        let crew = Crew::new(3, Tier::Standard).await;
        let mut candidate = None;
        if is_critical {
            candidate = Some(crew.deploy("m2-2026-01-01", Traffic::Canary(share("50%"))).await);
            crew.put_agents(Tier::Critical).await;
        }
        crew.all_caught_up().await;
        let told = HashMap::new();
        let mut chance = Chance { seed, crew, dice: Dice(seed), told, candidate, flips: !is_critical };
        for _ in 0..160 {
            chance.step().await;
        }
        chance.crew.quiet().await;
        chance.check().await;
    }
}

/// No critical run is stamped with an older pointer after a flip that was committed anywhere.
#[tokio::test(start_paused = true)]
async fn a_critical_stamp_from_old_news_is_decided_again() {
    let crew = Crew::new(2, Tier::Standard).await;
    let two = crew.deploy("m2-2026-01-01", Traffic::Now).await;
    crew.put_agents(Tier::Critical).await;
    crew.all_caught_up().await;
    assert_eq!(crew.stamp(1, "a").await.deployment, two);
    // The second replica can't follow while it holds its own turn.
    let turn = append::turn(&crew.replicas[1].inner).await;
    crew.replicas[0].roll_back(by("bad"), two, Default::default()).await.unwrap();
    settle().await;
    let bad_news = crew.replicas[1].snapshot().world.epoch;
    let second = crew.replicas[1].clone();
    let begun = tokio::spawn(async move { second.runs().begin(call(Some("b"))).await });
    settle().await;
    drop(turn);
    let stamp = begun.await.unwrap().unwrap().stamp;
    assert_eq!(stamp.deployment, ONE);
    assert!(stamp.epoch > bad_news);
    for run in crew.store.run_list(&Default::default(), None, 99).await.unwrap() {
        let current = run.stamp.epoch <= bad_news || run.stamp.deployment == ONE;
        assert!(current, "{:?}", run.stamp);
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_hears_nothing_gives_critical_agents_no_runs() {
    for tier in [Tier::Throwaway, Tier::Standard, Tier::Critical] {
        let crew = Crew::new(2, tier).await;
        crew.store.fail_reads(true);
        crew.clock.0.fetch_add(20_000, Ordering::SeqCst);
        match (crew.begin(1, None).await, tier) {
            (Err(BeginError::Stale { ms }), Tier::Critical) => assert!(ms >= 20_000),
            (Ok(_), Tier::Throwaway | Tier::Standard) => {
                assert_eq!(crew.replicas[1].runs().begun_on_old_news(), 1);
            }
            (other, _) => panic!("{tier:?}: {other:?}"),
        }
        // One that only slept catches up before it acts.
        crew.store.fail_reads(false);
        crew.clock.0.fetch_add(20_000, Ordering::SeqCst);
        let two = crew.deploy_now_if(tier).await;
        assert_eq!(crew.begin(1, None).await.unwrap().stamp.deployment, two);
    }
}

impl Crew {
    /// Another active deployment, unless that needed a gate.
    async fn deploy_now_if(&self, tier: Tier) -> DeploymentId {
        match tier {
            Tier::Critical => ONE,
            Tier::Throwaway | Tier::Standard => self.deploy("m2-2026-01-01", Traffic::Now).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_replica_counts_what_all_serve() {
    let crew = Crew::new(2, Tier::Standard).await;
    for n in 0..10 {
        let run = crew.begin(n % 2, None).await.unwrap().stamp.run;
        let outcome = if n == 4 { Outcome::Error } else { Outcome::Ok };
        crew.end(n % 2, run, outcome).await;
    }
    let open = crew.created(0).await;
    crew.replicas[1].runs().finish(open, &Tenants::All, Outcome::Ok, None, None).await.unwrap();
    crew.quiet().await;
    for replica in &crew.replicas {
        let lately = replica.traffic(None);
        let now = pinrail_domain::time::Clock::now(&*crew.clock);
        let hours = lately.lines.values().flat_map(|of| of.values());
        let hour = hours.fold(pinrail_domain::traffic::Hour::quiet(now), |sum, hour| sum.and(hour));
        let sum = hour.minutes.iter().fold(Minute::default(), |sum, minute| Minute {
            begun: sum.begun + minute.begun,
            ended: sum.ended + minute.ended,
            errors: sum.errors + minute.errors,
        });
        assert_eq!(sum, Minute { begun: 11, ended: 11, errors: 1 });
    }
}

/// I7, I13: the guardrails see all replicas' runs, and one rollback follows.
#[tokio::test(start_paused = true)]
async fn a_breach_that_only_all_replicas_together_show_is_found_once() {
    let crew = Crew::new(2, Tier::Standard).await;
    let settings = serde_json::json!({ "rollout": {
        "steps": [{ "canary": { "percent": 50, "min_runs": 5_000 } }],
        "guardrails": [{ "metric": "error_rate", "margin": "5%" }],
    } });
    let spec: AgentSpec = serde_json::from_value(settings).unwrap();
    crew.replicas[0].agent_put(by("a"), &agent("planner"), &spec).await.unwrap();
    let plan = crew.replicas[0].plan_for([&agent("planner")], &"default".parse().unwrap()).unwrap();
    let publish =
        Publish { agent: agent("planner"), manifest: manifest("m2-2026-01-01"), model_override: None };
    crew.replicas[0].publish(by("publish"), publish).await.unwrap();
    let wish = wish(&["planner"], "m2-2026-01-01", Traffic::Rollout(Box::new(plan)));
    let two = crew.replicas[0].deploy(by("rollout"), &wish).await.unwrap().value.deployment;
    for replica in &crew.replicas {
        crew.caught_up(replica).await;
        replica.conduct_rollouts();
    }
    let mut n = 0;
    let rolled_back = |crew: &Crew| {
        let status = crew.replicas[0].snapshot().world.deployments[&two].status.clone();
        matches!(status, Status::RolledBack { .. })
    };
    while !rolled_back(&crew) {
        // The candidate's runs fail at one replica, the incumbent's are well at the other, as far as chance has it.
        let stamp = crew.stamp(n % 2, &format!("s{n}")).await;
        let outcome = if stamp.deployment == two { Outcome::Error } else { Outcome::Ok };
        crew.end(n % 2, stamp.run, outcome).await;
        crew.clock.0.fetch_add(100, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        n += 1;
        assert!(n < 3_000, "nobody found it");
    }
    crew.quiet().await;
    let entries = pinrail_store::Ledger::ledger_read(&crew.store, Default::default(), 1_000).await.unwrap();
    let rollbacks = entries.iter().filter(|entry| entry.body.kind() == "deployment_rolled_back").count();
    assert_eq!(rollbacks, 1);
}

/// A spool in memory.
#[derive(Default)]
struct Pile {
    records: Mutex<Vec<Vec<u8>>>,
    once_forgotten: Mutex<Option<Hook>>,
}

type Hook = Box<dyn FnOnce() + Send>;

impl Pile {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does this when records are forgotten the next time.
    fn once_forgotten(&self, hook: impl FnOnce() + Send + 'static) {
        *self.hook() = Some(Box::new(hook));
    }

    fn hook(&self) -> std::sync::MutexGuard<'_, Option<Hook>> {
        self.once_forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spool for Pile {
    fn left(&self) -> u64 {
        self.lock().len() as u64
    }

    fn push(&self, records: &[Vec<u8>]) -> Result<(), SpoolError> {
        let mut kept = self.lock();
        if kept.len() + records.len() > 3_000 {
            return Err(SpoolError::Full { bytes_max: 3_000 });
        }
        kept.extend_from_slice(records);
        Ok(())
    }

    fn read(&self, skip: u64, limit: usize) -> std::io::Result<Vec<Vec<u8>>> {
        let skip = usize::try_from(skip).unwrap();
        Ok(self.lock().iter().skip(skip).take(limit).cloned().collect())
    }

    fn forget(&self, records: u64) -> std::io::Result<()> {
        self.lock().drain(..usize::try_from(records).unwrap());
        if let Some(hook) = self.hook().take() {
            hook();
        }
        Ok(())
    }
}

/// I9 and design §13: what nobody waited for outlives the store's absence, in order and once, also where the process ends meanwhile.
#[tokio::test(start_paused = true)]
async fn what_is_spooled_is_written_once() {
    for stops in [false, true] {
        let mut crew = Crew::new(1, Tier::Standard).await;
        let pile = Arc::new(Pile::default());
        let n = crew.join_with("spooling", Some(Arc::clone(&pile) as _)).await;
        crew.unplug();
        let mut told = Vec::new();
        for _ in 0..1_500 {
            let stamp = crew.begin(n, None).await.unwrap().stamp;
            told.push(Arc::clone(&stamp));
            crew.end(n, stamp.run, Outcome::Ok).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(crew.replicas[n].runs().spooled() > 1_000, "{}", crew.replicas[n].runs().spooled());
        assert!(crew.replicas[n].runs().journal_trouble().is_some());
        // Where somebody waits, nothing is spooled.
        assert!(crew.replicas[n].runs().create(creating(None), &Tenants::All, None).await.is_err());
        let last = if stops {
            crew.replicas[n].drain().await;
            crew.store.forget_failures();
            crew.join_with("next", Some(Arc::clone(&pile) as _)).await
        } else {
            crew.store.forget_failures();
            n
        };
        tokio::time::sleep(Duration::from_secs(20)).await;
        crew.replicas[last].runs().settled().await;
        assert_eq!((pile.left(), crew.replicas[last].runs().spooled()), (0, 0));
        assert_eq!(crew.replicas[last].runs().journal_trouble(), None);
        for stamp in told {
            let run = crew.store.run_get(stamp.run).await.unwrap().expect("I3");
            assert_eq!((&run.stamp, run.summary.next.0), (&*stamp, 2), "each event once");
            assert_eq!(run.summary.outcome, Some(Outcome::Ok));
        }
    }
}

/// Its starts are written as the next process's, and that one lives: nobody else would end them.
#[tokio::test(start_paused = true)]
async fn calls_that_a_dead_process_spooled_without_an_end_are_ended() {
    let mut crew = Crew::new(1, Tier::Standard).await;
    let pile = Arc::new(Pile::default());
    let n = crew.join_with("spooling", Some(Arc::clone(&pile) as _)).await;
    let kept_open = crew.created(n).await;
    crew.unplug();
    let mut told = Vec::new();
    for call in 0..1_200 {
        let run = crew.begin(n, None).await.unwrap().stamp.run;
        told.push(run);
        if call % 2 == 0 {
            crew.end(n, run, Outcome::Ok).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    crew.replicas[n].runs().record(kept_open, vec![(START, note("n"))]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    crew.replicas[n].drain().await;
    crew.store.forget_failures();
    // The next one has calls of its own while it writes what was left.
    let next = crew.join_with("next", Some(Arc::clone(&pile) as _)).await;
    let own = crew.begin(next, None).await.unwrap().stamp.run;
    tokio::time::sleep(Duration::from_secs(20)).await;
    crew.replicas[next].runs().settled().await;
    assert_eq!(pile.left(), 0);
    for (call, run) in told.into_iter().enumerate() {
        let summary = crew.store.run_get(run).await.unwrap().expect("I3").summary;
        let outcome = if call % 2 == 0 { Outcome::Ok } else { Outcome::Error };
        assert_eq!((summary.outcome, summary.next.0), (Some(outcome), 2), "call {call}");
    }
    for run in [own, kept_open] {
        assert_eq!(crew.store.run_get(run).await.unwrap().unwrap().summary.status, RunStatus::Running);
    }
}

/// A chunk whose acknowledgement was lost isn't written twice, also where its commit goes on while it is looked for.
#[tokio::test(start_paused = true)]
async fn what_was_written_without_an_answer_is_not_written_again() {
    for strike in [Strike::AfterEffect, Strike::Later] {
        written_without_an_answer(strike).await;
    }
}

async fn written_without_an_answer(strike: Strike) {
    let mut crew = Crew::new(1, Tier::Standard).await;
    let pile = Arc::new(Pile::default());
    let n = crew.join_with("spooling", Some(Arc::clone(&pile) as _)).await;
    let open = crew.created(n).await;
    crew.unplug();
    for _ in 0..600 {
        let at = pinrail_domain::time::Clock::now(&*crew.clock);
        crew.clock.0.fetch_add(1, Ordering::SeqCst);
        crew.replicas[n].runs().record(open, vec![(at, note("n"))]).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(pile.left() > 0);
    crew.store.forget_failures();
    let lost = StoreError::Unavailable(Arc::new(std::io::Error::other("cut")));
    crew.store.fail_next(2, strike, &lost);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(pile.left(), 0);
    let run = crew.store.run_get(open).await.unwrap().unwrap();
    assert_eq!(run.summary.next.0, 601, "the plan and 600 notes");
}

/// Design §13: the store is away, and a run that is known goes on where the tier allows it.
#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_known_runs_and_sessions_go_on() {
    let crew = Crew::new(2, Tier::Standard).await;
    let two = crew.deploy("m2-2026-01-01", Traffic::Canary(share("100%"))).await;
    crew.all_caught_up().await;
    let run = crew.created(0).await;
    assert_eq!(crew.stamp(0, "s").await.deployment, two);
    crew.quiet().await;
    crew.unplug();
    // The writer notices.
    let first = crew.begin(0, None).await.unwrap().stamp.run;
    crew.end(0, first, Outcome::Ok).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(crew.replicas[0].runs().journal_trouble().is_some());
    assert_eq!(crew.join_run(0, run).await.unwrap().stamp.run, run);
    assert_eq!(crew.stamp(0, "s").await.deployment, two);
    assert_eq!(crew.stamp(0, "never-seen").await.deployment, two, "its bucket decides");
    assert!(crew.replicas[0].runs().create(creating(None), &Tenants::All, None).await.is_err());
    crew.store.forget_failures();
    crew.quiet().await;
    assert_eq!(crew.store.run_get(first).await.unwrap().unwrap().summary.outcome, Some(Outcome::Ok));
}
