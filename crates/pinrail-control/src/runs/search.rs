//! Looking for runs by what they say.
//!
//! Nothing is indexed for it: an index over what people say would be written with every event, and the journal's writes
//! are what live traffic pays for. So a search reads, newest run first, as far as its reach goes, and says how far that
//! was; whoever wants more goes on from there.

use pinrail_domain::id::RunId;
use pinrail_domain::journal::Needle;
use pinrail_domain::key::Tenants;
use pinrail_store::StoreError;
use pinrail_store::journal::{Found, Reach, RunFilter, Search, SessionKey};

use super::Runs;
use super::api::of_tenants;

/// How far one page of a search looks: what is read within a fifth of a second, also where bodies are kept (measured: 10 µs a
/// run without bodies, 12 ms a mebibyte with them). It holds one of the store's few readers meanwhile, and who lists runs
/// waits behind it.
pub const REACH: Reach = Reach { runs_max: 5_000, bytes_max: 8 << 20, run_bytes_max: 8 << 20 };

/// Sessions whose names are looked at: there is no index by a part of a name.
const SESSIONS_MAX: usize = 5_000;

impl Runs {
    /// Runs of the caller's tenants that match the filter and say the text, newest first, as far as [`REACH`] goes.
    pub async fn search(
        &self,
        tenants: &Tenants,
        filter: RunFilter,
        text: Needle,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        let search = Search { filter: of_tenants(tenants, filter), text, reach: REACH };
        self.parts.store.run_search(&search, before, limit).await
    }

    /// Sessions of the caller's tenants whose name holds these letters, in any case, among the most recently bound.
    pub async fn sessions_named(
        &self,
        tenants: &Tenants,
        letters: &Needle,
        limit: usize,
    ) -> Result<Vec<SessionKey>, StoreError> {
        let recent = self.parts.store.sessions_recent(SESSIONS_MAX).await?;
        let seen = recent.into_iter().map(|(key, _)| key).filter(|key| tenants.contain(&key.tenant));
        Ok(seen.filter(|key| letters.is_in_text(key.session.as_str())).take(limit).collect())
    }
}
