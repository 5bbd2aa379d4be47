//! What breaks, in which order, and whom it strikes: all of it from the seed.

use std::time::Duration;

use serde::Serialize;

use super::super::stats::dice::Dice;

/// Something that breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// `kill -9`, and started again.
    ReplicaKilled,
    /// Stopped for longer than its lease, and woken up.
    ReplicaPaused,
    /// `kill -9` of the server that takes writes, and started again.
    PostgresKilled,
    /// All connections closed by the server, several times, in the middle of whatever they do.
    ConnectionsCut,
    /// No room left, and then room again.
    DiskFull,
    /// The server that takes writes is killed for good, its standby takes over.
    FailedOver,
}

/// One step of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub fault: Fault,
    /// Which replica it strikes, where it strikes one.
    pub replica: usize,
    /// How long everything is well before.
    pub calm: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

/// Steps without an end.
pub struct Plan {
    dice: Dice,
    replicas: usize,
    pause: Duration,
    bag: Vec<Fault>,
}

/// In the first round each comes once. A full disk comes before the failover: the small disk is the first server's.
const ROUND: [Fault; 6] = [
    Fault::ReplicaKilled,
    Fault::ReplicaPaused,
    Fault::PostgresKilled,
    Fault::ConnectionsCut,
    Fault::DiskFull,
    Fault::FailedOver,
];

impl Plan {
    /// `pause` is how long a paused replica sleeps.
    pub fn new(seed: u64, replicas: usize, pause: Duration) -> Plan {
        Plan { dice: Dice::new(seed), replicas, pause, bag: Vec::new() }
    }

    /// One of `len`, evenly.
    fn one_of(&mut self, len: usize) -> usize {
        ((self.dice.part() * len as f64) as usize).min(len.saturating_sub(1))
    }

    fn draw(&mut self) -> Fault {
        if self.bag.is_empty() {
            self.bag = ROUND.to_vec();
        }
        let drawn = loop {
            let drawn = self.one_of(self.bag.len());
            if self.bag[drawn] != Fault::FailedOver || !self.bag.contains(&Fault::DiskFull) {
                break drawn;
            }
        };
        self.bag.remove(drawn)
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let fault = self.draw();
        let replica = self.one_of(self.replicas);
        let calm = Duration::from_millis(1_000 + (self.dice.part() * 1_500.0) as u64);
        let lasts = match fault {
            Fault::ReplicaPaused => self.pause,
            Fault::DiskFull => Duration::from_secs(6),
            Fault::ReplicaKilled | Fault::PostgresKilled | Fault::ConnectionsCut | Fault::FailedOver => {
                Duration::from_millis(500 + (self.dice.part() * 1_500.0) as u64)
            }
        };
        Some(Step { fault, replica, calm, lasts })
    }
}

impl Fault {
    pub fn words(self) -> &'static str {
        match self {
            Fault::ReplicaKilled => "a replica killed",
            Fault::ReplicaPaused => "a replica paused",
            Fault::PostgresKilled => "PostgreSQL killed",
            Fault::ConnectionsCut => "connections cut",
            Fault::DiskFull => "disk full",
            Fault::FailedOver => "failed over",
        }
    }
}

/// The faults of one round.
pub fn round_len() -> usize {
    ROUND.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_plan_and_each_fault_comes_in_each_round() {
        let plan = |seed| Plan::new(seed, 3, Duration::from_secs(20)).take(30).collect::<Vec<_>>();
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
        for round in plan(3).chunks(ROUND.len()) {
            for fault in ROUND {
                assert!(round.iter().any(|step| step.fault == fault), "{fault:?} in {round:?}");
            }
            let at = |fault| round.iter().position(|step| step.fault == fault);
            assert!(at(Fault::DiskFull) < at(Fault::FailedOver));
            assert!(round.iter().all(|step| step.replica < 3));
        }
    }
}
