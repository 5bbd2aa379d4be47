//! What a table is, as the catalogue tells: all that decides whether it can be adopted, and all that is restored.

use serde::{Deserialize, Serialize};
use tokio_postgres::GenericClient;

use crate::error::Error;
use crate::text::{ident, qualified};

/// A table as it was found. Stored as JSON while the table is adopted: never rename a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    pub schema: String,
    pub name: String,
    pub owner: String,
    /// `r` for a plain table, `p` for a partitioned one, `v` for a view …
    pub kind: String,
    /// `p` for one that is logged, `u` for unlogged, `t` for temporary.
    pub persistence: String,
    pub row_security: bool,
    pub typed: bool,
    pub partition: bool,
    pub inherits: bool,
    /// How many rows the planner believes in.
    pub rows: i64,
    /// No grant was ever made: the owner alone has rights.
    pub grants_default: bool,
    pub grants: Vec<Grant>,
    pub columns: Vec<Column>,
    pub unique: Vec<Unique>,
    pub indexes: Vec<Index>,
    pub exclusions: Vec<String>,
    pub constraints: Vec<Constraint>,
    pub referenced_by: Vec<String>,
    pub triggers: Vec<String>,
    pub rules: Vec<String>,
    /// What was made from the table itself and wouldn't follow its name.
    pub dependants: Vec<String>,
    pub publications: Vec<String>,
    pub extension: bool,
    /// What its foreign keys do to its rows and a view can't let them do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    /// What would run as the adopting role, and may be changed by somebody who can't act as that role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub code: Vec<Code>,
}

/// A right that somebody has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// None is everybody.
    pub grantee: Option<String>,
    pub privilege: String,
    pub grantable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub not_null: bool,
    pub default: Option<String>,
    /// Worked out from other columns whenever a row is written.
    pub generated: bool,
    pub identity: bool,
    /// Of pgvector's type.
    pub vector: bool,
    pub sequence: Option<Sequence>,
    pub grants: Vec<Grant>,
}

/// The sequence that belongs to a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    pub schema: String,
    pub name: String,
    /// Made by `serial` or OWNED BY; else it is an identity column's.
    pub serial: bool,
    /// The rights that others than its owner have on it; none where an earlier version looked.
    #[serde(default)]
    pub grants: Option<Vec<Grant>>,
}

/// A unique index, whether a constraint made it or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unique {
    pub name: String,
    pub primary: bool,
    pub deferrable: bool,
    pub partial: bool,
    pub expression: bool,
    pub nulls_equal: bool,
    pub columns: Vec<KeyColumn>,
}

/// A column of a unique index, and what its index calls equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyColumn {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub equal_schema: String,
    pub equal: String,
    /// What the index takes the column for, where its type is a domain over an extension's type: compared as the domain,
    /// whoever owns that could put an operator of theirs in the place of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
}

/// A type that others are made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    pub schema: String,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    pub name: String,
    pub definition: String,
    pub valid: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    pub name: String,
    pub kind: String,
    pub definition: String,
}

/// What a foreign key does to the table's rows when the row that they name changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    pub constraint: String,
    /// `ON UPDATE CASCADE`, `ON DELETE SET DEFAULT` …
    pub action: String,
    /// The unique index whose columns it changes; none where it is refused whatever it changes.
    pub key: Option<String>,
}

/// A function or a type that its checks, generated columns, indexes or statistics use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// `FUNCTION`, `DOMAIN` or `TYPE`.
    pub kind: String,
    /// Its name as in SQL, a function's with its arguments.
    pub what: String,
    pub owner: String,
}

impl Shape {
    /// Looks a table up by what a person would write: `documents`, `public.documents`, `"My Schema"."Docs"`.
    pub async fn find(client: &impl GenericClient, table: &str) -> Result<Shape, Error> {
        let no_such = || Error::NoTable(table.to_owned());
        let found = client.query_opt(include_str!("../sql/inspect.sql"), &[&table]).await;
        let row = found.map_err(|error| Error::sql("look the table up", error))?.ok_or_else(no_such)?;
        let told: String = row.get(0);
        serde_json::from_str(&told).map_err(Error::Unreadable)
    }

    /// Its name with its schema, quoted.
    #[must_use]
    pub fn table(&self) -> String {
        qualified(&self.schema, &self.name)
    }

    /// Its primary key.
    #[must_use]
    pub fn primary(&self) -> Option<&Unique> {
        self.unique.iter().find(|unique| unique.primary)
    }

    /// Its other unique indexes, in the order of their names.
    pub fn secondary(&self) -> impl Iterator<Item = &Unique> {
        self.unique.iter().filter(|unique| !unique.primary)
    }

    /// Whether another description is of the same table in the same form; row counts may differ.
    #[must_use]
    pub fn is_same(&self, other: &Shape) -> bool {
        Shape { rows: 0, ..self.clone() } == Shape { rows: 0, ..other.clone() }
    }
}

impl Unique {
    /// Whether two rows have the same values in it.
    #[must_use]
    pub fn equal(&self, left: &str, right: &str) -> String {
        let one = |column: &KeyColumn| {
            let name = ident(&column.name);
            let KeyColumn { equal_schema, equal, base, .. } = column;
            let taken_for = base.as_ref().map(|base| format!("::{}", qualified(&base.schema, &base.name)));
            let cast = taken_for.unwrap_or_default();
            format!("{left}.{name}{cast} OPERATOR({}.{equal}) {right}.{name}{cast}", ident(equal_schema))
        };
        self.columns.iter().map(one).collect::<Vec<_>>().join(" AND ")
    }

    /// Its columns' names, each behind `of`.
    #[must_use]
    pub fn list(&self, of: &str) -> String {
        let one = |column: &KeyColumn| format!("{of}{}", ident(&column.name));
        self.columns.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}
