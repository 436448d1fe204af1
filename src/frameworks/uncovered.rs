//! Training that the estimate does not cover, as its command tells ([`purpose`]). What is read of such a job is shown, and
//! it is admitted.

use crate::command::{Launch, purpose};
use crate::frameworks::reading::said::Said;

/// Whether it is such training.
pub(super) fn recognises(launch: &Launch) -> bool {
    purpose::why(launch).is_some()
}

/// What it says: why it is not covered.
pub(super) fn read(launch: &Launch, said: &mut Said) {
    said.beyond = said.beyond.or_else(|| purpose::why(launch));
}
