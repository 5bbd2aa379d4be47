//! `/drift`: what is watched behind its pin, and what was found.

use pinrail_api::drift::RunDrift;
use pinrail_api::problem::Problem;
use pinrail_dashboard::Html;
use pinrail_dashboard::confirm::Confirm;
use pinrail_dashboard::drift::{Drift, FindingPage, ModelPage};
use pinrail_dashboard::page::Nav;
use pinrail_domain::digest::Digest;
use pinrail_store::watches::WatchKey;

use super::form::Because;
use super::{done, typed};
use crate::api::drift;
use crate::call::Call;
use crate::problem;
use crate::reply::Answer;

pub async fn list(call: Call) -> Result<Drift, Problem> {
    Ok(Drift { drift: drift::list::value(&call).await? })
}

pub async fn model(call: Call) -> Result<ModelPage, Problem> {
    let key = WatchKey { provider: call.param("provider")?, snapshot: call.text("snapshot").to_owned() };
    Ok(ModelPage { model: drift::model::value(&call, key).await? })
}

pub async fn finding(call: Call) -> Result<FindingPage, Problem> {
    let finding = drift::finding::value(&call)?;
    let seen = match finding.evidence {
        Some(digest) => text(&call, digest).await?,
        None => None,
    };
    Ok(FindingPage { finding, seen })
}

/// An artifact that is text; JSON with its lines.
async fn text(call: &Call, digest: Digest) -> Result<Option<String>, Problem> {
    let bytes = call.control().artifact_get(digest).await.map_err(|error| problem::store(&error))?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let indented = |text: &String| {
        let value: serde_json::Value = serde_json::from_str(text).ok()?;
        serde_json::to_string_pretty(&value).ok()
    };
    Ok(text.map(|text| indented(&text).unwrap_or(text)))
}

pub async fn confirm_clear(call: Call) -> Result<Confirm, Problem> {
    let finding = drift::finding::value(&call)?;
    Ok(Confirm {
        nav: Nav::Drift,
        title: format!("Clear finding {}: {}", finding.finding, finding.subject),
        says: vec![
            finding.what,
            "You say that it is dealt with. A watch by border prompts calibrates anew: what the model answers from today on is what is normal. A finding whose cause lasts comes back.".to_owned(),
        ],
        preview: Html::default(),
        fields: Vec::new(),
        action: format!("/drift/{}/clear", finding.finding),
        button: "Clear the finding".to_owned(),
        destructive: true,
        reason_needed: true,
        back: format!("/drift/{}", finding.finding),
    })
}

pub async fn clear(call: Call) -> Answer {
    let Because { reason } = typed(&call)?;
    let cleared = drift::clear::run(&call, reason).await?;
    done("/drift", Some(cleared.value.seq))
}

pub async fn confirm_look(call: Call) -> Result<Confirm, Problem> {
    let tokens = call.state.drift.settings().tokens_per_day;
    Ok(Confirm {
        nav: Nav::Drift,
        title: "Look at all watched models now".to_owned(),
        says: vec![format!(
            "Each is asked what today still lacks, within the day’s {tokens} tokens of answers. What today has isn’t asked again. It may take a minute."
        )],
        preview: Html::default(),
        fields: Vec::new(),
        action: "/drift/look".to_owned(),
        button: "Look now".to_owned(),
        destructive: false,
        reason_needed: false,
        back: "/drift".to_owned(),
    })
}

pub async fn look(call: Call) -> Answer {
    let looked = drift::run::value(&call, RunDrift::default()).await?;
    let found = looked.looked.into_iter().find_map(|looked| looked.finding);
    done("/drift", found)
}

#[cfg(test)]
mod tests;
