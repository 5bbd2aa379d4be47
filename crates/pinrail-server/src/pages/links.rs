//! Which pages somebody may open: no other is offered to them.

use pinrail_dashboard::page::Nav;

use super::serve;
use crate::call::Call;

/// Whether the one who asks may open the pages under this entry of the navigation.
pub fn opens(call: &Call, nav: Nav) -> bool {
    serve::shell(&call.state, call.caller.as_ref(), &call.head).sees(nav)
}
