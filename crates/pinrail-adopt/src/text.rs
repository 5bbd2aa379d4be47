//! Names and texts as SQL: everything that comes from a catalogue or a caller goes through here.

/// A name as a quoted identifier.
#[must_use]
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A relation's name with its schema.
#[must_use]
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// A text as a literal that means the same whatever `standard_conforming_strings` says.
#[must_use]
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

/// Who a grant is for; none is everybody.
#[must_use]
pub fn grantee(role: Option<&str>) -> String {
    role.map_or_else(|| "PUBLIC".to_owned(), ident)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_names() {
        assert_eq!(ident("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
        assert_eq!(qualified("My Schema", "Tab.le"), "\"My Schema\".\"Tab.le\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("back\\slash'"), "E'back\\\\slash'''");
        assert_eq!(grantee(None), "PUBLIC");
        assert_eq!(grantee(Some("PUBLIC")), "\"PUBLIC\"");
    }
}
