use super::*;

#[test]
fn paths_and_queries_carry_any_text() {
    assert_eq!(escape("sha256:4f/../é "), "sha256:4f%2F..%2F%C3%A9%20");
    let none: Option<&str> = None;
    let query = || Query::default().add("a", Some("1&2")).add("b", none).add("c", Some(3));
    assert_eq!(query().on("/x"), "/x?a=1%262&c=3");
    assert_eq!(query().on("/x?y=1"), "/x?y=1&a=1%262&c=3");
    assert_eq!(Query::default().on("/x"), "/x");
}

#[test]
fn addresses_that_are_none_are_refused() {
    for good in ["http://127.0.0.1:7070", "https://rail.example.com/base", "http://[::1]:1"] {
        assert!(Client::new(good, None).is_ok(), "{good}");
    }
    for bad in ["", "127.0.0.1:7070", "ftp://x", "http://", "http://user:pw@x", "http://x?y"] {
        assert!(matches!(Client::new(bad, None), Err(ClientError::BadAddress { .. })), "{bad}");
    }
}

#[test]
fn every_call_has_its_own_idempotency_key() {
    let (one, two) = (idempotency_key(), idempotency_key());
    assert_ne!(one, two);
    assert!(pinrail_domain::id::IdempotencyKey::new(&one).is_ok());
}
