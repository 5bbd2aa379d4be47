//! What follows from the rows: heads, and numbers that are given next.

use pinrail_store::transfer::Part;

use super::{Transfer, table};
use crate::failure::Failure;

/// Heads only rise, and so do sequences: what is given next comes after all that was copied. Bindings are numbered by a sequence of whole
/// groups, contents by one that leaves room for a batch.
const SETTLE: &str = "\
    UPDATE pinrail.heads SET state_seq = greatest(state_seq, coalesce((SELECT max(last) FROM pinrail.state_marks), 0)); \
    SELECT setval(pg_get_serial_sequence('pinrail.spaces', 'number'), \
        coalesce((SELECT max(number) FROM pinrail.spaces), 0) + 1, false); \
    SELECT setval(pg_get_serial_sequence('pinrail.state_reads', 'number'), \
        coalesce((SELECT max(number) FROM pinrail.state_reads), 0) + 1, false); \
    SELECT setval('pinrail.state_contents', (SELECT state_seq FROM pinrail.heads) + 1, false); \
    SELECT setval('pinrail.sessions_written', \
        coalesce((SELECT max(written) FROM pinrail.sessions), 0) / 1048576 + 1, false); \
    UPDATE pinrail.run_skew SET later = greatest(run_skew.later, s.later), sooner = greatest(run_skew.sooner, s.sooner) \
    FROM (SELECT max(started_at - ms) AS later, max(ms - started_at) AS sooner FROM (SELECT started_at, \
        ('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint AS ms FROM pinrail.runs) AS r) AS s";

impl Transfer {
    pub(super) async fn settle_all(&self) -> Result<(), Failure> {
        Ok(self.client.batch_execute(SETTLE).await?)
    }

    /// Tells the server's planner what there is.
    pub(super) async fn analyze(&self) -> Result<(), Failure> {
        let tables: Vec<String> = Part::ALL.map(|part| format!("pinrail.{}", table(part))).to_vec();
        let sql = format!("ANALYZE {}, pinrail.state_content, pinrail.state_parents", tables.join(", "));
        Ok(self.client.batch_execute(&sql).await?)
    }
}
