//! `POST /api/v1/state/import`: some records of an export into an open data job. Sent again, it leaves each once.

use pinrail_api::problem::{Code, Problem};
use pinrail_api::spaces::{ImportRecord, ImportRecords, Imported};
use pinrail_control::state::NewValue;
use pinrail_control::state::export::{TakeRefused, Taken};
use pinrail_control::state::vectors::VectorSpace;
use pinrail_domain::id::{CollectionName, TenantId};
use pinrail_domain::release::Embedder;
use pinrail_domain::state::Layer;

use crate::call::{Call, bad_name};
use crate::problem;
use crate::reply::{self, Answer};
use crate::state_call::{no_writer, write_error};

pub async fn import(call: Call) -> Answer {
    let ImportRecords { tenant, space, deployment, embedder, records } = call.json()?;
    let tenant = call.tenant(tenant)?;
    let taken: Vec<Taken> = records.into_iter().map(taken).collect();
    let states = call.control().states();
    let (space, done) = match &embedder {
        Some(embedder) => {
            let to = index_of(&tenant, &space, embedder)?;
            let done = states.take_in_vectors(deployment, &to, &taken).await;
            (to.space, done)
        }
        None => {
            let space = super::space(tenant, &space)?;
            if space.layer == Layer::Vectors {
                return Err(Problem::new(Code::BadRequest, "vectors without their embedder's contract")
                    .next_step("send `embedder`, as the first line of an export has it"));
            }
            let done = states.take_in(deployment, &space, &taken).await;
            (space, done)
        }
    };
    let done = done.map_err(|error| write_error(error, refused))?;
    reply::json(&Imported {
        tenant: space.tenant.clone(),
        space: space.to_string(),
        written: done.written,
        there: done.there,
    })
}

fn taken(record: ImportRecord) -> Taken {
    let ImportRecord { key, value, vector } = record;
    Taken { key, value: NewValue { json: value.get().to_owned(), vector } }
}

/// The index that an embedder's vectors belong to. One of another embedder may not be named (I12).
fn index_of(tenant: &TenantId, space: &str, embedder: &Embedder) -> Result<VectorSpace, Problem> {
    let name = space.strip_prefix("vectors/").ok_or_else(|| {
        Problem::new(Code::BadRequest, format!("`{space}` is no space of vectors, and `embedder` is given"))
            .next_step("name vectors/NAME, or leave `embedder` out")
    })?;
    let (name, named) = name.split_once('@').map_or((name, None), |(name, short)| (name, Some(short)));
    let name: CollectionName = name.parse().map_err(|error| bad_name(format!("space: {error}")))?;
    let to = VectorSpace::new(tenant, &name, embedder).map_err(|error| {
        Problem::new(Code::BadRequest, problem::chain(&error))
            .next_step("send the embedder's contract as the first line of the export has it")
    })?;
    match named {
        Some(short) if !to.id.hex().starts_with(short) => {
            let detail = format!("the vectors are of embedder {}, the space is of {short}", to.id.short());
            Err(Problem::new(Code::BadRequest, detail).next_step(
                "embed the texts again with the space's own embedder; or leave @EMBEDDER out, and the vectors get an index \
                 of their own",
            ))
        }
        Some(_) | None => Ok(to),
    }
}

fn refused(refused: TakeRefused) -> Problem {
    let detail = problem::chain(&refused);
    match refused {
        TakeRefused::NoWriter(error) => no_writer(error),
        TakeRefused::Count(_) => {
            Problem::new(Code::BadRequest, detail).next_step("send the records in several requests")
        }
        TakeRefused::TooLong(_) => Problem::new(Code::TooLarge, detail)
            .next_step("store what is long as an artifact (POST /api/v1/artifacts) and keep its digest"),
        TakeRefused::Twice(_) => {
            Problem::new(Code::BadRequest, detail).next_step("send each key once in a request")
        }
        TakeRefused::NoVector(_) | TakeRefused::Vectors(_) => {
            Problem::new(Code::BadRequest, detail).next_step("send the lines as the export wrote them")
        }
    }
}
