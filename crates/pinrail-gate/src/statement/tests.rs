//! Signing and verifying, against others' vectors and against tampering.

use pinrail_domain::deployment::GateVerdict;
use pinrail_domain::digest::Digest;
use pinrail_domain::gate::Source;
use pinrail_domain::id::{AgentName, GateId, ReleaseId};
use pinrail_domain::time::Timestamp;
use serde_json::json;

use super::envelope::{decoded, encoded};
use super::*;
use crate::verdict::Report;

/// RFC 8032, section 7.1, TEST 1 and TEST 2: seed, public key, message, signature.
const RFC_8032: [[&str; 4]; 2] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
];

#[test]
fn keys_sign_as_rfc_8032_says() {
    for [seed, public, message, signature] in RFC_8032 {
        let key = signing(seed);
        let message = hex(message);
        assert_eq!(key.public(), PublicKey::parse(&base64(&hex(public))).unwrap());
        assert_eq!(key.sign(&message), hex(signature));
        assert!(key.public().verifies(&message, &hex(signature)));
        assert!(!key.public().verifies(b"another", &hex(signature)));
    }
}

#[test]
fn what_is_signed_is_what_dsse_says() {
    // The example of DSSE's protocol document.
    let pae = encoded("http://example.com/HelloWorld", b"hello world");
    assert_eq!(pae, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    // DSSE's published vectors, over the keys of RFC 8032.
    let check = |seed: usize, kind: &str, payload: &str, signature: &str| {
        let key = signing(RFC_8032[seed][0]);
        let pae = encoded(kind, &decoded(payload).unwrap());
        assert_eq!(key.sign(&pae), decoded(signature).unwrap(), "{kind} {payload}");
        assert!(key.public().verifies(&pae, &decoded(signature).unwrap()));
    };
    let payload = "eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEifQ==";
    let single = "2WAfaHm5jluo0w+0rk8uVkluELJYWjSmU9x7EUzx+AyteDGJ4/nqyJXfmAUVFIAoQafWm7AxBZNw5M9ixNHiCA==";
    check(0, PAYLOAD_TYPE, payload, single);
    let by_b = "c1+67/aT0yqEpwx8PsVY3MLHsj9D0CZ014/Fv/QlG59P+9CobUZ7xECJ/V3USG0Ob9CiE5LjReEZUzNF2l7eBw==";
    check(1, PAYLOAD_TYPE, payload, by_b);
    let url_safe = "P-_KHICeR7tI6S_YyejJTRtrXhcQyQ2LYPaL8h90KjC9qN8HU_svOQ6TuDOT1HIrsGW886DbWNWcCmX5twLrAw==";
    check(0, PAYLOAD_TYPE, "-_-_Pj8=", url_safe);
    let umlaut = "xmSk/ug66ysT7ayhkCIjhAq42zgZXSsEWuzUaNL7w2eGAdF/NU6/fRXPtmfN+5DNSAs5/i2lUnHjbbjPsu0tAw==";
    check(0, "application/vnd.exämple+json", payload, umlaut);
    let empty = "gSggCAaTLTYyRH6FIDBem6meyIynsYy8RTHVzwx9tnTb7Bg/1jMWnuVgI/gffqmbsC2VX5/jHfkkDqsj7CDbDg==";
    check(0, PAYLOAD_TYPE, "", empty);
}

#[test]
fn a_sealed_statement_is_believed_by_its_key_alone() {
    let (key, other) = (signing(RFC_8032[0][0]), signing(RFC_8032[1][0]));
    let statement = statement(&report(GateVerdict::Pass), &about());
    let envelope = Envelope::seal(&statement, Some(&key)).unwrap();
    assert_eq!(verify(&envelope, &[other.public(), key.public()]).unwrap(), statement);
    assert!(matches!(verify(&envelope, &[other.public()]), Err(VerifyFailed::NotTrusted { .. })));
    assert!(matches!(verify(&envelope, &[]), Err(VerifyFailed::NoKey)));
    // The key id is a hint that nobody signed: it decides nothing.
    let mut renamed = envelope.clone();
    renamed.signatures[0].keyid = Some("somebody".to_owned());
    assert!(verify(&renamed, &[key.public()]).is_ok());
    // What others write in the other alphabet is the same.
    let mut url_safe = envelope.clone();
    url_safe.payload = url_safe.payload.replace('+', "-").replace('/', "_");
    url_safe.signatures[0].sig = url_safe.signatures[0].sig.replace('+', "-").replace('/', "_");
    assert!(verify(&url_safe, &[key.public()]).is_ok());
    let unsigned = Envelope::seal(&statement, None).unwrap();
    assert!(matches!(verify(&unsigned, &[key.public()]), Err(VerifyFailed::Unsigned)));
    assert_eq!(unsigned.unverified().unwrap(), statement);
}

#[test]
fn no_byte_of_it_can_be_changed() {
    let key = signing(RFC_8032[0][0]);
    let envelope = Envelope::seal(&statement(&report(GateVerdict::Fail), &about()), Some(&key)).unwrap();
    let payload = decoded(&envelope.payload).unwrap();
    for at in 0..payload.len() {
        let mut changed = payload.clone();
        changed[at] ^= 1;
        let forged = Envelope { payload: base64(&changed), ..envelope.clone() };
        assert!(
            matches!(verify(&forged, &[key.public()]), Err(VerifyFailed::NotTrusted { .. })),
            "byte {at}"
        );
    }
    let signature = decoded(&envelope.signatures[0].sig).unwrap();
    for at in 0..signature.len() {
        let mut changed = signature.clone();
        changed[at] ^= 0x10;
        let mut forged = envelope.clone();
        forged.signatures[0].sig = base64(&changed);
        assert!(verify(&forged, &[key.public()]).is_err(), "byte {at} of the signature");
    }
    let cut = Envelope { payload: base64(&payload[..payload.len() - 1]), ..envelope.clone() };
    assert!(verify(&cut, &[key.public()]).is_err());
    let other = Envelope { payload_type: "application/json".to_owned(), ..envelope };
    assert!(matches!(verify(&other, &[key.public()]), Err(VerifyFailed::PayloadType(_))));
}

#[test]
fn a_signed_contradiction_is_refused() {
    let key = signing(RFC_8032[0][0]);
    let check = |change: &dyn Fn(&mut Statement)| {
        let mut statement = statement(&report(GateVerdict::Inconclusive), &about());
        change(&mut statement);
        let envelope = Envelope::seal(&statement, Some(&key)).unwrap();
        verify(&envelope, &[key.public()]).unwrap_err().to_string()
    };
    let passed = check(&|statement| statement.predicate.result = Outcome::Passed);
    assert!(passed.contains("result isn't its verdict"), "{passed}");
    let subject = check(&|statement| statement.subject = vec![resource("release", &about().agent, id("x"))]);
    assert!(subject.contains("subject isn't its candidate"), "{subject}");
    let kind = check(&|statement| statement.predicate_type = "https://slsa.dev/provenance/v1".to_owned());
    assert!(kind.contains("slsa"), "{kind}");
}

#[test]
fn the_statement_is_what_in_toto_says() {
    let json = serde_json::to_value(statement(&report(GateVerdict::Pass), &about())).unwrap();
    assert_eq!(json["_type"], STATEMENT_TYPE);
    assert_eq!(json["predicateType"], PREDICATE_TYPE);
    assert_eq!(json["subject"][0]["name"], "pinrail:release:support");
    assert_eq!(json["subject"][0]["digest"]["sha256"], id("candidate").0.hex());
    assert_eq!(json["predicate"]["result"], "PASSED");
    assert_eq!(json["predicate"]["configuration"][0]["name"], "pinrail:incumbent:support");
    assert_eq!(json["predicate"]["configuration"][1]["name"], "pinrail:judge");
    assert_eq!(json["predicate"]["passedTests"], json!([]));
    assert_eq!(json["predicate"]["pinrail"]["source"], "run");
    let undecided = statement(&report(GateVerdict::Inconclusive), &about());
    assert_eq!(undecided.predicate.result, Outcome::Failed);
}

#[test]
fn keys_are_read_as_people_have_them() {
    let key = signing(RFC_8032[0][0]);
    let public = key.public();
    for text in [public.to_string(), public.to_pem(), format!("  {public}\n")] {
        assert_eq!(PublicKey::parse(&text), Ok(public), "{text}");
    }
    // As `openssl genpkey -algorithm ed25519` writes it: PKCS#8, version 1.
    let pkcs8 = [hex("302e020100300506032b657004220420"), hex(RFC_8032[0][0])].concat();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", base64(&pkcs8));
    for text in [base64(&hex(RFC_8032[0][0])), base64(&pkcs8), pem] {
        assert_eq!(SigningKey::parse(&text).unwrap().public(), public);
    }
    for text in ["", "hunter2", "AAAA", "-----BEGIN PRIVATE KEY-----"] {
        let refused = SigningKey::parse(text).unwrap_err().to_string();
        // I15
        assert!(text.is_empty() || !refused.contains(text), "{refused}");
        assert!(PublicKey::parse(text).is_err());
    }
    let shown = format!("{key:?}");
    assert!(shown.contains(&public.to_string()) && !shown.contains(&base64(&hex(RFC_8032[0][0]))), "{shown}");
}

fn report(verdict: GateVerdict) -> Report {
    Report {
        candidate: id("candidate"),
        incumbent: Some(id("incumbent")),
        verdict,
        why: "because".to_owned(),
        alpha: 0.05,
        suites: Vec::new(),
        served: Vec::new(),
    }
}

fn about() -> About {
    About {
        agent: AgentName::new("support").unwrap(),
        gate: GateId::from_parts(1, 1),
        at: Timestamp(0),
        source: Source::Run,
        judge: Some(id("judge")),
        url: None,
    }
}

fn id(text: &str) -> ReleaseId {
    ReleaseId(Digest::of(text.as_bytes()))
}

fn signing(seed: &str) -> SigningKey {
    SigningKey::from_seed(&hex(seed).try_into().unwrap())
}

fn hex(text: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}
