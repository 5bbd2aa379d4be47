//! Members, read: how they are, and how epochs were received.

use pinrail_domain::id::{Epoch, Generation, MemberName};
use pinrail_domain::member::MemberId;
use pinrail_domain::time::Timestamp;
use pinrail_store::members::{Answer, End, EpochAck, EpochAcks, Facts, Lease, Member};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::{kind_of, span_us};
use crate::Postgres;
use crate::db::{Lane, Param};
use crate::failure::{Failure, column, integer, limit as sql_limit, natural, number};

/// What a member is read from, in the order of [`member`].
const MEMBER: &str = "SELECT m.id, m.owner, m.name, m.kind, m.generation, m.acknowledged, h.epoch, m.lease_us, c.us, \
     m.heard_us + m.lease_us, (SELECT f.at_us FROM pinrail.flips f WHERE f.epoch > m.acknowledged \
     ORDER BY f.epoch LIMIT 1), m.registered_us \
     FROM (SELECT pinrail.now_us() AS us) c, pinrail.heads h, pinrail.members m WHERE m.ended_us IS NULL";

/// Who had to acknowledge flip `f`, by clock `c`: those that registered before it and whose lease reached it. From column 0: the facts
/// of [`facts`].
const ACKS: &str = "SELECT (SELECT min(a.at_us) FROM pinrail.epoch_acks a WHERE a.member = m.id \
     AND a.generation = m.generation AND a.epoch >= f.epoch) - f.at_us, m.ended, m.ended_us, m.heard_us + m.lease_us, \
     (SELECT x.at_us FROM pinrail.flips x WHERE x.epoch > m.acknowledged ORDER BY x.epoch LIMIT 1), m.lease_us, c.us, \
     f.at_us, m.id, m.name, m.generation";
const EXPECTED: &str = "LEFT JOIN pinrail.members m ON m.began < f.epoch AND m.heard_us + m.lease_us > f.at_us \
     AND (m.ended_us IS NULL OR m.ended_us > f.at_us)";

pub(super) async fn get(store: &Postgres, id: MemberId) -> Result<Option<Member>, Failure> {
    let sql = format!("{MEMBER} AND m.id = $1");
    let row = store.maybe(Lane::Quick, &sql, &[(&id.0.cast_signed(), Type::INT8)]).await?;
    row.as_ref().map(member).transpose()
}

pub(super) async fn list(store: &Postgres, lapsed_ms: u64) -> Result<Vec<Member>, Failure> {
    let sql = format!("{MEMBER} AND c.us - (m.heard_us + m.lease_us) <= $1");
    let lapsed_us = integer(lapsed_ms.saturating_mul(1_000));
    let rows = store.rows(Lane::Work, &sql, &[(&lapsed_us, Type::INT8)]).await?;
    rows.iter().map(member).collect()
}

pub(super) async fn acks(store: &Postgres, epoch: Epoch) -> Result<Option<EpochAcks>, Failure> {
    let sql = format!(
        "{ACKS} FROM pinrail.flips f CROSS JOIN (SELECT pinrail.now_us() AS us) c {EXPECTED} \
         WHERE f.epoch = $1 ORDER BY m.name, m.id, m.generation"
    );
    let rows = store.rows(Lane::Work, &sql, &[(&integer(epoch.0), Type::INT8)]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let flipped_at = Timestamp(number(first, 7, "a flip")? / 1_000);
    let mut members = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(id) = column::<Option<i64>>(row, 8, "a flip")? {
            let id = MemberId(id.cast_unsigned());
            members.push(EpochAck {
                member: id,
                name: name(row, 9)?,
                generation: Generation(number(row, 10, id)?),
                answer: Answer::of(facts(row, id)?),
            });
        }
    }
    // By the bytes of their names, whatever the database sorts by.
    members.sort_by(|a, b| (&a.name, a.member, a.generation).cmp(&(&b.name, b.member, b.generation)));
    Ok(Some(EpochAcks { flipped_at, members }))
}

pub(super) async fn newest_acks(store: &Postgres, flips_max: usize) -> Result<(Vec<u64>, usize), Failure> {
    let sql = "WITH f AS (SELECT epoch, at_us FROM pinrail.flips ORDER BY epoch DESC LIMIT $1), \
               took AS (SELECT (SELECT min(a.at_us) FROM pinrail.epoch_acks a WHERE a.member = m.id \
               AND a.generation = m.generation AND a.epoch >= f.epoch) - f.at_us AS us \
               FROM f JOIN pinrail.members m ON m.began < f.epoch AND m.heard_us + m.lease_us > f.at_us \
               AND (m.ended_us IS NULL OR m.ended_us > f.at_us)) \
               SELECT (SELECT count(*) FROM f), coalesce((SELECT array_agg(us ORDER BY us) FROM took WHERE us IS NOT NULL), \
               '{}'::bigint[])";
    let params: [Param<'_>; 1] = [(&sql_limit(flips_max), Type::INT8)];
    let row = store.maybe(Lane::Work, sql, &params).await?;
    let what = "the newest flips";
    let row = row.ok_or_else(|| Failure::damaged(what, "no row"))?;
    let took: Vec<i64> = column(&row, 1, what)?;
    Ok((took.into_iter().map(span_us).collect(), number(&row, 0, what)? as usize))
}

pub(super) fn name(row: &Row, place: usize) -> Result<MemberName, Failure> {
    let what = "a member's name";
    column::<&str>(row, place, what)?.parse().map_err(|why| Failure::damaged(what, why))
}

fn member(row: &Row) -> Result<Member, Failure> {
    let id = MemberId(column::<i64>(row, 0, "a member")?.cast_unsigned());
    let (now_us, lapses_us) = (number(row, 8, id)?, number(row, 9, id)?);
    let behind: Option<i64> = column(row, 10, id)?;
    Ok(Member {
        member: id,
        owner: column(row, 1, id)?,
        name: name(row, 2)?,
        kind: kind_of(row, 3, id)?,
        generation: Generation(number(row, 4, id)?),
        acknowledged: Epoch(number(row, 5, id)?),
        epoch: Epoch(number(row, 6, id)?),
        lease_ms: number(row, 7, id)? / 1_000,
        lease: Lease::of(now_us, lapses_us),
        behind_ms: behind.map(|since| now_us.saturating_sub(natural(since)) / 1_000),
        registered_at: Timestamp(number(row, 11, id)? / 1_000),
    })
}

fn facts(row: &Row, id: MemberId) -> Result<Facts, Failure> {
    let ended = match (column::<Option<i16>>(row, 1, id)?, column::<Option<i64>>(row, 2, id)?) {
        (Some(how), Some(at)) => {
            let end = [End::Left, End::Replaced].into_iter().find(|end| *end as i16 == how);
            Some((end.ok_or_else(|| Failure::damaged(id, "how it ended"))?, natural(at)))
        }
        (None, _) | (_, None) => None,
    };
    Ok(Facts {
        took_us: column::<Option<i64>>(row, 0, id)?.map(span_us),
        ended,
        lapses_us: number(row, 3, id)?,
        behind_since_us: column::<Option<i64>>(row, 4, id)?.map(natural),
        lease_us: number(row, 5, id)?,
        now_us: number(row, 6, id)?,
    })
}
