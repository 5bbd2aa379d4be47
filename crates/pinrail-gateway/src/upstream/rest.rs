//! What is still to come of a provider's stream, in the dialect it was asked in.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// A provider's stream behind its first chunk.
pub struct Rest {
    incoming: Incoming,
}

/// Why a stream goes on no further.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error(transparent)]
    Connection(hyper::Error),
}

impl Rest {
    pub fn new(incoming: Incoming) -> Rest {
        Rest { incoming }
    }
}

impl Body for Rest {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Pin::new(&mut self.incoming).poll_frame(cx).map_err(Broken::Connection)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
