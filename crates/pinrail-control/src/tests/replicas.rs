//! Several control planes over one store, as several processes are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pinrail_domain::deploy::Traffic;
use pinrail_domain::deployment::Status;
use pinrail_domain::id::DeploymentId;
use pinrail_domain::ledger::Actor;
use pinrail_domain::model::Layers;
use pinrail_domain::provider::ProviderSpec;
use pinrail_domain::tier::Tier;
use pinrail_store::replicas::ReplicaId;
use pinrail_store::{Memory, Replicas as _, Term};

mod state;

use super::bench::*;
use crate::leader::{self, Standing};
use crate::publish::Publish;
use crate::{By, CommitError, Control, OpenError, Options};

mod dial;
mod members;
mod reaper;
mod runs;
mod sightings;
mod tools;

/// Replicas over one store in memory, on one clock.
pub struct Crew {
    pub store: Memory,
    pub clock: Arc<ManualClock>,
    pub entropy: Arc<Counted>,
    pub replicas: Vec<Control>,
    pub ids: Vec<ReplicaId>,
}

impl Crew {
    /// `count` replicas; the agents `planner` and `executor` in this tier, and `m1` active for both: deployment 1.
    pub async fn new(count: usize, tier: Tier) -> Crew {
        let crew = Crew::empty(count).await;
        let first = &crew.replicas[0];
        let provider = ProviderSpec { catalogue: "house".to_owned(), ..ProviderSpec::simulated() };
        first.provider_put(by("p"), &"p".parse().unwrap(), &provider).await.unwrap();
        crew.put_agents(Tier::Standard).await;
        assert_eq!(crew.deploy("m1-2026-01-01", Traffic::Now).await, DeploymentId(1));
        if tier != Tier::Standard {
            crew.put_agents(tier).await;
        }
        for replica in &crew.replicas {
            crew.caught_up(replica).await;
        }
        crew
    }

    /// `count` replicas over an empty store.
    pub async fn empty(count: usize) -> Crew {
        let clock = Arc::new(ManualClock(AtomicU64::new(START.0)));
        let entropy = Arc::new(Counted::new());
        let mut crew = Crew { store: Memory::new(), clock, entropy, replicas: Vec::new(), ids: Vec::new() };
        for n in 0..count {
            crew.join(&format!("replica-{n}")).await;
        }
        crew
    }

    /// One more replica; its place.
    pub async fn join(&mut self, name: &str) -> usize {
        self.join_with(name, None).await
    }

    /// One more replica that spools what the store doesn't take.
    pub async fn join_with(&mut self, name: &str, spool: Option<Arc<dyn crate::runs::Spool>>) -> usize {
        self.try_join(name, spool, true).await.unwrap()
    }

    /// One more replica, if it opens.
    pub async fn try_join(
        &mut self,
        name: &str,
        spool: Option<Arc<dyn crate::runs::Spool>>,
        leads: bool,
    ) -> Result<usize, OpenError> {
        let store = self.store.join(name);
        let id = store.replica();
        let options = Options {
            store: Arc::new(store),
            clock: Arc::clone(&self.clock) as _,
            entropy: Arc::clone(&self.entropy) as _,
            catalogue: Layers::of(catalogue()),
            vectors_folder: None,
            notebook: None,
            spool,
            stale_ms_max: crate::runs::STALE_MS_MAX,
            leads,
        };
        self.replicas.push(Control::open(options).await?.0);
        self.ids.push(id);
        Ok(self.replicas.len() - 1)
    }

    /// Deploys a model for both agents, through the first replica.
    pub async fn deploy(&self, snapshot: &str, traffic: Traffic) -> DeploymentId {
        let first = &self.replicas[0];
        for name in AGENTS {
            let publish = Publish { agent: agent(name), manifest: manifest(snapshot), model_override: None };
            first.publish(by("publish"), publish).await.unwrap();
        }
        let wish = pinrail_domain::deploy::Open { lift_hold: true, ..wish(&AGENTS, snapshot, traffic) };
        first.deploy(by("deploy"), &wish).await.unwrap().value.deployment
    }

    /// Waits until a replica shows all that the ledger holds.
    pub async fn caught_up(&self, replica: &Control) {
        let head = pinrail_store::Ledger::ledger_head(&self.store).await.unwrap();
        let mut heads = replica.heads();
        heads.wait_for(|shown| *shown >= head.seq).await.unwrap();
    }

    async fn put_agents(&self, tier: Tier) {
        for name in AGENTS {
            let spec = pinrail_domain::agent::AgentSpec { tier, ..Default::default() };
            self.replicas[0].agent_put(by("a"), &agent(name), &spec).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_one_replica_commits_all_show() {
    let crew = Crew::new(3, Tier::Standard).await;
    let two = crew.deploy("m2-2026-01-01", Traffic::Canary(share("20"))).await;
    for replica in &crew.replicas {
        crew.caught_up(replica).await;
        let (theirs, first) = (replica.snapshot(), crew.replicas[0].snapshot());
        assert_eq!(theirs.world.head, first.world.head);
        assert_eq!(theirs.world.epoch, first.world.epoch);
    }
    // Taken back at another replica than it was opened at; the idempotent repetition may come to a third.
    let back = keyed("back", "two");
    crew.replicas[1].roll_back(back.clone(), two, Default::default()).await.unwrap();
    let again = crew.replicas[2].roll_back(back, two, Default::default()).await.unwrap();
    assert!(again.replayed);
    for replica in &crew.replicas {
        crew.caught_up(replica).await;
        let world = &replica.snapshot().world;
        assert!(matches!(world.deployments[&two].status, Status::RolledBack { .. }));
    }
}

#[tokio::test]
async fn of_two_replicas_that_change_the_world_at_once_both_get_their_turn() {
    let crew = Crew::new(2, Tier::Standard).await;
    let put = |n: usize| {
        let replica = crew.replicas[n % 2].clone();
        async move {
            let name = format!("p{n}").parse().unwrap();
            replica.provider_put(by("p"), &name, &ProviderSpec::simulated()).await.unwrap();
        }
    };
    tokio::join!(put(0), put(1), put(2), put(3));
    crew.caught_up(&crew.replicas[0]).await;
    assert_eq!(crew.replicas[0].snapshot().world.providers.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_hears_nothing_polls_and_knows_how_stale_it_is() {
    let crew = Crew::new(2, Tier::Standard).await;
    let second = &crew.replicas[1];
    assert_eq!(second.freshness().stale_ms(), 0);
    crew.store.fail_reads(true);
    crew.clock.0.fetch_add(3_000, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(second.freshness().stale_ms() >= 3_000);
    crew.store.fail_reads(false);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(second.freshness().stale_ms(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_another_takes_over() {
    let crew = Crew::new(2, Tier::Standard).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let leads = |n: usize| crew.replicas[n].standing_here().leads();
    assert!(leads(0) != leads(1), "one leads");
    let (old, new) = if leads(0) { (0, 1) } else { (1, 0) };
    crew.replicas[old].resign().await;
    assert!(!leads(old));
    // While it drains, nobody else stands, and nothing makes it lead again.
    leader::ask(&crew.replicas[old].inner).await;
    assert!(!leads(old), "it resigned for good");
    assert_eq!(crew.store.lead().await.unwrap(), Some(Term(2)), "the lead is free");
    crew.store.depose();
    leader::ask(&crew.replicas[new].inner).await;
    assert!(leads(new));
}

#[tokio::test(start_paused = true)]
async fn who_never_leads_leaves_it_to_others() {
    let mut crew = Crew::empty(0).await;
    crew.try_join("copy", None, false).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(crew.replicas[0].standing_here(), Standing::Follows);
    assert!(crew.replicas[0].never_leads());
    crew.join("other").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(crew.replicas[1].standing_here().leads() && !crew.replicas[1].never_leads());
    assert_eq!(crew.replicas[0].standing_here(), Standing::Follows);
}

#[tokio::test(start_paused = true)]
async fn who_never_leads_does_not_where_the_store_is_its_own_either() {
    let options = |leads| Options {
        store: Arc::new(Memory::new()),
        clock: Arc::new(ManualClock(AtomicU64::new(START.0))),
        entropy: Arc::new(Counted::new()),
        catalogue: Layers::of(catalogue()),
        vectors_folder: None,
        notebook: None,
        spool: None,
        stale_ms_max: crate::runs::STALE_MS_MAX,
        leads,
    };
    let (usual, _) = Control::open(options(true)).await.unwrap();
    assert_eq!(usual.standing_here(), Standing::Alone);
    let (copy, _) = Control::open(options(false)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(copy.standing_here(), Standing::Follows);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_slept_changes_nothing() {
    let crew = Crew::new(2, Tier::Standard).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let leads = |n: usize| crew.replicas[n].standing_here().leads();
    let (old, new) = if leads(0) { (0, 1) } else { (1, 0) };
    let Standing::Leads(term) = crew.replicas[old].standing_here() else { panic!("it leads") };
    // Its connection went while it slept, and another took over.
    crew.store.depose();
    leader::ask(&crew.replicas[new].inner).await;
    let Standing::Leads(newest) = crew.replicas[new].standing_here() else { panic!("it leads") };
    assert!(newest > term);
    let act = |term| By {
        actor: Actor::System,
        reason: "conducting".to_owned(),
        idempotency: None,
        term: Some(term),
    };
    let name = "late".parse().unwrap();
    match crew.replicas[old].provider_put(act(term), &name, &ProviderSpec::simulated()).await {
        Err(CommitError::Fenced(by)) => assert_eq!(by, newest),
        other => panic!("a leader of the past acted: {other:?}"),
    }
    assert!(matches!(
        crew.replicas[old].provider_put(act(Term(0)), &name, &ProviderSpec::simulated()).await,
        Err(CommitError::Fenced(_))
    ));
    crew.replicas[new].provider_put(act(newest), &name, &ProviderSpec::simulated()).await.unwrap();
}
