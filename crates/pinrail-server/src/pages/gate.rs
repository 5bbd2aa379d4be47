//! `/gates/{gate}`: one gate, stopping it and taking it up again.

use pinrail_api::deployments::Because;
use pinrail_api::problem::Problem;
use pinrail_dashboard::confirm::Confirm;
use pinrail_dashboard::gates::gate::{
    Counts, GatePage, Metric, Pairs, Sealed, Show, SuiteJudged, SuiteResult,
};
use pinrail_dashboard::page::Nav;
use pinrail_domain::stats::Better;
use pinrail_domain::stats::paired::Scale;
use pinrail_gate::verdict::{ArmCounts, Informs, Report, SuiteReport, Tally};
use serde::Deserialize;

use super::serve::{self, View};
use super::{done, form, gate_cases, typed};
use crate::api;
use crate::call::Call;
use crate::reply::Answer;

/// Which cases are looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub show: Option<Show>,
    pub suite: Option<String>,
    /// `SUITE.CASE`, both from 1: the last case of the page before.
    pub after: Option<String>,
}

pub async fn show(call: Call) -> Result<GatePage, Problem> {
    let query: Query = form::query(&call)?;
    let id = api::gates::id(&call)?;
    let looked = api::gates::look(&call, id).await?;
    let judged = api::evidence::found(&call.control().snapshot().world, |judged| judged.gate == id);
    let sealed = match judged {
        Some(_) => Some(api::evidence::sealed(&call).await?),
        None => None,
    };
    let report = match &sealed {
        Some(sealed) => Some(sealed.report(&call).await?.0),
        None => None,
    };
    // What lives is the gate's progress alone.
    let cases = match serve::view(&call.head) {
        View::Live => Default::default(),
        View::Html | View::Json => gate_cases::gather(&call, &looked, report.as_ref(), query).await?,
    };
    let sealed = sealed.map(|sealed| Sealed {
        seq: sealed.judged.seq,
        statement: sealed.judged.judgement.statement,
        signed_by: sealed.signed_by().map(str::to_owned),
        source: source(sealed.judged.judgement.source).to_owned(),
    });
    let suites = looked.document.settings.suites.iter().map(|pin| SuiteResult {
        name: pin.name.clone(),
        kind: pin.kind,
        digest: pin.digest,
        margin: pin.margin(),
        judged: report.as_ref().and_then(|report| suite(report, &pin.name)),
    });
    Ok(GatePage {
        suites: suites.collect(),
        served: report.as_ref().map(|report| report.served.clone()).unwrap_or_default(),
        sealed,
        cases,
        gate: api::gates::shown(looked),
    })
}

pub async fn confirm_cancel(call: Call) -> Result<Confirm, Problem> {
    let says = "It stops asking. The answers that it has are kept, and it can be taken up again; until it has a verdict, \
                nothing that needs one is promoted. The ledger has no entry of this, the server’s log has the reason.";
    confirm(&call, "Cancel", says, "cancel", true).await
}

pub async fn cancel(call: Call) -> Answer {
    let why: Because = typed(&call)?;
    let gate = api::gates::cancel::run(&call, why).await?;
    done(&format!("/gates/{}", gate.gate), None)
}

pub async fn confirm_resume(call: Call) -> Result<Confirm, Problem> {
    let says = "It goes on where it stopped: what was answered isn’t asked again, what ended in an error is. It costs what is \
                left of its budget at most. The ledger gets its verdict when it has one, the server’s log has the reason.";
    confirm(&call, "Resume", says, "resume", false).await
}

pub async fn resume(call: Call) -> Answer {
    let why: Because = typed(&call)?;
    let gate = api::gates::resume::run(&call, why).await?;
    done(&format!("/gates/{}", gate.gate), None)
}

async fn confirm(
    call: &Call,
    verb: &str,
    says: &str,
    deed: &str,
    destructive: bool,
) -> Result<Confirm, Problem> {
    let id = api::gates::id(call)?;
    let gate = api::gates::shown(api::gates::look(call, id).await?);
    Ok(Confirm {
        nav: Nav::Gates,
        title: format!("{verb} the gate of {}", gate.agent),
        says: vec![
            format!("{} of {} answers are there.", gate.progress.done, gate.progress.total),
            says.to_owned(),
        ],
        preview: pinrail_dashboard::Html::default(),
        fields: Vec::new(),
        action: format!("/gates/{id}/{deed}"),
        button: format!("{verb} the gate"),
        destructive,
        reason_needed: false,
        back: format!("/gates/{id}"),
    })
}

fn source(source: pinrail_domain::gate::Source) -> &'static str {
    use pinrail_domain::gate::Source;
    match source {
        Source::Run => "run",
        Source::Promptfoo => "promptfoo",
        Source::Inspect => "inspect",
    }
}

fn suite(report: &Report, name: &str) -> Option<SuiteJudged> {
    let suite = report.suites.iter().find(|suite| suite.name == name)?;
    let decides = Metric {
        name: "pass_rate".to_owned(),
        decides: true,
        scale: Scale::Unit,
        better: Better::Higher,
        // Against a floor the difference itself decides.
        margin: if suite.floor.is_some() { 0.0 } else { suite.margin },
        candidate: suite.pass_rate.candidate,
        incumbent: suite.pass_rate.incumbent,
        compared: Some(suite.pass_rate),
    };
    let informs = suite.informs.iter().map(|informs| {
        let Informs { metric, scale, better, margin, candidate, incumbent, compared } = informs.clone();
        Metric { name: metric, decides: false, scale, better, margin, candidate, incumbent, compared }
    });
    Some(SuiteJudged {
        verdict: suite.verdict,
        why: suite.why.clone(),
        floor: suite.floor,
        metrics: std::iter::once(decides).chain(informs).collect(),
        pairs: pairs(suite),
        counts: counts(suite),
    })
}

fn pairs(suite: &SuiteReport) -> Pairs {
    let mut pairs = Pairs::default();
    let always = |tally: &Tally| tally.passed == tally.counted;
    for case in &suite.cases {
        let Some(incumbent) = &case.incumbent else { continue };
        if case.candidate.counted == 0 || incumbent.counted == 0 {
            pairs.not_compared += 1;
            continue;
        }
        match (always(&case.candidate), always(incumbent)) {
            (true, true) => pairs.both += 1,
            (true, false) => pairs.only_candidate += 1,
            (false, true) => pairs.only_incumbent += 1,
            (false, false) => pairs.neither += 1,
        }
    }
    pairs
}

fn counts(suite: &SuiteReport) -> Counts {
    let counts = &suite.counts;
    let arms = [("candidate", Some(&counts.candidate)), ("incumbent", counts.incumbent.as_ref())];
    let arms = arms.into_iter().filter_map(|(name, arm)| Some((name, arm?)));
    let reasons = arms.clone().flat_map(|(name, arm): (_, &ArmCounts)| {
        arm.reasons.iter().map(move |reason| format!("{name}: {} × {}", reason.answers, reason.why))
    });
    Counts {
        cases: counts.cases,
        compared: counts.compared,
        worse: counts.worse,
        better: counts.better,
        unstable: counts.unstable,
        lost: arms.clone().map(|(_, arm)| arm.errors + arm.refused).sum(),
        reasons: reasons.collect(),
    }
}
