//! How the providers do: breakers and budgets of retries.

use pinrail_gateway::{ProviderHealth, Standing};
use pinrail_telemetry::metrics::{PROVIDERS_MAX, Page, table};

use super::size;

const STANDINGS: [(Standing, &str); 3] =
    [(Standing::Closed, "closed"), (Standing::HalfOpen, "half_open"), (Standing::Open, "open")];

/// Puts them on the page.
pub fn gather(page: &mut Page, healths: &[ProviderHealth]) {
    for ProviderHealth { provider, retries, retries_refused, models } in healths.iter().take(PROVIDERS_MAX) {
        let name = provider.as_str();
        for (standing, word) in STANDINGS {
            let count = models.iter().filter(|model| model.standing == standing).count();
            page.gauge(&table::PROVIDER_MODELS, &[name, word], size(count));
        }
        page.count(&table::PROVIDER_RETRIES, &[name], *retries);
        page.count(&table::PROVIDER_RETRIES_REFUSED, &[name], *retries_refused);
    }
}
