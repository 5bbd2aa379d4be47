//! The promises of members, on a server whose past is moved back instead of waiting.

use pinrail_store::conformance::members;

use crate::Postgres;
use crate::testing::{Cluster, Database};

async fn shared() -> Option<(Database, Postgres, Postgres)> {
    let database = Cluster::named_by_env()?.database();
    let (one, two) =
        (Postgres::connect(database.options()).await, Postgres::connect(database.options()).await);
    Some((database, one.unwrap(), two.unwrap()))
}

/// Makes everything that happened be so much longer ago.
fn pass(database: &Database) -> impl Fn(u64) {
    |ms| {
        let us = ms * 1_000;
        database.execute(&format!(
            "UPDATE pinrail.members SET registered_us = registered_us - {us}, heard_us = heard_us - {us}, \
             ended_us = ended_us - {us}; UPDATE pinrail.flips SET at_us = at_us - {us}; \
             UPDATE pinrail.epoch_acks SET at_us = at_us - {us};"
        ));
    }
}

#[tokio::test]
async fn members_are_the_same_at_every_replica() {
    let Some((database, one, two)) = shared().await else { return };
    members::members_are_the_same_at_every_replica(&one, &two, pass(&database)).await;
}

#[tokio::test]
async fn a_lease_that_lapsed_is_not_renewed() {
    let Some((database, one, two)) = shared().await else { return };
    members::a_lease_that_lapsed_is_not_renewed(&one, &two, pass(&database)).await;
}

#[tokio::test]
async fn registrations_count_once() {
    let Some((database, one, two)) = shared().await else { return };
    members::registrations_count_once(&one, &two, pass(&database)).await;
}
