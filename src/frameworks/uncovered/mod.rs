//! Training that the estimate does not cover, by its command ([`purpose`]). The values that were read are shown, and
//! the job is admitted.

use crate::command::{Launch, purpose};
use crate::frameworks::reading::claims::Claims;
use crate::job::{Cause, field};

/// Whether the launch is such a training.
pub(super) fn recognises(launch: &Launch) -> bool {
    purpose::why(launch).is_some()
}

/// Records why it is not covered.
pub(super) fn read(launch: &Launch, claims: &mut Claims) {
    // A reader that names the objective covers it.
    let is_read = |cause: &Cause| claims.knows(field::OBJECTIVE) && purpose::is_an_objective(*cause);
    claims.beyond = claims.beyond.or(purpose::why(launch).filter(|cause| !is_read(cause)));
}
