//! The meaning of an extended resource's name.
//!
//! Most resources count accelerators. Some count parts of one, and some limit the memory that a container may use. A
//! plugin may also rename its resource after the card (`nvidia.com/a100`, `nvidia.com/gpu-h100`), or give it another name
//! that begins with `gpu`. Any other resource is ignored: network cards and others are extended resources, too. Sources:
//! the device plugins of NVIDIA, AMD, Huawei, Intel, Google and AWS; Project-HAMi/HAMi values.yaml; Volcano's and
//! Alibaba's GPU sharing; ROCm/k8s-device-plugin (`amd.com/cpx_nps4`).

use super::partition::{self, Slice};
use super::{Accelerator, Catalogue, Vendor};
use crate::units::Bytes;

/// The meaning of a resource.
#[derive(Clone, Debug)]
pub struct Resource<'c> {
    /// The maker of the accelerator.
    pub vendor: Vendor,
    /// The kind of one unit.
    pub kind: ResourceKind,
    /// The accelerator, if the resource's name gives it.
    pub accelerator: Option<&'c Accelerator>,
}

/// The kind of one unit of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// A whole accelerator: a card, or a die or chip if those are offered one by one.
    Whole,
    /// A part of an accelerator with memory of its own. The memory is the largest on any card with the profile;
    /// [`partition::on`] gives it for one card.
    Partition(Slice),
    /// A core of a chip, with its share of the chip's memory.
    Core {
        /// How many such cores a chip has.
        per_chip: u64,
    },
    /// A time share of an accelerator. Others use the same memory.
    Shared,
    /// A virtual accelerator. Another resource of the container gives its memory.
    Virtual,
    /// A limit on the container's memory on each of its accelerators, as bytes a unit.
    Memory(Bytes),
    /// A limit on the container's memory, in percent of an accelerator's.
    MemoryPercent,
    /// Computing time or cores of an accelerator. It limits no memory, and counts no accelerators.
    Compute,
}

impl ResourceKind {
    /// Whether a unit is an accelerator, whole or in part, for the container that asks for it.
    pub fn counts_accelerators(&self) -> bool {
        !matches!(self, Self::Memory(_) | Self::MemoryPercent | Self::Compute)
    }
}

const MIB: ResourceKind = ResourceKind::Memory(Bytes::from_mib(1));
const GIB: ResourceKind = ResourceKind::Memory(Bytes::from_mib(1024));

/// Resources with a fixed name.
const NAMES: &[(&str, Vendor, ResourceKind)] = {
    use ResourceKind::{Compute, Core, MemoryPercent, Shared, Virtual, Whole};
    use Vendor::{
        AMD, AWS, Biren, Cambricon, Enflame, Google, Habana, Huawei, Hygon, Iluvatar, Intel, Kunlunxin,
        MetaX, MooreThreads, NVIDIA,
    };
    &[
        ("nvidia.com/gpu", NVIDIA, Whole),
        ("nvidia.com/pgpu", NVIDIA, Whole),
        ("nvidia.com/gpu.shared", NVIDIA, Shared),
        // HAMi: beside one of these, nvidia.com/gpu counts virtual accelerators.
        ("nvidia.com/gpumem", NVIDIA, MIB),
        ("nvidia.com/gpumem-percentage", NVIDIA, MemoryPercent),
        ("nvidia.com/gpucores", NVIDIA, Compute),
        ("volcano.sh/vgpu-number", NVIDIA, Virtual),
        ("volcano.sh/vgpu-memory", NVIDIA, MIB),
        ("volcano.sh/vgpu-memory-percentage", NVIDIA, MemoryPercent),
        ("volcano.sh/vgpu-cores", NVIDIA, Compute),
        ("volcano.sh/gpu-number", NVIDIA, Virtual),
        ("volcano.sh/gpu-memory", NVIDIA, MIB),
        ("aliyun.com/gpu", NVIDIA, Whole),
        // Kubernetes before 1.11.
        ("alpha.kubernetes.io/nvidia-gpu", NVIDIA, Whole),
        ("aliyun.com/gpu-mem", NVIDIA, GIB),
        ("aliyun.com/gpu-count", NVIDIA, Virtual),
        ("aliyun.com/gpu-core.percentage", NVIDIA, Compute),
        ("amd.com/gpu", AMD, Whole),
        ("amd.com/gpumem", AMD, MIB),
        // Partitions of MI300X: single, dual, quad, and one for each of its eight dies.
        ("amd.com/spx_nps1", AMD, Whole),
        ("amd.com/dpx_nps1", AMD, Core { per_chip: 2 }),
        ("amd.com/dpx_nps2", AMD, Core { per_chip: 2 }),
        ("amd.com/qpx_nps1", AMD, Core { per_chip: 4 }),
        ("amd.com/qpx_nps2", AMD, Core { per_chip: 4 }),
        ("amd.com/cpx_nps1", AMD, Core { per_chip: 8 }),
        ("amd.com/cpx_nps2", AMD, Core { per_chip: 8 }),
        ("amd.com/cpx_nps4", AMD, Core { per_chip: 8 }),
        ("huawei.com/npu", Huawei, Whole),
        ("huawei.com/npu-core", Huawei, Compute),
        ("huawei.com/ascend-1980", Huawei, Whole),
        ("google.com/tpu", Google, Whole),
        ("habana.ai/gaudi", Habana, Whole),
        ("aws.amazon.com/neuron", AWS, Whole),
        ("aws.amazon.com/neurondevice", AWS, Whole),
        // The chip of Trn1, where neuroncore is in use, has two. Later chips have more.
        ("aws.amazon.com/neuroncore", AWS, Core { per_chip: 2 }),
        ("gpu.intel.com/i915", Intel, Whole),
        ("gpu.intel.com/xe", Intel, Whole),
        ("gpu.intel.com/memory.max", Intel, ResourceKind::Memory(Bytes(1))),
        ("gpu.intel.com/millicores", Intel, Compute),
        ("cambricon.com/mlu", Cambricon, Whole),
        ("cambricon.com/vmlu", Cambricon, Virtual),
        ("cambricon.com/mlu.smlu.vmemory", Cambricon, MemoryPercent),
        ("cambricon.com/mlu.smlu.vcore", Cambricon, Compute),
        ("hygon.com/dcu", Hygon, Whole),
        ("hygon.com/dcunum", Hygon, Virtual),
        ("hygon.com/dcumem", Hygon, MIB),
        ("hygon.com/dcucores", Hygon, Compute),
        ("kunlunxin.com/xpu", Kunlunxin, Whole),
        ("kunlunxin.com/vxpu", Kunlunxin, Virtual),
        ("kunlunxin.com/vxpu-memory", Kunlunxin, MIB),
        ("mthreads.com/gpu", MooreThreads, Whole),
        ("mthreads.com/vgpu", MooreThreads, Virtual),
        ("metax-tech.com/gpu", MetaX, Whole),
        ("metax-tech.com/sgpu", MetaX, Virtual),
        ("metax-tech.com/vmemory", MetaX, GIB),
        ("metax-tech.com/vcore", MetaX, Compute),
        ("iluvatar.ai/gpu", Iluvatar, Whole),
        ("iluvatar.ai/vgpu", Iluvatar, Virtual),
        ("enflame.com/gcu", Enflame, Whole),
        ("enflame.com/vgcu", Enflame, Virtual),
        ("enflame.com/vgcu-percentage", Enflame, MemoryPercent),
        ("birentech.com/gpu", Biren, Whole),
    ]
};

/// Reads the name of a resource, with or without the prefix `requests.` of quotas.
pub fn of_resource<'c>(catalogue: &'c Catalogue, name: &str) -> Option<Resource<'c>> {
    let name = name.strip_prefix("requests.").unwrap_or(name);
    if let Some((_, vendor, kind)) = NAMES.iter().find(|(known, _, _)| *known == name) {
        return Some(Resource { vendor: *vendor, kind: kind.clone(), accelerator: None });
    }
    if let Some(profile) = name.strip_prefix("nvidia.com/mig-") {
        let kind = ResourceKind::Partition(partition::anywhere(catalogue, profile)?);
        return Some(Resource { vendor: Vendor::NVIDIA, kind, accelerator: None });
    }
    match name.strip_prefix("huawei.com/Ascend") {
        Some(rest) => ascend(catalogue, rest),
        None => renamed(catalogue, name),
    }
}

/// Whether this extended resource counts accelerators. Those have a domain.
pub(crate) fn counts_accelerators(catalogue: &Catalogue, name: &str) -> bool {
    name.contains('/') && of_resource(catalogue, name).is_some_and(|what| what.kind.counts_accelerators())
}

/// Domains of vendors whose plugins let an administrator rename the resource.
const RENAMING: &[(&str, Vendor)] = &[
    ("nvidia.com/", Vendor::NVIDIA),
    ("amd.com/", Vendor::AMD),
    ("aliyun.com/", Vendor::NVIDIA),
    ("gpu.intel.com/", Vendor::Intel),
];
/// Parts of names that count no accelerators.
const NO_COUNTS: &[&str] = &["mem", "core", "percent", "compute", "monitor", "share-id", "hostdev", "driver"];

/// A resource that an administrator has renamed: after the card, or to a name that begins with `gpu`.
fn renamed<'c>(catalogue: &'c Catalogue, name: &str) -> Option<Resource<'c>> {
    let (rest, vendor) =
        RENAMING.iter().find_map(|(domain, vendor)| Some((name.strip_prefix(domain)?, *vendor)))?;
    let is_name = rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !is_name || NO_COUNTS.iter().any(|part| rest.contains(part)) {
        return None;
    }
    let shared = rest.strip_suffix(".shared");
    let card = shared.unwrap_or(rest);
    let accelerator = catalogue.find(card).filter(|card| card.vendor == vendor);
    let kind = if shared.is_some() { ResourceKind::Shared } else { ResourceKind::Whole };
    (accelerator.is_some() || card.starts_with("gpu")).then_some(Resource { vendor, kind, accelerator })
}

/// Huawei's: `Ascend910` for any 910, `HAMi`'s `Ascend910B3`, `Ascend910B4-memory`, and parts of a chip by their
/// cores, `Ascend910-8c`, whose memory is not given.
fn ascend<'c>(catalogue: &'c Catalogue, rest: &str) -> Option<Resource<'c>> {
    let resource = |kind, chip: &str| Resource {
        vendor: Vendor::Huawei,
        kind,
        accelerator: catalogue.find(&format!("Ascend-{chip}")),
    };
    if let Some(chip) = rest.strip_suffix("-memory") {
        return Some(resource(MIB, chip));
    }
    if let Some(chip) = rest.strip_suffix("-core") {
        return Some(resource(ResourceKind::Compute, chip));
    }
    if let Some((chip, template)) = rest.split_once('-')
        && template.strip_suffix('c').is_some_and(|cores| cores.parse::<u64>().is_ok())
    {
        return Some(resource(ResourceKind::Virtual, chip));
    }
    rest.starts_with(['9', '3']).then(|| resource(ResourceKind::Whole, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Option<Resource<'static>> {
        of_resource(Catalogue::builtin(), name)
    }

    #[test]
    fn whole_accelerators_of_every_vendor() {
        for (name, vendor) in [
            ("nvidia.com/gpu", Vendor::NVIDIA),
            ("amd.com/gpu", Vendor::AMD),
            ("huawei.com/npu", Vendor::Huawei),
            ("huawei.com/Ascend910", Vendor::Huawei),
            ("google.com/tpu", Vendor::Google),
            ("habana.ai/gaudi", Vendor::Habana),
            ("aws.amazon.com/neuron", Vendor::AWS),
            ("gpu.intel.com/i915", Vendor::Intel),
            ("requests.nvidia.com/gpu", Vendor::NVIDIA),
            ("nvidia.com/a100", Vendor::NVIDIA),
            ("nvidia.com/gpualloc", Vendor::NVIDIA),
            ("aliyun.com/gpu", Vendor::NVIDIA),
        ] {
            let resource = read(name).expect(name);
            assert_eq!((resource.vendor, resource.kind), (vendor, ResourceKind::Whole), "{name}");
        }
    }

    #[test]
    fn a_mig_resource_has_the_profiles_memory() {
        let ResourceKind::Partition(slice) = read("nvidia.com/mig-3g.40gb").unwrap().kind else { panic!() };
        assert_eq!((slice.profile.as_str(), slice.memory.as_gib()), ("3g.40gb", 39.25));
        let ResourceKind::Partition(slice) = read("nvidia.com/mig-1g.10gb.me").unwrap().kind else {
            panic!()
        };
        assert_eq!(slice.profile, "1g.10gb");
        assert!(read("nvidia.com/mig-large").is_none());
    }

    #[test]
    fn some_names_give_the_accelerator() {
        let accelerator = |name: &str| read(name).unwrap().accelerator.map(|a| a.name.as_str());
        assert_eq!(accelerator("huawei.com/Ascend910B3"), Some("Ascend-910B3"));
        assert_eq!(accelerator("huawei.com/Ascend910B4-1"), Some("Ascend-910B4-1"));
        assert_eq!(accelerator("huawei.com/Ascend910B4-memory"), Some("Ascend-910B4"));
        assert_eq!(accelerator("huawei.com/Ascend910"), None, "the plugin's name for every 910");
        assert_eq!(accelerator("nvidia.com/gpu"), None);
        assert_eq!(accelerator("nvidia.com/h200"), Some("H200-141GB"));
        assert_eq!(accelerator("nvidia.com/gpu-l40s"), Some("L40S"));
        assert_eq!(accelerator("nvidia.com/A100-SXM4-40GB"), Some("A100-40GB"));
        assert_eq!(accelerator("amd.com/mi300x"), Some("MI300X"));
        assert_eq!(accelerator("nvidia.com/gpualloc"), None);
        assert_eq!(read("nvidia.com/h100.shared").unwrap().kind, ResourceKind::Shared);
    }

    #[test]
    fn a_limit_of_memory_counts_no_accelerators() {
        assert_eq!(read("nvidia.com/gpumem").unwrap().kind, MIB);
        assert_eq!(read("huawei.com/Ascend910B2-memory").unwrap().kind, MIB);
        for name in
            ["nvidia.com/gpumem", "nvidia.com/gpucores", "aliyun.com/gpu-mem", "huawei.com/Ascend910B2-core"]
        {
            assert!(!read(name).unwrap().kind.counts_accelerators(), "{name}");
        }
        for name in ["nvidia.com/gpu.shared", "volcano.sh/vgpu-number", "huawei.com/Ascend910-8c"] {
            assert!(read(name).unwrap().kind.counts_accelerators(), "{name}");
        }
    }

    #[test]
    fn no_name_is_listed_twice() {
        for (position, (name, _, _)) in NAMES.iter().enumerate() {
            assert_eq!(NAMES.iter().position(|(other, _, _)| other == name), Some(position), "{name}");
        }
    }

    #[test]
    fn other_extended_resources_are_ignored() {
        for name in [
            "cpu",
            "memory",
            "rdma/hca_shared_devices_a",
            "vpc.amazonaws.com/efa",
            "nvidia.com/hostdev",
            "nvidia.com/gpu_memory",
            "nvidia.com/mi300x",
            "amd.com/cpu",
            "huawei.com/Ascend",
            "nvidia.com/gpu ",
            "NVIDIA.com/gpu",
            "",
        ] {
            assert!(read(name).is_none(), "{name}");
        }
    }
}
