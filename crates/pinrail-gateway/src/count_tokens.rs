//! `POST /v1/messages/count_tokens`: how many tokens a request has with the release applied, where the provider can tell.
//!
//! Nothing is generated, so no run begins and nothing is journaled: the release is looked up as for a call, and that is all.

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use pinrail_domain::key::Tenants;
use pinrail_domain::provider::Api;
use pinrail_wire::Dialect;

use crate::body::Body;
use crate::call::{self, dialect_of, passed_on, redirected};
use crate::failure::{FAULT, Failure, fault_value};
use crate::gateway::Shared;
use crate::identity::Identity;
use crate::intake;
use crate::prepared::{Applied, Wanted};
use crate::stamped;
use crate::trail::Trail;
use crate::upstream::answer::{Answer, Question};
use crate::upstream::headers;
use crate::upstream::target::{Endpoint, Target};

/// Counts.
pub async fn count<B>(
    shared: &Arc<Shared>,
    request: Request<B>,
    tenants: &Tenants,
) -> Result<Response<Body>, Failure>
where
    B: http_body::Body<Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let limits = &shared.limits;
    let place = shared.places.take();
    let mut place =
        place.ok_or_else(|| Failure::busy("the number of calls at once", limits.calls_max as u64))?;
    let (head, body) = request.into_parts();
    let bytes = intake::read(&head.headers, body, limits, &mut place).await?;
    let request = Dialect::Messages.parse(&bytes).map_err(|error| call::unreadable(&error))?;
    let Identity { call, variables, follows: _ } = Identity::read(&head.headers, &request, tenants, shared)?;
    let begun = Arc::new(shared.runs.peek(call).await?);
    let spec = &begun.provider;
    if !spec.speaks(Api::Messages) {
        let message = format!(
            "the release's provider `{}` counts no tokens of Anthropic's messages; count them with a tokenizer of its model",
            begun.stamp.provider
        );
        return Err(Failure::client(StatusCode::NOT_IMPLEMENTED, "tokens_not_counted", message));
    }
    let wanted = Wanted {
        contract: &begun.contract,
        params: &begun.contract.manifest.model.params,
        dialect: Dialect::Messages,
        written_for: dialect_of(spec.spoken()[0]),
        provider: &begun.stamp.provider,
        snapshot: &begun.stamp.snapshot,
        part: &spec.catalogue,
    };
    let prepared = shared.releases.get(&wanted, &shared.catalogue.load(), limits);
    let prepared = prepared.map_err(|unusable| call::release_unusable(&unusable))?;
    let upstream = shared.upstreams.get(&begun.stamp.provider, spec)?;
    let credential = upstream.credential(&*shared.secrets)?;
    let model = upstream.model_name(&begun.stamp.snapshot);
    let applied = prepared.apply_to_count(&request, model, &variables).map_err(call::unapplied)?;
    let Applied { body, withheld: _ } = applied;
    // Nothing is kept of it.
    let mut trail = Trail::unkept(Arc::clone(shared), Arc::clone(&begun));
    let question = Question {
        upstream: &upstream,
        credential: &credential,
        target: Target { endpoint: Endpoint::CountTokens, model, stream: false },
        headers: headers::outgoing(&head.headers, &credential, Endpoint::CountTokens),
        body: Bytes::from(body),
        limits,
        health: &shared.healths.of(&begun.stamp.provider, &begun.stamp.snapshot),
        clock: &*shared.clock,
        others: false,
    };
    let Answer::Whole { head, body } = question.ask(&mut trail).await.outcome? else {
        return Err(call::nonsense(
            "the provider answered with a stream to a question for a number".to_owned(),
        ));
    };
    if head.status.is_redirection() {
        return Err(redirected(head.status));
    }
    let fault = (!head.status.is_success()).then(|| call::fault_of(head.status));
    let mut response = passed_on(head, Body::whole(credential.clean(body)), &credential);
    if let Some(fault) = fault {
        response.headers_mut().insert(FAULT, fault_value(fault));
    }
    stamped::put_release(response.headers_mut(), &begun);
    Ok(response)
}
