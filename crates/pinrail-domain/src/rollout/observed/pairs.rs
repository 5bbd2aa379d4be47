//! Copies of live requests that the candidate answered.

use super::unit::Ran;
use crate::journal::Event;
use crate::rollout::facts::Pairs;
use crate::rollout::quantity::Usd;
use crate::stats::interval;

/// What the copies of one epoch come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Paired {
    compared: u64,
    failed: u64,
    cost_nano_usd: u64,
    /// In the order of arrival, the first of them.
    divergences: Vec<f64>,
}

/// More comparisons than these say nothing new of a mean.
const DIVERGENCES_MAX: usize = 20_000;
/// The bounds of the mean are wrong with at most this chance, over all looks together.
const ALPHA: f64 = 0.05;

impl Paired {
    /// Takes in an event of a copy.
    pub fn take(&mut self, ran: &Ran, event: &Event) {
        match event {
            Event::Compared(compared) => {
                self.compared += 1;
                if self.divergences.len() < DIVERGENCES_MAX {
                    self.divergences.push(compared.divergence);
                }
            }
            Event::ModelResponse(response) => {
                let cost = response.cost_nano_usd.unwrap_or_default();
                self.cost_nano_usd = self.cost_nano_usd.saturating_add(cost);
            }
            Event::Finished { .. } => self.failed += u64::from(!ran.compared),
            Event::Plan { .. }
            | Event::Started
            | Event::ModelRequest { .. }
            | Event::ModelRetry { .. }
            | Event::ModelFailed { .. }
            | Event::Drift { .. }
            | Event::ToolCall { .. }
            | Event::ToolResult { .. }
            | Event::Dialled { .. }
            | Event::ToolRuled { .. }
            | Event::ApprovalDecided { .. }
            | Event::Note { .. }
            | Event::Score { .. }
            | Event::Paused { .. }
            | Event::Resumed
            | Event::Parked { .. }
            | Event::Compensated { .. } => {}
        }
    }

    pub fn add(&mut self, other: &Paired) {
        self.compared += other.compared;
        self.failed += other.failed;
        self.cost_nano_usd = self.cost_nano_usd.saturating_add(other.cost_nano_usd);
        self.divergences.extend(&other.divergences);
    }

    /// The facts; what was never made is not in the journal, so `dropped` is none.
    pub fn pairs(mut self) -> Pairs {
        // So that sums don't depend on who came first.
        self.divergences.sort_unstable_by(f64::total_cmp);
        let bounds = interval(&self.divergences, ALPHA);
        #[allow(clippy::cast_precision_loss, reason = "at most DIVERGENCES_MAX")]
        let mean = bounds.map(|_| self.divergences.iter().sum::<f64>() / self.divergences.len() as f64);
        Pairs {
            compared: self.compared,
            failed: self.failed,
            dropped: 0,
            divergence: mean,
            divergence_low: bounds.map(|(low, _)| low),
            divergence_high: bounds.map(|(_, high)| high),
            cost: Usd { nano: self.cost_nano_usd },
        }
    }
}
