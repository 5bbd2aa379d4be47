//! Sessions stick (I10), and a binding is in the store exactly when a run is.

use pinrail_domain::tier::Tier;
use pinrail_store::Journal as _;
use pinrail_store::memory::Strike;

use super::bench::*;

/// The first run failed to be written; the second one's start carries the binding all the same.
#[tokio::test(start_paused = true)]
async fn a_binding_whose_run_was_not_written_is_written_with_the_next_run() {
    let bench = Bench::new(Tier::Critical).await;
    let two = bench.canary("m2-2026-01-01", "100%").await;
    bench.store.fail(1, Strike::BeforeEffect);
    assert!(bench.begin(Some("s")).await.is_err());
    assert_eq!(bench.store.session_get(&session_key("s")).await.unwrap(), None);
    assert_eq!(bench.begin(Some("s")).await.unwrap().stamp.deployment, two);
    assert_eq!(bench.store.session_get(&session_key("s")).await.unwrap(), Some(two));
}
