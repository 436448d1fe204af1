//! Training that the estimate does not cover, as its command tells ([`purpose`]). What is read of such a job is shown, and
//! it is admitted.

use crate::command::{Launch, purpose};
use crate::frameworks::reading::claims::Claims;

/// Whether it is such training.
pub(super) fn recognises(launch: &Launch) -> bool {
    purpose::why(launch).is_some()
}

/// What it says: why it is not covered.
pub(super) fn read(launch: &Launch, claims: &mut Claims) {
    claims.beyond = claims.beyond.or_else(|| purpose::why(launch));
}
