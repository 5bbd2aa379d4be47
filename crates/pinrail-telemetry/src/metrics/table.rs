//! Every metric there is. The page of a scrape can show no other, and `docs/observability.md`, the dashboard and the alerts
//! are held against this table by a test.

/// A metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Def {
    /// Without the `_total` that counters are shown with.
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

/// What kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Def {
    /// The name that queries use.
    #[must_use]
    pub fn shown(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

impl Kind {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

macro_rules! metrics {
    ($($kind:ident $id:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $id: Def = Def { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )*

        /// All of them, in the order of the page.
        pub static ALL: &[&Def] = &[$(&$id),*];
    };
}

metrics! {
    Gauge BUILD_INFO "pinrail_build_info" ["version"] "Always 1; the label says which version runs";
    Gauge READY "pinrail_ready" [] "1 while the server can do its work, as GET /readyz says";

    Counter CALLS "pinrail_calls" ["agent", "segment", "deployment", "outcome"] "Model calls that ended";
    Histogram CALL_DURATION "pinrail_call_duration_seconds" ["agent", "segment", "deployment"] "From a call's arrival to the end of its answer";
    Histogram CALL_FIRST_BYTE "pinrail_call_first_byte_seconds" ["agent", "segment", "deployment"] "From a call's arrival to the first byte of its answer";
    Counter CALL_TOKENS "pinrail_call_tokens" ["agent", "segment", "deployment", "kind"] "Tokens that providers said they took and gave; cached_input is a part of input";
    Counter CALL_COST "pinrail_call_cost_usd" ["agent", "segment", "deployment"] "What calls cost, where the price of their model is known";
    Counter CALL_RETRIES "pinrail_call_retries" ["agent", "segment", "deployment"] "Attempts that failed and were followed by another one";
    Counter CALL_FALLBACKS "pinrail_call_fallbacks" ["agent", "segment", "deployment"] "Calls in which another endpoint or model than the pinned one was asked last";
    Counter FOLDED "pinrail_metrics_folded_calls" [] "Calls counted under `other` because there was no room for more series";
    Gauge LABEL_SETS "pinrail_metrics_label_sets" [] "Sets of agent, segment and deployment that are counted on their own";
    Gauge LABEL_SETS_LIMIT "pinrail_metrics_label_sets_limit" [] "How many such sets there may be";

    Gauge GATEWAY_CALLS_OPEN "pinrail_gateway_calls_open" [] "Calls under way, until their journal is handed over";
    Gauge GATEWAY_STREAMS_OPEN "pinrail_gateway_streams_open" [] "Answers that are being streamed";
    Histogram GATEWAY_OVERHEAD "pinrail_gateway_overhead_seconds" ["dialect"] "What the gateway itself adds until an answer can be passed on: no waiting for the client's body, for providers or between attempts";
    Counter GATEWAY_REFUSED "pinrail_gateway_refused" ["dialect", "fault"] "Requests that were refused before they had a run";
    Histogram STAMP_WAIT "pinrail_stamp_wait_seconds" [] "How long calls waited for their stamp, where it wasn't there at once";
    Counter SHADOW_COPIES "pinrail_shadow_copies" ["fate"] "Copies of live calls by what became of them";
    Gauge SHADOW_COPIES_OPEN "pinrail_shadow_copies_open" [] "Copies that wait for a candidate or are under way";

    Counter PROVIDER_ATTEMPTS "pinrail_provider_attempts" ["provider", "outcome"] "Attempts at providers that ended, those of copies and gates included";
    Histogram PROVIDER_DURATION "pinrail_provider_attempt_duration_seconds" ["provider"] "From an attempt's beginning to the end of the provider's answer";
    Histogram PROVIDER_FIRST_BYTE "pinrail_provider_first_byte_seconds" ["provider"] "From an attempt's beginning to the first byte of the provider's answer";
    Gauge PROVIDER_MODELS "pinrail_provider_models" ["provider", "breaker"] "Models of a provider by how their breaker stands: closed, half_open or open";
    Counter PROVIDER_RETRIES "pinrail_provider_retries" ["provider"] "Retries made";
    Counter PROVIDER_RETRIES_REFUSED "pinrail_provider_retries_refused" ["provider"] "Retries for which the provider's budget had nothing left";

    Gauge JOURNAL_QUEUED "pinrail_journal_queued_writes" [] "Writes that wait for the store";
    Gauge JOURNAL_LIMIT "pinrail_journal_queue_limit_writes" [] "How many may wait; further runs are refused";
    Counter JOURNAL_REFUSED "pinrail_journal_refused" [] "Runs that were refused because the queue was full";
    Gauge JOURNAL_TROUBLE "pinrail_journal_trouble" [] "1 while the store doesn't take the journal";
    Counter JOURNAL_BATCHES "pinrail_journal_batches" ["outcome"] "Batches that were handed to the store";
    Histogram JOURNAL_BATCH_DURATION "pinrail_journal_batch_duration_seconds" [] "How long the store took for a batch, its sync included";
    Histogram JOURNAL_BATCH_WRITES "pinrail_journal_batch_writes" [] "Writes of a batch";
    Gauge RUNS_OPEN "pinrail_runs_open" [] "Runs that didn't end, calls under way included";

    Gauge LEDGER_HEAD "pinrail_ledger_head_seq" [] "The newest ledger entry that is in force here";
    Gauge EPOCH "pinrail_epoch" [] "How often pointers, commit statuses or the dial changed";
    Gauge DEPLOYMENTS_OPEN "pinrail_deployments_open" [] "Deployments that are neither promoted nor rolled back";
    Gauge DEPLOYMENT_STEP "pinrail_deployment_step" ["deployment"] "The step that a rollout under way is at, from 0";
    Gauge DEPLOYMENT_STEPS "pinrail_deployment_steps" ["deployment"] "How many steps that rollout has";
    Gauge DEPLOYMENT_FROZEN "pinrail_deployment_frozen" ["deployment"] "1 while a rollout under way doesn't go on by itself";
    Gauge DEPLOYMENT_WEIGHT "pinrail_deployment_weight_ratio" ["agent", "segment", "deployment"] "The share of a segment's traffic that a candidate gets, 0 to 1";
    Counter ROLLBACKS "pinrail_rollbacks" [] "Deployments that were rolled back, as the ledger has it";
    Histogram ROLLBACK_FLIP "pinrail_rollback_flip_seconds" [] "From the call of a rollback to the flip of this process's pointers";
    Gauge HOLDS "pinrail_holds" [] "Segments that a rollback holds until a person lifts that";
    Gauge DIALS "pinrail_dials_turned" [] "Places where the dial isn't at full";
    Gauge DIALS_UNRECORDED "pinrail_dials_unrecorded" [] "Turns of the dial that the ledger couldn't be told yet";
    Gauge FINDINGS "pinrail_drift_findings_open" [] "Findings of drift that nobody dealt with";
    Gauge APPROVALS "pinrail_approvals_waiting" [] "Tool calls that wait for a person";
    Gauge MEMBERS "pinrail_members" ["state"] "Members by how they follow: fresh, behind or lapsed";
    Gauge MEMBERS_LAG "pinrail_members_lag_seconds" [] "How long the member that is furthest behind has been so";

    Counter TRAFFIC_DROPPED "pinrail_traffic_dropped" [] "Journal writes that the counters of traffic had no room for";
    Gauge STATE_SPACES "pinrail_state_spaces_loaded" [] "State spaces whose index is in memory";
    Gauge STATE_BYTES "pinrail_state_index_bytes" [] "Bytes of those indexes";

    Gauge REPLICA_STALE "pinrail_replica_stale_seconds" [] "For how long this replica may have missed changes of pointers: below a second while it hears of them";
    Gauge REPLICA_LEADS "pinrail_replica_leads" [] "1 on the replica that conducts; 1 on a process alone";
    Gauge STORE_CONNECTED "pinrail_store_connected" [] "1 while the store answers this replica";
    Gauge JOURNAL_SPOOLED "pinrail_journal_spooled_writes" [] "Journal writes that lie on this replica's disk until the store is back";

    Counter TELEMETRY_SENT "pinrail_telemetry_sent" ["signal"] "Spans and log records that the collector took";
    Counter TELEMETRY_DROPPED "pinrail_telemetry_dropped" ["signal", "reason"] "Spans and log records that were dropped: no room in the queue, or the collector didn't take them";
    Gauge TELEMETRY_QUEUED "pinrail_telemetry_queued" ["signal"] "Spans and log records that wait for the collector";

    Counter PROCESS_CPU "pinrail_process_cpu_seconds" [] "Processor time that the process used";
    Gauge PROCESS_MEMORY "pinrail_process_resident_memory_bytes" [] "Memory that the process holds";
    Gauge PROCESS_FDS "pinrail_process_open_fds" [] "Files and connections that the process has open";
    Gauge PROCESS_FDS_LIMIT "pinrail_process_max_fds" [] "How many it may open";
    Gauge PROCESS_UPTIME "pinrail_process_uptime_seconds" [] "How long the process runs";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        for def in ALL {
            let name = def.name;
            assert!(name.starts_with("pinrail_"), "{name}");
            assert!(name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()), "{name}");
            assert!(!name.ends_with("_total"), "{name} gets its `_total` when it is shown");
            assert!(!def.help.ends_with('.'), "{name}");
            for label in def.labels {
                let private = ["tenant", "session", "run", "key", "caller", "unit"];
                assert!(!private.contains(label), "{name} tells {label} to whoever scrapes"); // I11, I15
            }
        }
        let mut names: Vec<_> = ALL.iter().map(|def| def.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
