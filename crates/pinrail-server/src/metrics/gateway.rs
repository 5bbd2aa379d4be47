//! What the gateway has under way.

use pinrail_telemetry::metrics::{Page, table};

use super::{UnderWay, size};

/// Puts it on the page.
pub fn gather(page: &mut Page, under_way: UnderWay) {
    page.gauge(&table::GATEWAY_CALLS_OPEN, &[], size(under_way.calls));
    page.gauge(&table::GATEWAY_STREAMS_OPEN, &[], size(under_way.streams));
    page.gauge(&table::SHADOW_COPIES_OPEN, &[], size(under_way.copies));
}
