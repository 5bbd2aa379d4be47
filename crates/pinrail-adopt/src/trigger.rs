//! What a read shows and what a write does, as SQL. Pure.
//!
//! A version of a row *counts* for a reader when it was written at or before the reader's moment and its deployment is the
//! ground, the reader's own, or committed at that moment and not retracted. It is *visible* when it counts and no end of
//! it counts. A write gives its key the next version, ends what it replaces, and ends what others wrote under the same
//! key unseen: so the last operation that counts is the one that shows.
//!
//! Two writers at the same time meet in the row that both would replace, which is locked, or in a unique index: (key,
//! version) for versions, (key, version, deployment) for ends, and (values, claim) for each other unique index. The second
//! waits for the first as it would in a plain table; where the row that its statement read isn't the one that it would
//! replace any more, it fails with 40001.

use crate::plan::Places;
use crate::shape::{Column, Shape, Unique};
use crate::text::{ident, literal};

/// Whose eyes something is seen through, as SQL expressions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Eyes<'a> {
    /// The deployment that sees its own writes; none: nobody's.
    pub own: Option<&'a str>,
    /// The ledger entry as of which is read; none: now.
    pub at: Option<&'a str>,
}

/// Whether what `row` is, a version or an end, counts.
#[must_use]
pub fn counts(row: &str, eyes: &Eyes<'_>) -> String {
    let own = eyes.own.map(|own| format!(" OR {row}.pinrail_deployment = {own}")).unwrap_or_default();
    let (at, known) = match eyes.at {
        Some(at) => (
            format!("s.committed <= {at} AND (s.retracted IS NULL OR s.retracted > {at})"),
            format!(" AND {row}.pinrail_ledger <= {at}"),
        ),
        None => ("s.committed IS NOT NULL AND s.retracted IS NULL".to_owned(), String::new()),
    };
    format!(
        "({row}.pinrail_deployment = 0{own} OR EXISTS (SELECT FROM pinrail.spans s WHERE s.deployment = {row}.pinrail_deployment AND {at})){known}"
    )
}

/// Whether the version `row` is visible.
#[must_use]
pub fn visible(row: &str, places: &Places, primary: &Unique, eyes: &Eyes<'_>) -> String {
    format!(
        "{} AND NOT EXISTS (SELECT FROM {} e WHERE {} AND e.pinrail_version = {row}.pinrail_version AND {})",
        counts(row, eyes),
        places.ends(),
        primary.equal("e", row),
        counts("e", eyes)
    )
}

/// The function behind the view's triggers.
#[must_use]
pub fn write(shape: &Shape, places: &Places, primary: &Unique) -> String {
    let body = Write { shape, places, primary }.body();
    format!(
        "CREATE FUNCTION {}.write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS {}",
        ident(&places.inner),
        literal(&body)
    )
}

/// The function that counts what deployments wrote.
#[must_use]
pub fn wrote(places: &Places, primary: &Unique) -> String {
    let body = format!(
        "SELECT w.* FROM ({}) w WHERE only_deployment IS NULL OR w.deployment = only_deployment ORDER BY w.deployment",
        wrote_by_each(places, primary, None)
    );
    format!(
        "CREATE FUNCTION {}.wrote(only_deployment bigint) RETURNS TABLE (deployment bigint, status text, written bigint, visible bigint, ended bigint) \
         LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS {}",
        ident(&places.inner),
        literal(&body)
    )
}

/// What each deployment wrote, and whether it counts: as of a ledger entry, or now.
#[must_use]
pub fn wrote_by_each(places: &Places, primary: &Unique, at: Option<&str>) -> String {
    let (written, ends) = (places.written(), places.ends());
    let visible = visible("t", places, primary, &Eyes { own: None, at });
    let known = |what: &str| match at {
        Some(at) => format!("CASE WHEN p.{what} <= {at} THEN p.{what} END AS {what}"),
        None => format!("p.{what}"),
    };
    format!(
        "SELECT d.deployment,
    CASE WHEN d.deployment = 0 THEN 'ground' WHEN s.retracted IS NULL THEN CASE WHEN s.committed IS NULL THEN 'open' ELSE 'committed' END
        WHEN s.committed IS NULL THEN 'aborted' ELSE 'retracted' END AS status,
    coalesce(r.n, 0) AS written, coalesce(v.n, 0) AS visible, coalesce(x.n, 0) AS ended
FROM (SELECT t.pinrail_deployment AS deployment FROM {written} t UNION SELECT e.pinrail_deployment FROM {ends} e) d
LEFT JOIN (SELECT p.deployment, {}, {} FROM pinrail.spans p) s ON s.deployment = d.deployment
LEFT JOIN (SELECT t.pinrail_deployment AS deployment, count(*) AS n FROM {written} t GROUP BY 1) r ON r.deployment = d.deployment
LEFT JOIN (SELECT t.pinrail_deployment AS deployment, count(*) AS n FROM {written} t WHERE {visible} GROUP BY 1) v ON v.deployment = d.deployment
LEFT JOIN (SELECT e.pinrail_deployment AS deployment, count(*) AS n FROM {ends} e GROUP BY 1) x ON x.deployment = d.deployment",
        known("committed"),
        known("retracted"),
    )
}

/// The function that finds the slot of a deployment, or gives it one: none (0) where all are taken, or where it was
/// committed before it wrote.
#[must_use]
pub fn slot_of(places: &Places) -> String {
    let (taken, slots) = (places.taken(), places.slots.len());
    let body = format!(
        "DECLARE
    found_slot integer;
BEGIN
    FOR try IN 1..{slots} + 1 LOOP
        SELECT p.slot INTO found_slot FROM {taken} p WHERE p.deployment = writer;
        IF FOUND THEN
            RETURN found_slot;
        END IF;
        IF EXISTS (SELECT FROM pinrail.spans s WHERE s.deployment = writer AND s.committed IS NOT NULL AND s.retracted IS NULL) THEN
            RETURN 0;
        END IF;
        INSERT INTO {taken} (slot, deployment) SELECT n, writer FROM generate_series(1, {slots}) n
            WHERE NOT EXISTS (SELECT FROM {taken} p WHERE p.slot = n) ORDER BY (n + writer) % {slots} LIMIT 1 ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN 0;
END"
    );
    format!(
        "CREATE FUNCTION {}.slot_of(writer bigint) RETURNS integer LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS {}",
        ident(&places.inner),
        literal(&body)
    )
}

/// The function that says whether a reader sees the deployment of a slot: asked once in a statement, before its table is
/// looked at.
#[must_use]
pub fn gate(places: &Places) -> String {
    let body = format!(
        "DECLARE
    holder bigint;
    moment bigint;
BEGIN
    SELECT p.deployment INTO holder FROM {} p WHERE p.slot = wanted;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    moment := pinrail_adopted.at();
    RETURN EXISTS (SELECT FROM pinrail.spans s WHERE s.deployment = holder AND s.committed <= moment AND (s.retracted IS NULL OR s.retracted > moment))
        OR holder = pinrail_adopted.own();
END",
        places.taken()
    );
    format!(
        "CREATE FUNCTION {}.gate(wanted integer) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER \
         SET search_path = pg_catalog, pg_temp AS {}",
        ident(&places.inner),
        literal(&body)
    )
}

/// The eyes of whoever writes: what it replaces is what it sees now.
const WRITER: Eyes<'static> = Eyes { own: Some("pinrail_writer"), at: None };

struct Write<'a> {
    shape: &'a Shape,
    places: &'a Places,
    primary: &'a Unique,
}

impl Write<'_> {
    fn body(&self) -> String {
        let claims: String =
            (0..self.places.claims.len()).map(|n| format!("\n    {} bigint;", claim(n))).collect();
        let written = self.places.written();
        format!(
            "#variable_conflict use_column
DECLARE
    pinrail_writer bigint := pinrail_adopted.writer();
    pinrail_now bigint := pinrail_adopted.ledger();
    pinrail_mode text := coalesce(current_setting('pinrail.on_conflict', true), '');
    pinrail_seen {written}%ROWTYPE;
    pinrail_other {written}%ROWTYPE;
    pinrail_replaces boolean;
    pinrail_ours boolean;
    pinrail_slot integer;
    pinrail_next bigint;
    pinrail_tries integer := 0;{claims}
BEGIN
    IF pinrail_mode NOT IN ('', 'update', 'nothing') THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'pinrail.on_conflict is neither update nor nothing';
    END IF;
    LOOP
{number}
        pinrail_replaces := TG_OP <> 'INSERT';
        IF pinrail_replaces THEN
{look}
        END IF;
        EXIT WHEN TG_OP = 'DELETE';
        IF TG_OP = 'INSERT' OR NOT ({same_key}) THEN
{free}
        END IF;
{unique}
{meet}
        IF pinrail_ours THEN
{put}
            EXIT;
        END IF;
        pinrail_tries := pinrail_tries + 1;
        IF pinrail_tries > 100 THEN
{conflict}
        END IF;
    END LOOP;
{end}
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END",
            same_key = self.primary.equal("NEW", "OLD"),
            number = self.number(),
            look = self.look(),
            free = self.free(),
            unique = self.unique(),
            meet = self.meet(),
            put = self.put(),
            conflict = conflict(),
            end = self.end(),
        )
    }

    /// Takes the next number of the key, and of the values of each other unique index. First of all: whatever another
    /// writer commits from here on is met when the version is put, and what it committed before is seen below.
    fn number(&self) -> String {
        let mut text = format!(
            "        SELECT coalesce(max(k.pinrail_version), 0) + 1 INTO pinrail_next FROM {} k WHERE {};",
            self.places.keys(),
            self.primary.equal("k", "NEW"),
        );
        for (n, (unique, claims)) in self.shape.secondary().zip(self.places.claims()).enumerate() {
            let (claim, values) = (claim(n), unique.equal("k", "NEW"));
            text.push_str(&format!(
                "\n        SELECT coalesce(max(k.pinrail_claim), 0) + 1 INTO {claim} FROM {claims} k WHERE {values};"
            ));
        }
        text
    }

    /// Finds the version that the statement read, or fails: somebody was quicker. What this very statement changed
    /// already is passed over, as a plain table does.
    fn look(&self) -> String {
        let (ground, ends) = (self.places.ground(), self.places.ends());
        let names = |of: &str| {
            let one = |column: &Column| format!("{of}.{}", ident(&column.name));
            self.shape.columns.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        format!(
            "            SELECT t.* INTO pinrail_seen FROM {ground} t WHERE {key} AND {visible} FOR UPDATE OF t;
            IF NOT FOUND OR NOT record_image_eq(ROW({seen}), ROW({old})) THEN
                IF EXISTS (SELECT FROM {ends} e JOIN {ground} t ON {joined} AND t.pinrail_version = e.pinrail_version
                    WHERE {ended} AND e.pinrail_deployment = pinrail_writer AND e.pinrail_xact = pg_current_xact_id()
                      AND record_image_eq(ROW({t}), ROW({old}))) THEN
                    RETURN NULL;
                END IF;
{conflict}
            END IF;
            PERFORM FROM {ends} e WHERE {of_seen} AND e.pinrail_version = pinrail_seen.pinrail_version AND {counts};
            IF FOUND THEN
{conflict}
            END IF;",
            of_seen = self.primary.equal("e", "pinrail_seen"),
            counts = counts("e", &WRITER),
            key = self.primary.equal("t", "OLD"),
            visible = self.visible(),
            seen = names("pinrail_seen"),
            old = names("OLD"),
            t = names("t"),
            joined = self.primary.equal("t", "e"),
            ended = self.primary.equal("e", "OLD"),
            conflict = conflict(),
        )
    }

    /// Makes sure that no visible row has the key; where it was asked for, an insert replaces it instead.
    fn free(&self) -> String {
        format!(
            "            SELECT t.* INTO pinrail_other FROM {ground} t WHERE {key} AND {visible};
            IF FOUND THEN
                IF TG_OP = 'INSERT' AND pinrail_mode = 'nothing' THEN
                    RETURN NULL;
                ELSIF TG_OP = 'INSERT' AND pinrail_mode = 'update' THEN
                    pinrail_seen := pinrail_other;
                    pinrail_replaces := true;
                ELSE
{taken}
                END IF;
            END IF;",
            ground = self.places.ground(),
            key = self.primary.equal("t", "NEW"),
            visible = self.visible(),
            taken = self.taken(self.primary),
        )
    }

    /// The same for every other unique index.
    fn unique(&self) -> String {
        let one = |unique: &Unique| {
            let values = unique.equal("t", "NEW");
            format!(
                "        PERFORM FROM {ground} t WHERE {values} AND {visible} AND NOT (pinrail_replaces AND {own});
        IF FOUND THEN
            IF TG_OP = 'INSERT' AND pinrail_mode = 'nothing' THEN
                RETURN NULL;
            END IF;
{taken}
        END IF;",
                ground = self.places.ground(),
                visible = self.visible(),
                own = self.primary.equal("t", "pinrail_seen"),
                taken = self.taken(unique),
            )
        };
        self.shape.secondary().map(one).collect::<Vec<_>>().join("\n")
    }

    /// Takes the numbers. Where another writer took one first, this waits for it, and then everything is looked at again.
    fn meet(&self) -> String {
        let mut text = format!(
            "        INSERT INTO {} ({}, pinrail_version) VALUES ({}, pinrail_next) ON CONFLICT DO NOTHING;
        pinrail_ours := FOUND;",
            self.places.keys(),
            self.primary.list(""),
            self.primary.list("NEW."),
        );
        for (n, (unique, claims)) in self.shape.secondary().zip(self.places.claims()).enumerate() {
            let whole =
                unique.columns.iter().map(|column| format!(" AND NEW.{} IS NOT NULL", ident(&column.name)));
            text.push_str(&format!(
                "
        IF pinrail_ours{} THEN
            INSERT INTO {claims} ({}, pinrail_claim) VALUES ({}, {}) ON CONFLICT DO NOTHING;
            pinrail_ours := FOUND;
        END IF;",
                whole.collect::<String>(),
                unique.list(""),
                unique.list("NEW."),
                claim(n),
            ));
        }
        text
    }

    /// Appends the version, where its deployment writes.
    fn put(&self) -> String {
        let own =
            self.shape.columns.iter().filter(|column| !column.generated).map(|column| ident(&column.name));
        let own: Vec<String> = own.collect();
        let generated = self.shape.columns.iter().filter(|column| column.generated);
        let generated: Vec<String> = generated.map(|column| ident(&column.name)).collect();
        let returning = if generated.is_empty() {
            String::new()
        } else {
            let into: Vec<String> = generated.iter().map(|name| format!("NEW.{name}")).collect();
            format!(" RETURNING {} INTO {}", generated.join(", "), into.join(", "))
        };
        let names = own.join(", ");
        let values = own.iter().map(|name| format!("NEW.{name}")).collect::<Vec<_>>().join(", ");
        let into = |table: &str| {
            format!(
                "                INSERT INTO {table} ({names}, pinrail_version, pinrail_deployment, pinrail_ledger)
                    VALUES ({values}, pinrail_next, pinrail_writer, pinrail_now){returning};"
            )
        };
        let inner = ident(&self.places.inner);
        let mut text = format!(
            "            pinrail_slot := CASE WHEN pinrail_writer = 0 THEN 0 ELSE {inner}.slot_of(pinrail_writer) END;
            CASE pinrail_slot"
        );
        for (n, slot) in self.places.slots().enumerate() {
            text.push_str(&format!("\n            WHEN {} THEN\n{}", n + 1, into(&slot)));
        }
        text.push_str(&format!(
            "\n            ELSE\n{}\n            END CASE;",
            into(&self.places.written())
        ));
        text
    }

    /// Ends what was replaced, and what others wrote under the same key or values unseen.
    fn end(&self) -> String {
        let ends = self.places.ends();
        let key = self.primary;
        let mut text = format!(
            "    IF pinrail_replaces THEN
        INSERT INTO {ends} ({names}, pinrail_version, pinrail_deployment, pinrail_ledger)
            VALUES ({seen}, pinrail_seen.pinrail_version, pinrail_writer, pinrail_now) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
{conflict}
        END IF;
    END IF;
    IF TG_OP <> 'DELETE' THEN
{put}
    END IF;
    IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND NOT ({same_key})) THEN
{gone}
    END IF;",
            names = key.list(""),
            seen = key.list("pinrail_seen."),
            conflict = conflict(),
            same_key = key.equal("NEW", "OLD"),
            put =
                self.end_others(&format!("{} AND t.pinrail_version <> pinrail_next", key.equal("t", "NEW"))),
            gone = self.end_others(&key.equal("t", "OLD")),
        );
        for unique in self.shape.secondary() {
            let others = format!("{} AND NOT ({})", unique.equal("t", "NEW"), key.equal("t", "NEW"));
            text.push_str(&format!(
                "\n    IF TG_OP <> 'DELETE' THEN\n{}\n    END IF;",
                self.end_others(&others)
            ));
        }
        text
    }

    fn end_others(&self, which: &str) -> String {
        let ends = self.places.ends();
        format!(
            "        INSERT INTO {ends} ({names}, pinrail_version, pinrail_deployment, pinrail_ledger)
            SELECT {of_t}, t.pinrail_version, pinrail_writer, pinrail_now FROM {ground} t WHERE {which}
                AND NOT EXISTS (SELECT FROM {ends} e WHERE {same} AND e.pinrail_version = t.pinrail_version
                    AND e.pinrail_deployment IN (0, pinrail_writer))
            ON CONFLICT DO NOTHING;",
            names = self.primary.list(""),
            of_t = self.primary.list("t."),
            ground = self.places.ground(),
            same = self.primary.equal("e", "t"),
        )
    }

    fn visible(&self) -> String {
        format!("({})", visible("t", self.places, self.primary, &WRITER))
    }

    /// Says what a plain table says of a key that is there already.
    fn taken(&self, unique: &Unique) -> String {
        let names: Vec<&str> = unique.columns.iter().map(|column| column.name.as_str()).collect();
        // By its type's own output: a cast could be a function of the application's, and would run as the adopting role.
        let values = unique.columns.iter().map(|column| format!("format('%s', NEW.{})", ident(&column.name)));
        let values = values.collect::<Vec<_>>().join(" || ', ' || ");
        format!(
            "                    RAISE EXCEPTION USING ERRCODE = 'unique_violation', SCHEMA = {}, TABLE = {}, CONSTRAINT = {}, MESSAGE = {},
                        DETAIL = {} || {values} || ') already exists.';",
            literal(&self.shape.schema),
            literal(&self.shape.name),
            literal(&unique.name),
            literal(&format!("duplicate key value violates unique constraint \"{}\"", unique.name)),
            literal(&format!("Key ({})=(", names.join(", "))),
        )
    }
}

/// The number of a claim, in the function.
fn claim(n: usize) -> String {
    format!("pinrail_claim_{}", n + 1)
}

/// The failure of a writer that was overtaken.
fn conflict() -> String {
    "            RAISE EXCEPTION USING ERRCODE = 'serialization_failure',
                MESSAGE = 'could not serialize access: the row was changed by another transaction since this statement read it',
                HINT = 'Run the transaction again.';"
        .to_owned()
}
