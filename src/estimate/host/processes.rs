//! The memory of processes before they hold weights, states or data.
//!
//! ```text
//! processes = ranks × (interpreter + accelerator's libraries) + launcher
//! ```
//!
//! One rank drives one accelerator. Anonymous memory counts: the kernel can drop the pages of program files.
//! Constants and their sources: `data/host.toml`.

use super::{HostPlan, Part};
use crate::units::Bytes;

/// The processes of a pod.
pub(super) fn processes(host: &HostPlan<'_>) -> Part {
    let process = &host.constants.process;
    let libraries = if host.accelerated { host.end.mib(process.libraries_mib) } else { Bytes::ZERO };
    let rank = Bytes::from_mib(process.interpreter_mib) + libraries;
    let launcher = if host.launched { Bytes::from_mib(process.launcher_mib) } else { Bytes::ZERO };
    Part::measured("processes", rank * host.ranks + launcher)
}
