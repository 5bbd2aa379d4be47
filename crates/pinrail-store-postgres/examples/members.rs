//! How fast members acknowledge: `cargo run --release -p pinrail-store-postgres --example members -- URL [MEMBERS]`.
//!
//! The URL is of a role that may create databases; one is made and dropped. After each flip all members answer, in groups as they
//! reach a replica that is busy with the group before.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for the terminal; a surprise must panic"
)]
#![expect(clippy::disallowed_methods, reason = "measuring reads a clock")]

use std::time::Instant;

use pinrail_domain::id::Epoch;
use pinrail_domain::member::{MemberId, MemberKind};
use pinrail_store::conformance::sample::entries;
use pinrail_store::ledger::Append;
use pinrail_store::members::{Ack, Wish};
use pinrail_store::{Ledger, Members};
use pinrail_store_postgres::Postgres;
use pinrail_store_postgres::testing::Cluster;

const FLIPS: usize = 5;

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let url = args.next().expect("a URL of a role that may create databases");
    let count: u64 = args.next().map_or(1_000, |count| count.parse().unwrap());
    let database = Cluster::at(&url).database();
    let store = Postgres::connect(database.options()).await.unwrap();
    let start = Instant::now();
    for n in 0..count {
        let (owner, name) = (Some("k".to_owned()), format!("m{n}").parse().unwrap());
        let (kind, lease_ms, members_max) = (MemberKind::Worker, 300_000, count as usize);
        let wish = Wish { id: MemberId(n), owner, name, kind, lease_ms, idempotency: None, members_max };
        store.member_register(wish).await.unwrap();
    }
    let ms = |start: Instant| start.elapsed().as_secs_f64() * 1_000.0;
    println!("{count} members registered, one after the other: {:.2} ms each", ms(start) / count as f64);
    println!("group    all acknowledged    report    list    admit");
    for group in [1, 10, 100, 1_000] {
        let (mut acks, mut report, mut list, mut admit) = (0.0, 0.0, 0.0, 0.0);
        for _ in 0..FLIPS {
            let head = store.ledger_head().await.unwrap();
            store.ledger_append(Append::of(entries(head, 1, "flip"))).await.unwrap();
            let epoch = Epoch(head.seq.0 + 1);
            let all: Vec<Ack> = (0..count)
                .map(|n| Ack { member: MemberId(n), owner: Some("k".to_owned()), generation: None, epoch })
                .collect();
            let start = Instant::now();
            for some in all.chunks(group) {
                store.members_acknowledge(some).await.unwrap();
            }
            acks += ms(start);
            let start = Instant::now();
            assert_eq!(store.epoch_acks(epoch).await.unwrap().unwrap().members.len() as u64, count);
            report += ms(start);
            let start = Instant::now();
            store.member_list(0).await.unwrap();
            list += ms(start);
            let start = Instant::now();
            store.member_get(MemberId(1)).await.unwrap().unwrap();
            admit += ms(start);
        }
        let mean = |sum: f64| sum / FLIPS as f64;
        println!(
            "{group:>5} {:>17.1} ms {:>6.1} ms {:>4.1} ms {:>5.2} ms",
            mean(acks),
            mean(report),
            mean(list),
            mean(admit)
        );
    }
}
