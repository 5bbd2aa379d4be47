//! Where a request goes: `/v1/…` straight to the gateway, everything else to the API's router.
//!
//! A model call meets no router and no middleware: it is authenticated and handed on.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use pinrail_api::problem::Problem;
use pinrail_domain::key::Scope;
use pinrail_gateway::Gateway;
use pinrail_wire::Dialect;
use pinrail_wire::dialect::Told;
use tower::ServiceExt as _;

use crate::auth;
use crate::body::Body;
use crate::in_flight::{Flight, InFlight};
use crate::pages;
use crate::state::State;
use crate::unread;

/// Knows both sides.
pub struct Dispatch {
    pub state: Arc<State>,
    pub gateway: Gateway,
    pub router: Router,
    pub in_flight: InFlight,
}

/// What the gateway answers lies under this.
const GATEWAY: &str = "/v1/";

impl Dispatch {
    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let flight = self.in_flight.begin();
        if !request.uri().path().starts_with(GATEWAY) {
            let request = pages::recognize(request.map(axum::body::Body::new));
            let answered: Result<_, Infallible> = self.router.clone().oneshot(request).await;
            let Ok(response) = answered;
            return response.map(|body| Body::api(body, flight));
        }
        let (headers, uri) = (request.headers(), request.uri());
        let caller = auth::model_caller(&self.state.control, headers, uri)
            .and_then(|caller| auth::require(&caller, &[Scope::Run]).map(|()| caller));
        match caller {
            Ok(caller) => {
                let response = self.gateway.handle(request, &caller.tenants).await;
                response.map(|body| Body::gateway(body, flight))
            }
            Err(problem) => {
                let dialect = pinrail_gateway::dialect(uri.path(), headers);
                unread::discard(request.into_body()).await;
                refuse(&problem, dialect, flight)
            }
        }
    }
}

/// A refusal in the form that model clients read.
fn refuse(problem: &Problem, dialect: Dialect, flight: Flight) -> Response<Body> {
    let message = match &problem.next_step {
        Some(next_step) => format!("{}; {next_step}", problem.detail),
        None => problem.detail.clone(),
    };
    let body = dialect.error_body(&Told {
        status: problem.status,
        message: &message,
        kind: "invalid_request_error",
        code: Some(problem.code.as_str()),
        param: None,
    });
    let mut response = Response::new(Body::api(axum::body::Body::from(body), flight));
    *response.status_mut() = StatusCode::from_u16(problem.status).expect("a code's status is an HTTP status");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-pinrail-fault", HeaderValue::from_static("client"));
    headers.insert("x-should-retry", HeaderValue::from_static("false"));
    if problem.status == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"pinrail\""));
    }
    response
}
