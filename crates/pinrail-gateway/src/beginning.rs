//! Begins a call's run, also when the client leaves meanwhile.
//!
//! A stamp may be on its way to the disk when the client goes. Were it forgotten, its run would stay open for ever
//! and keep its deployment from draining. So the beginning is seen through, and the run then ends as cancelled.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pinrail_domain::time::Ticks;

use crate::gateway::Shared;
use crate::places::Place;
use crate::port::{BeginError, Begun, Call};
use crate::trail::Trail;

/// A run that is being begun.
pub struct Beginning {
    /// None when it is over.
    under_way: Option<UnderWay>,
    /// Since when its stamp is waited for; none where it was there at once.
    waits: Option<Ticks>,
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
        let under_way = UnderWay { shared: Arc::clone(shared), begin, arrived, place };
        Beginning { under_way: Some(under_way), waits: None }
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
        let this = &mut *self;
        let under_way = this.under_way.as_mut().expect("it is not polled after its end");
        let Poll::Ready(outcome) = under_way.begin.as_mut().poll(cx) else {
            this.waits.get_or_insert_with(|| under_way.shared.clock.ticks());
            return Poll::Pending;
        };
        if let Some(since) = this.waits {
            let shared = &under_way.shared;
            shared.telemetry.stamp_waited(shared.clock.ticks().us_since(since));
        }
        let under_way = this.under_way.take().expect("it was there just now");
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
