//! What can't be adopted, and what will be different for the application. Pure: a [`Shape`] in, reasons out.
//!
//! Refused is what a view with triggers can't keep up or would silently change; everything else is told.

use serde::Serialize;

use crate::shape::{Action, Code, Shape, Unique};

/// One thing that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    pub what: String,
    /// What to do about it.
    pub instead: String,
}

/// All that stands in the way of adopting a table; empty when nothing does.
#[must_use]
pub fn refusals(shape: &Shape) -> Vec<Refusal> {
    let mut refused = of_its_kind(shape);
    refused.extend(of_its_keys(shape));
    refused.extend(of_its_foreign_keys(shape));
    refused.extend(of_its_code(shape));
    refused.extend(of_others(shape));
    refused
}

/// What the application will notice.
#[must_use]
pub fn changes(shape: &Shape) -> Vec<String> {
    let mut told = vec![
        "INSERT … ON CONFLICT needs a table: leave the clause out and SET pinrail.on_conflict = 'update' or 'nothing'".to_owned(),
        "TRUNCATE, LOCK TABLE and ALTER TABLE don't work on it; COPY … FROM does, COPY … TO needs a query".to_owned(),
        "two transactions that change the same row at the same time: the second gets a serialization failure (40001)".to_owned(),
        "SELECT … FOR UPDATE locks nothing: rely on the 40001 instead".to_owned(),
        "tools that look up the primary key find a view without one".to_owned(),
        "a query's conditions are tried on replaced, deleted and hidden rows, too: one that fails on such a row, as a cast does, fails the query; guard it with CASE"
            .to_owned(),
    ];
    for unique in shape.secondary() {
        told.push(format!(
            "`{}` holds among the rows that a reader sees; of two deployments' rows with the same values the later one counts once both are committed",
            unique.name
        ));
    }
    for constraint in shape.constraints.iter().filter(|constraint| constraint.kind == "f") {
        told.push(format!(
            "`{}` holds for hidden and replaced rows, too: they count as references",
            constraint.name
        ));
    }
    let identities = shape.columns.iter().filter(|column| column.identity);
    told.extend(identities.map(|column| {
        format!(
            "`{}` takes a value that the application gives, even where its identity is GENERATED ALWAYS",
            column.name
        )
    }));
    let generated = shape.columns.iter().filter(|column| column.generated);
    told.extend(
        generated
            .map(|column| format!("a value given for the generated column `{}` is passed over", column.name)),
    );
    if !shape.columns.iter().any(|column| column.vector) {
        told.push("it has no vector column: everything else holds".to_owned());
    }
    told
}

fn of_its_kind(shape: &Shape) -> Vec<Refusal> {
    let ours = shape.schema.starts_with("pinrail") || shape.schema.starts_with("pg_");
    let kind = match shape.kind.as_str() {
        "r" => None,
        "p" => Some("it is partitioned"),
        "v" => Some("it is a view"),
        "m" => Some("it is a materialized view"),
        "f" => Some("it is a foreign table"),
        _ => Some("it is no table"),
    };
    let mut refused = Vec::new();
    if let Some(kind) = kind {
        refused.push(refusal(
            kind,
            "adopt plain tables; of a partitioned one, its rows would need a table of their own",
        ));
    }
    let mut when = |is: bool, what: &str, instead: &str| {
        if is {
            refused.push(refusal(what, instead));
        }
    };
    when(
        ours || shape.schema == "information_schema",
        "its schema is the system's or Pinrail's",
        "adopt a table of your own",
    );
    when(shape.partition, "it is a partition", "adopt plain tables");
    when(
        shape.inherits,
        "it inherits from another table, or another from it",
        "end the inheritance first (ALTER TABLE … NO INHERIT)",
    );
    when(
        shape.kind == "r" && shape.persistence != "p",
        "it is unlogged or temporary",
        "a rollback must outlive a crash: ALTER TABLE … SET LOGGED",
    );
    when(shape.typed, "it is a table of a composite type", "ALTER TABLE … NOT OF");
    when(shape.extension, "it belongs to an extension", "adopt a table of your own");
    when(
        shape.row_security,
        "it has row-level security",
        "its policies would be those of the view's owner: leave it as it is, or disable them and filter in views of your own",
    );
    refused
}

fn of_its_keys(shape: &Shape) -> Vec<Refusal> {
    let mut refused = Vec::new();
    if shape.primary().is_none() {
        refused.push(refusal(
            "it has no primary key",
            "add one (ALTER TABLE … ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY): versions of a row are told apart by it",
        ));
    }
    for unique in &shape.unique {
        let Unique { name, deferrable, partial, expression, nulls_equal, .. } = unique;
        let why = match (deferrable, partial, expression, nulls_equal) {
            (true, ..) => "can be deferred",
            (_, true, ..) => "holds for some rows only",
            (_, _, true, _) => "is on an expression",
            (.., true) => "calls NULLs equal",
            (false, false, false, false) => continue,
        };
        refused.push(refusal(
            format!("the unique index `{name}` {why}"),
            "it couldn't be kept among the rows that a reader sees: drop it, or make it a plain unique index over columns",
        ));
    }
    let is_generated =
        |name: &str| shape.columns.iter().any(|column| column.generated && column.name == name);
    for unique in &shape.unique {
        for column in unique.columns.iter().filter(|column| is_generated(&column.name)) {
            refused.push(refusal(
                format!("the unique index `{}` holds the generated column `{}`", unique.name, column.name),
                "its value isn't known before the row is written: drop the index, or let the application give the value",
            ));
        }
    }
    for name in &shape.exclusions {
        refused.push(refusal(
            format!("the exclusion constraint `{name}`"),
            "hidden and visible rows may overlap: drop it",
        ));
    }
    for column in shape.columns.iter().filter(|column| column.name.starts_with("pinrail_")) {
        refused.push(refusal(
            format!("its column `{}`", column.name),
            "names that begin with pinrail_ are taken: rename it",
        ));
    }
    for index in shape.indexes.iter().filter(|index| !index.valid) {
        refused.push(refusal(
            format!("its index `{}` is not valid", index.name),
            "build it again (REINDEX) or drop it",
        ));
    }
    refused
}

/// What PostgreSQL would do to rows behind the view, whose versions and ends are found by their keys.
fn of_its_foreign_keys(shape: &Shape) -> Vec<Refusal> {
    let one = |action: &Action| {
        let Action { constraint, action, key } = action;
        let (more, why) = match key {
            Some(key) => (
                format!(", which changes columns of `{key}`"),
                "it would change keys behind the view, and what was replaced or deleted would be there again",
            ),
            None => {
                (String::new(), "it would set values behind the view, where the versions have no defaults")
            }
        };
        refusal(
            format!("the foreign key `{constraint}` ({action}){more}"),
            format!(
                "{why}: make it anew without that (ALTER TABLE … DROP CONSTRAINT …, ADD FOREIGN KEY … NO ACTION)"
            ),
        )
    };
    shape.actions.iter().map(one).collect()
}

/// What would run with the adopting role's rights and isn't in its hands: whoever may replace it would have those rights.
fn of_its_code(shape: &Shape) -> Vec<Refusal> {
    let one = |code: &Code| {
        let Code { kind, what, owner } = code;
        refusal(
            format!(
                "the {} `{what}` of `{owner}`, which its checks, generated columns, indexes, statistics or domains use",
                kind.to_lowercase()
            ),
            format!(
                "it would run with the adopting role's rights, and `{owner}` could change it: look at it, then ALTER {kind} {what} OWNER TO the adopting role or a superuser, or drop what uses it"
            ),
        )
    };
    shape.code.iter().map(one).collect()
}

fn of_others(shape: &Shape) -> Vec<Refusal> {
    let mut refused = Vec::new();
    let mut each = |names: &[String], what: &str, instead: &str| {
        refused.extend(names.iter().map(|name| refusal(format!("{what} {name}"), instead)));
    };
    each(
        &shape.referenced_by,
        "the foreign key of",
        "a row that it names may be hidden by a rollback, so PostgreSQL couldn't hold it: drop it, or leave the table as it is",
    );
    each(
        &shape.triggers,
        "the trigger",
        "an UPDATE becomes a new row, so it wouldn't fire as before: drop it, or do its work in the application",
    );
    each(&shape.rules, "the rule", "drop it: a rule would see hidden rows");
    each(
        &shape.dependants,
        "made from it:",
        "it is bound to the table and not to its name, and would show hidden rows: drop it and make it again after adopting",
    );
    each(
        &shape.publications,
        "the publication",
        "subscribers would get hidden rows: take the table out of it",
    );
    refused
}

fn refusal(what: impl Into<String>, instead: impl Into<String>) -> Refusal {
    Refusal { what: what.into(), instead: instead.into() }
}
