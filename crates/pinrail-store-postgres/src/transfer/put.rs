//! What becomes of rows: they are added, brought up, or taken out where the source's collection took them.

use pinrail_domain::journal::Summary;
use pinrail_domain::ledger::Entry;
use pinrail_store::transfer::{Cell, Kind, Part, Row};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::read::{Value, value};
use super::{Transfer, number_in, table, type_of};
use crate::failure::{Failure, integer};
use crate::journal::outcome_number;
use crate::ledger::{self, Counted, head_of};

impl Transfer {
    pub(super) async fn add_rows(&self, part: Part, rows: &[Row]) -> Result<(), Failure> {
        match part {
            Part::Ledger => self.append_entries(rows).await,
            Part::Records => self.add_records(rows).await,
            Part::Runs => {
                let mut columns = named(part);
                columns.push(("outcome", Kind::Small));
                let rows = rows.iter().map(|row| {
                    let mut row = row.clone();
                    row.push(outcome(&row));
                    row
                });
                self.copy_in(table(part), &columns, rows).await
            }
            Part::Artifacts
            | Part::Spaces
            | Part::Written
            | Part::Marks
            | Part::Times
            | Part::Reads
            | Part::Uses
            | Part::Events
            | Part::Sessions
            | Part::Gates
            | Part::GateRows
            | Part::Approvals
            | Part::Deliveries
            | Part::DeadLetters
            | Part::Sightings
            | Part::Watches
            | Part::WatchDays
            | Part::Answers => self.copy_in(table(part), &named(part), rows.iter().cloned()).await,
        }
    }

    pub(super) async fn change_rows(&self, part: Part, rows: &[Row]) -> Result<(), Failure> {
        match part {
            Part::Records => self.erase_contents(rows).await,
            Part::Events => self.erase_events(rows).await,
            Part::Runs => {
                let sql = "UPDATE pinrail.runs SET status = $2, summary = $3, outcome = $4 WHERE id = $1";
                for row in rows {
                    let cells = [
                        (&row[0], Kind::Id),
                        (&row[part.place("status")], Kind::Small),
                        (&row[part.place("summary")], Kind::Text),
                        (&outcome(row), Kind::Small),
                    ];
                    self.execute(sql, &cells).await?;
                }
                Ok(())
            }
            Part::Artifacts
            | Part::Ledger
            | Part::Spaces
            | Part::Written
            | Part::Marks
            | Part::Times
            | Part::Reads
            | Part::Uses
            | Part::Sessions
            | Part::Gates
            | Part::GateRows
            | Part::Approvals
            | Part::Deliveries
            | Part::DeadLetters
            | Part::Sightings
            | Part::Watches
            | Part::WatchDays
            | Part::Answers => {
                for row in rows {
                    self.update(part, row).await?;
                }
                Ok(())
            }
        }
    }

    pub(super) async fn remove_rows(&self, part: Part, rows: &[Row]) -> Result<(), Failure> {
        match part {
            Part::Records => self.collect(rows).await,
            Part::Runs | Part::Events => {
                // What retention took from the source. The permit is there for this transaction alone.
                self.client.batch_execute("INSERT INTO pinrail.permits (what) VALUES ('retire')").await?;
                self.delete(part, rows).await?;
                Ok(self.client.batch_execute("DELETE FROM pinrail.permits WHERE what = 'retire'").await?)
            }
            Part::Artifacts
            | Part::Ledger
            | Part::Spaces
            | Part::Written
            | Part::Marks
            | Part::Times
            | Part::Reads
            | Part::Uses
            | Part::Sessions
            | Part::Gates
            | Part::GateRows
            | Part::Approvals
            | Part::Deliveries
            | Part::DeadLetters
            | Part::Sightings
            | Part::Watches
            | Part::WatchDays
            | Part::Answers => self.delete(part, rows).await,
        }
    }

    /// The next entries, byte for byte, with what they say about which deployments count.
    async fn append_entries(&self, rows: &[Row]) -> Result<(), Failure> {
        let sql = "SELECT ledger_seq, ledger_hash FROM pinrail.heads FOR UPDATE";
        let found = self.client.query_typed(sql, &[]).await?;
        let row = found.first().ok_or_else(|| Failure::damaged("the ledger's head", "its row is missing"))?;
        let mut head = head_of(row)?;
        let mut filed = Vec::with_capacity(rows.len());
        let mut raises = 0_u64;
        for row in rows {
            let [number, hash, Cell::Text(text)] = row.as_slice() else {
                return Err(Failure::damaged("a ledger entry", "it has no text"));
            };
            let entry: Entry = serde_json::from_str(text)
                .map_err(|why| Failure::damaged(format_args!("ledger entry {}", head.seq.next()), why))?;
            head = head.follow(&entry).map_err(|why| Failure::damaged("the source's ledger", why))?;
            raises += u64::from(entry.body.raises_epoch());
            if let Some(counted) = ledger::counted(&entry) {
                self.client.execute_typed(Counted::WRITE, &counted.params()).await?;
            }
            let at = Cell::Number(integer(entry.at.0));
            filed.push(vec![number.clone(), hash.clone(), at, Cell::Text(text.clone())]);
        }
        let columns =
            [("seq", Kind::Number), ("hash", Kind::Bytes), ("at", Kind::Number), ("entry", Kind::Text)];
        self.copy_in("ledger", &columns, filed.into_iter()).await?;
        let sql = "UPDATE pinrail.heads SET ledger_seq = $1, ledger_hash = $2, epoch = epoch + $3";
        let hash = &head.hash.as_bytes()[..];
        let params: [(&(dyn ToSql + Sync), Type); 3] =
            [(&integer(head.seq.0), Type::INT8), (&hash, Type::BYTEA), (&integer(raises), Type::INT8)];
        self.client.execute_typed(sql, &params).await?;
        Ok(())
    }

    /// Records in their places. Their contents are numbered as they are: nothing else was ever numbered in this database.
    async fn add_records(&self, rows: &[Row]) -> Result<(), Failure> {
        let place = |name| Part::Records.place(name);
        let contents = rows.iter().filter(|row| row[place("kept")] != Cell::Null).map(|row| {
            ["seq", "space", "salt", "json", "vector"].map(|name| row[place(name)].clone()).to_vec()
        });
        let columns = [
            ("number", Kind::Number),
            ("space", Kind::Number),
            ("salt", Kind::Bytes),
            ("json", Kind::Text),
            ("vector", Kind::Vector),
        ];
        self.copy_in("state_content", &columns, contents).await?;
        let kept = place("kept");
        let mut columns = named(Part::Records);
        columns.truncate(kept);
        columns.push(("content", Kind::Number));
        let records = rows.iter().map(|row| {
            let mut cells = row[..kept].to_vec();
            cells.push(if row[kept] == Cell::Null { Cell::Null } else { row[0].clone() });
            cells
        });
        self.copy_in("state", &columns, records).await?;
        let mut parents = Vec::new();
        for row in rows {
            if let (Cell::Number(child), Cell::Places(of)) = (&row[0], &row[place("parents")]) {
                let mut of = of.clone();
                of.sort_unstable();
                of.dedup();
                parents.extend(of.into_iter().map(|parent| vec![Cell::Number(parent), Cell::Number(*child)]));
            }
        }
        self.copy_in(
            "state_parents",
            &[("parent", Kind::Number), ("child", Kind::Number)],
            parents.into_iter(),
        )
        .await
    }

    async fn erase_contents(&self, rows: &[Row]) -> Result<(), Failure> {
        let part = Part::Records;
        let mut erased = Vec::with_capacity(rows.len());
        for row in rows {
            if row[part.place("kept")] != Cell::Number(0) {
                let what = format_args!("record {}", number_in(part, row, "seq")?);
                return Err(Failure::damaged(what, "it says something else than the source's"));
            }
            erased.push(number_in(part, row, "seq")?);
        }
        self.client.query_typed("SELECT pinrail.state_erase($1)", &[(&erased, Type::INT8_ARRAY)]).await?;
        Ok(())
    }

    async fn erase_events(&self, rows: &[Row]) -> Result<(), Failure> {
        for row in rows {
            let [Cell::Bytes(run), Cell::Number(seq), Cell::Text(events)] = row.as_slice() else {
                return Err(Failure::damaged("a row of events", "it isn't whole"));
            };
            let run = Uuid::from_slice(run).map_err(|why| Failure::damaged("a run's id", why))?;
            let seqs = vec![i32::try_from(*seq).unwrap_or(i32::MAX)];
            let texts = vec![events];
            let params: [(&(dyn ToSql + Sync), Type); 3] =
                [(&run, Type::UUID), (&seqs, Type::INT4_ARRAY), (&texts, Type::TEXT_ARRAY)];
            self.client.query_typed("SELECT pinrail.run_events_erase($1, $2, $3)", &params).await?;
        }
        Ok(())
    }

    /// Removes records that were collected from the source: of each deployment what is up to the last of them, as it was there.
    async fn collect(&self, rows: &[Row]) -> Result<(), Failure> {
        let seqs: Result<Vec<i64>, Failure> =
            rows.iter().map(|row| number_in(Part::Records, row, "seq")).collect();
        let seqs = seqs?;
        let sql = "SELECT deployment, max(seq), count(*) FROM pinrail.state WHERE seq = ANY ($1) GROUP BY deployment";
        for row in self.client.query_typed(sql, &[(&seqs, Type::INT8_ARRAY)]).await? {
            let (deployment, last, count): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
            let sql = "SELECT pinrail.state_remove($1, $2, $3)";
            let params: [(&(dyn ToSql + Sync), Type); 3] =
                [(&deployment, Type::INT8), (&last, Type::INT8), (&i64::MAX, Type::INT8)];
            let removed = self.client.query_typed(sql, &params).await?;
            let removed: i64 = removed.first().map_or(0, |row| row.get(0));
            if removed != count {
                let what = format_args!("deployment {deployment}");
                return Err(Failure::damaged(
                    what,
                    "the source collected other records of it than its oldest",
                ));
            }
        }
        Ok(())
    }

    async fn update(&self, part: Part, row: &Row) -> Result<(), Failure> {
        // Arguments only ever go.
        let stays = |name: &str| {
            part == Part::Approvals && name == "arguments" && row[part.place(name)] != Cell::Null
        };
        let names: Vec<&str> = part.changing().iter().copied().filter(|name| !stays(name)).collect();
        let mut cells: Vec<(&Cell, Kind)> = Vec::new();
        let mut set = Vec::new();
        for name in names {
            let place = part.place(name);
            cells.push((&row[place], part.columns()[place].kind));
            set.push(format!("{name} = ${}", cells.len()));
        }
        let mut meant = Vec::new();
        for (place, column) in part.columns()[..part.key()].iter().enumerate() {
            cells.push((&row[place], column.kind));
            meant.push(format!("{} = ${}", column.name, cells.len()));
        }
        let sql =
            format!("UPDATE pinrail.{} SET {} WHERE {}", table(part), set.join(", "), meant.join(" AND "));
        self.execute(&sql, &cells).await
    }

    async fn delete(&self, part: Part, rows: &[Row]) -> Result<(), Failure> {
        let columns = &part.columns()[..part.key()];
        let meant =
            columns.iter().enumerate().map(|(place, column)| format!("{} = ${}", column.name, place + 1));
        let meant = meant.collect::<Vec<_>>().join(" AND ");
        let sql = format!("DELETE FROM pinrail.{} WHERE {meant}", table(part));
        for row in rows {
            let cells: Vec<(&Cell, Kind)> =
                row.iter().zip(columns).map(|(cell, column)| (cell, column.kind)).collect();
            self.execute(&sql, &cells).await?;
        }
        Ok(())
    }

    async fn execute(&self, sql: &str, cells: &[(&Cell, Kind)]) -> Result<(), Failure> {
        let values: Result<Vec<Value>, Failure> =
            cells.iter().map(|(cell, kind)| value(cell, *kind)).collect();
        let values = values?;
        let kinds = cells.iter().map(|(_, kind)| type_of(*kind));
        let params: Vec<(&(dyn ToSql + Sync), Type)> =
            values.iter().map(|value| &**value as &(dyn ToSql + Sync)).zip(kinds).collect();
        self.client.execute_typed(sql, &params).await?;
        Ok(())
    }

    async fn copy_in(
        &self,
        table: &str,
        columns: &[(&str, Kind)],
        rows: impl Iterator<Item = Row>,
    ) -> Result<(), Failure> {
        let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let types: Vec<Type> = columns.iter().map(|(_, kind)| type_of(*kind)).collect();
        let sql = format!("COPY pinrail.{table} ({names}) FROM STDIN BINARY");
        let writer = BinaryCopyInWriter::new(self.client.copy_in(&sql).await?, &types);
        let mut writer = std::pin::pin!(writer);
        for row in rows {
            let cells = row.iter().zip(columns);
            let values: Result<Vec<Value>, Failure> =
                cells.map(|(cell, (_, kind))| value(cell, *kind)).collect();
            let values = values?;
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
            writer.as_mut().write(&values).await?;
        }
        writer.finish().await?;
        Ok(())
    }
}

fn named(part: Part) -> Vec<(&'static str, Kind)> {
    part.columns().iter().map(|column| (column.name, column.kind)).collect()
}

/// What is filed beside a run's summary. A summary that can't be read has none.
fn outcome(row: &Row) -> Cell {
    let Cell::Text(summary) = &row[Part::Runs.place("summary")] else { return Cell::Null };
    let summary: Option<Summary> = serde_json::from_str(summary).ok();
    let outcome = summary.and_then(|summary| summary.outcome);
    outcome.map_or(Cell::Null, |outcome| Cell::Number(outcome_number(outcome).into()))
}
