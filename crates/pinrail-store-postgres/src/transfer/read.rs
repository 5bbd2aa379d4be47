//! Pages of rows, as they lie in their tables.

use std::fmt::Write as _;

use pinrail_store::transfer::{Cell, Column, Depth, Kind, Page, Part, Row};
use tokio_postgres::Row as Found;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::{Transfer, table, type_of};
use crate::failure::{Failure, column, limit as sql_limit};

/// A parameter that owns its value.
pub(super) type Value = Box<dyn ToSql + Sync + Send>;

impl Transfer {
    pub(super) async fn read(&self, page: &Page<'_>) -> Result<Vec<Row>, Failure> {
        let (sql, params) = select(page)?;
        let params: Vec<(&(dyn ToSql + Sync), Type)> =
            params.iter().map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone())).collect();
        let rows = self.client.query_typed(&sql, &params).await?;
        rows.iter().map(|row| row_of(page, row)).collect()
    }
}

/// A cell as a parameter.
pub(super) fn value(cell: &Cell, kind: Kind) -> Result<Value, Failure> {
    let other = || Failure::damaged("a row", format_args!("{cell:?} where {kind:?} belongs"));
    Ok(match (cell, kind) {
        (Cell::Null, Kind::Number) => Box::new(None::<i64>),
        (Cell::Null, Kind::Short) => Box::new(None::<i32>),
        (Cell::Null, Kind::Small) => Box::new(None::<i16>),
        (Cell::Null, Kind::Flag) => Box::new(None::<bool>),
        (Cell::Null, Kind::Text) => Box::new(None::<String>),
        (Cell::Null, Kind::Bytes) => Box::new(None::<Vec<u8>>),
        (Cell::Null, Kind::Id) => Box::new(None::<Uuid>),
        (Cell::Null, Kind::Places) => Box::new(None::<Vec<i64>>),
        (Cell::Null, Kind::Vector) => Box::new(None::<Vec<f32>>),
        (Cell::Number(number), Kind::Number) => Box::new(*number),
        (Cell::Number(number), Kind::Short) => Box::new(i32::try_from(*number).map_err(|_| other())?),
        (Cell::Number(number), Kind::Small) => Box::new(i16::try_from(*number).map_err(|_| other())?),
        (Cell::Number(number), Kind::Flag) => Box::new(*number != 0),
        (Cell::Text(text), Kind::Text) => Box::new(text.clone()),
        (Cell::Bytes(bytes), Kind::Bytes) => Box::new(bytes.clone()),
        (Cell::Bytes(bytes), Kind::Id) => Box::new(Uuid::from_slice(bytes).map_err(|_| other())?),
        (Cell::Bytes(bytes), Kind::Vector) => {
            Box::new(pinrail_domain::state::vector_from(bytes).ok_or_else(other)?)
        }
        (Cell::Places(places), Kind::Places) => Box::new(places.clone()),
        (Cell::Number(_) | Cell::Text(_) | Cell::Bytes(_) | Cell::Places(_), _) => return Err(other()),
    })
}

/// The statement that reads a page, and its parameters.
fn select(page: &Page<'_>) -> Result<(String, Vec<(Value, Type)>), Failure> {
    let (part, key) = (page.part, page.part.key());
    let read = part.columns().iter().enumerate();
    let read = read.filter(|(place, _)| is_read(page, *place)).map(|(_, column)| expression(part, column));
    let read = read.collect::<Vec<_>>().join(", ");
    let mut sql = format!("SELECT {read} FROM pinrail.{} s", table(part));
    if part == Part::Records {
        sql.push_str(" LEFT JOIN pinrail.state_content c ON c.number = s.content");
    }
    sql.push_str(" WHERE true");
    let keys: Vec<String> = part.columns()[..key].iter().map(|column| expression(part, column)).collect();
    let mut params: Vec<(Value, Type)> = Vec::new();
    for (bound, first, all) in [(page.after, ">=", ">"), (page.until, "<=", "<=")] {
        let Some(bound) = bound else { continue };
        let base = params.len();
        for (cell, column) in bound.iter().zip(part.columns()) {
            params.push((value(cell, column.kind)?, type_of(column.kind)));
        }
        let places = (1..=key).map(|n| format!("${}", base + n)).collect::<Vec<_>>().join(", ");
        // The first column alone passes whole partitions over.
        let _ = write!(sql, " AND {} {first} ${}", keys[0], base + 1);
        let _ = write!(sql, " AND ({}) {all} ({places})", keys.join(", "));
    }
    params.push((Box::new(sql_limit(page.limit)), Type::INT8));
    let _ = write!(sql, " ORDER BY {} LIMIT ${}", keys.join(", "), params.len());
    Ok((sql, params))
}

fn is_read(page: &Page<'_>, place: usize) -> bool {
    page.depth == Depth::Whole || page.part.tells(place)
}

fn expression(part: Part, column: &Column) -> String {
    match (part, column.name) {
        (Part::Records, "kept") => {
            "CASE WHEN s.content IS NULL THEN NULL WHEN c.salt IS NULL THEN 0 ELSE 1 END::smallint".to_owned()
        }
        (Part::Records, name @ ("salt" | "json" | "vector")) => format!("c.{name}"),
        (_, name) => format!("s.{name}"),
    }
}

fn row_of(page: &Page<'_>, found: &Found) -> Result<Row, Failure> {
    let part = page.part;
    let mut at = 0;
    let mut row = Vec::with_capacity(part.columns().len());
    for (place, column) in part.columns().iter().enumerate() {
        if is_read(page, place) {
            row.push(cell(found, at, column.kind, part)?);
            at += 1;
        } else {
            row.push(Cell::Null);
        }
    }
    Ok(row)
}

fn cell(row: &Found, at: usize, kind: Kind, part: Part) -> Result<Cell, Failure> {
    let what = part.as_str();
    let read = match kind {
        Kind::Number => column::<Option<i64>>(row, at, what)?.map(Cell::Number),
        Kind::Short => column::<Option<i32>>(row, at, what)?.map(|number| Cell::Number(number.into())),
        Kind::Small => column::<Option<i16>>(row, at, what)?.map(|number| Cell::Number(number.into())),
        Kind::Flag => column::<Option<bool>>(row, at, what)?.map(|flag| Cell::Number(flag.into())),
        Kind::Text => column::<Option<String>>(row, at, what)?.map(Cell::Text),
        Kind::Bytes => column::<Option<Vec<u8>>>(row, at, what)?.map(Cell::Bytes),
        Kind::Id => column::<Option<Uuid>>(row, at, what)?.map(|id| Cell::Bytes(id.as_bytes().to_vec())),
        Kind::Places => column::<Option<Vec<i64>>>(row, at, what)?.map(Cell::Places),
        Kind::Vector => column::<Option<Vec<f32>>>(row, at, what)?
            .map(|vector| Cell::Bytes(pinrail_domain::state::vector_bytes(&vector))),
    };
    Ok(read.unwrap_or(Cell::Null))
}
