//! The floors of ARCHITECTURE.md: which crate may name which. Arrows point down.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Each crate, its floor, and the crates of ours that it may name in its main code.
const FLOORS: &[(&str, u8, &[&str])] = &[
    ("pinrail-domain", 0, &[]),
    ("pinrail-wire", 0, &[]),
    ("pinrail-api", 0, &["pinrail-domain"]),
    ("pinrail-dashboard", 1, &["pinrail-api", "pinrail-domain"]),
    ("pinrail-adopt", 1, &[]),
    ("pinrail-store", 1, &["pinrail-domain"]),
    ("pinrail-store-sqlite", 1, &["pinrail-domain", "pinrail-store"]),
    ("pinrail-store-postgres", 1, &["pinrail-domain", "pinrail-store"]),
    ("pinrail-vectors", 1, &["pinrail-domain"]),
    ("pinrail-scan", 1, &["pinrail-domain"]),
    ("pinrail-provider-sim", 1, &["pinrail-wire"]),
    ("pinrail-control", 2, &["pinrail-domain", "pinrail-store", "pinrail-vectors"]),
    ("pinrail-gateway", 2, &["pinrail-domain", "pinrail-wire"]),
    ("pinrail-mcp", 2, &["pinrail-domain", "pinrail-wire"]),
    ("pinrail-gate", 2, &["pinrail-domain", "pinrail-store", "pinrail-wire"]),
    ("pinrail-telemetry", 2, &["pinrail-domain", "pinrail-gateway", "pinrail-wire"]),
    ("pinrail-simulation", 2, &["pinrail-control", "pinrail-domain", "pinrail-store"]),
    (
        "pinrail-server",
        3,
        &[
            "pinrail-api",
            "pinrail-control",
            "pinrail-dashboard",
            "pinrail-domain",
            "pinrail-gate",
            "pinrail-gateway",
            "pinrail-mcp",
            "pinrail-store",
            "pinrail-telemetry",
            "pinrail-vectors",
            "pinrail-wire",
        ],
    ),
    (
        "pinrail",
        4,
        &[
            "pinrail-adopt",
            "pinrail-api",
            "pinrail-control",
            "pinrail-domain",
            "pinrail-gate",
            "pinrail-gateway",
            "pinrail-mcp",
            "pinrail-provider-sim",
            "pinrail-scan",
            "pinrail-server",
            "pinrail-store",
            "pinrail-store-postgres",
            "pinrail-store-sqlite",
            "pinrail-telemetry",
            "pinrail-vectors",
            "pinrail-wire",
        ],
    ),
];

/// Others' crates that a floor must not see: pure crates rebuild in a second and can be simulated.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "pinrail-domain",
        &["tokio", "async-trait", "axum", "hyper", "rusqlite", "tokio-postgres", "tracing", "getrandom"],
    ),
    ("pinrail-wire", &["tokio", "axum", "hyper", "http", "rusqlite", "tokio-postgres", "tracing"]),
    ("pinrail-api", &["tokio", "axum", "hyper", "http", "rusqlite", "tokio-postgres"]),
    ("pinrail-store", &["axum", "hyper", "rusqlite", "tokio-postgres"]),
    ("pinrail-store-sqlite", &["axum", "hyper", "tokio-postgres"]),
    ("pinrail-store-postgres", &["axum", "hyper", "rusqlite"]),
    (
        "pinrail-vectors",
        &["tokio", "async-trait", "axum", "hyper", "rusqlite", "tokio-postgres", "tracing", "getrandom"],
    ),
    (
        "pinrail-scan",
        &["tokio", "async-trait", "axum", "hyper", "rusqlite", "tokio-postgres", "tracing", "getrandom"],
    ),
    ("pinrail-control", &["axum", "hyper", "http", "rusqlite", "tokio-postgres"]),
    ("pinrail-gate", &["axum", "hyper", "http", "rusqlite", "tokio-postgres"]),
    ("pinrail-gateway", &["axum", "rusqlite", "tokio-postgres"]),
    ("pinrail-mcp", &["axum", "rusqlite", "tokio-postgres"]),
    ("pinrail-simulation", &["getrandom", "rusqlite", "tokio-postgres"]),
    ("pinrail-server", &["rusqlite", "tokio-postgres", "clap"]),
    ("pinrail-telemetry", &["axum", "rusqlite", "tokio-postgres", "getrandom"]),
];

#[test]
fn every_crate_names_only_what_its_floor_allows() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        FLOORS.iter().map(|(name, _, may)| (*name, may.iter().copied().collect())).collect();
    let named = dependencies();
    assert_eq!(
        named.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        allowed.keys().copied().collect::<BTreeSet<_>>(),
        "a crate came or went: give it a floor here and in ARCHITECTURE.md"
    );
    for (name, dependencies) in &named {
        for ours in dependencies.iter().filter(|dependency| named.contains_key(*dependency)) {
            assert!(allowed[name.as_str()].contains(ours.as_str()), "{name} may not name {ours}");
        }
    }
    for (name, forbidden) in FORBIDDEN {
        for theirs in *forbidden {
            assert!(!named[*name].contains(*theirs), "{name} may not name {theirs}");
        }
    }
}

#[test]
fn floors_only_lean_downwards() {
    let floor: BTreeMap<&str, u8> = FLOORS.iter().map(|(name, floor, _)| (*name, *floor)).collect();
    for (name, own, may) in FLOORS {
        for below in *may {
            assert!(floor[below] <= *own, "{name} on floor {own} leans on {below} on floor {}", floor[below]);
        }
    }
}

/// Every crate of the workspace with its normal dependencies; tests may lean on anything.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo is there, as it runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let normal = |package: &Value| {
        let dependencies = package["dependencies"].as_array().expect("dependencies");
        let normal = dependencies.iter().filter(|dependency| dependency["kind"].is_null());
        normal.map(|dependency| dependency["name"].as_str().expect("a name").to_owned()).collect()
    };
    packages
        .iter()
        .map(|package| (package["name"].as_str().expect("a name").to_owned(), normal(package)))
        .collect()
}
