//! Errors: RFC 9457 problem documents with a stable `code`, a cause and a next step.

use serde::{Deserialize, Serialize};

/// An error's body, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:pinrail:problem:<code>`.
    #[serde(rename = "type")]
    pub type_: String,
    pub title: String,
    pub status: u16,
    pub code: Code,
    /// What failed and why, causes included.
    pub detail: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
    /// Facts for programs, such as `next` for a failed compare-and-set.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty", flatten)]
    pub facts: serde_json::Map<String, serde_json::Value>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $status:literal, $text:literal, $title:literal;)*) => {
        /// What went wrong, for programs. Never reused for something else.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
            /// A code that this version doesn't know.
            #[serde(other, rename = "other")]
            Other,
        }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)* Code::Other => "other" }
            }

            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)* Code::Other => 500 }
            }

            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title,)* Code::Other => "something else" }
            }
        }
    };
}

codes! {
    BadRequest = 400, "bad_request", "the request cannot be understood";
    BadName = 400, "bad_name", "a name breaks its rules";
    BadManifest = 400, "bad_manifest", "the manifest cannot become a release";
    BadAgent = 400, "bad_agent", "the agent's settings are refused";
    BadProvider = 400, "bad_provider", "the provider's settings are refused";
    BadMcpServer = 400, "bad_mcp_server", "the MCP server's settings are refused";
    BadWebhook = 400, "bad_webhook", "the webhook's settings are refused";
    BadEvents = 400, "bad_events", "the events are refused";
    BadParents = 400, "bad_parents", "a record cannot be derived from that";
    BadTurns = 400, "bad_turns", "the turns are refused";
    FutureMoment = 400, "future_moment", "that has not happened yet";
    Unauthenticated = 401, "unauthenticated", "no valid key";
    Forbidden = 403, "forbidden", "the key does not allow this";
    NotFound = 404, "not_found", "there is no such thing";
    NoRoute = 404, "no_route", "there is no such address";
    MethodNotAllowed = 405, "method_not_allowed", "the address does not take this method";
    NothingActive = 409, "nothing_active", "nothing is deployed there";
    Retired = 409, "retired", "the release is retired";
    ModelRefused = 409, "model_refused", "the tier refuses the model";
    CandidateExists = 409, "candidate_exists", "another candidate is in the way";
    AlreadyActive = 409, "already_active", "nothing would change";
    IngestOpen = 409, "ingest_open", "a data job of that name is open";
    WrongKind = 409, "wrong_kind", "the deployment is of another kind";
    DriftOff = 409, "drift_off", "models aren't watched here";
    NoManifest = 404, "no_manifest", "the deployment has no manifest";
    BadDial = 409, "bad_dial", "the dial is not turned like that";
    Decided = 409, "decided", "the approval is over";
    OtherCall = 409, "other_call", "the call's id belongs to another call";
    Dialled = 503, "dialled", "the dial lets nothing through";
    ManifestPending = 503, "manifest_pending", "the manifest is being worked out";
    Held = 409, "held", "a hold is set";
    NotHeld = 409, "not_held", "there is no hold to lift";
    GateMissing = 409, "gate_missing", "the gate has not been passed";
    Unproven = 409, "unproven", "the rollout is not through";
    RolloutState = 409, "rollout_state", "the rollout does not allow this";
    NotACandidate = 409, "not_a_candidate", "the deployment is no candidate";
    AlreadyRolledBack = 409, "already_rolled_back", "the deployment is rolled back";
    InUse = 409, "in_use", "something still needs it";
    MissingArtifact = 409, "missing_artifact", "an artifact is not stored";
    SequenceMoved = 409, "sequence_moved", "the run has moved on";
    RunState = 409, "run_state", "the run's state does not allow this";
    Fenced = 409, "fenced", "the member no longer counts";
    PinGone = 409, "pin_gone", "the pinned model is retired";
    GateState = 409, "gate_state", "the gate is in another state";
    NoSuites = 409, "no_suites", "there are no such suites to ask";
    BadSuite = 409, "bad_suite", "a suite cannot be asked";
    NoJudge = 409, "no_judge", "there is no judge";
    GateRun = 409, "gate_run", "the run is a gate's";
    BadEvidence = 400, "bad_evidence", "the eval's file is no evidence";
    GateOverride = 409, "gate_override", "the gate is not overridden like that";
    DeploymentClosed = 409, "deployment_closed", "the data job is over";
    NotAnIngest = 409, "not_an_ingest", "the deployment is no data job";
    VersionMoved = 409, "version_moved", "the key has another version";
    ProtocolMismatch = 409, "protocol_mismatch", "the reader does not accept the protocol";
    Collected = 410, "collected", "that was removed by gc";
    Erased = 410, "erased", "the content was erased";
    KeyReused = 422, "idempotency_key_reused", "the idempotency key belongs to another request";
    BadVector = 400, "bad_vector", "the vector does not belong into the space";
    EmbedderMismatch = 409, "embedder_mismatch", "the vectors are of another embedder";
    WhichEmbedder = 409, "which_embedder", "it is not said which embedder is meant";
    RequestTimeout = 408, "request_timeout", "the request did not arrive in time";
    Ambiguous = 409, "ambiguous", "several things have that name";
    UnsupportedContent = 415, "unsupported_content", "the address takes another content type";
    TooLarge = 413, "too_large", "the request is over a limit";
    LimitReached = 429, "limit_reached", "a limit is reached";
    Internal = 500, "internal", "Pinrail made a mistake";
    StoreDamaged = 500, "store_damaged", "the store holds damaged data";
    ProviderFailed = 502, "provider_failed", "a provider did not do its part";
    McpServerFailed = 502, "mcp_server_failed", "an MCP server did not do its part";
    NotReady = 503, "not_ready", "the server cannot do its work now";
    Contended = 503, "contended", "others kept changing the same thing";
    Stale = 503, "stale", "this replica has not heard of the others for too long";
    StoreFull = 507, "store_full", "the store is full";
    StoreUnavailable = 503, "store_unavailable", "the store cannot be used";
}

impl Problem {
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem {
            type_: format!("urn:pinrail:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            next_step: None,
            facts: serde_json::Map::new(),
        }
    }

    #[must_use]
    pub fn next_step(mut self, next_step: impl Into<String>) -> Problem {
        self.next_step = Some(next_step.into());
        self
    }

    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<serde_json::Value>) -> Problem {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}
