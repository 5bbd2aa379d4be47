//! What a script must keep beyond its shape: ids exist, are unique, and limits hold.

use std::collections::BTreeSet;

use super::{Alias, Checkpoint, ErrorStatus, Script, ScriptError, Swap};
use crate::limits::{LATENCY_MS_MAX, LOGITS_MAX, MODEL_ID_BYTES_MAX, MODELS_MAX, RULE_TOOLS_MAX};

/// Checks the whole script and names the first key that is wrong.
pub fn check(script: &Script) -> Result<(), ScriptError> {
    if script.checkpoints.is_empty() {
        return Err(invalid("checkpoint", "there is none", "add a [[checkpoint]] with an id"));
    }
    if script.checkpoints.len() + script.aliases.len() > MODELS_MAX {
        return Err(invalid(
            "checkpoint",
            &format!("more than {MODELS_MAX} checkpoints and aliases"),
            "remove some",
        ));
    }
    let known: BTreeSet<&str> = script.checkpoints.iter().map(|checkpoint| checkpoint.id.as_str()).collect();
    let mut seen = BTreeSet::new();
    for id in script.checkpoints.iter().map(|c| &c.id).chain(script.aliases.iter().map(|a| &a.id)) {
        check_id(id)?;
        if !seen.insert(id.as_str()) {
            return Err(invalid(id, "two models have this id", "give each checkpoint and alias its own"));
        }
    }
    script.checkpoints.iter().try_for_each(|checkpoint| check_checkpoint(checkpoint, &known))?;
    script.aliases.iter().try_for_each(|alias| check_alias(alias, &known))
}

/// Checks a mix of error statuses; the control surface uses it too.
pub fn check_statuses(key: &str, statuses: &[ErrorStatus]) -> Result<(), ScriptError> {
    for status in statuses {
        if !(400..=599).contains(&status.status) {
            return Err(invalid(key, &format!("{} is not an error status", status.status), "use 400 to 599"));
        }
    }
    if !statuses.is_empty() && statuses.iter().all(|status| status.weight == 0) {
        return Err(invalid(key, "all weights are zero", "give one status a weight"));
    }
    Ok(())
}

fn check_id(id: &str) -> Result<(), ScriptError> {
    let fine =
        !id.is_empty() && id.len() <= MODEL_ID_BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_graphic());
    if fine {
        return Ok(());
    }
    let next = format!("use 1 to {MODEL_ID_BYTES_MAX} visible ASCII characters");
    Err(invalid("id", &format!("{id:?} can't be a model id"), &next))
}

fn check_checkpoint(checkpoint: &Checkpoint, known: &BTreeSet<&str>) -> Result<(), ScriptError> {
    let at = |key: &str| format!("checkpoint `{}` {key}", checkpoint.id);
    check_statuses(&at("error_statuses"), &checkpoint.error_statuses)?;
    let latency = &checkpoint.latency;
    if latency.first_ms.max(latency.per_token_ms) > LATENCY_MS_MAX
        || !(1..=100).contains(&latency.tail_factor)
    {
        let next = format!("stay at or under {LATENCY_MS_MAX} ms, and from 1 to 100 for tail_factor");
        return Err(invalid(&at("latency"), "out of range", &next));
    }
    check_logits(checkpoint, known)?;
    for rule in &checkpoint.scripted {
        let key = at(&format!("scripted `{}`", rule.contains));
        if rule.contains.is_empty() {
            return Err(invalid(&key, "`contains` is empty", "name the words to look for"));
        }
        if rule.reply.is_none() && rule.calls().next().is_none() {
            return Err(invalid(&key, "the rule does nothing", "give it a `reply` or a `tool`"));
        }
        if rule.tool.is_some() && !rule.tools.is_empty() {
            return Err(invalid(&key, "it has both `tool` and `tools`", "write all calls in `tools`"));
        }
        if rule.tools.len() > RULE_TOOLS_MAX {
            return Err(invalid(&key, &format!("more than {RULE_TOOLS_MAX} tools"), "remove some"));
        }
    }
    if let Some(swap) = &checkpoint.replaced_by {
        check_swap(&at("replaced_by"), swap, known)?;
        if swap.to == checkpoint.id {
            return Err(invalid(&at("replaced_by"), "it replaces itself", "name another checkpoint"));
        }
    }
    Ok(())
}

fn check_logits(checkpoint: &Checkpoint, known: &BTreeSet<&str>) -> Result<(), ScriptError> {
    let at = |key: &str| format!("checkpoint `{}` {key}", checkpoint.id);
    for (key, value) in [("wobble", checkpoint.wobble), ("distance", checkpoint.distance)] {
        if !(0.0..=LOGITS_MAX).contains(&value) {
            return Err(invalid(&at(key), "out of range", &format!("use 0 to {LOGITS_MAX}")));
        }
    }
    match &checkpoint.sibling_of {
        Some(other) if *other == checkpoint.id => {
            Err(invalid(&at("sibling_of"), "it is its own sibling", "name another checkpoint"))
        }
        Some(other) => check_target(&at("sibling_of"), other, known),
        None if checkpoint.distance > 0.0 => {
            Err(invalid(&at("distance"), "it has no sibling", "say `sibling_of` too"))
        }
        None => Ok(()),
    }
}

fn check_alias(alias: &Alias, known: &BTreeSet<&str>) -> Result<(), ScriptError> {
    let key = format!("alias `{}`", alias.id);
    check_target(&format!("{key} checkpoint"), &alias.checkpoint, known)?;
    alias.rotate.iter().try_for_each(|swap| check_swap(&format!("{key} rotate"), swap, known))
}

fn check_swap(key: &str, swap: &Swap, known: &BTreeSet<&str>) -> Result<(), ScriptError> {
    let conditions = [swap.at_request, swap.after_seconds, swap.after_days];
    if conditions.iter().flatten().count() != 1 {
        let next = "give `at_request`, `after_seconds` or `after_days`";
        return Err(invalid(key, "it needs exactly one condition", next));
    }
    if swap.at_request == Some(0) {
        return Err(invalid(key, "requests are counted from 1", "use at_request = 1 for the first"));
    }
    check_target(key, &swap.to, known)
}

fn check_target(key: &str, target: &str, known: &BTreeSet<&str>) -> Result<(), ScriptError> {
    if known.contains(target) {
        return Ok(());
    }
    let ids: Vec<&str> = known.iter().copied().collect();
    Err(invalid(
        key,
        &format!("no checkpoint is called `{target}`"),
        &format!("use one of {}", ids.join(", ")),
    ))
}

fn invalid(key: &str, problem: &str, next: &str) -> ScriptError {
    ScriptError::Invalid { key: key.to_owned(), problem: problem.to_owned(), next: next.to_owned() }
}
