use super::*;

#[test]
fn smoke() {
    let lossy = Lossy::default();
    let body = br#"{"model":"a","messages":[{"role":"user","content":"hi"}]}"#;
    let out = request(Dialect::Chat, body, Dialect::Messages, &lossy).unwrap();
    assert_eq!(
        String::from_utf8(out.body).unwrap(),
        r#"{"model":"a","max_tokens":8192,"messages":[{"role":"user","content":"hi"}]}"#
    );
}
