//! Who reads and who writes state, as flags.

use pinrail_api::state::{ReadBy, WrittenBy};
use pinrail_domain::id::{DeploymentId, RunId, TenantId};

use crate::cli::Context;
use crate::client::{Client, Query};

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
#[group(required = true, multiple = false)]
struct Who {
    /// The run that writes: its deployment owns what it writes
    #[arg(long, value_name = "RUN")]
    run: Option<RunId>,
    /// The open data job that writes: `pinrail deploy open --ingest NAME`
    #[arg(long, value_name = "ID")]
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
    /// As of then: a `moment` from an answer, state:N, ledger:N, RFC 3339 or Unix milliseconds
    #[arg(long, value_name = "WHEN")]
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
        let query = Query::default().add("run", self.run).add("deployment", self.deployment);
        query.add("as_of", self.as_of.as_ref()).on(path)
    }
}
