//! `GET /api/v1/members?after=&limit=`: who follows, who is behind, who is gone.

use pinrail_api::Page;
use pinrail_api::members::Member;
use pinrail_api::problem::Problem;
use pinrail_control::members::{Shown, State};
use pinrail_domain::member::MemberId;
use serde::Deserialize;

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

/// Which members.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub after: Option<MemberId>,
    pub limit: Option<usize>,
}

pub async fn list(call: Call) -> Answer {
    let query = call.query()?;
    reply::json(&gather(&call, query).await?)
}

/// A page of them.
pub async fn gather(call: &Call, query: Query) -> Result<Page<Member>, Problem> {
    let Query { after, limit } = query;
    let limit = call.page(limit)?;
    let members = call.control().members().list().await.map_err(|error| problem::store(&error))?;
    // By name, which several may share: the page goes on behind the member that the one before ended with.
    let from =
        after.and_then(|after| members.iter().position(|shown| shown.member == after)).map_or(0, |at| at + 1);
    let items: Vec<Member> = members.into_iter().skip(from).take(limit + 1).map(member).collect();
    Ok(Page::cut(items, limit, |member| member.member.to_string()))
}

fn member(shown: Shown) -> Member {
    let (state, behind, for_ms) = match shown.state {
        State::Fresh => ("fresh", 0, None),
        State::Behind { epochs, for_ms } => ("behind", epochs, Some(for_ms)),
        State::Lapsed { for_ms } => ("lapsed", 0, Some(for_ms)),
    };
    Member {
        member: shown.member,
        name: shown.name,
        kind: shown.kind,
        generation: shown.generation,
        acknowledged: shown.acknowledged,
        state: state.to_owned(),
        behind,
        for_ms,
        fenced: shown.fenced,
        lease_ms: shown.lease_ms,
        lease_left_ms: shown.lease_left_ms,
        registered_at: shown.registered_at,
    }
}
