//! The shared memory of a pod: what its processes put into /dev/shm.
//!
//! ```text
//! need = ready batches of data loaders + ranks × communicators × pools + ranks × channels × buffers
//! ```
//!
//! NCCL opens a pool of operations for a rank and a communicator if the rank talks to another node. Ranks of one node without
//! direct links pass their data through buffers in shared memory, one for each rank and channel; two channels are assumed.
//! NVIDIA/nccl#290, #342 and #525 show both with 64 MiB: buffers of 9,637,888 bytes, 4 ranks. Newer versions may need none.
//! Without a volume at /dev/shm a container has 64 MiB, the default of containerd, Docker and CRI-O.

use super::workers::batches;
use super::{End, HostPlan, Part};
use crate::units::Bytes;

/// What a container has at /dev/shm if no volume is mounted there.
pub const UNMOUNTED: Bytes = Bytes::from_mib(64);

/// The channels of ranks that share a node. Source: the failed allocations in NVIDIA/nccl#290, #342 and #525.
const CHANNELS: u64 = 2;

/// The parts of a pod's shared memory.
pub(super) fn shared_memory(host: &HostPlan<'_>) -> Vec<Part> {
    vec![
        Part::measured("batches of data loaders", batches(host)),
        Part::measured("communication", communication(host)),
    ]
}

/// NCCL's segments.
fn communication(host: &HostPlan<'_>) -> Bytes {
    if !host.accelerated || host.end == End::Lean {
        return Bytes::ZERO;
    }
    let communicators = host.plan.dimensions().max(1);
    let [usually, at_most] = host.constants.nccl.pool_bytes;
    let pool = Bytes(if host.end == End::Heavy { at_most } else { usually });
    let pools = if host.pods > 1 { pool * communicators * host.ranks } else { Bytes::ZERO };
    let apart = match host.linked {
        Some(linked) => !linked,
        None => host.end == End::Heavy,
    };
    let buffer = Bytes(host.constants.nccl.buffer_bytes);
    let buffers = if apart && host.ranks > 1 { buffer * CHANNELS * host.ranks } else { Bytes::ZERO };
    pools + buffers
}
