//! Begins a call's run, also when the client leaves meanwhile.
//!
//! A stamp may be on its way to the disk when the client goes. Were it forgotten, its run would stay open for ever
//! and keep its deployment from draining. So the beginning is seen through, and the run then ends as cancelled.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pinrail_domain::time::Ticks;

use crate::gateway::Shared;
use crate::places::Place;
use crate::port::{BeginError, Begun, Call};
use crate::trail::Trail;

/// A run that is being begun.
pub struct Beginning {
    /// None when it is over.
    under_way: Option<UnderWay>,
}

struct UnderWay {
    shared: Arc<Shared>,
    begin: Pin<Box<dyn Future<Output = Result<Begun, BeginError>> + Send>>,
    arrived: Ticks,
    place: Place,
}

impl Beginning {
    pub fn new(shared: &Arc<Shared>, call: Call, arrived: Ticks, place: Place) -> Beginning {
        let runs = Arc::clone(&shared.runs);
        let begin = Box::pin(async move { runs.begin(call).await });
        Beginning { under_way: Some(UnderWay { shared: Arc::clone(shared), begin, arrived, place }) }
    }
}

impl UnderWay {
    fn begun(self, outcome: Result<Begun, BeginError>) -> Result<Trail, BeginError> {
        Ok(Trail::new(self.shared, Arc::new(outcome?), self.arrived, self.place))
    }
}

impl Future for Beginning {
    type Output = Result<Trail, BeginError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let under_way = self.under_way.as_mut().expect("it is not polled after its end");
        let outcome = ready!(under_way.begin.as_mut().poll(cx));
        let under_way = self.under_way.take().expect("it was there just now");
        Poll::Ready(under_way.begun(outcome))
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        let Some(mut under_way) = self.under_way.take() else { return };
        let shared = Arc::clone(&under_way.shared);
        shared.write_late(Box::pin(async move {
            let outcome = under_way.begin.as_mut().await;
            if let Ok(trail) = under_way.begun(outcome) {
                trail.left().await;
            }
        }));
    }
}
