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
    let model = |patch: Value| {
        let mut model = json!({"provider": "p", "snapshot": "m"});
        for (field, content) in patch.as_object().unwrap() {
            model[field] = content.clone();
        }
        json!({ "model": model })
    };
    let other = |snapshot: &str| json!({"provider": "p", "snapshot": snapshot});
    check(model(json!({"fallbacks": [other("m")]})), "model.fallbacks[0] names a model of the release");
    check(model(json!({"fallbacks": [other("n"), other("n")]})), "model.fallbacks[1] names a model");
    check(model(json!({"fallbacks": [other("n"), other("a b")]})), "model.fallbacks[1].snapshot must be");
    check(
        model(json!({"fallbacks": [{"provider": "p", "snapshot": "n", "params": {"stream": true}}]})),
        "model.fallbacks[0].params.stream is set by Pinrail",
    );
    let five: Vec<Value> = ["a", "b", "c", "d", "e"].map(other).into();
    check(model(json!({ "fallbacks": five })), "model.fallbacks holds 5 models");
    for bad in ["", "Images", "top-k", "a..b", "_a", "9a", "a."] {
        check(model(json!({ "lossy": [bad] })), "is no name of a feature");
    }
    let many: Vec<String> = (0..65).map(|n| format!("f{n}")).collect();
    check(model(json!({ "lossy": many })), "model.lossy holds 65 names");
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

#[test]
fn what_a_release_lists_is_part_of_it() {
    let plain = manifest(json!({"pinrail": 1, "model": {"provider": "p", "snapshot": "m"}}));
    assert_eq!(plain.model.each_alone().collect::<Vec<_>>(), vec![plain.model.clone()]);
    let listing = manifest(json!({"pinrail": 1, "model": {
        "provider": "p", "snapshot": "m", "params": {"temperature": 0}, "lossy": ["top_k", "messages.images"],
        "fallbacks": [{"provider": "q", "snapshot": "n"}, {"provider": "p", "snapshot": "o", "params": {}}]
    }}));
    listing.check().unwrap();
    assert_ne!(plain.id().unwrap(), listing.id().unwrap());
    let again: Manifest = serde_json::from_slice(&listing.canonical_bytes().unwrap()).unwrap();
    assert_eq!((again.id().unwrap(), &again), (listing.id().unwrap(), &listing));
    let asked: Vec<String> = listing
        .model
        .each_alone()
        .map(|model| format!("{} {} {}", model.provider, model.snapshot, json!(model.params)))
        .collect();
    assert_eq!(asked, [r#"p m {"temperature":0}"#, r#"q n {"temperature":0}"#, "p o {}"]);
    assert!(
        listing.model.names(&"q".parse().unwrap(), "n") && !listing.model.names(&"q".parse().unwrap(), "m")
    );
    let mut reordered = listing.clone();
    reordered.model.fallbacks.reverse();
    assert_ne!(reordered.id().unwrap(), listing.id().unwrap(), "who is asked first is behaviour");
}
