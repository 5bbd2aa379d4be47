//! Having a table for a moment: a short wait for a lock, given up and tried again, so that nobody queues behind it.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

/// How long a try waits for a lock: as long may a statement that comes behind it in the queue be held up.
pub const WAIT_MS: u32 = 200;
/// How often it is tried. With the pauses, about half a minute.
pub const TRIES: u32 = 60;

const PAUSE: Duration = Duration::from_millis(300);

/// Limits every lock of the transaction.
pub fn limit() -> String {
    format!("SET LOCAL lock_timeout = '{WAIT_MS}ms'")
}

/// One statement, whose locks are limited; gives how many rows it changed.
pub async fn within(client: &mut Client, sql: &str) -> Result<u64, Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(&limit()).await?;
    let changed = transaction.execute(sql, &[]).await?;
    transaction.commit().await?;
    Ok(changed)
}

/// Whether a try may be repeated: somebody held the lock, or two waited for each other.
pub fn is_busy(error: &Error) -> bool {
    error
        .code()
        .is_some_and(|code| *code == SqlState::LOCK_NOT_AVAILABLE || *code == SqlState::T_R_DEADLOCK_DETECTED)
}

/// Lets the others go first.
pub async fn pause() {
    tokio::time::sleep(PAUSE).await;
}
