//! `/approvals/{approval}`: one tool call that waits for a person, and the decision.

use pinrail_api::problem::Problem;
use pinrail_dashboard::Html;
use pinrail_dashboard::confirm::Confirm;
use pinrail_dashboard::dial::ApprovalPage;
use pinrail_dashboard::page::Nav;

use super::answer::see_other;
use super::form::Because;
use super::typed;
use crate::api::approvals;
use crate::call::Call;
use crate::reply::Answer;

pub async fn show(call: Call) -> Result<ApprovalPage, Problem> {
    Ok(ApprovalPage { approval: approvals::get::value(&call).await? })
}

pub async fn confirm_approve(call: Call) -> Result<Confirm, Problem> {
    let says = "The call may be made once, with exactly these arguments, by the conversation that asked.";
    confirm(&call, "Approve", "approve", says).await
}

pub async fn confirm_deny(call: Call) -> Result<Confirm, Problem> {
    let says = "The call isn't made. The same call asks nobody again until this would have expired.";
    confirm(&call, "Deny", "deny", says).await
}

async fn confirm(call: &Call, verb: &str, path: &str, says: &str) -> Result<Confirm, Problem> {
    let approval = approvals::get::value(call).await?;
    let mut says = vec![
        format!("{} asks for it, for tenant {}: {}", approval.agent, approval.tenant, approval.why),
        says.to_owned(),
    ];
    let shown = approval.arguments.as_deref().map_or(0, |arguments| arguments.chars().count());
    if approval.truncated {
        says.push(
            "Only the beginning of the arguments is kept: what you decide about is longer than what you see."
                .to_owned(),
        );
    } else if approval.arguments.is_none() {
        says.push("Its arguments are not kept any more.".to_owned());
    } else if shown > pinrail_dashboard::ui::SHOWN_CHARS {
        says.push(format!("The arguments are long: /approvals/{}.json has all of them.", approval.approval));
    }
    let arguments = approval.arguments.as_deref().map(pinrail_dashboard::ui::block);
    let preview = arguments.map(|arguments| Html::from_trusted(format!("<h2>Arguments</h2>{arguments}")));
    let id = approval.approval;
    Ok(Confirm {
        nav: Nav::Dial,
        title: format!("{verb} the call of {}", approval.tool),
        says,
        preview: preview.unwrap_or_default(),
        fields: Vec::new(),
        action: format!("/approvals/{id}/{path}"),
        button: format!("{verb} the call"),
        destructive: verb == "Deny",
        reason_needed: false,
        back: format!("/approvals/{id}"),
    })
}

pub async fn approve(call: Call) -> Answer {
    decide(call, true).await
}

pub async fn deny(call: Call) -> Answer {
    decide(call, false).await
}

async fn decide(call: Call, approved: bool) -> Answer {
    let Because { reason } = typed(&call)?;
    let decided = approvals::run(&call, approved, reason).await?;
    // It is in the run's journal, not in the ledger: the call's page shows it.
    Ok(see_other(&format!("/approvals/{}", decided.value.approval)))
}
