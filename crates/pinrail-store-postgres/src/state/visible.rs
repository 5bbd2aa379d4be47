//! What a reader sees of a space, worked out by the server: the rule of `pinrail_domain::state::view` as
//! `pinrail.visible` says it.

use pinrail_domain::id::{LedgerSeq, StateSeq};
use pinrail_domain::state::Moment;
use pinrail_store::state::{Look, Visible};
use tokio_postgres::types::Type;

use super::{read, spaces};
use crate::Postgres;
use crate::db::{Lane, Param};
use crate::failure::{Failure, integer, limit as sql_limit, number};

/// One statement, and so one state of the world: a view of now ends where the heads were just then.
const VISIBLE: &str = "WITH space AS (SELECT number FROM pinrail.spaces \
     WHERE tenant = $1 AND layer = $2 AND name = $3 AND puts + deletes >= $9), \
     seen AS MATERIALIZED (SELECT v.seq FROM space, pinrail.visible(space.number, $4, $5, $6) AS v) \
     SELECT coalesce($5, h.state_seq), coalesce($6, h.ledger_seq), (SELECT count(*) FROM seen), \
     ARRAY(SELECT seq FROM seen WHERE $7::bigint IS NULL OR seq < $7 ORDER BY seq DESC LIMIT $8) \
     FROM pinrail.heads h WHERE EXISTS (SELECT 1 FROM space)";

pub(super) async fn visible(store: &Postgres, look: &Look<'_>) -> Result<Option<Visible>, Failure> {
    let named = spaces::named(look.space);
    let [tenant, layer, name] = named.params();
    let own = look.own.map(|own| integer(own.0));
    let state = look.at.map(|at| integer(at.state.0));
    let ledger = look.at.map(|at| integer(at.ledger.0));
    let before = look.before.map(|before| integer(before.0));
    let params: [Param<'_>; 9] = [
        tenant,
        layer,
        name,
        (&own, Type::INT8),
        (&state, Type::INT8),
        (&ledger, Type::INT8),
        (&before, Type::INT8),
        (&sql_limit(look.limit), Type::INT8),
        (&integer(look.operations_min), Type::INT8),
    ];
    let Some(row) = store.maybe(Lane::Work, VISIBLE, &params).await? else { return Ok(None) };
    let what = "a view";
    let at = Moment { state: StateSeq(number(&row, 0, what)?), ledger: LedgerSeq(number(&row, 1, what)?) };
    Ok(Some(Visible { at, count: number(&row, 2, what)?, last: read::places_of(&row, 3, what)? }))
}
