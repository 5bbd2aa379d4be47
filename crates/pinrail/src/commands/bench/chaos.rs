//! Whether the promises hold when things break: replicas as processes over a PostgreSQL of their own, clients that remember
//! what was acknowledged, and a seeded plan of what is killed, paused, cut off or filled up.
//!
//! After each fault everything comes to rest and every replica is held against what clients know ([`verify`]). The seed
//! repeats the plan; what each request meets depends on the machine, so a run is evidence and not a proof.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use self::disk::SmallDisk;
use self::fleet::Replica;
use self::plan::{Fault, Plan, Step};
use self::record::Answers;
use self::server::{Postgres, Programs};
use self::traffic::World;
use self::verify::Looked;
use super::{Bench, process};
use crate::config;
use crate::exit;
use crate::output::table::table;
use crate::output::{Output, talk};

mod ask;
mod disk;
pub(super) mod fleet;
mod plan;
mod record;
pub(super) mod server;
mod strike;
mod traffic;
mod verify;

/// What to break.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(id = "chaos-wish")]
pub struct Wish {
    /// Chaos: which plan of faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Chaos: how many replicas
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=16))]
    replicas: u8,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Told {
    seed: u64,
    faults: Vec<Survived>,
    /// Faults that this machine doesn't allow, and why.
    skipped: Vec<String>,
    answers: Answers,
    looked: Looked,
    terms: usize,
    violations: Vec<String>,
}

/// One fault, and how it was taken.
#[derive(Debug, Serialize)]
struct Survived {
    fault: Fault,
    whom: String,
    /// Until all replicas were ready and showed the same, after it was over.
    ready_ms: Option<u64>,
    answers: Answers,
    /// How many rollbacks were asked for meanwhile.
    rollbacks: usize,
    /// The longest that one of them took until it was in force, refusals and lost connections included, but not what its operator
    /// waited at a replica while that was stopped.
    rollback_ms: Option<u64>,
    /// Whom that one's operator asked, in turn; the last one carried it out.
    rollback_asked: Vec<String>,
    /// How often its operator asked.
    rollback_tries: u32,
    /// The longest that an operator waited at a stopped replica, with the same rollback or another.
    rollback_stopped_ms: u64,
    looked: Looked,
    violations: usize,
}

/// Everything that can break.
struct Stage {
    /// Takes writes.
    first: Postgres,
    /// Follows it.
    second: Option<Postgres>,
    replicas: Vec<Replica>,
    disk: Result<SmallDisk, String>,
    /// Whether the server that takes writes is on the small disk.
    on_small_disk: bool,
    folder: PathBuf,
    servers_made: usize,
    /// Where the next standby listens: replicas know two addresses.
    spare_port: u16,
}

/// How long it lasts unless told.
const LONG: Duration = Duration::from_secs(600);
/// How long replicas may take to be ready after a fault.
const READY: Duration = Duration::from_secs(60);
/// Violations that are shown: what breaks once usually breaks often.
const SHOWN_MAX: usize = 40;
/// Longer than a lease.
const PAUSE: Duration = Duration::from_secs(20);
const PAUSE_QUICK: Duration = Duration::from_secs(8);

/// Breaks things, prints what came of it, and fails if a promise was broken.
pub async fn run(
    bench: &Bench,
    wish: Wish,
    lasting: Option<Duration>,
    out: Output,
) -> anyhow::Result<ExitCode> {
    let folder = bench.folder()?;
    let programs = Programs::find(config::variable("PATH").as_deref())?;
    talk("making PostgreSQL, a standby and replicas …");
    let mut stage = Stage::set(programs, folder.path(), wish).await?;
    let world = Arc::new(World::new(wish.seed, &stage.replicas));
    world.set_up().await?;
    let everybody = world.populate();
    let pause = if bench.quick { PAUSE_QUICK } else { PAUSE };
    let plan = Plan::new(wish.seed, stage.replicas.len(), pause);
    // A short run is one round; a long one goes on until its time is over.
    let rounds = lasting.is_none() && bench.quick;
    let until = process::now() + lasting.unwrap_or(LONG);
    let (mut faults, mut skipped) = (Vec::new(), Vec::new());
    for (n, step) in plan.enumerate() {
        if if rounds { n >= plan::round_len() } else { process::now() >= until } {
            break;
        }
        match stage.allows(step.fault) {
            Ok(()) => faults.push(survive(&mut stage, &world, step).await?),
            Err(why) => {
                let told = format!("{}: {why}", step.fault.words());
                if !skipped.contains(&told) {
                    talk(&format!("skipped {told}"));
                    skipped.push(told);
                }
            }
        }
    }
    world.come_to_rest().await;
    let looked = verify::verify(&world, true).await;
    world.stop();
    everybody.join_all().await;
    let told = {
        let record = world.record.lock();
        Told {
            seed: wish.seed,
            faults,
            skipped,
            answers: record.answers,
            looked,
            terms: record.leaders.len(),
            violations: record.violations.iter().cloned().collect(),
        }
    };
    out.value(&told, || told.words())?;
    Ok(exit::verdict(told.violations.is_empty()))
}

/// Lets one fault happen, and holds everybody against what clients know.
async fn survive(stage: &mut Stage, world: &Arc<World>, step: Step) -> anyhow::Result<Survived> {
    tokio::time::sleep(step.calm).await;
    let (answers, violations) = {
        let mut record = world.record.lock();
        record.rollbacks.clear();
        (record.answers, record.violations.len())
    };
    talk(&format!("{} …", step.fault.words()));
    let whom = stage.strike(step).await?;
    let ready = fleet::ready(&mut stage.replicas, READY).await?;
    if ready.is_none() {
        let logs: Vec<String> = stage.replicas.iter().map(|replica| fleet::tail(&replica.log())).collect();
        world.record.violated(format!("not ready {READY:?} after {}: {logs:?}", step.fault.words()));
    }
    world.come_to_rest().await;
    if fleet::ready(&mut stage.replicas, READY).await?.is_none() {
        world.record.violated(format!("replicas don't agree {READY:?} after {}", step.fault.words()));
    }
    let looked = verify::verify(world, false).await;
    let survived = {
        let record = world.record.lock();
        let slowest = record.rollbacks.iter().max_by_key(|rollback| rollback.took_ms);
        let undone = record.rollbacks.iter().filter(|rollback| !rollback.done).count();
        Survived {
            fault: step.fault,
            whom,
            ready_ms: ready.map(|ready| ready.as_millis() as u64),
            answers: record.answers.since(answers),
            rollbacks: record.rollbacks.len(),
            rollback_ms: slowest.filter(|_| undone == 0).map(|rollback| rollback.took_ms),
            rollback_asked: slowest.map(|rollback| rollback.asked.clone()).unwrap_or_default(),
            rollback_stopped_ms: record
                .rollbacks
                .iter()
                .map(|rollback| rollback.stopped_ms)
                .max()
                .unwrap_or(0),
            rollback_tries: slowest.map_or(0, |rollback| rollback.tries),
            looked,
            violations: record.violations.len() - violations,
        }
    };
    stage.mend().await?;
    world.go_on();
    Ok(survived)
}

impl Told {
    fn words(&self) -> String {
        let header = [
            "fault",
            "whom",
            "ready again",
            "done",
            "refused",
            "lost",
            "slowest rollback",
            "looked at",
            "violations",
        ];
        let rows = self.faults.iter().map(Survived::row).collect();
        let Answers { done, refused, lost } = self.answers;
        let Looked { runs, notes, turns, deployments } = self.looked;
        let mut text = table(&header, rows, "nothing was broken");
        text.push_str(&format!(
            "\n\n{done} requests done, {refused} refused with a reason, {lost} without an answer; {} terms\nat the end, all of \
             it: {runs} runs, {notes} events, {turns} turns, {deployments} deployments\n",
            self.terms
        ));
        for skipped in &self.skipped {
            text.push_str(&format!("SKIPPED {skipped}\n"));
        }
        for violation in self.violations.iter().take(SHOWN_MAX) {
            text.push_str(&format!("VIOLATED {violation}\n"));
        }
        if self.violations.len() > SHOWN_MAX {
            text.push_str(&format!("… and {} more: --json shows all\n", self.violations.len() - SHOWN_MAX));
        }
        let seed = self.seed;
        text.push_str(&match self.violations.len() {
            0 => format!("every promise held (seed {seed})"),
            count => format!("{count} VIOLATIONS; the same plan again: `pinrail bench chaos --seed {seed}`"),
        });
        text
    }
}

impl Survived {
    fn row(&self) -> Vec<String> {
        let Looked { runs, notes, turns, .. } = self.looked;
        let Answers { done, refused, lost } = self.answers;
        let by = self.rollback_asked.last().map(String::as_str).unwrap_or_default();
        let mut rollback = match (self.rollback_ms, self.rollback_tries) {
            (_, 0) => "none asked for".to_owned(),
            (None, _) => "not known to be done".to_owned(),
            (Some(ms), 1) => format!("{ms} ms by {by}, of {}", self.rollbacks),
            (Some(ms), tries) => format!("{ms} ms by {by}, of {}, {tries} tries", self.rollbacks),
        };
        if self.rollback_stopped_ms > 0 {
            rollback.push_str(&format!("; {} ms waited at the stopped one", self.rollback_stopped_ms));
        }
        vec![
            self.fault.words().to_owned(),
            self.whom.clone(),
            self.ready_ms.map_or_else(|| "NO".to_owned(), |ms| format!("{ms} ms")),
            done.to_string(),
            refused.to_string(),
            lost.to_string(),
            rollback,
            format!("{runs} runs, {notes} events, {turns} turns"),
            self.violations.to_string(),
        ]
    }
}
