//! Training that the estimate does not cover, by its command ([`purpose`]). The values that were read are shown, and
//! the job is admitted.

use crate::command::{Launch, purpose};
use crate::frameworks::reading::claims::Claims;

/// Whether the launch is such a training.
pub(super) fn recognises(launch: &Launch) -> bool {
    purpose::why(launch).is_some()
}

/// Records why it is not covered.
pub(super) fn read(launch: &Launch, claims: &mut Claims) {
    claims.beyond = claims.beyond.or_else(|| purpose::why(launch));
}
