//! Tells traces of what changes in the ledger: promotions, rollbacks, turns of the dial, settings, keys.

use pinrail_control::Control;
use pinrail_domain::id::LedgerSeq;
use pinrail_telemetry::Telemetry;

/// Entries read at once.
const PAGE: usize = 100;

/// Follows the ledger from here on, until the control plane is gone or the task is dropped. Where the store doesn't answer,
/// entries are told when the next one comes.
pub async fn follow(control: Control, telemetry: Telemetry) {
    let mut heads = control.heads();
    let mut told: LedgerSeq = *heads.borrow_and_update();
    while heads.changed().await.is_ok() {
        let head = *heads.borrow_and_update();
        while told < head {
            let Ok(entries) = control.ledger_read(told, PAGE).await else { break };
            let Some(last) = entries.last() else { break };
            told = last.seq;
            entries.iter().for_each(|entry| telemetry.recorded(entry));
        }
    }
}
