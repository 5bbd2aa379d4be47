//! What sightings promise: the newest of each subject, and nothing else.

use pinrail_domain::time::Timestamp;

use super::Subject;
use crate::sightings::{Sighting, SightingKind};

fn seen(kind: SightingKind, subject: &str, at: u64) -> Sighting {
    let document = format!(r#"{{"at":{at},"of":"{subject}'; --"}}"#);
    Sighting { kind, subject: subject.to_owned(), at: Timestamp(at), document }
}

pub async fn the_newest_sighting_of_a_subject_stays(subject: Subject) {
    use SightingKind::{List, Probe};
    let store = &*subject.store;
    assert_eq!(store.sighting_list(Probe).await.unwrap(), []);
    for (kind, name, at, kept) in [
        (Probe, "b", 5, true),
        (Probe, "a", 7, true),
        (Probe, "b", 4, false),
        (List, "b", 1, true),
        (Probe, "b", 5, true),
        (Probe, "b", 9, true),
    ] {
        assert_eq!(store.sighting_put(seen(kind, name, at)).await.unwrap(), kept, "{kind:?} {name} {at}");
    }
    assert_eq!(store.sighting_list(Probe).await.unwrap(), [seen(Probe, "a", 7), seen(Probe, "b", 9)]);
    assert_eq!(store.sighting_list(List).await.unwrap(), [seen(List, "b", 1)]);
}

pub async fn old_sightings_are_forgotten_by_kind(subject: Subject) {
    use SightingKind::{List, Probe};
    let store = &*subject.store;
    for (kind, name, at) in [(Probe, "a", 3), (Probe, "b", 5), (List, "a", 3)] {
        assert!(store.sighting_put(seen(kind, name, at)).await.unwrap());
    }
    assert_eq!(store.sighting_forget(Probe, Timestamp(5)).await.unwrap(), 1);
    assert_eq!(store.sighting_list(Probe).await.unwrap(), [seen(Probe, "b", 5)]);
    assert_eq!(store.sighting_list(List).await.unwrap(), [seen(List, "a", 3)]);
}
