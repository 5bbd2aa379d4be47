//! The one place where tasks begin.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;

/// Starts a task.
pub(crate) fn spawn<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(work)
}

/// Does work that takes long, on a thread where nobody waits for it.
pub(crate) async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Does work of some milliseconds where the caller is: a hop to another thread and back would cost as much again. Where
/// the runtime has other threads, one of them takes over what else waits here.
pub(crate) fn compute_here<T>(work: impl FnOnce() -> T) -> T {
    let has_others = matches!(Handle::current().runtime_flavor(), RuntimeFlavor::MultiThread);
    if has_others { tokio::task::block_in_place(work) } else { work() }
}

/// Does work that must not stop half-way when the caller goes away: a future that is dropped here leaves the
/// work running to its end.
pub(crate) async fn to_the_end<F>(work: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    match spawn(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
