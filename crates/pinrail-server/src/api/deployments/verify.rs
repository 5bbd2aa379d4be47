//! `GET /api/v1/deployments/{deployment}/verify`: the whole proof at once, or with `format=jsonl` one line per space while
//! it goes on.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use pinrail_api::deployments::proof::{Finding, Proof, ProofLine, SpaceProof};
use pinrail_api::problem::Problem;
use pinrail_control::Control;
use pinrail_control::proof::verify::{self, Checked, Verification};
use pinrail_domain::digest::Digest;
use pinrail_domain::id::DeploymentId;
use pinrail_domain::state::Moment;
use pinrail_store::StoreError;
use serde::Deserialize;

use super::id;
use super::manifest::refused;
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer, with_type};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    #[serde(default)]
    format: Format,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Json,
    Jsonl,
}

/// Spaces listed in one answer; the stream has no limit.
const SPACES_SHOWN: usize = 1_000;

pub async fn verify(call: Call) -> Answer {
    let id = id(&call)?;
    let Query { format } = call.query()?;
    match format {
        Format::Json => reply::json(&proof(call.control(), id).await?),
        Format::Jsonl => {
            let begun = begin(call.control(), id).await?;
            Ok(with_type("application/jsonl", lines(begun)))
        }
    }
}

/// The whole proof.
pub async fn proof(control: &Control, id: DeploymentId) -> Result<Proof, Problem> {
    let mut begun = begin(control, id).await?;
    let mut spaces = Vec::new();
    while let Some(checked) = begun.verification.next().await.map_err(|error| problem::store(&error))? {
        spaces.push(space(checked));
    }
    let changed = |space: &SpaceProof| !space.accounts.is_empty();
    spaces.sort_by_key(|space| (space.holds, !changed(space)));
    spaces.truncate(SPACES_SHOWN);
    Ok(Proof { spaces, ..end(begun.head, begun.verification) })
}

/// A verification under way, and what its answer begins with.
struct Begun {
    head: Head,
    verification: Verification,
}

#[derive(Clone, Copy)]
struct Head {
    deployment: DeploymentId,
    manifest: Digest,
    at: Moment,
}

async fn begin(control: &Control, id: DeploymentId) -> Result<Begun, Problem> {
    let (manifest, recorded) = control.manifest(id).await.map_err(refused)?;
    let verification = control.verify(id).await.map_err(refused)?;
    Ok(Begun { head: Head { deployment: id, manifest, at: recorded.at }, verification })
}

fn end(head: Head, verification: Verification) -> Proof {
    let Head { deployment, manifest, at } = head;
    let verify::Summary { holds, spaces, records, erased, probes, findings, gone, gone_count } =
        verification.summary();
    Proof {
        deployment,
        manifest,
        at,
        holds,
        spaces_checked: spaces,
        records_checked: records,
        erased,
        probes,
        findings,
        gone,
        gone_count,
        spaces: Vec::new(),
    }
}

fn space(checked: Checked) -> SpaceProof {
    let Checked { space, verdict, records, erased, probes, findings, findings_count } = checked;
    let findings = findings.into_iter().map(|finding| {
        let verify::Finding { record, key, deployment, what, detail } = finding;
        Finding { record, key, deployment, what: what.to_owned(), detail }
    });
    SpaceProof {
        space,
        holds: findings_count == 0,
        manifest: verdict.as_ref().map(|verdict| verdict.recorded),
        then: verdict.as_ref().map(|verdict| verdict.then),
        now: verdict.as_ref().map(|verdict| verdict.now),
        unchanged: verdict.as_ref().map(|verdict| verdict.unchanged).unwrap_or_default(),
        accounts: verdict.map(|verdict| verdict.accounts).unwrap_or_default(),
        records,
        erased,
        probes,
        findings: findings.collect(),
        findings_count,
    }
}

/// Where the stream is.
enum At {
    Begin(Begun),
    Spaces(Begun),
    End,
}

/// A failure in the middle cuts the stream, so that it can't be taken for whole.
fn lines(begun: Begun) -> Body {
    let lines = stream::try_unfold(At::Begin(begun), async |at| {
        let (line, at) = match at {
            At::Begin(begun) => {
                (ProofLine::Begin { spaces: begun.verification.total() as u64 }, At::Spaces(begun))
            }
            At::Spaces(mut begun) => {
                let checked = begun.verification.next().await.inspect_err(|error| {
                    tracing::error!(error = %problem::chain(error), "a verification was cut off");
                })?;
                match checked {
                    Some(checked) => (ProofLine::Space(space(checked)), At::Spaces(begun)),
                    None => (ProofLine::End(end(begun.head, begun.verification)), At::End),
                }
            }
            At::End => return Ok(None),
        };
        let mut bytes = serde_json::to_vec(&line).expect("a line is plain data");
        bytes.push(b'\n');
        Ok::<_, StoreError>(Some((Bytes::from(bytes), at)))
    });
    Body::from_stream(lines)
}

#[cfg(test)]
mod tests {
    use pinrail_control::state::memory::Turn;
    use pinrail_domain::id::StateSeq;
    use pinrail_domain::key::Tenants;
    use pinrail_domain::state::Space;
    use serde_json::{Value, json};

    use crate::testing::Bench;

    /// A turn that a new run of `support` concludes.
    async fn remember(bench: &Bench) -> StateSeq {
        let run = bench.run("acme").await.parse().unwrap();
        let stamp = bench.control.runs().stamp(run, &Tenants::All).await.unwrap().unwrap();
        let space = Space::memory(stamp.tenant.clone(), &stamp.agent, &"s".parse().unwrap());
        let turn = Turn { key: None, json: "\"hello\"".to_owned(), told: false, parents: Vec::new() };
        let states = bench.control.states();
        states.remember(&stamp, &space, vec![turn], None).await.unwrap().turns[0].1
    }

    #[tokio::test(start_paused = true)]
    async fn a_rollback_is_proven_and_damage_is_named() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let good = remember(&bench).await;
        let id = bench.release("sim-large-2026-04-01").await;
        bench.open_deployment(json!({ "releases": { "support": id }, "now": true })).await.ok();
        let bad = remember(&bench).await;
        bench.get("/api/v1/deployments/2/manifest").await.problem("manifest_pending");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let manifest = bench.get("/api/v1/deployments/2/manifest").await.ok();
        assert_eq!(
            (&manifest["spaces"][0]["count"], &manifest["pointers"][0]["active"]),
            (&json!(1), &json!(1))
        );
        bench.get("/api/v1/deployments/9/manifest").await.problem("not_found");

        let wish = json!({ "dry_run": true, "cascade": true });
        let plan = bench.post("/api/v1/deployments/2/rollback", wish).await.ok();
        assert_eq!((&plan["layers"]["memory"]["puts"], &plan["pointers"]["support"]), (&json!(1), &json!(1)));
        assert_eq!(bench.get("/api/v1/deployments/2").await.ok()["state"], "active");
        let wish = json!({ "reason": "worse", "cascade": true });
        assert_eq!(bench.post("/api/v1/deployments/2/rollback", wish).await.ok()["taken_along"], 0);

        let proof = bench.get("/api/v1/deployments/2/verify").await.ok();
        assert_eq!((&proof["holds"], &proof["records_checked"]), (&json!(true), &json!(2)));
        bench.memory.damage_record(good);
        let stream = bench.get("/api/v1/deployments/2/verify?format=jsonl").await;
        let lines: Vec<Value> = stream
            .body
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let words: Vec<_> = lines.iter().map(|line| line["line"].as_str().unwrap()).collect();
        assert_eq!(words, ["begin", "space", "end"]);
        assert_eq!(lines[1]["findings"][0]["record"], json!(good));
        assert_eq!((&lines[2]["holds"], &lines[2]["findings"]), (&json!(false), &json!(1)));
        bench.memory.damage_record(bad);
        let report = bench.get("/api/v1/deployments/2/report?verify=true").await.ok();
        assert_eq!((&report["verification"]["findings"], &report["hidden"]), (&json!(2), &json!(true)));
        assert!(report["flip_us"].is_u64(), "{report}");
        assert_eq!(report["acknowledged"]["settled"], true);
    }
}
