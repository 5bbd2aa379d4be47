//! A `SELECT` whose conditions depend on what is asked for.

use tokio_postgres::types::{ToSql, Type};

use crate::db::Param;

/// A statement in the making, and the values that its places name.
pub(crate) struct Conditions {
    sql: String,
    values: Vec<(Box<dyn ToSql + Send + Sync>, Type)>,
}

impl Conditions {
    /// Begins with a statement that has a `WHERE` already.
    pub(crate) fn new(sql: impl Into<String>) -> Conditions {
        Conditions { sql: sql.into(), values: Vec::new() }
    }

    /// Adds a condition if there is a value for it; `?` is the value's place.
    pub(crate) fn and(
        &mut self,
        condition: &str,
        value: Option<impl ToSql + Send + Sync + 'static>,
        of: Type,
    ) -> &mut Conditions {
        if let Some(value) = value {
            self.then(" AND ").with(condition, value, of);
        }
        self
    }

    /// Adds text that names no value.
    pub(crate) fn then(&mut self, sql: &str) -> &mut Conditions {
        self.sql.push_str(sql);
        self
    }

    /// Adds text that names one value, at `?`.
    pub(crate) fn with(
        &mut self,
        sql: &str,
        value: impl ToSql + Send + Sync + 'static,
        of: Type,
    ) -> &mut Conditions {
        self.values.push((Box::new(value), of));
        self.sql.push_str(&sql.replace('?', &format!("${}", self.values.len())));
        self
    }

    pub(crate) fn sql(&self) -> &str {
        &self.sql
    }

    pub(crate) fn params(&self) -> Vec<Param<'_>> {
        self.values.iter().map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_a_condition() {
        let mut select = Conditions::new("SELECT 1 WHERE TRUE");
        select.and("a = ?", None::<i64>, Type::INT8).and("b < ?", Some(2_i64), Type::INT8);
        select.with(" LIMIT ?", 3_i64, Type::INT8);
        assert_eq!(select.sql(), "SELECT 1 WHERE TRUE AND b < $1 LIMIT $2");
        assert_eq!(select.params().len(), 2);
    }
}
