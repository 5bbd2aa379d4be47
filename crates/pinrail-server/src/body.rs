//! The body of an answer, whichever side of the server wrote it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::in_flight::Flight;

/// A body, counted as in flight until it has ended or was dropped.
pub struct Body {
    kind: Kind,
    _flight: Flight,
}

enum Kind {
    Gateway(pinrail_gateway::Body),
    Api(axum::body::Body),
}

impl Body {
    pub fn gateway(body: pinrail_gateway::Body, flight: Flight) -> Body {
        Body { kind: Kind::Gateway(body), _flight: flight }
    }

    pub fn api(body: axum::body::Body, flight: Flight) -> Body {
        Body { kind: Kind::Api(body), _flight: flight }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.get_mut().kind {
            Kind::Gateway(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            Kind::Api(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Gateway(body) => body.is_end_stream(),
            Kind::Api(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Gateway(body) => body.size_hint(),
            Kind::Api(body) => body.size_hint(),
        }
    }
}
