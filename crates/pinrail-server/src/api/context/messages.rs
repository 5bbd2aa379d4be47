//! `GET /api/v1/context/{space}/messages`: the messages that a reader sees, oldest first.
//!
//! A promotion shows messages that were sent earlier, before the `next` of a reader that was here already: who must miss
//! nothing watches the space.

use pinrail_api::context::{Message, Messages};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::state::context::Wanted;
use pinrail_domain::id::{AgentName, StateSeq};
use serde::Deserialize;

use super::{accepts, message, named, resync_of, space};
use crate::call::{Call, bad_name};
use crate::reply::{self, Answer};
use crate::state_call::{Eyes, read_error};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    accepts: Option<String>,
    to: Option<String>,
    kinds: Option<String>,
    #[serde(default)]
    after: StateSeq,
    limit: Option<usize>,
}

pub async fn list(call: Call) -> Answer {
    let (eyes, query) = call.eyes::<Query>().await?;
    let (limit, accepts) = (call.page(query.limit)?, accepts(&call, &eyes, query.accepts.as_deref())?);
    let kinds = query.kinds.iter().flat_map(|kinds| kinds.split(',')).map(str::to_owned).collect();
    let wanted = Wanted { to: to(&eyes, query.to.as_deref())?, kinds };
    let name = named(&call)?;
    let space = space(&call, eyes.tenant)?;
    let states = call.control().states();
    let found = states.message_list(&space, &eyes.reader, &wanted, &accepts, query.after, limit).await;
    let found = found.map_err(read_error)?;
    let items: Vec<Message> =
        found.items.into_iter().map(|(record, said)| message(record, said, &accepts)).collect();
    let resync = items.iter().any(|message| message.unaccepted).then(|| resync_of(&name, &accepts));
    reply::json(&Messages { moment: found.at, items, next: found.next, more: found.more, resync })
}

/// The agent whose messages are wanted: `me`, `all`, or one by name; the reader's own when it is a run, else all.
fn to(eyes: &Eyes, asked: Option<&str>) -> Result<Option<AgentName>, Problem> {
    let me = eyes.run.as_ref().map(|stamp| stamp.agent.clone());
    match (asked, me) {
        (Some("all"), _) | (None, None) => Ok(None),
        (None | Some("me"), Some(me)) => Ok(Some(me)),
        (Some("me"), None) => Err(Problem::new(Code::BadRequest, "to=me needs a run that reads")
            .next_step("name the run (run=…, --run), or the agent (to=planner, --to planner)")),
        (Some(agent), _) => agent.parse().map(Some).map_err(|error| bad_name(format!("to: {error}"))),
    }
}
