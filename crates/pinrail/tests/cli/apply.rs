//! What `pinrail apply` asks the server before it changes anything.

use super::stub::{Reply, Stub};
use super::{pinrail, text};

#[test]
fn a_fallback_that_names_no_release_or_several_is_a_fault_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("agents/support");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(dir.path().join("pinrail.toml"), "").unwrap();
    std::fs::write(folder.join("agent.toml"), "[dial.segments.default]\nfallback = '4f1c22'\n").unwrap();
    let check = |status: u16, code: &str, expected: &str| {
        let problem = format!(
            r#"{{"type":"urn:pinrail:problem:{code}","title":"t","status":{status},"code":"{code}","detail":"no"}}"#
        );
        let stub = Stub::new(move |_| Some(Reply::new(status, &problem)));
        let output = pinrail(&stub.url, &["apply", "-f", dir.path().to_str().unwrap()]);
        assert_ne!(output.status.code(), Some(0));
        let said = text(&output.stderr);
        assert!(said.contains("agent.toml:2: dial.segments.default.fallback names 4f1c22"), "{said}");
        assert!(said.contains(expected), "{said}");
        let asked: Vec<String> = stub.requests().iter().map(|request| request.path().to_owned()).collect();
        assert_eq!(asked, ["/api/v1/releases/4f1c22"], "nothing was changed");
    };
    check(404, "not_found", "no release that begins so");
    check(409, "ambiguous", "several releases begin so: give more digits");
}
