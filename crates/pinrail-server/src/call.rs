//! A request that was let in, as an endpoint sees it.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::Query;
use bytes::Bytes;
use http::header::HeaderName;
use http::request::Parts;
use pinrail_api::problem::{Code, Problem};
use pinrail_control::keys::Caller;
use pinrail_control::readiness::Surroundings;
use pinrail_control::{By, Control, Idempotency};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{Generation, IdempotencyKey, RunId, TenantId};
use pinrail_domain::key::{TenantRefused, Tenants};
use pinrail_domain::member::MemberId;
use pinrail_store::AnswerKey;
use pinrail_wire::json::check_depth;
use serde::de::DeserializeOwned;

use crate::problem;
use crate::state::State;

/// A request that was let in.
#[derive(Clone)]
pub struct Call {
    pub state: Arc<State>,
    /// None only on a public route.
    pub caller: Option<Caller>,
    pub params: Vec<(String, String)>,
    pub head: Parts,
    pub body: Bytes,
}

/// Names the tenant that a call is for.
pub const TENANT: HeaderName = HeaderName::from_static("x-pinrail-tenant");
/// Names the member that a write comes from: it is refused when that member no longer counts.
pub const MEMBER: HeaderName = HeaderName::from_static("x-pinrail-member");
/// Which registration of that member's name.
pub const GENERATION: HeaderName = HeaderName::from_static("x-pinrail-member-generation");
/// Makes a mutation happen once, however often it is sent.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl Call {
    pub fn control(&self) -> &Control {
        &self.state.control
    }

    /// Why a run isn't there: retention may have dropped it. Nothing is told by it of other tenants' runs, as it goes by the id alone (I11).
    pub fn no_run(&self, run: RunId) -> Problem {
        problem::no_run(run, self.control().snapshot().world.journals.took(run))
    }

    pub fn caller(&self) -> &Caller {
        self.caller.as_ref().expect("only public routes have no caller, and they don't ask")
    }

    /// A part of the path, as the pattern names it.
    pub fn param<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, Problem> {
        let text = self.text(name);
        text.parse().map_err(|error| bad_name(format!("{name} in the path: {error}")))
    }

    /// A part of the path, as it is written.
    pub fn text(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).expect("the route's pattern names it")
    }

    /// The query's parameters. An unknown one is refused by its name.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        match Query::<T>::try_from_uri(&self.head.uri) {
            Ok(Query(query)) => Ok(query),
            Err(rejection) => {
                let detail = crate::problem::chain(&rejection);
                Err(Problem::new(Code::BadRequest, detail.to_lowercase())
                    .next_step("GET /openapi.json lists the parameters of each address"))
            }
        }
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let bad = |detail: String| {
            Problem::new(Code::BadRequest, detail)
                .next_step("GET /openapi.json names the body; docs/api.md shows one")
        };
        check_depth(&self.body, self.state.limits.json_depth_max).map_err(|error| bad(error.to_string()))?;
        serde_json::from_slice(&self.body).map_err(|error| bad(format!("the body is refused: {error}")))
    }

    /// The body as JSON where there may be none.
    pub fn json_or_default<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.body.is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// What the control plane can't know by itself.
    pub fn surroundings(&self) -> Surroundings {
        let missing = (self.state.missing_keys)();
        let keyless_providers = missing.into_iter().filter_map(|key| key.provider.parse().ok()).collect();
        Surroundings { keyless_providers, called: Vec::new() }
    }

    /// Who changes something, and why.
    pub fn by(&self, reason: String) -> Result<By, Problem> {
        Ok(By { actor: self.caller().actor.clone(), reason, idempotency: self.idempotency()?, term: None })
    }

    /// The caller's promise that this is the same request, with all that decides what the request means.
    pub fn idempotency(&self) -> Result<Option<Idempotency>, Problem> {
        let Some(key) = self.header(&IDEMPOTENCY_KEY)? else { return Ok(None) };
        let key: IdempotencyKey =
            key.parse().map_err(|error| bad_name(format!("header idempotency-key: {error}")))?;
        let place = self.head.uri.path_and_query().map_or("/", |place| place.as_str());
        let tenant = self.header(&TENANT)?.unwrap_or_default();
        let mut request = format!("{} {place}\n{tenant}\n", self.head.method).into_bytes();
        request.extend_from_slice(&self.body);
        let key = AnswerKey { caller: self.caller().id(), key };
        Ok(Some(Idempotency { key, request: Digest::of(&request) }))
    }

    /// The tenants whose runs this call may see: the caller's, or of those the one that the header names (I11).
    pub fn tenants(&self) -> Result<Tenants, Problem> {
        let own = &self.caller().tenants;
        match self.named_tenant()? {
            Some(tenant) => {
                let tenant = own.choose(Some(tenant)).map_err(tenant_refused)?;
                Ok(Tenants::Only([tenant].into()))
            }
            None => Ok(own.clone()),
        }
    }

    /// The tenant that the call is for: `named` in the body, else in the header, else the key's only one.
    pub fn tenant(&self, named: Option<TenantId>) -> Result<TenantId, Problem> {
        let named = match named {
            Some(tenant) => Some(tenant),
            None => self.named_tenant()?,
        };
        self.caller().tenants.choose(named).map_err(tenant_refused)
    }

    /// How many items the caller wants at once.
    pub fn page(&self, asked: Option<usize>) -> Result<usize, Problem> {
        let max = self.state.limits.page_max;
        match asked {
            None => Ok(self.state.limits.page_default),
            Some(limit) if (1..=max).contains(&limit) => Ok(limit),
            Some(limit) => {
                Err(Problem::new(Code::BadRequest, format!("limit is {limit}; it must be 1 to {max}"))
                    .next_step("stay within that, and follow `next` for the rest (--before, --after)"))
            }
        }
    }

    /// The member that the call names, and the generation that it says it is.
    pub fn member(&self) -> Result<Option<(MemberId, Option<Generation>)>, Problem> {
        let Some(member) = self.header(&MEMBER)? else { return Ok(None) };
        let member = member.parse().map_err(|error| bad_name(format!("header {MEMBER}: {error}")))?;
        let generation = self.header(&GENERATION)?.map(|text| {
            text.parse().map(Generation).map_err(|_| bad_name(format!("header {GENERATION}: not a number")))
        });
        Ok(Some((member, generation.transpose()?)))
    }

    fn named_tenant(&self) -> Result<Option<TenantId>, Problem> {
        let named = self.header(&TENANT)?;
        named
            .map(|text| text.parse().map_err(|error| bad_name(format!("header {TENANT}: {error}"))))
            .transpose()
    }

    pub fn header(&self, name: &HeaderName) -> Result<Option<&str>, Problem> {
        let mut values = self.head.headers.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        match (value.to_str(), values.next()) {
            (Ok(text), None) => Ok(Some(text.trim())),
            (Err(_), _) | (_, Some(_)) => {
                Err(bad_name(format!("header {name} must be there once, in visible ASCII")))
            }
        }
    }
}

/// The problem of a name that breaks its rules.
pub fn bad_name(detail: String) -> Problem {
    Problem::new(Code::BadName, detail).next_step("correct the name and send the request again")
}

fn tenant_refused(refused: TenantRefused) -> Problem {
    Problem::new(Code::Forbidden, refused.to_string())
        .next_step("name a tenant of this key (--tenant, or x-pinrail-tenant), or use a key of that tenant")
}
