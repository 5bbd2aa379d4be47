//! `pinrail state spaces`.

use pinrail_api::Page;
use pinrail_api::spaces::Space;
use pinrail_domain::id::TenantId;
use pinrail_domain::state::Layer;

use crate::cli::Context;
use crate::client::Query;
use crate::commands::paging::with_next;
use crate::output::table::table;

/// Which spaces.
#[derive(Debug, Default)]
pub struct Wish {
    pub layer: Option<Layer>,
    pub tenant: Option<TenantId>,
    pub prefix: Option<String>,
    pub after: Option<String>,
    pub limit: Option<usize>,
}

/// Deployments named in a row.
const DEPLOYMENTS_SHOWN: usize = 8;

pub fn run(wish: &Wish, context: &Context) -> anyhow::Result<()> {
    let reply = context.client.get::<Page<Space>>(&path(wish))?;
    context.out.reply(&reply, |page| {
        let rows = page.items.iter().map(row).collect();
        let header = ["tenant", "space", "visible", "puts", "deletes", "newest", "deployments"];
        let next = page.next.as_ref().map(|next| format!("'{next}'"));
        with_next(table(&header, rows, "no spaces"), "--after", next.as_ref())
    })?;
    Ok(())
}

/// The list's address.
pub fn path(wish: &Wish) -> String {
    let Wish { layer, tenant, prefix, after, limit } = wish;
    Query::default()
        .add("layer", layer.as_ref())
        .add("tenant", tenant.as_ref())
        .add("prefix", prefix.as_ref())
        .add("after", after.as_ref())
        .add("limit", *limit)
        .on("/api/v1/state/spaces")
}

fn row(space: &Space) -> Vec<String> {
    let ids: Vec<String> =
        space.deployments.iter().take(DEPLOYMENTS_SHOWN).map(ToString::to_string).collect();
    let more = space.deployments.len().saturating_sub(DEPLOYMENTS_SHOWN);
    let more = if more > 0 { format!(" +{more}") } else { String::new() };
    vec![
        space.tenant.to_string(),
        space.space.clone(),
        space.visible.to_string(),
        space.puts.to_string(),
        space.deletes.to_string(),
        space.newest.to_string(),
        format!("{}{more}", ids.join(" ")),
    ]
}
