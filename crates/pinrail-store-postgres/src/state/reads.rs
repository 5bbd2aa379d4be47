//! Who read what, and who uses which space.

use pinrail_domain::id::{AgentName, LedgerSeq, RunId, StateSeq, TenantId};
use pinrail_domain::state::{Moment, Space};
use pinrail_domain::time::Timestamp;
use pinrail_store::state::{Read, Seen, Use};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{read, spaces};
use crate::Postgres;
use crate::db::{Lane, Param};
use crate::failure::{Failure, column, integer, limit as sql_limit, number};

/// Uses are written in one order by everybody, so that nobody waits in a circle.
const NOTE: &str = "WITH noted AS (INSERT INTO pinrail.state_reads (run, agent, space, state, ledger, records) \
     SELECT r.run, r.agent, r.space, r.state, r.ledger, r.records::bigint[] \
     FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[]) \
     WITH ORDINALITY AS r (run, agent, space, state, ledger, records, place) ORDER BY r.place) \
     INSERT INTO pinrail.state_uses AS u (space, agent, what, times, last_at) \
     SELECT r.space, r.agent, 0, count(*), $7 FROM unnest($3::bigint[], $2::text[]) AS r (space, agent) \
     GROUP BY r.space, r.agent ORDER BY r.space, r.agent \
     ON CONFLICT (space, agent, what) DO UPDATE \
     SET times = u.times + excluded.times, last_at = greatest(u.last_at, excluded.last_at)";
const OF_SPACE: &str = "SELECT run, agent, state, ledger, records FROM pinrail.state_reads \
     WHERE space = (SELECT number FROM pinrail.spaces WHERE tenant = $1 AND layer = $2 AND name = $3) AND state >= $4 \
     ORDER BY number LIMIT $6 OFFSET $5";
const USES: &str = "SELECT tenant, layer, name, agent, coalesce(sum(times) FILTER (WHERE what = 0), 0)::bigint, \
     coalesce(sum(times) FILTER (WHERE what = 1), 0)::bigint, max(last_at) \
     FROM pinrail.state_uses JOIN pinrail.spaces ON number = space WHERE $1::text[] IS NULL OR tenant = ANY ($1) \
     GROUP BY tenant, layer, name, agent ORDER BY tenant, layer, name, agent";

/// Reads to note, as columns.
pub(super) struct Noting<'a> {
    runs: Vec<Uuid>,
    agents: Vec<&'a str>,
    spaces: Vec<i64>,
    states: Vec<i64>,
    ledgers: Vec<i64>,
    /// For each, the places that it saw, if it didn't see all.
    records: Vec<Option<String>>,
    at: i64,
}

impl<'a> Noting<'a> {
    pub(super) async fn new(
        store: &Postgres,
        reads: &'a [Read],
        at: Timestamp,
    ) -> Result<Noting<'a>, Failure> {
        let numbers = spaces::make(store, reads.iter().map(|read| &read.space)).await?;
        let seen = |read: &Read| match &read.what {
            Seen::All => None,
            Seen::Records(seqs) => {
                let numbers: Vec<String> = seqs.iter().map(|seq| integer(seq.0).to_string()).collect();
                Some(format!("{{{}}}", numbers.join(",")))
            }
        };
        Ok(Noting {
            runs: reads.iter().map(|read| Uuid::from_u128(read.run.0)).collect(),
            agents: reads.iter().map(|read| read.agent.as_str()).collect(),
            spaces: reads.iter().map(|read| numbers[&read.space]).collect(),
            states: reads.iter().map(|read| integer(read.at.state.0)).collect(),
            ledgers: reads.iter().map(|read| integer(read.at.ledger.0)).collect(),
            records: reads.iter().map(seen).collect(),
            at: integer(at.0),
        })
    }

    pub(super) async fn note(&self, store: &Postgres) -> Result<(), Failure> {
        let params: [Param<'_>; 7] = [
            (&self.runs, Type::UUID_ARRAY),
            (&self.agents, Type::TEXT_ARRAY),
            (&self.spaces, Type::INT8_ARRAY),
            (&self.states, Type::INT8_ARRAY),
            (&self.ledgers, Type::INT8_ARRAY),
            (&self.records, Type::TEXT_ARRAY),
            (&self.at, Type::INT8),
        ];
        let tx = store.begin(Lane::Work).await?;
        tx.execute(NOTE, &params).await?;
        tx.commit().await
    }
}

pub(super) async fn of_space(
    store: &Postgres,
    space: &Space,
    from: StateSeq,
    (skip, limit): (usize, usize),
) -> Result<Vec<Read>, Failure> {
    let named = spaces::named(space);
    let [tenant, layer, name] = named.params();
    let params: [Param<'_>; 6] = [
        tenant,
        layer,
        name,
        (&integer(from.0), Type::INT8),
        (&sql_limit(skip), Type::INT8),
        (&sql_limit(limit), Type::INT8),
    ];
    store.rows(Lane::Work, OF_SPACE, &params).await?.iter().map(|row| read_of(row, space)).collect()
}

pub(super) async fn uses(store: &Postgres, tenants: Option<&[TenantId]>) -> Result<Vec<Use>, Failure> {
    let tenants: Option<Vec<&str>> =
        tenants.map(|tenants| tenants.iter().map(|tenant| tenant.as_str()).collect());
    let rows = store.rows(Lane::Work, USES, &[(&tenants, Type::TEXT_ARRAY)]).await?;
    let what = "a space's agent";
    let used = |row: &Row| {
        Ok(Use {
            space: spaces::space_of(row, 0)?,
            agent: agent_of(row, 3)?,
            reads: number(row, 4, what)?,
            writes: number(row, 5, what)?,
            last_at: Timestamp(number(row, 6, what)?),
        })
    };
    rows.iter().map(used).collect()
}

fn read_of(row: &Row, space: &Space) -> Result<Read, Failure> {
    let what = "a read";
    let run: Uuid = column(row, 0, what)?;
    let records: Option<Vec<i64>> = column(row, 4, what)?;
    Ok(Read {
        run: RunId(run.as_u128()),
        agent: agent_of(row, 1)?,
        space: space.clone(),
        at: Moment { state: StateSeq(number(row, 2, what)?), ledger: LedgerSeq(number(row, 3, what)?) },
        what: match records {
            None => Seen::All,
            Some(_) => Seen::Records(read::places_of(row, 4, what)?),
        },
    })
}

fn agent_of(row: &Row, place: usize) -> Result<AgentName, Failure> {
    let name: &str = column(row, place, "a space's agent")?;
    name.parse().map_err(|why| Failure::damaged("a space's agent", why))
}
