//! What would help a pod whose host memory or shared memory does not suffice.
//!
//! Changes of the job come first, each tried by itself; the limit that holds the upper bound comes last, and is always there.

use super::Judge;
use super::host::{Allowed, fits};
use crate::estimate::Estimate;
use crate::estimate::host::{self, HostEstimate, Need, Pod};
use crate::job::{Host, Loading, TrainingJob};
use crate::kinds::host::SharedMemory;
use crate::units::Bytes;
use crate::workload::PodOffer;

/// The least size that advice gives a volume at /dev/shm. It is a convention of manifests: the kernel
/// gives memory only to what is written there.
const LEAST_SHARED: Bytes = Bytes::from_mib(8 << 10);

/// A change of the job's host fields.
struct Change {
    /// The change, as a person would write it.
    line: &'static str,
    /// Makes the change. `false` if it changes nothing.
    make: fn(&mut Host) -> bool,
}

const CHANGES: &[Change] = &[
    Change {
        line: "load on one rank (FSDP: fsdp_cpu_ram_efficient_loading)",
        make: |host| host.loading.replace(Loading::FirstRank) != Some(Loading::FirstRank),
    },
    Change {
        line: "load straight to the GPUs (device_map)",
        make: |host| host.loading.replace(Loading::Direct) != Some(Loading::Direct),
    },
    Change {
        line: "save sharded (FSDP: SHARDED_STATE_DICT)",
        make: |host| host.full_state_dict.replace(false) != Some(false),
    },
    Change { line: "pin_memory false", make: |host| host.pinned_offload.replace(false) == Some(true) },
    Change {
        line: "fewer data loader workers",
        make: |host| {
            host.dataloader_workers.is_some_and(|workers| workers > 2) && {
                host.dataloader_workers = Some(2);
                true
            }
        },
    },
];

/// What would make host memory suffice.
pub(super) fn memory(
    judge: &Judge<'_>,
    job: &TrainingJob,
    estimate: &Estimate,
    pod: Pod,
    limit: Option<&Allowed>,
    needs: &HostEstimate,
) -> Vec<String> {
    let Some(limit) = limit.filter(|_| judge.ask.advice) else { return Vec::new() };
    if fits(&needs.memory.distribution, limit.bytes, judge) {
        return Vec::new();
    }
    let helps = |change: &&Change| {
        let mut changed = job.clone();
        (change.make)(changed.host.get_or_insert_default())
            && fits(&host::estimate(&changed, estimate, pod).memory.distribution, limit.bytes, judge)
    };
    let lines = CHANGES.iter().filter(helps).map(|change| change.line.to_owned());
    let (_, upper) = needs.memory.distribution.bounds();
    let wanted = rounded(upper);
    lines
        .take(2)
        .chain([format!("{} {} → {}", limit.named, quantity(limit.bytes), quantity(wanted))])
        .collect()
}

/// What would make shared memory suffice.
pub(super) fn shared_memory(need: &Need, offer: &PodOffer) -> Vec<String> {
    let (_, upper) = need.distribution.bounds();
    match offer.host.shared_memory {
        SharedMemory::Unmounted => mount(upper),
        SharedMemory::Sized(bytes) => {
            vec![format!(
                "sizeLimit of /dev/shm {} → {}",
                quantity(bytes),
                quantity(rounded(upper).max(LEAST_SHARED))
            )]
        }
        SharedMemory::Unsized | SharedMemory::Others => Vec::new(),
    }
}

/// The line that mounts a volume at /dev/shm.
pub(super) fn mount(need: Bytes) -> Vec<String> {
    let size = quantity(rounded(need).max(LEAST_SHARED));
    let volume = format!("volumes: [{{name: dshm, emptyDir: {{medium: Memory, sizeLimit: {size}}}}}]");
    // Neither helps without the other.
    vec![format!("{volume}, with volumeMounts: [{{name: dshm, mountPath: /dev/shm}}]")]
}

/// An amount as a person would ask for: whole GiB, two digits.
pub(super) fn rounded(bytes: Bytes) -> Bytes {
    let gib = bytes.as_gib().ceil().max(1.0);
    let step = 10f64.powf((gib.log10().floor() - 1.0).max(0.0));
    Bytes::from_gib((gib / step).ceil() * step)
}

/// An amount in the words of Kubernetes: `400Gi`.
pub(super) fn quantity(bytes: Bytes) -> String {
    const GIB: u64 = 1 << 30;
    const GIGABYTE: u64 = 1_000_000_000;
    match bytes.0 {
        whole if whole.is_multiple_of(GIB) => format!("{}Gi", whole / GIB),
        whole if whole.is_multiple_of(GIGABYTE) => format!("{}G", whole / GIGABYTE),
        whole if whole.is_multiple_of(1 << 20) => format!("{}Mi", whole >> 20),
        whole => format!("{:.1}Gi", Bytes(whole).as_gib()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_rounded_up_to_two_digits() {
        for (gib, shown) in
            [(0.3, "1Gi"), (9.2, "10Gi"), (41.5, "42Gi"), (612.3, "620Gi"), (1201.0, "1300Gi")]
        {
            assert_eq!(quantity(rounded(Bytes::from_gib(gib))), shown, "{gib}");
        }
        assert_eq!(quantity(Bytes(64_000_000_000)), "64G");
        assert_eq!(quantity(Bytes::from_mib(512)), "512Mi");
    }
}
