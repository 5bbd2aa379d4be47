use serde_json::json;

use super::*;

fn base() -> ProviderSpec {
    ProviderSpec::new(Format::Openai, "https://api.example.com/v1", "openai")
}

/// Settings as a client or a ledger entry writes them.
fn read(fields: serde_json::Value) -> ProviderSpec {
    let mut spec = json!({"base_url": "https://api.example.com/v1", "catalogue": "openai"});
    for (name, value) in fields.as_object().unwrap() {
        spec[name] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

#[test]
fn settings_that_leak_or_cannot_work_are_refused() {
    assert_eq!(base().check(), Ok(()));
    assert_eq!(ProviderSpec::simulated().check(), Ok(()));
    for bad in ["api.example.com", "https://", "ftp://x", "https://x/ y"] {
        let spec = ProviderSpec { base_url: bad.into(), ..base() };
        assert_eq!(spec.check(), Err(BadProvider::Url(bad.into())), "{bad}");
    }
    for leak in ["https://user:pw@x/v1", "https://x/v1?key=abc"] {
        let spec = ProviderSpec { base_url: leak.into(), ..base() };
        assert_eq!(spec.check(), Err(BadProvider::UrlSecret));
    }
    // I15: a key pasted where its variable's name belongs is refused and not repeated.
    let pasted = ProviderSpec { key_env: Some("sk-proj-abcdefghijklmnop".into()), ..base() };
    let refusal = pasted.check().unwrap_err().to_string();
    assert!(refusal.contains("sk-p…") && !refusal.contains("abcdef"), "{refusal}");
    assert_eq!(ProviderSpec { retries_max: 6, ..base() }.check(), Err(BadProvider::Retries(6)));
    let timeouts = Timeouts { idle_ms: 0, ..Timeouts::default() };
    assert_eq!(ProviderSpec { timeouts, ..base() }.check(), Err(BadProvider::Timeout));
}

#[test]
fn each_refusal_says_what_to_do() {
    let check = |fields: serde_json::Value, says: &str| {
        let refusal = read(fields.clone()).check().unwrap_err().to_string();
        assert!(refusal.contains(says), "{fields} -> {refusal}");
    };
    check(json!({"base_url": ""}), "https://api.openai.com/v1");
    check(json!({"base_url": "", "format": "azure"}), "https://NAME.openai.azure.com");
    check(json!({"base_url": "sim:", "format": "azure"}), "needs the address of a real provider");
    check(json!({"format": "azure", "apis": ["messages"]}), "it takes chat and responses");
    check(json!({"apis": ["chat", "chat"]}), "names `chat` twice");
    check(json!({"azure": {}}), "set format = \"azure\"");
    check(json!({"aws": {"region": "r"}}), "set format = \"bedrock\"");
    check(json!({"format": "bedrock"}), "needs aws = { region");
    check(json!({"format": "vertex"}), "needs vertex = { project");
    check(json!({"format": "bedrock", "aws": {"region": "a/../b"}}), "aws.region `a/../b` is none");
    let half = json!({"region": "us-east-1", "access_key_env": "A"});
    check(json!({"format": "bedrock", "aws": half}), "both of aws.access_key_env and");
    check(
        json!({"headers": {"authorization": "x"}}),
        "name the environment variable that holds it in headers_env",
    );
    check(json!({"headers": {"X-Upper": "x"}}), "use small letters");
    check(json!({"headers": {"host": "x"}}), "written by Pinrail");
    check(json!({"headers_env": {"connection": "A"}}), "written by Pinrail");
    check(json!({"headers": {"x-a": "a\nb"}}), "no header can have");
    check(json!({"headers": {"x-a": "a"}, "headers_env": {"x-a": "A"}}), "there twice");
    check(json!({"key_env": "A", "headers_env": {"authorization": "A"}}), "there twice");
    check(json!({"key_header": "api-key"}), "without effect");
    check(json!({"proxy": "https://proxy:1"}), "must be http://");
    check(json!({"proxy": "http://proxy"}), "must be http://");
    check(json!({"proxy": "http://u:p@proxy:1"}), "proxy_auth_env");
    check(json!({"proxy": "none", "proxy_auth_env": "A"}), "without effect");
    check(json!({"ca_pem": "-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----"}), "private key");
    check(json!({"ca_pem": "x"}), "BEGIN CERTIFICATE");
    check(json!({"models": {"a": ""}}), "could be called");
    // I15
    for field in ["headers_env.x-a", "proxy_auth_env", "key_env"] {
        let secret = "hunter22-hunter22";
        let fields = match field.split_once('.') {
            Some((outer, inner)) => json!({outer: {inner: secret}}),
            None => json!({field: secret, "proxy": "http://proxy:1"}),
        };
        let refusal = read(fields).check().unwrap_err().to_string();
        assert!(refusal.contains(field) && !refusal.contains("hunter22"), "{refusal}");
    }
}

#[test]
fn what_is_spoken_follows_from_format_and_address() {
    use Api::{Chat, Messages, Responses};
    let check = |fields: serde_json::Value, want: &[Api], of: [Api; 3]| {
        let spec = read(fields.clone());
        assert_eq!(spec.check(), Ok(()), "{fields}");
        assert_eq!(spec.spoken(), want, "{fields}");
        assert_eq!(Api::ALL.map(|client| spec.api_for(client)), of, "{fields}");
    };
    check(json!({}), &[Chat], [Chat; 3]);
    check(json!({"base_url": "https://api.openai.com/v1"}), &[Chat, Responses], [Chat, Responses, Chat]);
    check(json!({"base_url": "https://api.openai.com:443"}), &[Chat, Responses], [Chat, Responses, Chat]);
    check(json!({"base_url": "https://api.openai.com.evil.example"}), &[Chat], [Chat; 3]);
    check(json!({"base_url": "sim:"}), &Api::ALL, Api::ALL);
    check(json!({"base_url": "sim:", "format": "anthropic"}), &[Messages], [Messages; 3]);
    check(json!({"format": "azure"}), &[Chat, Responses], [Chat, Responses, Chat]);
    check(json!({"format": "anthropic"}), &[Messages], [Messages; 3]);
    let apis = json!(["responses", "chat"]);
    check(json!({"apis": apis}), &[Responses, Chat], [Chat, Responses, Responses]);
    let aws = json!({"region": "eu-west-1"});
    check(json!({"format": "bedrock", "base_url": "", "aws": aws}), &[Messages], [Messages; 3]);
}

#[test]
fn a_base_follows_from_the_region() {
    let check = |fields: serde_json::Value, want: &str| assert_eq!(read(fields).base(), want);
    let bedrock = |region: &str| json!({"format": "bedrock", "base_url": "", "aws": {"region": region}});
    check(bedrock("eu-west-1"), "https://bedrock-runtime.eu-west-1.amazonaws.com");
    check(bedrock("cn-north-1"), "https://bedrock-runtime.cn-north-1.amazonaws.com.cn");
    let vertex = |region: &str| json!({"format": "vertex", "base_url": "", "vertex": {"project": "p", "region": region}});
    check(vertex("us-east5"), "https://us-east5-aiplatform.googleapis.com/v1");
    check(vertex("global"), "https://aiplatform.googleapis.com/v1");
    check(vertex("eu"), "https://aiplatform.eu.rep.googleapis.com/v1");
    check(json!({"base_url": "https://x/v1/"}), "https://x/v1");
    let anthropic = |base: &str| json!({"format": "anthropic", "base_url": base});
    check(anthropic("https://api.anthropic.com"), "https://api.anthropic.com/v1");
    check(anthropic("https://api.anthropic.com/v1"), "https://api.anthropic.com/v1");
    check(anthropic("https://x/anthropic/"), "https://x/anthropic");
}

#[test]
fn what_is_at_its_default_is_not_written() {
    // Hashes of ledger entries depend on these bytes.
    let text = serde_json::to_string(&base()).unwrap();
    let want = r#"{"format":"openai","base_url":"https://api.example.com/v1","catalogue":"openai","timeouts":{"connect_ms":5000,"first_byte_ms":300000,"idle_ms":60000},"retries_max":1}"#;
    assert_eq!(text, want);
    assert_eq!(serde_json::from_str::<ProviderSpec>(want).unwrap(), base());
}

#[test]
fn every_variable_that_must_be_set_is_named() {
    let spec = read(json!({
        "format": "bedrock", "base_url": "", "aws": {"region": "us-east-1", "session_token_env": "T"},
        "headers_env": {"x-a": "A"}, "proxy": "http://p:1", "proxy_auth_env": "P"
    }));
    assert_eq!(spec.env_names(), ["A", "P", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "T"]);
    let key = ProviderSpec { key_env: Some("K".into()), ..spec };
    assert_eq!(key.env_names(), ["K", "A", "P"]);
}
