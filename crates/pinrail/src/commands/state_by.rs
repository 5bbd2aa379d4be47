//! Who reads and who writes state, as flags.

use pinrail_api::state::{ReadBy, WrittenBy};
use pinrail_domain::id::{DeploymentId, RunId, TenantId};
use pinrail_domain::state::view::Hidden;
use pinrail_domain::time::Clock as _;

use crate::cli::Context;
use crate::client::{Client, Query};
use crate::output::time;
use crate::system::SystemClock;

/// Whose name something is written in.
#[derive(Clone, Debug, clap::Args)]
pub struct Writer {
    #[command(flatten)]
    who: Who,
    /// For this tenant [default: the run's, else the key's only one, else `default`]
    #[arg(long)]
    tenant: Option<TenantId>,
}

#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Who {
    /// The run that writes: its deployment owns what it writes; with --external, it was told it
    #[arg(long, value_name = "RUN")]
    run: Option<RunId>,
    /// The open data job that writes: `pinrail deploy open --ingest NAME`
    #[arg(long, value_name = "ID", conflicts_with_all = ["run", "external"])]
    deployment: Option<u64>,
    /// It is a fact from outside: no rollback takes it away
    #[arg(long)]
    external: bool,
}

/// Through whose eyes something is read.
#[derive(Clone, Debug, clap::Args)]
pub struct Reader {
    /// See what this run sees; the read is noted
    #[arg(long, value_name = "RUN", conflicts_with = "deployment")]
    run: Option<RunId>,
    /// Look as the runs of this deployment do
    #[arg(long, value_name = "ID")]
    deployment: Option<u64>,
    /// As of then: a `moment` from an answer, state:N, ledger:N, 15m ago, a date, RFC 3339 or Unix milliseconds
    #[arg(long, value_name = "WHEN", value_parser = as_of)]
    as_of: Option<String>,
    /// For this tenant [default: the run's, else the key's only one, else `default`]
    #[arg(long)]
    tenant: Option<TenantId>,
}

impl Writer {
    pub fn by(&self) -> WrittenBy {
        let Who { run, deployment, external } = &self.who;
        WrittenBy { run: *run, deployment: deployment.map(DeploymentId), external: *external }
    }

    /// The writer as a query.
    pub fn query(&self) -> Query {
        let WrittenBy { run, deployment, external } = self.by();
        Query::default()
            .add("run", run)
            .add("deployment", deployment)
            .add("external", external.then_some(true))
    }

    /// The client that writes for the tenant.
    pub fn client(&self, context: &Context) -> Client {
        context.client.for_tenant(self.tenant.as_ref())
    }
}

impl Reader {
    pub fn by(&self) -> ReadBy {
        let Reader { run, deployment, as_of, tenant: _ } = self;
        ReadBy { run: *run, deployment: deployment.map(DeploymentId), as_of: as_of.clone() }
    }

    /// The client that reads for the tenant.
    pub fn client(&self, context: &Context) -> Client {
        context.client.for_tenant(self.tenant.as_ref())
    }

    /// A read's address with the reader in its query.
    pub fn on(&self, path: &str) -> String {
        self.query().on(path)
    }

    /// The reader as a query.
    pub fn query(&self) -> Query {
        let query = Query::default().add("run", self.run).add("deployment", self.deployment);
        query.add("as_of", self.as_of.as_ref())
    }
}

/// Why something is hidden, for people.
pub fn hidden(why: Option<&Hidden>) -> String {
    why.map_or_else(String::new, |why| format!("hidden: {why}"))
}

/// What the server reads is passed on; how long ago and a day are reckoned here.
fn as_of(text: &str) -> Result<String, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let is_span = digits > 0 && digits + 1 == text.len() && text.ends_with(['s', 'm', 'h', 'd', 'w']);
    let is_day = text.len() == 10 && text.bytes().filter(|b| *b == b'-').count() == 2;
    if is_span || is_day {
        let now = SystemClock::start().now();
        return time::parse(text, now).map(|at| at.0.to_string());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_passed_on_and_a_day_is_reckoned() {
        let check = |text: &str, expected: &str| assert_eq!(as_of(text).unwrap(), expected);
        check("1200.87", "1200.87");
        check("state:5", "state:5");
        check("now", "now");
        check("1795132800", "1795132800");
        check("2026-11-20", "1795132800000");
        check("2026-11-20T01:00:00Z", "2026-11-20T01:00:00Z");
        assert!(as_of("15m").unwrap().bytes().all(|b| b.is_ascii_digit()));
    }
}
