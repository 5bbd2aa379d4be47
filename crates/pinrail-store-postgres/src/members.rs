//! Members in PostgreSQL: leases on the server's clock.
//!
//! An acknowledgement is one statement for all that arrive together, and doesn't wait for the disk: what a crash of the server
//! takes, the next heartbeat says again. Registrations are few and stand in line, so that a name is given once.

use std::collections::BTreeSet;

use async_trait::async_trait;
use pinrail_domain::digest::Digest;
use pinrail_domain::id::{Epoch, Generation, MemberName};
use pinrail_domain::member::{MemberId, MemberKind};
use pinrail_store::StoreError;
use pinrail_store::members::{
    Ack, End, EpochAcks, Heard, Leaver, Member, Members, RegisterError, Registered, Wish,
};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::db::{Lane, Param, Session, repeat};
use crate::failure::{Failure, column, digest, integer, natural, number};
use crate::{Postgres, replicas};

mod read;

/// The advisory lock under which members register. Stored by nobody, but shared by all versions: never change.
const REGISTER_LOCK: (i32, i32) = (7_072, 0);
/// How often acknowledgements that neither count nor are refused are tried: the epoch rose just then.
const HEAR_TRIES: usize = 3;

#[async_trait]
impl Members for Postgres {
    async fn member_register(&self, wish: Wish) -> Result<Registered, RegisterError> {
        let registered = repeat(|| async {
            let tx = self.begin(Lane::Work).await?;
            let registered = register(&tx, &wish).await?;
            match registered {
                Ok(_) => tx.commit().await?,
                Err(_) => tx.rollback().await?,
            }
            Ok(registered)
        });
        registered.await.map_err(StoreError::from)?
    }

    async fn members_acknowledge(&self, acks: &[Ack]) -> Result<Vec<Heard>, StoreError> {
        let mut heard = Vec::with_capacity(acks.len());
        for some in distinct(acks) {
            heard.extend(self.hear(some).await?);
        }
        Ok(heard)
    }

    async fn member_get(&self, member: MemberId) -> Result<Option<Member>, StoreError> {
        Ok(read::get(self, member).await?)
    }

    async fn member_list(&self, lapsed_ms: u64) -> Result<Vec<Member>, StoreError> {
        Ok(read::list(self, lapsed_ms).await?)
    }

    async fn member_leave(&self, member: MemberId, by: &Leaver) -> Result<Option<MemberName>, StoreError> {
        let (condition, owner) = match by {
            Leaver::Owner(owner) => ("owner IS NOT DISTINCT FROM $3", owner.as_deref()),
            Leaver::Anybody => {
                ("($3::text IS NULL AND (owner IS NOT NULL OR heard_us + lease_us < pinrail.now_us()))", None)
            }
        };
        let sql = format!(
            "UPDATE pinrail.members SET ended_us = pinrail.now_us(), ended = $2 \
             WHERE id = $1 AND ended_us IS NULL AND {condition} RETURNING name"
        );
        let params: [Param<'_>; 3] =
            [(&member.0.cast_signed(), Type::INT8), (&(End::Left as i16), Type::INT2), (&owner, Type::TEXT)];
        let left = repeat(|| async {
            let tx = self.begin(Lane::Work).await?;
            let row = tx.maybe(&sql, &params).await?;
            replicas::tell_rest(&tx).await?;
            tx.commit().await?;
            row.map(|row| read::name(&row, 0)).transpose()
        });
        Ok(left.await?)
    }

    async fn epoch_acks(&self, epoch: Epoch) -> Result<Option<EpochAcks>, StoreError> {
        Ok(read::acks(self, epoch).await?)
    }

    async fn newest_acks(&self, flips_max: usize) -> Result<(Vec<u64>, usize), StoreError> {
        Ok(read::newest_acks(self, flips_max).await?)
    }
}

impl Postgres {
    /// Takes in acknowledgements of members that are all different.
    async fn hear(&self, acks: &[Ack]) -> Result<Vec<Heard>, Failure> {
        let mut heard: Vec<Option<Heard>> = vec![None; acks.len()];
        for attempt in 0..HEAR_TRIES {
            let open: Vec<usize> = (0..acks.len()).filter(|place| heard[*place].is_none()).collect();
            if open.is_empty() {
                break;
            }
            let some: Vec<&Ack> = open.iter().map(|place| &acks[*place]).collect();
            let renewed = repeat(|| async {
                self.session(Lane::Quick).await?.rows(HEAR, &hear_params(&some).of()).await
            });
            for row in renewed.await? {
                let what = "an acknowledgement";
                let place: i32 = column(&row, 0, what)?;
                let (epoch, lease_us) = (Epoch(number(&row, 1, what)?), number(&row, 2, what)?);
                heard[open[place as usize]] = Some(Heard::Renewed { epoch, lease_ms: lease_us / 1_000 });
            }
            for place in open {
                if heard[place].is_none() {
                    heard[place] = self.why_not(&acks[place], attempt + 1 == HEAR_TRIES).await?;
                }
            }
        }
        Ok(heard.into_iter().map(|heard| heard.unwrap_or(Heard::Unknown)).collect())
    }

    /// Why an acknowledgement isn't taken; none where it would be now.
    async fn why_not(&self, ack: &Ack, is_last: bool) -> Result<Option<Heard>, Failure> {
        let member = read::get(self, ack.member).await?.filter(|member| member.owner == ack.owner);
        let Some(member) = member else { return Ok(Some(Heard::Unknown)) };
        let is_another = ack.generation.is_some_and(|generation| generation != member.generation);
        if !is_another && ack.epoch > member.epoch {
            return Ok(Some(Heard::Ahead { epoch: member.epoch }));
        }
        let is_lapsed = matches!(member.lease, pinrail_store::members::Lease::Lapsed { .. });
        Ok((is_another || is_lapsed || is_last).then(|| Heard::Refused(Box::new(member))))
    }
}

/// Renews leases and notes what rose; a commit that needn't wait for the disk.
const HEAR: &str = "WITH clock AS MATERIALIZED (SELECT pinrail.now_us() AS us, epoch AS newest, \
     pg_catalog.set_config('synchronous_commit', 'off', true) FROM pinrail.heads), \
     heard AS (UPDATE pinrail.members m SET heard_us = c.us, acknowledged = greatest(m.acknowledged, s.epoch) \
     FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) \
     WITH ORDINALITY AS s (id, owner, generation, epoch, place), clock c \
     WHERE m.id = s.id AND m.ended_us IS NULL AND m.owner IS NOT DISTINCT FROM s.owner \
     AND m.generation = coalesce(s.generation, m.generation) AND m.heard_us + m.lease_us >= c.us AND s.epoch <= c.newest \
     RETURNING s.place, m.id, m.generation, m.acknowledged, s.epoch, m.lease_us), \
     risen AS (INSERT INTO pinrail.epoch_acks (member, generation, epoch, at_us) \
     SELECT h.id, h.generation, h.epoch, c.us FROM heard h, clock c WHERE h.epoch = h.acknowledged \
     ON CONFLICT DO NOTHING RETURNING member), \
     told AS (SELECT pg_catalog.pg_notify('pinrail', 'rest') FROM risen LIMIT 1) \
     SELECT (h.place - 1)::int, c.newest, h.lease_us, (SELECT count(*) FROM told) FROM heard h, clock c";

/// The columns of [`HEAR`].
struct HearParams<'a> {
    ids: Vec<i64>,
    owners: Vec<Option<&'a str>>,
    generations: Vec<Option<i64>>,
    epochs: Vec<i64>,
}

fn hear_params<'a>(acks: &[&'a Ack]) -> HearParams<'a> {
    HearParams {
        ids: acks.iter().map(|ack| ack.member.0.cast_signed()).collect(),
        owners: acks.iter().map(|ack| ack.owner.as_deref()).collect(),
        generations: acks.iter().map(|ack| ack.generation.map(|generation| integer(generation.0))).collect(),
        epochs: acks.iter().map(|ack| integer(ack.epoch.0)).collect(),
    }
}

impl HearParams<'_> {
    fn of(&self) -> [Param<'_>; 4] {
        [
            (&self.ids, Type::INT8_ARRAY),
            (&self.owners, Type::TEXT_ARRAY),
            (&self.generations, Type::INT8_ARRAY),
            (&self.epochs, Type::INT8_ARRAY),
        ]
    }
}

/// The acknowledgements in pieces that name no member twice, in their order.
fn distinct(acks: &[Ack]) -> impl Iterator<Item = &[Ack]> {
    let mut rest = acks;
    std::iter::from_fn(move || {
        let mut members = BTreeSet::new();
        let fits = rest.iter().take_while(|ack| members.insert(ack.member)).count();
        let (some, others) = rest.split_at(fits);
        rest = others;
        (!some.is_empty()).then_some(some)
    })
}

/// What is known of the owner's member of a name.
struct Before {
    id: i64,
    generation: Generation,
    began: Epoch,
    lease_ms: u64,
    idempotency: Option<(String, Digest)>,
}

async fn register(db: &Session, wish: &Wish) -> Result<Result<Registered, RegisterError>, Failure> {
    let (class, object) = REGISTER_LOCK;
    let sql = "SELECT pg_catalog.pg_advisory_xact_lock($1, $2)";
    db.execute(sql, &[(&class, Type::INT4), (&object, Type::INT4)]).await?;
    let before = before(db, wish).await?;
    if let Some(before) = &before
        && let (Some((said, request)), Some((known, earlier))) = (&wish.idempotency, &before.idempotency)
        && said.as_str() == known
    {
        return Ok(if request == earlier { Ok(before.again()) } else { Err(RegisterError::KeyReused) });
    }
    let (id, generation) = match &before {
        Some(Before { id, generation, .. }) => {
            let sql = "UPDATE pinrail.members SET ended_us = pinrail.now_us(), ended = $3 \
                       WHERE id = $1 AND generation = $2";
            let params: [Param<'_>; 3] = [
                (id, Type::INT8),
                (&integer(generation.0), Type::INT8),
                (&(End::Replaced as i16), Type::INT2),
            ];
            db.execute(sql, &params).await?;
            (*id, generation.next())
        }
        None => (wish.id.0.cast_signed(), Generation(1)),
    };
    if before.is_none() && wish.owner.is_some() && !make_room(db, wish.members_max).await? {
        return Ok(Err(RegisterError::TooMany));
    }
    let epoch = enter(db, wish, id, generation).await?;
    replicas::tell_rest(db).await?;
    let (member, lease_ms) = (MemberId(id.cast_unsigned()), wish.lease_ms);
    Ok(Ok(Registered { member, generation, epoch, lease_ms, replayed: false }))
}

async fn before(db: &Session, wish: &Wish) -> Result<Option<Before>, Failure> {
    let sql = "SELECT id, generation, began, lease_us, idempotency, request FROM pinrail.members \
               WHERE name = $1 AND coalesce(owner, '') = coalesce($2, '') AND ended_us IS NULL FOR UPDATE";
    let params: [Param<'_>; 2] = [(&wish.name.as_str(), Type::TEXT), (&wish.owner, Type::TEXT)];
    let Some(row) = db.maybe(sql, &params).await? else { return Ok(None) };
    let what = "a member";
    let key: Option<String> = column(&row, 4, what)?;
    let idempotency = key.map(|key| Ok::<_, Failure>((key, digest(&row, 5, what)?))).transpose()?;
    Ok(Some(Before {
        id: column(&row, 0, what)?,
        generation: Generation(number(&row, 1, what)?),
        began: Epoch(number(&row, 2, what)?),
        lease_ms: number(&row, 3, what)? / 1_000,
        idempotency,
    }))
}

/// Makes room for one more, at the cost of the one that lapsed first. False when all hold a lease.
async fn make_room(db: &Session, members_max: usize) -> Result<bool, Failure> {
    let sql = "SELECT count(*) FROM pinrail.members WHERE ended_us IS NULL AND owner IS NOT NULL";
    if number(&db.row(sql, &[]).await?, 0, "the members")? < members_max as u64 {
        return Ok(true);
    }
    let sql = "UPDATE pinrail.members SET ended_us = pinrail.now_us(), ended = $1 WHERE (id, generation) IN (\
               SELECT id, generation FROM pinrail.members WHERE ended_us IS NULL AND owner IS NOT NULL \
               AND heard_us + lease_us < pinrail.now_us() ORDER BY heard_us + lease_us LIMIT 1)";
    Ok(db.execute(sql, &[(&(End::Left as i16), Type::INT2)]).await? > 0)
}

/// Adds the row; gives the epoch that it begins at.
async fn enter(db: &Session, wish: &Wish, id: i64, generation: Generation) -> Result<Epoch, Failure> {
    let sql = "INSERT INTO pinrail.members (id, generation, owner, name, kind, began, acknowledged, lease_us, \
               registered_us, heard_us, idempotency, request) \
               SELECT $1, $2, $3, $4, $5, h.epoch, h.epoch, $6, c.us, c.us, $7, $8 \
               FROM pinrail.heads h, (SELECT pinrail.now_us() AS us) c RETURNING began";
    let key = wish.idempotency.as_ref().map(|(key, _)| key.as_str());
    let request = wish.idempotency.as_ref().map(|(_, request)| &request.as_bytes()[..]);
    let params: [Param<'_>; 8] = [
        (&id, Type::INT8),
        (&integer(generation.0), Type::INT8),
        (&wish.owner, Type::TEXT),
        (&wish.name.as_str(), Type::TEXT),
        (&kind_number(wish.kind), Type::INT2),
        (&integer(wish.lease_ms * 1_000), Type::INT8),
        (&key, Type::TEXT),
        (&request, Type::BYTEA),
    ];
    Ok(Epoch(number(&db.row(sql, &params).await?, 0, "a member")?))
}

impl Before {
    /// What its registration was answered.
    fn again(&self) -> Registered {
        let Before { id, generation, began, lease_ms, .. } = *self;
        let member = MemberId(id.cast_unsigned());
        Registered { member, generation, epoch: began, lease_ms, replayed: true }
    }
}

fn kind_number(kind: MemberKind) -> i16 {
    match kind {
        MemberKind::Gateway => 0,
        MemberKind::Worker => 1,
    }
}

fn kind_of(row: &Row, place: usize, what: MemberId) -> Result<MemberKind, Failure> {
    match column::<i16>(row, place, what)? {
        0 => Ok(MemberKind::Gateway),
        1 => Ok(MemberKind::Worker),
        other => Err(Failure::damaged(what, format_args!("its kind is {other}"))),
    }
}

/// A span of the server's clock, which may have been set back meanwhile.
fn span_us(us: i64) -> u64 {
    natural(us.max(0))
}

#[cfg(test)]
mod tests;
