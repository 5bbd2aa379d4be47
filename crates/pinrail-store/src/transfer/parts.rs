//! The parts of a store: what rows they have, and what may become of them.

use Kind::{Bytes, Flag, Id, Number, Places, Short, Small, Text, Vector};

/// Rows of one kind. In the order in which they are copied: what counts others comes after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Artifacts,
    Ledger,
    Records,
    Spaces,
    Written,
    Marks,
    Times,
    Reads,
    Uses,
    Runs,
    Events,
    Sessions,
    Gates,
    GateRows,
    Approvals,
    Deliveries,
    DeadLetters,
    Sightings,
    Watches,
    WatchDays,
    Answers,
}

/// A column of a part's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

/// What a column holds. Every kind may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 64 bits.
    Number,
    /// 32 bits.
    Short,
    /// 16 bits.
    Small,
    Flag,
    Text,
    Bytes,
    /// 16 bytes.
    Id,
    Places,
    Vector,
}

impl Part {
    pub const ALL: [Part; 21] = [
        Part::Artifacts,
        Part::Ledger,
        Part::Records,
        Part::Spaces,
        Part::Written,
        Part::Marks,
        Part::Times,
        Part::Reads,
        Part::Uses,
        Part::Runs,
        Part::Events,
        Part::Sessions,
        Part::Gates,
        Part::GateRows,
        Part::Approvals,
        Part::Deliveries,
        Part::DeadLetters,
        Part::Sightings,
        Part::Watches,
        Part::WatchDays,
        Part::Answers,
    ];

    /// What people call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Artifacts => "artifacts",
            Part::Ledger => "ledger entries",
            Part::Records => "state records",
            Part::Spaces => "spaces",
            Part::Written => "counts by deployment",
            Part::Marks => "marks",
            Part::Times => "times",
            Part::Reads => "reads",
            Part::Uses => "uses",
            Part::Runs => "runs",
            Part::Events => "run events",
            Part::Sessions => "sessions",
            Part::Gates => "gates",
            Part::GateRows => "gate rows",
            Part::Approvals => "approvals",
            Part::Deliveries => "deliveries",
            Part::DeadLetters => "dead letters",
            Part::Sightings => "sightings",
            Part::Watches => "watches",
            Part::WatchDays => "watch days",
            Part::Answers => "answers",
        }
    }

    /// Its columns, the key's first.
    #[must_use]
    pub fn columns(self) -> &'static [Column] {
        match self {
            Part::Artifacts => const { &[c("digest", Bytes), c("bytes", Bytes)] },
            Part::Ledger => const { &[c("seq", Number), c("hash", Bytes), c("entry", Text)] },
            Part::Records => RECORDS,
            Part::Spaces => SPACES,
            Part::Written => {
                const { &[c("deployment", Number), c("space", Number), c("puts", Number), c("deletes", Number)] }
            }
            Part::Marks => const { &[c("ledger", Number), c("last", Number)] },
            Part::Times => const { &[c("chunk", Number), c("earliest", Number)] },
            Part::Reads => READS,
            Part::Uses => USES,
            Part::Runs => RUNS,
            Part::Events => const { &[c("run", Id), c("seq", Short), c("events", Text)] },
            Part::Sessions => SESSIONS,
            Part::Gates => GATES,
            Part::GateRows => GATE_ROWS,
            Part::Approvals => APPROVALS,
            Part::Deliveries => const { &[c("webhook", Text), c("since", Number), c("cursor", Number)] },
            Part::DeadLetters => DEAD_LETTERS,
            Part::Sightings => {
                const { &[c("kind", Small), c("subject", Text), c("at", Number), c("document", Text)] }
            }
            Part::Watches => const { &[c("provider", Text), c("snapshot", Text), c("document", Text)] },
            Part::WatchDays => {
                const { &[c("provider", Text), c("snapshot", Text), c("day", Number), c("document", Text)] }
            }
            Part::Answers => ANSWERS,
        }
    }

    /// How many of the columns, from the first, are the key.
    #[must_use]
    pub fn key(self) -> usize {
        match self {
            Part::Artifacts
            | Part::Ledger
            | Part::Records
            | Part::Spaces
            | Part::Marks
            | Part::Times
            | Part::Reads
            | Part::Runs
            | Part::Gates
            | Part::Approvals => 1,
            Part::Written
            | Part::Events
            | Part::Deliveries
            | Part::Sightings
            | Part::Watches
            | Part::Answers => 2,
            Part::Uses | Part::Sessions | Part::DeadLetters | Part::WatchDays => 3,
            Part::GateRows => 4,
        }
    }

    /// The columns beside the key that tell whether a row is the one that was copied: they change, or prove the rest.
    #[must_use]
    pub fn telling(self) -> &'static [&'static str] {
        match self {
            Part::Artifacts | Part::Reads | Part::Events => &[],
            Part::Ledger => &["hash"],
            Part::Records => &["digest", "kept"],
            Part::Runs => &["status", "summary"],
            Part::Answers => &["request", "at"],
            Part::Spaces
            | Part::Written
            | Part::Marks
            | Part::Times
            | Part::Uses
            | Part::Sessions
            | Part::Gates
            | Part::GateRows
            | Part::Approvals
            | Part::Deliveries
            | Part::DeadLetters
            | Part::Sightings
            | Part::Watches
            | Part::WatchDays => self.changing(),
        }
    }

    /// The columns that change after a row was written. Of records and events only that their content goes (erasure).
    #[must_use]
    pub fn changing(self) -> &'static [&'static str] {
        match self {
            Part::Artifacts | Part::Ledger | Part::Reads => &[],
            Part::Records => &["kept", "salt", "json", "vector"],
            Part::Events => &["events"],
            Part::Spaces => &["puts", "deletes", "newest"],
            Part::Written => &["puts", "deletes"],
            Part::Marks => &["last"],
            Part::Times => &["earliest"],
            Part::Uses => &["times", "last_at"],
            Part::Runs => &["status", "summary"],
            Part::Sessions => &["deployment", "written"],
            Part::Gates => &["status", "document"],
            Part::GateRows => &["settled", "body"],
            Part::Approvals => &["arguments", "expires_at", "approved", "used", "document"],
            Part::Deliveries => &["cursor"],
            Part::DeadLetters => &["attempts", "why", "at"],
            Part::Sightings => &["at", "document"],
            Part::Watches | Part::WatchDays => &["document"],
            Part::Answers => &["request", "status", "body", "at"],
        }
    }

    /// Whether rows may go: by collection, retention or expiry.
    #[must_use]
    pub fn may_shrink(self) -> bool {
        match self {
            Part::Records
            | Part::Written
            | Part::Runs
            | Part::Events
            | Part::Answers
            | Part::Deliveries
            | Part::DeadLetters
            | Part::Sightings => true,
            Part::Artifacts
            | Part::Ledger
            | Part::Spaces
            | Part::Marks
            | Part::Times
            | Part::Reads
            | Part::Uses
            | Part::Sessions
            | Part::Gates
            | Part::GateRows
            | Part::Approvals
            | Part::Watches
            | Part::WatchDays => false,
        }
    }

    /// Rows that are read and written at once: some megabytes at most, or some milliseconds.
    #[must_use]
    pub fn page(self) -> usize {
        match self {
            Part::Artifacts | Part::GateRows => 16,
            Part::Records | Part::Events | Part::Approvals | Part::Answers => 1_000,
            Part::Ledger | Part::Reads | Part::Runs | Part::Gates | Part::Sightings => 2_000,
            Part::Watches | Part::WatchDays | Part::Deliveries | Part::DeadLetters => 1_000,
            Part::Spaces | Part::Written | Part::Marks | Part::Times | Part::Uses | Part::Sessions => 5_000,
        }
    }

    /// Where a column is in a row. Panics on a name that the part doesn't have.
    #[must_use]
    pub fn place(self, name: &str) -> usize {
        let place = self.columns().iter().position(|column| column.name == name);
        place.unwrap_or_else(|| panic!("{} have no column {name}", self.as_str()))
    }

    /// Whether a row's column is read when only what is telling is.
    #[must_use]
    pub fn tells(self, place: usize) -> bool {
        place < self.key() || self.telling().contains(&self.columns()[place].name)
    }
}

const RECORDS: &[Column] = &[
    c("seq", Number),
    c("space", Number),
    c("key", Text),
    c("op", Small),
    c("deployment", Number),
    c("run", Id),
    c("origin", Small),
    c("ledger", Number),
    c("at", Number),
    c("parents", Places),
    c("content_digest", Bytes),
    c("digest", Bytes),
    // Null: it says nothing. 0: what it said was erased. 1: it is there.
    c("kept", Small),
    c("salt", Bytes),
    c("json", Text),
    c("vector", Vector),
];
const SPACES: &[Column] = &[
    c("number", Number),
    c("tenant", Text),
    c("layer", Small),
    c("name", Text),
    c("puts", Number),
    c("deletes", Number),
    c("newest", Number),
];
const READS: &[Column] = &[
    c("number", Number),
    c("run", Id),
    c("agent", Text),
    c("space", Number),
    c("state", Number),
    c("ledger", Number),
    c("records", Places),
];
const USES: &[Column] = &[
    c("space", Number),
    c("agent", Text),
    // 0 reads, 1 writes.
    c("what", Small),
    c("times", Number),
    c("last_at", Number),
];
const RUNS: &[Column] = &[
    c("id", Id),
    c("agent", Text),
    c("tenant", Text),
    c("session", Text),
    c("single", Flag),
    c("deployment", Number),
    c("release", Bytes),
    c("started_at", Number),
    c("queued", Flag),
    c("shadow", Id),
    c("stamp", Text),
    c("status", Small),
    c("summary", Text),
];
const SESSIONS: &[Column] =
    &[c("session", Text), c("agent", Text), c("tenant", Text), c("deployment", Number), c("written", Number)];
const GATES: &[Column] = &[
    c("id", Id),
    c("agent", Text),
    c("deployment", Number),
    c("candidate", Bytes),
    c("incumbent", Bytes),
    c("created_at", Number),
    c("status", Small),
    c("document", Text),
];
const GATE_ROWS: &[Column] = &[
    c("gate", Id),
    c("case_digest", Bytes),
    c("repeat", Number),
    c("release", Bytes),
    c("settled", Flag),
    c("body", Bytes),
];
const APPROVALS: &[Column] = &[
    c("id", Id),
    c("call_key", Bytes),
    c("run", Id),
    c("agent", Text),
    c("tenant", Text),
    c("tool", Text),
    c("arguments", Text),
    c("until_decided", Flag),
    c("expires_at", Number),
    c("approved", Flag),
    c("used", Flag),
    c("document", Text),
];
const DEAD_LETTERS: &[Column] = &[
    c("webhook", Text),
    c("since", Number),
    c("seq", Number),
    c("attempts", Number),
    c("why", Text),
    c("at", Number),
];
const ANSWERS: &[Column] = &[
    c("key", Text),
    c("caller", Text),
    c("request", Bytes),
    c("status", Short),
    c("body", Text),
    c("at", Number),
];

const fn c(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}
