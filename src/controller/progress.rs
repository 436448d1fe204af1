//! The start and the end in a workload's own status, as timestamps.

use k8s_openapi::jiff::Timestamp;

use crate::api::status::Ended;
use crate::kinds::progress::Progress;

/// When it began to run, and how it ended.
pub(super) fn moments(progress: &Progress) -> (Option<Timestamp>, Option<Ended>) {
    let moment = |text: &Option<String>| text.as_ref()?.parse().ok();
    let ended = progress.ended.as_ref();
    let ended = ended.map(|end| Ended { succeeded: end.succeeded, at: moment(&end.at) });
    (moment(&progress.started), ended)
}
