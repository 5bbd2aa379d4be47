use proptest::prelude::*;

use super::*;

fn chain(reasons: &[String]) -> Vec<Entry> {
    let mut head = Head::START;
    reasons
        .iter()
        .enumerate()
        .map(|(n, reason)| {
            let entry = head
                .seal(Draft {
                    at: Timestamp(n as u64),
                    actor: Actor::Open,
                    reason: reason.clone(),
                    body: Body::DeploymentPromoted {
                        deployment: DeploymentId(n as u64),
                        overridden: None,
                        evidence: None,
                    },
                })
                .unwrap();
            head = head.follow(&entry).unwrap();
            entry
        })
        .collect()
}

fn verify(entries: &[Entry]) -> Result<Head, Broken> {
    entries.iter().try_fold(Head::START, |head, entry| head.follow(entry))
}

#[test]
fn an_entry_survives_its_stored_form() {
    for entry in chain(&["first".into(), "zweitens: ä\u{202e}\n".into()]) {
        let stored = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&stored).unwrap(), entry);
    }
}

proptest! {
    /// I8: whatever is changed, dropped, moved or added, verification names the first place that is wrong.
    #[test]
    fn tampering_is_found_and_named(
        reasons in prop::collection::vec(".{0,8}", 2..12), at in any::<prop::sample::Index>(), how in 0..4_u8,
    ) {
        let mut entries = chain(&reasons);
        prop_assert!(verify(&entries).is_ok());
        // Dropping the last entry leaves a shorter but whole chain; only a remembered head can tell.
        let at = at.index(entries.len() - 1);
        match how {
            0 => entries[at].reason.push('x'),
            1 => { entries.remove(at); }
            2 => entries.swap(at, at + 1),
            _ => {
                let mut forged = entries[at].clone();
                forged.at = Timestamp(forged.at.0 + 1);
                forged.hash = forged.compute_hash().unwrap();
                entries[at] = forged;
            }
        }
        let broken = verify(&entries).unwrap_err();
        // A forged entry with a right hash of its own is betrayed by the entry after it.
        let expected = match how { 0 => at + 1, 1 | 2 | 3.. => at + 2 };
        let named = usize::try_from(broken.seq.0).unwrap();
        prop_assert_eq!(named, expected, "{}", broken);
    }
}

/// I8: a field that Pinrail doesn't know isn't part of the hash it computes, so it can't slip in.
#[test]
fn a_field_that_no_one_wrote_is_refused() {
    let raw = include_str!("../../../../docs/golden/ledger.json");
    let golden: serde_json::Value = serde_json::from_str(raw).unwrap();
    for entry in golden["entries"].as_array().unwrap() {
        for place in ["", "/actor", "/body", "/body/spec", "/body/key", "/body/manifest"] {
            let mut forged = entry.clone();
            let Some(fields) = forged.pointer_mut(place) else { continue };
            fields["approved_by"] = "everyone".into();
            assert!(serde_json::from_value::<Entry>(forged).is_err(), "{place} of {entry}");
        }
    }
}
