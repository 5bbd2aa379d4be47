//! `GET /api/v1/ledger/verify`.

use pinrail_api::ledger::{BrokenAt, Verification};
use pinrail_api::problem::Problem;
use pinrail_control::ledger::Verdict;
use pinrail_domain::id::LedgerSeq;

use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn verify(call: Call) -> Answer {
    reply::json(&value(&call).await?)
}

/// Checks the whole chain as it is stored.
pub async fn value(call: &Call) -> Result<Verification, Problem> {
    let verdict = call.control().ledger_verify().await.map_err(|error| problem::store(&error))?;
    let broken = |entries: LedgerSeq, what: String| Verification {
        whole: false,
        entries,
        head: None,
        broken: Some(BrokenAt { seq: entries.next(), what }),
    };
    Ok(match verdict {
        Verdict::Whole { head } => {
            Verification { whole: true, entries: head.seq, head: Some(head.hash), broken: None }
        }
        Verdict::Broken(at) => {
            let whole = LedgerSeq(at.seq.0.saturating_sub(1));
            Verification {
                broken: Some(BrokenAt { seq: at.seq, what: at.to_string() }),
                ..broken(whole, String::new())
            }
        }
        Verdict::Unreadable { after, what } => broken(after, what),
        Verdict::Truncated { stored, known } => broken(
            stored.seq,
            format!(
                "entry {} and later are missing: this server has seen entry {}",
                stored.seq.next(),
                known.seq
            ),
        ),
    })
}

#[cfg(test)]
mod tests {
    use pinrail_domain::id::LedgerSeq;
    use serde_json::json;

    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_broken_entry_is_named() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let whole = bench.get("/api/v1/ledger/verify").await.ok();
        assert_eq!((&whole["whole"], whole.get("broken")), (&json!(true), None));
        assert_eq!(whole["head"], json!(bench.control.snapshot().world.head.hash));
        bench.memory.damage_entry(LedgerSeq(1));
        let broken = bench.get("/api/v1/ledger/verify").await.ok();
        assert_eq!((&broken["whole"], &broken["broken"]["seq"]), (&json!(false), &json!(1)));
    }
}
