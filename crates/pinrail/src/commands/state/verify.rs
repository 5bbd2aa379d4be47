//! `pinrail state verify`: space by space, so that a long one shows how far it is.

use pinrail_api::spaces::{Space, SpaceVerification};
use pinrail_domain::id::TenantId;
use serde_json::json;

use super::spaces;
use crate::cli::Context;
use crate::client::Query;
use crate::output::progress;
use crate::output::table::table;

/// Returns whether everything is whole.
pub fn run(space: Option<String>, tenant: Option<TenantId>, context: &Context) -> anyhow::Result<bool> {
    let wanted: Vec<(Option<TenantId>, String)> = match space {
        Some(space) => vec![(tenant, space)],
        None => {
            let path = spaces::path(&spaces::Wish { tenant, limit: Some(1_000), ..Default::default() });
            let all = context.client.all::<Space>(&path, "after")?;
            all.into_iter().map(|space| (Some(space.tenant), space.space)).collect()
        }
    };
    let bar = progress::bar("verifying spaces", wanted.len() as u64);
    let mut verdicts = Vec::with_capacity(wanted.len());
    for (tenant, space) in wanted {
        let query = Query::default().add("space", Some(space)).add("tenant", tenant);
        let path = query.on("/api/v1/state/verify");
        verdicts.push(context.client.get::<SpaceVerification>(&path)?.value);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let damaged: u64 = verdicts.iter().map(|verdict| verdict.damaged).sum();
    context.out.value(&json!({ "whole": damaged == 0, "damaged": damaged, "spaces": verdicts }), || {
        describe(&verdicts, damaged)
    })?;
    Ok(damaged == 0)
}

fn describe(verdicts: &[SpaceVerification], damaged: u64) -> String {
    let records: u64 = verdicts.iter().map(|verdict| verdict.records).sum();
    let erased: u64 = verdicts.iter().map(|verdict| verdict.erased).sum();
    let spaces = verdicts.len();
    if damaged == 0 {
        return format!("whole: {records} records in {spaces} spaces, {erased} of them erased with proof");
    }
    let rows = verdicts.iter().flat_map(|verdict| {
        verdict.named.iter().map(|damage| {
            vec![
                verdict.tenant.to_string(),
                verdict.space.clone(),
                damage.seq.to_string(),
                damage.key.clone(),
                damage.what.clone(),
            ]
        })
    });
    let named = table(&["tenant", "space", "seq", "key", "what"], rows.collect(), "");
    format!("DAMAGED: {damaged} of {records} records in {spaces} spaces\n{named}")
}
