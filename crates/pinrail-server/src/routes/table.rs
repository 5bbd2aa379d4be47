//! The routes, address by address.

use http::Method;
use pinrail_domain::key::Scope;

use super::{Access, Route, Takes};
use crate::{api, openapi};

/// Reading what belongs to no tenant.
const READ: Access = Access::Key { scopes: &[Scope::Read], by_tenant: false };
/// Changing what is served.
const DEPLOY: Access = Access::Key { scopes: &[Scope::Deploy], by_tenant: false };
/// Making and revoking keys.
const ADMIN: Access = Access::Key { scopes: &[Scope::Admin], by_tenant: false };
/// Making and changing the runs of one's tenants; being a member.
const RUN: Access = Access::Key { scopes: &[Scope::Run], by_tenant: true };
/// Changing what is kept for one's tenants.
const DEPLOY_OWN: Access = Access::Key { scopes: &[Scope::Deploy], by_tenant: true };
/// Reading the runs of one's tenants; following the epoch.
const SEE_RUNS: Access = Access::Key { scopes: &[Scope::Run, Scope::Read], by_tenant: true };
/// Writing state of one's tenants. A data job's and an operator's writes need `deploy`, a run's need `run`.
const WRITE_STATE: Access = Access::Key { scopes: &[Scope::Run, Scope::Deploy], by_tenant: true };

const READ_RUN: (&str, &str) = ("run", "the run that reads; else the header x-pinrail-run");
const READ_DEPLOYMENT: (&str, &str) = ("deployment", "look as the runs of this deployment do");
const AS_OF: (&str, &str) =
    ("as_of", "now, a moment from an answer, state:N, ledger:N, an RFC 3339 time, or Unix milliseconds");
const ACCEPTS: (&str, &str) = (
    "accepts",
    "protocol versions that the reader accepts, comma between them; else what the run's release says",
);
const WRITE_RUN: (&str, &str) = ("run", "the run that writes; else the header x-pinrail-run");
const WRITE_DEPLOYMENT: (&str, &str) = ("deployment", "the open data job that writes");
const EXTERNAL: (&str, &str) = ("external", "true: an operator writes, on the ground");

const SPACE: (&str, &str) = ("space", "memory/AGENT/SESSION, context/NAME or vectors/NAME@EMBEDDER");
const TENANT: (&str, &str) = ("tenant", "whose; `default` when absent, and all of them in lists");
const LIMIT: (&str, &str) = ("limit", "items of a page, 1 to 1000; 100 when absent");
const AFTER: (&str, &str) = ("after", "the `next` of the page before");
const BEFORE: (&str, &str) = ("before", "the `next` of the page before");
const READY_FOR: (&str, &str) =
    ("for", "`calls`: whether model calls may be sent here; else whether all of its work goes on");
const REASON: (&str, &str) = ("reason", "why, for the ledger");

macro_rules! route {
    ($method:ident $path:literal, $access:expr, $takes:expr, [$($query:expr),*] => $gives:literal, $handler:path, $summary:literal) => {
        Route {
            method: Method::$method,
            path: $path,
            access: $access,
            takes: $takes,
            query: &[$($query),*],
            gives: $gives,
            summary: $summary,
            handler: |call| Box::pin($handler(call)),
        }
    };
}

/// Every address that this server answers, but for the gateway's under `/v1`.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    route!(GET "/healthz", Access::Public, Takes::Nothing, [] => "Health", api::health::healthz, "Says that the process serves"),
    route!(GET "/readyz", Access::Public, Takes::Nothing, [READY_FOR] => "Health", api::health::readyz, "Says whether the server can do its work, or why not"),
    route!(GET "/metrics", READ, Takes::Nothing, [] => "text/plain", api::metrics::show, "Gives metrics as Prometheus reads them"),
    route!(GET "/openapi.json", Access::Public, Takes::Nothing, [] => "OpenAPI 3.1", openapi::show, "Describes this API"),
    route!(GET "/api/v1/status", READ, Takes::Nothing, [] => "Status", api::status::show, "Says how the server is and what it holds"),

    route!(POST "/api/v1/artifacts", DEPLOY, Takes::Bytes, [] => "Artifact", api::artifacts::post::store, "Stores the body's bytes under their digest"),
    route!(GET "/api/v1/artifacts/{digest}", READ, Takes::Nothing, [] => "application/octet-stream", api::artifacts::get::show, "Gives an artifact's bytes"),

    route!(GET "/api/v1/agents", READ, Takes::Nothing, [AFTER, LIMIT] => "Page of Agent", api::agents::list::list, "Lists the agents by name"),
    route!(GET "/api/v1/agents/{agent}", READ, Takes::Nothing, [] => "Agent", api::agents::get::show, "Shows an agent"),
    route!(GET "/api/v1/agents/{agent}/explain", READ, Takes::Nothing, [] => "Explained", api::agents::explain::explain, "Says what the agent's tier demands, what of that is met, and what is missing"),
    route!(PUT "/api/v1/agents/{agent}", DEPLOY, Takes::Json("AgentSpec"), [REASON] => "Changed", api::agents::put::put, "Makes an agent's settings what the body says"),
    route!(POST "/api/v1/agents/{agent}/bump", DEPLOY, Takes::JsonOrNothing("Bump"), [] => "Bumped", api::agents::bump::bump, "Makes the release that pins a newer snapshot and differs in nothing else"),
    route!(DELETE "/api/v1/agents/{agent}", DEPLOY, Takes::Nothing, [REASON] => "Changed", api::agents::delete::remove, "Removes an agent that nothing serves"),

    route!(GET "/api/v1/providers", READ, Takes::Nothing, [AFTER, LIMIT] => "Page of Provider", api::providers::list::list, "Lists the model providers by name"),
    route!(GET "/api/v1/providers/{provider}", READ, Takes::Nothing, [] => "Provider", api::providers::get::show, "Shows a provider"),
    route!(PUT "/api/v1/providers/{provider}", DEPLOY, Takes::Json("ProviderSpec"), [REASON] => "Changed", api::providers::put::put, "Makes a provider's settings what the body says"),
    route!(DELETE "/api/v1/providers/{provider}", DEPLOY, Takes::Nothing, [REASON] => "Changed", api::providers::delete::remove, "Removes a provider that no served release names"),

    route!(POST "/api/v1/releases", DEPLOY, Takes::Json("CreateRelease"), [] => "ReleaseCreated", api::releases::post::create, "Creates a release; the same content gives the same id"),
    route!(GET "/api/v1/releases", READ, Takes::Nothing, [("agent", "only releases of this agent"), BEFORE, LIMIT] => "Page of Release", api::releases::list::list, "Lists the releases, newest first"),
    route!(GET "/api/v1/releases/{release}", READ, Takes::Nothing, [] => "Release", api::releases::get::show, "Shows a release; 6 or more digits of its id do"),
    route!(POST "/api/v1/releases/{release}/retire", DEPLOY, Takes::JsonOrNothing("Retire"), [] => "Retired", api::releases::retire::retire, "Says that nobody needs a release any more: it can't be deployed again"),
    route!(GET "/api/v1/releases/{release}/diff/{other}", READ, Takes::Nothing, [] => "Diff", api::releases::diff::show, "Says what changes from the first release to the second"),

    route!(POST "/api/v1/deployments", DEPLOY, Takes::Json("OpenDeployment"), [] => "Flip", api::deployments::post::open, "Puts releases in front of traffic, all of it or a share"),
    route!(GET "/api/v1/deployments", READ, Takes::Nothing, [("agent", "only deployments of this agent"), BEFORE, LIMIT] => "Page of Deployment", api::deployments::list::list, "Lists the deployments, newest first"),
    route!(GET "/api/v1/deployments/{deployment}", READ, Takes::Nothing, [] => "Deployment", api::deployments::get::show, "Shows a deployment and what still runs on it"),
    route!(POST "/api/v1/deployments/{deployment}/promote", DEPLOY, Takes::JsonOrNothing("Promote"), [] => "Flip", api::deployments::promote::promote, "Commits a candidate: all its segment's traffic"),
    route!(POST "/api/v1/deployments/{deployment}/commit", DEPLOY, Takes::JsonOrNothing("Because"), [] => "Flip", api::deployments::commit::commit, "Commits a data job: what it wrote counts"),
    route!(POST "/api/v1/deployments/{deployment}/rollback", DEPLOY, Takes::Json("RollBack"), [] => "Flip", api::deployments::rollback::roll_back, "Takes a deployment back, or says what that would do"),
    route!(POST "/api/v1/deployments/{deployment}/weight", DEPLOY, Takes::Json("SetWeight"), [] => "Flip", api::deployments::weight::set, "Sets a candidate's share of traffic"),
    route!(GET "/api/v1/deployments/{deployment}/rollout", READ, Takes::Nothing, [("seen", "the generation that the caller knows: wait for another one"), ("wait_ms", "how long to wait, at most 30000")] => "Rollout", api::deployments::rollout::show, "Says where a rollout stands, what it waits for and why"),
    route!(GET "/api/v1/deployments/{deployment}/history", READ, Takes::Nothing, [] => "History", api::deployments::history::show, "Says how a rollout's guardrails moved: both arms, the bounds and the margin"),
    route!(GET "/api/v1/deployments/{deployment}/timeline", READ, Takes::Nothing, [AFTER, LIMIT] => "Page of Happened", api::deployments::timeline::show, "Tells what happened to a deployment, with the numbers that it rests on"),
    route!(POST "/api/v1/deployments/{deployment}/freeze", DEPLOY, Takes::JsonOrNothing("Because"), [] => "Flip", api::deployments::freeze::freeze, "Stops a rollout: nothing widens by itself any more"),
    route!(POST "/api/v1/deployments/{deployment}/resume", DEPLOY, Takes::JsonOrNothing("Because"), [] => "Flip", api::deployments::resume::resume, "Lets a stopped rollout go on, or ends a pause"),
    route!(POST "/api/v1/deployments/{deployment}/approve", DEPLOY, Takes::JsonOrNothing("Because"), [] => "Flip", api::deployments::approve::approve, "Approves the step that a rollout is at"),
    route!(POST "/api/v1/deployments/{deployment}/gate", DEPLOY, Takes::Json("RecordGate"), [] => "Flip", api::deployments::gate::record, "Records the verdict of an eval that was run elsewhere"),
    route!(POST "/api/v1/deployments/{deployment}/override", DEPLOY, Takes::Json("OverrideGate"), [] => "Flip", api::deployments::override_gate::override_gate, "Says that a promotion may do without a part of its gate"),
    route!(POST "/api/v1/deployments/{deployment}/override/second", DEPLOY, Takes::JsonOrNothing("Because"), [] => "Flip", api::deployments::override_gate::second, "Says so, too, with another key"),
    route!(GET "/api/v1/deployments/{deployment}/manifest", READ, Takes::Nothing, [] => "Manifest", api::deployments::manifest::show, "Shows the state as it was when the deployment was opened"),
    route!(GET "/api/v1/deployments/{deployment}/verify", READ, Takes::Nothing, [("format", "jsonl: one line per space while it goes on, the whole last")] => "Proof", api::deployments::verify::verify, "Proves that what is visible is what it must be"),
    route!(GET "/api/v1/deployments/{deployment}/report", READ, Takes::Nothing, [("verify", "true: with the proof")] => "Report", api::deployments::report::show, "Says what a deployment came to, and how its rollback went"),
    route!(GET "/api/v1/deployments/{deployment}/blast-radius", READ, Takes::Nothing, [AFTER, LIMIT] => "BlastRadius", api::deployments::blast_radius::show, "Lists the runs that its writes may have misled, and what they did"),
    route!(GET "/api/v1/deployments/{deployment}/pairs", SEE_RUNS, Takes::Nothing, [("worst", "true: those that differ most first, of the newest 10000"), BEFORE, LIMIT] => "Pairs", api::deployments::pairs::list, "Lists what a candidate answered to copies of live requests, beside what was served"),
    route!(GET "/api/v1/deployments/{deployment}/pairs/{run}", SEE_RUNS, Takes::Nothing, [] => "Pair", api::deployments::pair::show, "Shows one such pair side by side, by the candidate's run"),
    route!(POST "/api/v1/deployments/{deployment}/compensate", DEPLOY, Takes::JsonOrNothing("Compensate"), [] => "Compensated", api::deployments::compensate::compensate, "Reports the calls that a rollback can't take back"),
    route!(POST "/api/v1/holds/lift", DEPLOY, Takes::Json("LiftHold"), [] => "HoldLifted", api::holds::lift, "Lifts the hold that a rollback set"),
    route!(GET "/api/v1/pointers", READ, Takes::Nothing, [] => "Pointers", api::pointers::show, "Says what every agent and segment serves"),
    route!(GET "/api/v1/traffic", READ, Takes::Nothing, [("agent", "only this agent's")] => "Traffic", api::traffic::show, "Counts what every agent and segment served in the last hour"),

    route!(POST "/api/v1/runs", RUN, Takes::Json("CreateRun"), [] => "RunCreated", api::runs::post::create, "Creates a run and stamps it"),
    route!(POST "/api/v1/gates", DEPLOY, Takes::Json("StartGate"), [] => "StartedGates", api::gates::post::start, "Has candidates judged, or says what that would take"),
    route!(GET "/api/v1/gates", READ, Takes::Nothing, [("agent", "only gates of this agent"), ("deployment", "only gates of this deployment"), ("status", "running, finished, failed or cancelled"), BEFORE, LIMIT] => "Page of Gate", api::gates::list::list, "Lists the gates, newest first"),
    route!(GET "/api/v1/gates/{gate}", READ, Takes::Nothing, [] => "Gate", api::gates::get::show, "Shows a gate: settings, progress, verdict, report"),
    route!(GET "/api/v1/gates/{gate}/watch", READ, Takes::Nothing, [("done", "the answers that the caller knows of: wait for another number, or the end"), ("wait_ms", "how long to wait, at most 30000")] => "Gate", api::gates::watch::follow, "Follows a gate"),
    route!(GET "/api/v1/gates/{gate}/rows", READ, Takes::Nothing, [("suite", "only answers to this suite"), ("case", "only answers to this case, by digest or place in its suite"), ("outcome", "pass, fail, error or refused"), ("flipped", "true: only cases in which the arms passed unequally often"), AFTER, LIMIT] => "Page of GateRow", api::gates::rows::list, "Lists what was answered, case by case"),
    route!(POST "/api/v1/gates/{gate}/cancel", DEPLOY, Takes::JsonOrNothing("Because"), [] => "Gate", api::gates::cancel::cancel, "Stops a gate; what it has is kept"),
    route!(POST "/api/v1/gates/{gate}/resume", DEPLOY, Takes::JsonOrNothing("Because"), [] => "Gate", api::gates::resume::resume, "Takes a gate up that was stopped or failed"),
    route!(POST "/api/v1/gates/import", DEPLOY, Takes::Json("ImportGate"), [] => "ImportedGate", api::evidence::import::import, "Judges a candidate by what another tool's eval says"),
    route!(GET "/api/v1/gates/{gate}/report", READ, Takes::Nothing, [("format", "text, markdown, junit, json or statement; json when absent")] => "Report", api::evidence::report::show, "Says why a gate ended as it did, in the form asked for"),
    route!(GET "/api/v1/drift", READ, Takes::Nothing, [] => "Drift", api::drift::list::list, "Lists what is watched behind its pin, and the open findings"),
    route!(GET "/api/v1/drift/{finding}", READ, Takes::Nothing, [] => "DriftFinding", api::drift::finding::show, "Shows an open finding"),
    route!(POST "/api/v1/drift/{finding}/clear", DEPLOY, Takes::JsonOrNothing("Because"), [] => "DriftCleared", api::drift::clear::clear, "Says that a finding is dealt with; its watch calibrates anew"),
    route!(GET "/api/v1/drift/models/{provider}/{snapshot}", READ, Takes::Nothing, [] => "DriftModel", api::drift::model::show, "Shows a watched model with its days and prompts"),
    route!(POST "/api/v1/drift/run", DEPLOY, Takes::JsonOrNothing("RunDrift"), [] => "DriftRun", api::drift::run::run, "Looks at models now, within the day's tokens"),

    route!(GET "/api/v1/gates/{gate}/statement", READ, Takes::Nothing, [] => "application/vnd.dsse.envelope.v1+json", api::evidence::statement::show, "Gives a verdict's in-toto statement in its envelope"),

    route!(GET "/api/v1/runs", SEE_RUNS, Takes::Nothing, [("agent", "only runs of this agent"), ("release", "only runs of this release, by id or 6 or more digits of it"), ("deployment", "only runs of this deployment"), ("status", "queued, running, paused, parked or finished"), ("outcome", "ok, error or cancelled: only runs that ended so"), ("session", "only runs of this session"), ("tenant", "only runs of this tenant"), ("text", "only runs that say this, in any case: prompts, answers, tools, notes, errors; a page looks at up to 5000 runs and says how far it got"), ("single", "true: only runs of one gateway call; false: only the others"), ("shadow", "true: only runs that answer copies of live requests; else they are left out"), ("gate", "true: only runs in which gates ask; else they are left out"), ("since", "started at or after, in Unix milliseconds"), ("until", "started before, in Unix milliseconds"), BEFORE, LIMIT] => "Runs", api::runs::list::list, "Lists the runs of one's tenants, newest first"),
    route!(GET "/api/v1/runs/{run}", SEE_RUNS, Takes::Nothing, [] => "Run", api::runs::get::show, "Shows a run: its stamp and what it came to"),
    route!(GET "/api/v1/runs/{run}/events", SEE_RUNS, Takes::Nothing, [("from", "the first event's place; 0 when absent"), LIMIT, ("wait_ms", "how long to wait for an event when there is none yet, up to 30000")] => "Events", api::runs::events::read, "Reads a run's journal, and waits for what comes"),
    route!(POST "/api/v1/runs/{run}/events", RUN, Takes::Json("AppendEvents"), [] => "RunChanged", api::runs::append::append, "Appends events to a run, durably"),
    route!(POST "/api/v1/runs/{run}/finish", RUN, Takes::Json("FinishRun"), [] => "RunChanged", api::runs::finish::finish, "Ends a run"),
    route!(POST "/api/v1/runs/{run}/scores", RUN, Takes::Json("ScoreRun"), [] => "RunChanged", api::runs::scores::score, "Says how good a run was, also after its end"),
    route!(POST "/api/v1/runs/{run}/tools/authorize", RUN, Takes::Json("AuthorizeTool"), [] => "ToolAuthorized", api::runs::authorize::authorize, "Says whether a run may call a tool now, and asks a person where the dial wants one"),
    route!(POST "/api/v1/runs/{run}/resume", RUN, Takes::Nothing, [] => "RunResumed", api::runs::resume::resume, "Hands back the stamped release and the events so far; the run goes on"),

    route!(GET "/api/v1/vectors/{space}", SEE_RUNS, Takes::Nothing, [READ_RUN, READ_DEPLOYMENT, AS_OF] => "VectorSpace", api::vectors::show::show, "Shows a space's embedders, and how far each is"),
    route!(POST "/api/v1/vectors/{space}/upsert", WRITE_STATE, Takes::LargeJson("UpsertVectors"), [] => "VectorsWritten", api::vectors::upsert::upsert, "Keeps vectors under their keys"),
    route!(POST "/api/v1/vectors/{space}/search", SEE_RUNS, Takes::Json("SearchVectors"), [] => "VectorsFound", api::vectors::search::search, "Finds the visible records nearest to a vector"),
    route!(POST "/api/v1/vectors/{space}/count", SEE_RUNS, Takes::JsonOrNothing("CountVectors"), [] => "VectorsCounted", api::vectors::count::count, "Counts the vectors that a reader sees"),
    route!(POST "/api/v1/vectors/{space}/delete", WRITE_STATE, Takes::Json("DeleteVectors"), [] => "VectorsDeleted", api::vectors::delete::delete, "Deletes keys in every embedder's index"),
    route!(GET "/api/v1/vectors/{space}/canaries", SEE_RUNS, Takes::Nothing, [READ_RUN, READ_DEPLOYMENT, ("embedder", "its digest, or the first digits of it")] => "Canaries", api::vectors::canaries::show, "Lists the texts that are embedded again at every release"),
    route!(PUT "/api/v1/vectors/{space}/canaries", DEPLOY_OWN, Takes::LargeJson("SetCanaries"), [READ_DEPLOYMENT] => "Canaries", api::vectors::canaries::set, "Keeps texts with their vectors, to find out when the embedder is swapped"),
    route!(POST "/api/v1/vectors/{space}/canaries/check", WRITE_STATE, Takes::LargeJson("CheckCanaries"), [READ_RUN, READ_DEPLOYMENT] => "CanaryCheck", api::vectors::canaries::check, "Compares the texts' vectors then and now"),
    route!(GET "/api/v1/state/spaces", READ, Takes::Nothing, [("layer", "memory, context or vectors"), TENANT, ("prefix", "what the space's name begins with"), AFTER, LIMIT] => "Page of Space", api::state::spaces::list, "Lists the spaces, with what is visible and who wrote there"),
    route!(GET "/api/v1/state/records", READ, Takes::Nothing, [SPACE, TENANT, ("key", "only this key"), ("history", "true: also what is hidden, with the reason"), READ_RUN, READ_DEPLOYMENT, AS_OF, ("after", "only records after this `seq`"), LIMIT] => "Records", api::state::records::list, "Shows the records of a space, with the reason why each is hidden"),
    route!(GET "/api/v1/state/verify", READ, Takes::Nothing, [SPACE, TENANT] => "SpaceVerification", api::state::verify::verify, "Recomputes the digests of a space's records"),
    route!(GET "/api/v1/state/map", READ, Takes::Nothing, [TENANT, ("spaces", "true: each space by itself")] => "Map", api::state::map::show, "Says which agents use which spaces, and who depends on whom"),
    route!(GET "/api/v1/state/export", READ, Takes::Nothing, [SPACE, TENANT, READ_RUN, READ_DEPLOYMENT, AS_OF] => "Export", api::state::export::export, "Streams what is visible of a space, one record per line"),
    route!(POST "/api/v1/state/import", DEPLOY, Takes::LargeJson("ImportRecords"), [] => "Imported", api::state::import::import, "Takes records into an open data job"),
    route!(GET "/api/v1/gc", READ, Takes::Nothing, [("older_than_ms", "keep what was rolled back within this time"), ("wait_ms", "how long to wait for the end of a removal, up to 30000")] => "Collection", api::gc::show, "Says what a collection would remove, and how far the last one is"),
    route!(POST "/api/v1/gc", ADMIN, Takes::JsonOrNothing("Collect"), [] => "Collection", api::gc::collect, "Removes rolled-back data that nobody needs any more"),
    route!(GET "/api/v1/gc/journal", READ, Takes::Nothing, [("older_than_ms", "keep the journals of this time"), ("wait_ms", "how long to wait for the end of the dropping, up to 30000")] => "JournalCollection", api::gc::journal::show, "Says which journals a collection would drop, and how far the last one is"),
    route!(POST "/api/v1/gc/journal", ADMIN, Takes::JsonOrNothing("CollectJournals"), [] => "JournalCollection", api::gc::journal::collect, "Drops journals that are older than they are kept"),
    route!(POST "/api/v1/erasures", ADMIN, Takes::Json("Erase"), [] => "Erased", api::erasures::erase, "Erases what a person or a tenant said"),
    route!(GET "/api/v1/readiness/drill", READ, Takes::Nothing, [] => "Drill", api::drills::show, "Shows the last drill"),
    route!(POST "/api/v1/readiness/drill", DEPLOY, Takes::JsonOrNothing("HoldDrill"), [] => "Drill", api::drills::hold, "Rehearses a rollback with state"),

    route!(GET "/api/v1/dial", READ, Takes::Nothing, [("agent", "what is in force for this agent's callers"), ("segment", "in this segment; `default` when absent"), ("tenant", "of this tenant; `default` when absent"), ("tool", "and for this tool")] => "Dial", api::dial::get::show, "Says where the dial stands, and what that leaves of a caller's calls"),
    route!(PUT "/api/v1/dial", DEPLOY, Takes::Json("SetDial"), [] => "DialTurned", api::dial::put::set, "Turns the dial"),
    route!(GET "/api/v1/approvals", SEE_RUNS, Takes::Nothing, [("state", "pending, approved, denied, expired or used"), ("agent", "only calls of this agent"), ("tool", "only calls of this tool"), ("run", "only calls of this run"), ("tenant", "only calls of this tenant"), BEFORE, LIMIT] => "Page of Approval", api::approvals::list::list, "Lists the tool calls that wait for a person, or did, newest first"),
    route!(GET "/api/v1/approvals/{approval}", SEE_RUNS, Takes::Nothing, [] => "Approval", api::approvals::get::show, "Shows such a call"),
    route!(POST "/api/v1/approvals/{approval}/approve", DEPLOY_OWN, Takes::JsonOrNothing("Decide"), [] => "Approval", api::approvals::approve::approve, "Lets the call be made, once"),
    route!(POST "/api/v1/approvals/{approval}/deny", DEPLOY_OWN, Takes::JsonOrNothing("Decide"), [] => "Approval", api::approvals::deny::deny, "Keeps the call from being made"),

    route!(GET "/api/v1/replicas", READ, Takes::Nothing, [] => "Replicas", api::replicas::list, "Lists the processes that share the store: who leads, who is silent"),
    route!(POST "/api/v1/members", RUN, Takes::Json("RegisterMember"), [] => "Registered", api::members::post::register, "Makes a gateway or worker a member, with a lease"),
    route!(GET "/api/v1/members", READ, Takes::Nothing, [AFTER, LIMIT] => "Page of Member", api::members::list::list, "Lists the members by name: who follows, who is behind, who is gone"),
    route!(POST "/api/v1/members/{member}/ack", RUN, Takes::Json("Acknowledge"), [] => "Acknowledged", api::members::ack::acknowledge, "Acknowledges an epoch and renews the lease"),
    route!(DELETE "/api/v1/members/{member}", RUN, Takes::Nothing, [] => "MemberLeft", api::members::delete::leave, "Ends one's own lease; an admin may end anyone's"),
    route!(GET "/api/v1/watch", SEE_RUNS, Takes::Nothing, [("after", "the newest epoch that the caller knows; Last-Event-ID comes first")] => "text/event-stream", api::watch::follow, "Follows the epoch, as server-sent events"),
    route!(GET "/api/v1/epochs/{epoch}", READ, Takes::Nothing, [] => "EpochReport", api::epochs::show, "Says who acknowledged an epoch, and how fast"),
    route!(GET "/api/v1/readiness", READ, Takes::Nothing, [] => "Readiness", api::readiness::show, "Says whether everything could be taken back right now"),
    route!(GET "/api/v1/catalogue", READ, Takes::Nothing, [("provider", "only this part of it, such as openai")] => "Catalogue", api::catalogue::show, "Shows what is known about models, with source and date"),
    route!(GET "/api/v1/catalogue/diff", READ, Takes::Nothing, [] => "CatalogueChanges", api::catalogue::diff, "Shows what was learnt beside what Pinrail brings"),
    route!(GET "/api/v1/catalogue/history", READ, Takes::Nothing, [] => "CatalogueHistory", api::catalogue::history, "Lists the updates of the catalogue, newest first"),
    route!(POST "/api/v1/catalogue/update", DEPLOY, Takes::LargeJson("UpdateCatalogue"), [] => "CatalogueUpdated", api::catalogue::learn, "Learns from a provider's own list or a price list, or says what that would change"),

    route!(GET "/api/v1/warm", READ, Takes::Nothing, [("agent", "only this agent's")] => "WarmSet", api::warm::list, "Lists what serves and what a rollback may return to, with what its newest probe came to"),
    route!(POST "/api/v1/warm/probe", DEPLOY, Takes::JsonOrNothing("ProbeNow"), [] => "WarmSet", api::warm::probe, "Calls each model of the warm set once, now"),

    route!(GET "/api/v1/ledger", READ, Takes::Nothing, [("after", "the sequence number before the first entry; 0 when absent"), LIMIT, ("format", "jsonl: all entries after `after`, one per line, as a stream")] => "Page of Entry", api::ledger::get::read, "Reads the ledger, oldest first"),
    route!(GET "/api/v1/ledger/verify", READ, Takes::Nothing, [] => "Verification", api::ledger::verify::verify, "Checks the whole chain as it is stored"),

    route!(POST "/api/v1/memory/{agent}/{session}", WRITE_STATE, Takes::Json("Remember"), [] => "Remembered", api::memory::append::append, "Remembers turns of a conversation"),
    route!(GET "/api/v1/memory/{agent}/{session}", SEE_RUNS, Takes::Nothing, [READ_RUN, READ_DEPLOYMENT, AS_OF, ("history", "true: everything that was ever remembered, with the reason why each turn is hidden"), ("before", "only turns before this `seq`"), ("after", "in a history: only turns after this `seq`"), LIMIT] => "Memory", api::memory::show::show, "Shows what a reader remembers of a conversation"),
    route!(GET "/api/v1/memory/{agent}/{session}/replay", SEE_RUNS, Takes::Nothing, [READ_RUN, READ_DEPLOYMENT, AS_OF, ("after", "only turns after this `seq`"), LIMIT] => "Memory", api::memory::replay::replay, "Hands back what a conversation was told from outside, in order"),
    route!(DELETE "/api/v1/memory/{agent}/{session}/{key}", WRITE_STATE, Takes::Nothing, [WRITE_RUN, WRITE_DEPLOYMENT, EXTERNAL] => "Forgotten", api::memory::forget::forget, "Forgets a turn"),

    route!(GET "/api/v1/context/{space}", SEE_RUNS, Takes::Nothing, [READ_RUN, READ_DEPLOYMENT, AS_OF, ACCEPTS, ("prefix", "only keys that begin with this"), AFTER, LIMIT] => "ContextList", api::context::list::list, "Lists the keys of shared context that a reader sees"),
    route!(GET "/api/v1/context/{space}/{key}", SEE_RUNS, Takes::Nothing, [READ_RUN, READ_DEPLOYMENT, AS_OF, ACCEPTS, ("version", "this version, or nothing"), ("history", "true: every version, with the reason why each is hidden"), ("after", "in a history: only versions after this one"), LIMIT] => "ContextValue", api::context::get::show, "Gives the value of a key that a reader sees"),
    route!(PUT "/api/v1/context/{space}/{key}", WRITE_STATE, Takes::Json("PutContext"), [] => "ContextChanged", api::context::put::put, "Puts a value, over any version or over the one that the writer saw"),
    route!(DELETE "/api/v1/context/{space}/{key}", WRITE_STATE, Takes::Nothing, [WRITE_RUN, WRITE_DEPLOYMENT, EXTERNAL, ("expected", "delete only this version")] => "ContextChanged", api::context::delete::delete, "Deletes a value"),
    route!(POST "/api/v1/context/{space}/messages", WRITE_STATE, Takes::Json("SendMessage"), [] => "MessageSent", api::context::send::send, "Sends a message to the agents of a space"),
    route!(GET "/api/v1/context/{space}/messages", SEE_RUNS, Takes::Nothing, [READ_RUN, READ_DEPLOYMENT, AS_OF, ACCEPTS, ("to", "me (to the run's agent or to all), all, or an agent; me when a run reads"), ("kinds", "only messages of these kinds, comma between them"), ("after", "only messages after this `seq`"), LIMIT] => "Messages", api::context::messages::list, "Lists the messages that a reader sees, oldest first"),
    route!(POST "/api/v1/context/{space}/resync", WRITE_STATE, Takes::Json("AskResync"), [] => "MessageSent", api::context::resync::ask, "Asks the writers to write again in a protocol that the reader accepts"),
    route!(GET "/api/v1/context/{space}/watch", SEE_RUNS, Takes::Nothing, [READ_RUN, READ_DEPLOYMENT, ACCEPTS, ("after", "the moment to go on after, where there is no Last-Event-ID")] => "text/event-stream", api::context::watch::follow, "Follows a space: what comes into a reader's view and goes out of it"),

    route!(GET "/api/v1/webhooks", READ, Takes::Nothing, [AFTER, LIMIT] => "Page of Webhook", api::webhooks::list::list, "Lists the webhooks by name: their place, what keeps them, their dead letters"),
    route!(GET "/api/v1/webhooks/{webhook}", READ, Takes::Nothing, [] => "Webhook", api::webhooks::get::show, "Shows a webhook and how its delivery goes"),
    route!(PUT "/api/v1/webhooks/{webhook}", DEPLOY, Takes::Json("WebhookSpec"), [REASON] => "Changed", api::webhooks::put::put, "Makes a webhook's settings what the body says"),
    route!(DELETE "/api/v1/webhooks/{webhook}", DEPLOY, Takes::Nothing, [REASON] => "Changed", api::webhooks::delete::remove, "Removes a webhook with its place and its dead letters"),
    route!(POST "/api/v1/webhooks/{webhook}/test", DEPLOY, Takes::Nothing, [] => "WebhookTest", api::webhooks::test::test, "Sends a test event now, and says what the receiver said"),
    route!(GET "/api/v1/webhooks/{webhook}/dead-letters", READ, Takes::Nothing, [AFTER, LIMIT] => "Page of DeadLetter", api::webhooks::dead_letters::list, "Lists the ledger entries that the receiver wouldn't take"),
    route!(POST "/api/v1/webhooks/{webhook}/dead-letters/retry", DEPLOY, Takes::Nothing, [] => "Resent", api::webhooks::resend_all::resend, "Sends the dead letters again, oldest first"),
    route!(POST "/api/v1/webhooks/{webhook}/dead-letters/{seq}/retry", DEPLOY, Takes::Nothing, [] => "Resent", api::webhooks::resend::resend, "Sends one dead letter again"),

    route!(GET "/api/v1/mcp", READ, Takes::Nothing, [] => "McpStatus", api::mcp::status::show, "Says how the MCP servers are, which pins are in use and what changed behind them"),
    route!(GET "/api/v1/mcp/servers", READ, Takes::Nothing, [AFTER, LIMIT] => "Page of McpServer", api::mcp::list::list, "Lists the MCP servers by name"),
    route!(GET "/api/v1/mcp/servers/{server}", READ, Takes::Nothing, [] => "McpServer", api::mcp::get::show, "Shows an MCP server's settings"),
    route!(PUT "/api/v1/mcp/servers/{server}", DEPLOY, Takes::Json("McpServerSpec"), [REASON] => "Changed", api::mcp::put::put, "Makes an MCP server's settings what the body says"),
    route!(DELETE "/api/v1/mcp/servers/{server}", DEPLOY, Takes::Nothing, [REASON] => "Changed", api::mcp::delete::remove, "Removes an MCP server that no served release pins"),
    route!(GET "/api/v1/mcp/{server}/diff", READ, Takes::Nothing, [("pin", "the pin's digest; else the only one in use")] => "McpDiff", api::mcp::diff::show, "Lists an MCP server's tools now, and compares them with a pin"),
    route!(POST "/mcp/{agent}", RUN, Takes::Json("McpMessage"), [] => "McpMessage", api::mcp::proxy::post, "Takes a message of an MCP client: the proxy that serves what the run's release pins"),
    route!(GET "/mcp/{agent}", RUN, Takes::Nothing, [] => "text/event-stream", api::mcp::proxy::follow, "Follows an MCP session: tells when its tools changed"),
    route!(DELETE "/mcp/{agent}", RUN, Takes::Nothing, [] => "text/plain", api::mcp::proxy::delete, "Ends an MCP session, and the run that it began"),

    route!(POST "/api/v1/keys", ADMIN, Takes::Json("CreateKey"), [] => "KeyCreated", api::keys::post::create, "Makes a key and shows its token, once"),
    route!(GET "/api/v1/keys", ADMIN, Takes::Nothing, [AFTER, LIMIT] => "Page of Key", api::keys::list::list, "Lists the keys that work, without their secrets"),
    route!(DELETE "/api/v1/keys/{key}", ADMIN, Takes::Nothing, [REASON] => "KeyRevoked", api::keys::delete::revoke, "Revokes a key at once"),
];
