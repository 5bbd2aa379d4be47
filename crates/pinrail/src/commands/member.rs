//! `pinrail member`: who follows the epoch, and how well.

use pinrail_api::Page;
use pinrail_api::members::{Answer, EpochReport, Member, MemberAck, MemberLeft};
use pinrail_api::status::Status;
use pinrail_domain::member::{MemberId, MemberKind};

use super::paging::{After, with_next};
use crate::cli::Context;
use crate::output::table::{or_dash, table};
use crate::output::time;

mod join;

/// See who follows the epoch, who acknowledged it, and follow it as a member
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pinrail member list
  pinrail member acks                      who acknowledged the newest epoch, and how fast
  pinrail member acks 12
  pinrail member join --name \"$HOSTNAME\"   be a member until ctrl-c
  pinrail member remove mem_5f0c6a1be2d39a47

A member holds a lease and acknowledges every epoch; one that goes silent is fenced: what it writes is refused.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the members: who follows, who is behind, who is gone
    List(After),
    /// Show who acknowledged an epoch, and how long that took
    Acks {
        /// The epoch [default: the newest]
        epoch: Option<u64>,
    },
    /// Register, follow the epoch and acknowledge it, until ctrl-c
    Join(join::Join),
    /// End a member's lease: it is gone for good
    Remove { id: MemberId },
}

pub fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.what {
        What::List(page) => {
            let reply = context.client.get::<Page<Member>>(&page.on("/api/v1/members"))?;
            context.out.reply(&reply, |page| with_next(list(&page.items), "--after", page.next.as_ref()))?;
        }
        What::Acks { epoch } => {
            let epoch = match epoch {
                Some(epoch) => epoch,
                None => context.client.get::<Status>("/api/v1/status")?.value.epoch.0,
            };
            let reply = context.client.get::<EpochReport>(&format!("/api/v1/epochs/{epoch}"))?;
            context.out.reply(&reply, acks)?;
        }
        What::Join(join) => join.run(context)?,
        What::Remove { id } => {
            let reply = context.client.delete::<MemberLeft>(&format!("/api/v1/members/{id}"))?;
            context
                .out
                .reply(&reply, |left| format!("{} ({}) is no member any more", left.name, left.member))?;
        }
    }
    Ok(())
}

fn list(members: &[Member]) -> String {
    let rows = members.iter().map(|member| {
        let for_ = member.for_ms.map(time::span).unwrap_or_default();
        let state = match member.state.as_str() {
            "behind" => format!("behind by {} for {for_}", member.behind),
            "lapsed" => format!("lapsed {for_} ago"),
            state => state.to_owned(),
        };
        let lease = match (member.lease_ms, member.lease_left_ms) {
            (Some(lease), Some(left)) => Some(format!("{} of {}", time::span(left), time::span(lease))),
            _ => None,
        };
        vec![
            member.name.to_string(),
            member.member.to_string(),
            member.kind.to_string(),
            member.generation.to_string(),
            member.acknowledged.to_string(),
            state,
            if member.fenced { "FENCED".to_owned() } else { "taken".to_owned() },
            or_dash(lease),
        ]
    });
    let header = ["name", "id", "kind", "generation", "epoch", "state", "writes", "lease left"];
    table(&header, rows.collect(), "no members")
}

pub fn acks(report: &EpochReport) -> String {
    let EpochReport { epoch, change, expected, acknowledged, took, settled, .. } = report;
    let kind = change.kind.replace('_', " ");
    let deployment = change.deployment.map(|id| format!(", deployment {id}")).unwrap_or_default();
    let mut text = format!(
        "epoch {epoch}: {kind}{deployment} (ledger entry {}), flipped {}\n{acknowledged} of {expected} acknowledged",
        change.seq,
        time::absolute(report.flipped_at)
    );
    if let Some(took) = took {
        let [p50, p99, max] = [took.p50_us, took.p99_us, took.max_us].map(time::millis);
        text.push_str(&format!(": p50 {p50}, p99 {p99}, slowest {max}"));
    }
    text.push_str(if *settled { "\n" } else { "; others have time still\n" });
    let rows = report.members.iter().map(|MemberAck { member, name, generation, answer }| {
        let answer = match answer {
            Answer::Acknowledged { took_us } => format!("acknowledged after {}", time::millis(*took_us)),
            Answer::Missing { lease_left_ms } => {
                format!("MISSING, its lease runs for {}", time::span(*lease_left_ms))
            }
            Answer::Fenced => "FENCED: it didn't answer within its lease".to_owned(),
            Answer::Left => "left".to_owned(),
            Answer::Replaced => "registered again since".to_owned(),
        };
        vec![name.to_string(), member.to_string(), generation.to_string(), answer]
    });
    text + &table(&["name", "id", "generation", "answer"], rows.collect(), "no members held a lease then")
}
