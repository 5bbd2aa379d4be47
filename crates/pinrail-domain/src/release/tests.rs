use serde_json::{Value, json};

use super::*;

fn manifest(value: Value) -> Manifest {
    serde_json::from_value(value).unwrap()
}

/// The golden vectors that implementations in other languages check themselves against.
#[test]
fn ids_are_the_golden_ones() {
    #[derive(Deserialize)]
    struct Golden {
        name: String,
        manifest: Value,
        canonical: String,
        id: ReleaseId,
    }
    let golden: Vec<Golden> =
        serde_json::from_str(include_str!("../../../../docs/golden/releases.json")).unwrap();
    assert!(golden.len() >= 4);
    for Golden { name, manifest: value, canonical, id } in golden {
        let manifest = manifest(value);
        manifest.check().unwrap();
        // I1: recomputable from the content by anyone.
        let bytes = manifest.canonical_bytes().unwrap();
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), canonical, "{name}");
        assert_eq!(ReleaseId(Digest::of(&bytes)), id, "{name}");
        assert_eq!(manifest.id().unwrap(), id, "{name}");
    }
}

#[test]
fn the_id_depends_on_content_and_not_on_spelling() {
    let terse = manifest(json!({"pinrail": 1, "model": {"provider": "p", "snapshot": "m-2026-01-01"}}));
    let wordy = manifest(json!({
        "state": {}, "tools": {"side_effects": []}, "prompt": {"mode": "managed", "system": null},
        "model": {"params": {}, "snapshot": "m-2026-01-01", "provider": "p", "weights": null}, "pinrail": 1}));
    assert_eq!(terse.id().unwrap(), wordy.id().unwrap());
    let other = manifest(json!({"pinrail": 1, "model": {"provider": "p", "snapshot": "m-2026-01-02"}}));
    assert_ne!(terse.id().unwrap(), other.id().unwrap());
}

#[test]
fn a_manifest_that_cannot_hold_is_refused_with_the_field_it_broke() {
    let check = |patch: Value, expected: &str| {
        let mut value = json!({"pinrail": 1, "model": {"provider": "p", "snapshot": "m"}});
        for (field, content) in patch.as_object().unwrap() {
            value[field] = content.clone();
        }
        let refusal = match serde_json::from_value::<Manifest>(value) {
            Ok(manifest) => manifest.check().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(refusal.contains(expected), "{refusal}");
    };
    check(json!({"pinrail": 2}), "format 2");
    check(json!({"modle": {}}), "unknown field `modle`");
    check(json!({"model": {"provider": "p", "snapshot": ""}}), "model.snapshot");
    check(json!({"model": {"provider": "p", "snapshot": "a b"}}), "model.snapshot");
    check(json!({"model": {"provider": "P", "snapshot": "m"}}), "provider name");
    check(json!({"model": {"provider": "p", "snapshot": "m", "params": {"model": "x"}}}), "params.model");
    check(
        json!({"model": {"provider": "p", "snapshot": "m", "params": {"seed": 9_007_199_254_740_993_u64}}}),
        "no canonical form",
    );
    check(json!({"state": {"context": {"protocol": 2, "accepts": [1]}}}), "accepts");
    check(
        json!({"state": {"vectors": {"kb": {"embedder": "e", "dims": 0, "metric": "cosine"}}}}),
        "vectors.kb",
    );
    check(json!({"prompt": {"system": "sha256:00"}}), "not a digest");
}
