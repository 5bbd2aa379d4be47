//! `POST /api/v1/members`: gives a lease.

use pinrail_api::members::{RegisterMember, Registered};
use pinrail_api::problem::{Code, Problem};
use pinrail_control::members::{LEASE_MS_DEFAULT, Register, RegisterRefused, Unasked, ack_every_ms};

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn register(call: Call) -> Answer {
    let RegisterMember { name, kind, lease_ms } = call.json()?;
    let wish = Register { name, kind, lease_ms };
    let done =
        call.control().members().register(call.caller(), wish, call.idempotency()?).await.map_err(refused)?;
    let registered = Registered {
        member: done.member,
        generation: done.generation,
        epoch: done.epoch,
        lease_ms: done.lease_ms,
        ack_every_ms: ack_every_ms(done.lease_ms),
        watch: format!("/api/v1/watch?after={}", done.epoch),
    };
    reply::changed(done.replayed, &registered)
}

fn refused(refused: RegisterRefused) -> Problem {
    let detail = refused.to_string();
    match refused {
        RegisterRefused::Lease(_) => Problem::new(Code::BadRequest, detail)
            .next_step(format!("leave `lease_ms` out: {LEASE_MS_DEFAULT} is right for most")),
        RegisterRefused::TooMany => Problem::new(Code::LimitReached, detail).next_step(
            "see who holds them, `pinrail member list`, and end the leases of those that are gone: `pinrail \
                 member remove ID` (DELETE /api/v1/members/ID)",
        ),
        RegisterRefused::KeyReused => problem::key_reused(),
        RegisterRefused::Store(Unasked(error)) => problem::store(&error),
    }
}
