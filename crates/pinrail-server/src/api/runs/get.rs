//! `GET /api/v1/runs/{run}`.

use super::{id, shown};
use crate::call::Call;
use crate::problem;
use crate::reply::{self, Answer};

pub async fn show(call: Call) -> Answer {
    let run = id(&call)?;
    let found =
        call.control().runs().get(run, &call.tenants()?).await.map_err(|error| problem::store(&error))?;
    reply::json(&shown(found.ok_or_else(|| call.no_run(run))?))
}

#[cfg(test)]
mod tests {
    use crate::testing::Bench;

    #[tokio::test(start_paused = true)]
    async fn a_run_is_shown_to_its_tenant() {
        let bench = Bench::open().await;
        bench.deploy_now().await;
        let run = bench.run("acme").await;
        let path = format!("/api/v1/runs/{run}");
        let shown = bench.get(&path).await.ok();
        assert_eq!(
            (&shown["summary"]["status"], &shown["stamp"]["run"]),
            (&"running".into(), &run.as_str().into())
        );
        // The header narrows what a key sees to one tenant (I11).
        bench.send("GET", &path, &[("x-pinrail-tenant", "acme")], None).await.ok();
        bench.send("GET", &path, &[("x-pinrail-tenant", "umbrella")], None).await.problem("not_found");
        bench.get("/api/v1/runs/run_00000000000000000000000000").await.problem("not_found");
        bench.get("/api/v1/runs/1").await.problem("bad_name");
    }
}
