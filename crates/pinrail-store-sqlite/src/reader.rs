//! A few connections that only read, on threads where blocking is allowed.
//!
//! Every question begins a new read, so it sees all that was acknowledged before it was asked.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::Failure;

/// The connections; as many questions as there are connections are answered at once, the rest wait.
pub(crate) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    places: Arc<Semaphore>,
    count: u32,
}

/// All connections of some [`Readers`]: nobody reads through them while it lives.
pub(crate) struct Quiet {
    _places: OwnedSemaphorePermit,
}

impl Readers {
    pub(crate) fn new(connections: Vec<Connection>) -> Readers {
        let places = Arc::new(Semaphore::new(connections.len()));
        let count = u32::try_from(connections.len()).expect("there are a few connections");
        Readers { idle: Arc::new(Mutex::new(connections)), places, count }
    }

    /// Waits until every question is answered, and keeps new ones waiting.
    pub(crate) async fn quiet(&self) -> Result<Quiet, Failure> {
        let places = Arc::clone(&self.places).acquire_many_owned(self.count).await;
        Ok(Quiet { _places: places.map_err(|_| Failure::closed())? })
    }

    /// Asks a question.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Failure::closed())?;
        let idle = Arc::clone(&self.idle);
        let asked = tokio::task::spawn_blocking(move || question(&Lent::from(idle, place)));
        match asked.await {
            Ok(answer) => answer,
            Err(stopped) => match stopped.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Failure::closed()),
            },
        }
    }
}

/// A connection that goes back when the question is answered, whatever happens to who asked.
struct Lent {
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
    _place: OwnedSemaphorePermit,
}

impl Lent {
    fn from(idle: Arc<Mutex<Vec<Connection>>>, place: OwnedSemaphorePermit) -> Lent {
        let connection = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Lent { connection, idle, _place: place }
    }
}

impl Deref for Lent {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("there is a connection for every place")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.connection.take());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use pinrail_domain::id::{LedgerSeq, RunId};
    use pinrail_store::conformance::sample::answer;
    use pinrail_store::{Answers as _, Journal as _, Ledger as _};

    use crate::{Options, Sqlite};

    /// I7, I13: what a call or a rollback asks is answered while every list takes its time.
    #[tokio::test]
    async fn long_lists_are_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { readers: 1, ..Options::new(folder.path().join("pinrail.db")) };
        let store = Sqlite::open(options).unwrap();
        let (end, ended) = mpsc::channel::<()>();
        let long = store.readers.ask(move |_| Ok(ended.recv()));
        let quick = async {
            assert_eq!(store.answer_get(&answer("key", "k", 0).key).await.unwrap(), None);
            assert_eq!(store.run_get(RunId(1)).await.unwrap(), None);
            assert!(store.ledger_read(LedgerSeq(0), 1).await.unwrap().is_empty());
            end.send(()).unwrap();
        };
        let (long, ()) = tokio::join!(long, quick);
        long.unwrap().unwrap();
    }
}
