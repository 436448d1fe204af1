//! The accelerator that node labels name.
//!
//! A node selector is a set of required labels, so nodes and selectors are read in the same way. The keys are read in
//! the order of [`KEYS`]: first those that a vendor's own discovery sets from the device, then those of a cloud or a
//! provisioner, last the machine type. A general key (`accelerator`) counts only if its value is a known accelerator.
//!
//! `nvidia.com/gpu.memory` is NVML's total in MiB: the card's, or the slice's if the node offers MIG slices under the
//! whole card's resource name. The memory in labels of clouds (`karpenter.k8s.aws/instance-gpu-memory`,
//! `gpu.nvidia.com/vram`) is a marketing figure and not a reading, so it only selects a variant. Sources: the device
//! plugins and labellers NVIDIA/k8s-device-plugin and ROCm/k8s-device-plugin, aws/karpenter-provider-aws, and the
//! documentation of GKE, of `CoreWeave` and of Huawei's `MindCluster`.

use super::partition::{self, Slice};
use super::{Accelerator, Catalogue};
use crate::units::Bytes;

/// Keys whose values name an accelerator, the most reliable first.
const KEYS: &[Key<'static>] = &[
    Key::name("nvidia.com/gpu.product"),
    Key::name("amd.com/gpu.product-name"),
    Key::name("beta.amd.com/gpu.product-name"),
    Key::name("node.kubernetes.io/npu.chip.name"),
    Key::name("cloud.google.com/gke-accelerator"),
    Key::name("cloud.google.com/gke-tpu-accelerator"),
    Key::name("karpenter.k8s.aws/instance-gpu-name"),
    Key::name("karpenter.k8s.aws/instance-accelerator-name"),
    Key::name("eks.amazonaws.com/instance-gpu-name"),
    Key::name("eks.amazonaws.com/instance-accelerator-name"),
    Key::name("karpenter.azure.com/sku-gpu-name"),
    Key::name("aliyun.accelerator/nvidia_name"),
    Key::name("machine.cluster.vke.volcengine.com/gpu-name"),
    Key::custom("k8s.amazonaws.com/accelerator"),
    Key::name("gpu.nvidia.com/class"),
    Key::name("gpu.nvidia.com/model"),
    Key::custom("accelerator-type"),
    Key::custom("accelerator"),
    Key::custom("kubernetes.azure.com/accelerator"),
    Key::custom("gpu-type"),
    Key::custom("gpu-model"),
    Key::custom("scitix.ai/gpu-type"),
    Key::custom("kaiwo/gpu-model"),
    Key::custom("cloud.google.com/compute-class"),
    Key::custom("ring-controller.atlas"),
    Key::machine("node.kubernetes.io/instance-type"),
    Key::machine("beta.kubernetes.io/instance-type"),
];

/// The key with NVML's total in MiB.
pub const MEMORY: &str = "nvidia.com/gpu.memory";

/// How far a reading may exceed the catalogue: cards of one name come with more memory later.
const MOST_MORE: f64 = 1.25;

/// Keys with a marketing amount of memory, and the unit of a bare number.
const MARKETED: &[(&str, Bytes)] = &[
    ("karpenter.k8s.aws/instance-gpu-memory", Bytes::from_mib(1)),
    ("eks.amazonaws.com/instance-gpu-memory", Bytes::from_mib(1)),
    ("aliyun.accelerator/nvidia_mem", Bytes::from_mib(1)),
    ("amd.com/gpu.vram", Bytes::from_mib(1024)),
    ("gpu.nvidia.com/vram", Bytes::from_mib(1024)),
];

/// Keys with the number of accelerators of a node.
const COUNTS: &[&str] = &[
    "nvidia.com/gpu.count",
    "cloud.google.com/gke-accelerator-count",
    "karpenter.k8s.aws/instance-gpu-count",
    "karpenter.k8s.aws/instance-accelerator-count",
    "eks.amazonaws.com/instance-gpu-count",
    "karpenter.azure.com/sku-gpu-count",
    "aliyun.accelerator/nvidia_count",
    "gpu.nvidia.com/count",
];

/// The key of GKE's MIG profile.
const PARTITION: &str = "cloud.google.com/gke-gpu-partition-size";

/// The key of NVIDIA's family of chips, which names no card.
pub const FAMILY: &str = "nvidia.com/gpu.family";

/// NVIDIA's families, by the beginnings of the accelerators' keys.
const FAMILIES: &[(&str, &[&str])] = &[
    ("pascal", &["p100", "p40", "gtx-10"]),
    ("volta", &["v100", "titan-v"]),
    ("turing", &["t4", "quadro-rtx", "rtx-20", "titan-rtx"]),
    ("ampere", &["a100", "a800", "a10", "a30", "a40", "a2", "a16", "rtx-a", "rtx-30"]),
    ("ada-lovelace", &["l4", "l2", "rtx-40", "rtx-4500-ada", "rtx-5000-ada", "rtx-6000-ada"]),
    ("hopper", &["h100", "h800", "h200", "h20", "gh200"]),
    (
        "blackwell",
        &["b100", "b200", "gb200", "b300", "gb300", "gb10", "rtx-507", "rtx-508", "rtx-509", "rtx-pro"],
    ),
];

/// Memory that is less than this share of a card's is that of a part of the card: AWS g6f, an eighth of an L4.
const LEAST_OF_A_CARD: f64 = 0.7;

/// Words in keys that people choose themselves for the type of accelerator: `node-type`, `team/gpu-card`.
const OWN_WORDS: &[&str] =
    &["gpu", "accelerator", "npu", "card", "type", "model", "pool", "machine", "instance", "device"];

/// Keys that show that several pods take turns on one accelerator, unless the value is `none`.
const SHARING: &[&str] = &["nvidia.com/gpu.sharing-strategy", "cloud.google.com/gke-gpu-sharing-strategy"];

/// The share that the driver keeps of memory that only a label gives: 1 %, about that of the cards in the catalogue.
const KEPT_OF_UNKNOWN: f64 = 0.01;

#[derive(Clone, Copy)]
struct Key<'k> {
    key: &'k str,
    names: Names,
}

#[derive(Clone, Copy, PartialEq)]
enum Names {
    /// An accelerator, even if the catalogue does not know it.
    Accelerator,
    /// An accelerator only if the catalogue knows it: the key is in general use.
    IfKnown,
    /// A cloud's machine type.
    Machine,
}

impl<'k> Key<'k> {
    const fn name(key: &'k str) -> Self {
        Self { key, names: Names::Accelerator }
    }

    const fn custom(key: &'k str) -> Self {
        Self { key, names: Names::IfKnown }
    }

    const fn machine(key: &'k str) -> Self {
        Self { key, names: Names::Machine }
    }
}

/// The accelerator that labels name.
#[derive(Clone, Debug)]
pub struct Labelled<'c> {
    /// The accelerator. None if the catalogue does not know the name.
    pub accelerator: Option<&'c Accelerator>,
    /// The label's value.
    pub name: String,
    /// The label's key.
    pub label: &'c str,
    /// The memory that the driver reports: of the card or, with a partition, of the slice.
    pub memory: Option<Bytes>,
    /// How many accelerators the node has.
    pub count: Option<u64>,
    /// The MIG profile, if the node offers a slice as a whole accelerator.
    pub partition: Option<String>,
    /// Whether several pods take turns on one accelerator, in the same memory.
    pub shared: bool,
    /// Whether the label's value may mean accelerators with different memory. The largest is used.
    pub ambiguous: bool,
}

/// Whether [`of_labels`] reads this key.
pub fn is_read(catalogue: &Catalogue, key: &str) -> bool {
    let marketed = || MARKETED.iter().any(|(known, _)| *known == key);
    let one_of = |keys: &[&str]| keys.contains(&key);
    KEYS.iter().any(|known| known.key == key)
        || one_of(&[MEMORY, PARTITION, FAMILY])
        || one_of(COUNTS)
        || one_of(SHARING)
        || marketed()
        || catalogue.own_labels().iter().any(|own| own == key)
}

/// Reads labels. None if no label names an accelerator.
pub fn of_labels<'a, 'c>(
    catalogue: &'c Catalogue,
    labels: impl Fn(&str) -> Option<&'a str>,
) -> Option<Labelled<'c>> {
    // A label from the administrator always names an accelerator.
    let own = catalogue.own_labels().iter().map(|key| Key::name(key));
    let (key, value, accelerator) =
        own.chain(KEYS.iter().copied()).find_map(|key| named(catalogue, key, &labels))?;
    let memory = labels(MEMORY).and_then(|mib| mib.trim().parse().ok()).map(Bytes::from_mib);
    let product = super::names::Product::of(value);
    let partition = product.partition.or_else(|| labels(PARTITION));
    let part = accelerator.and_then(|card| part_of(catalogue, card, key, value, &labels));
    let memory = memory.or(part);
    let of_card =
        if partition.is_some() || part.is_some() { None } else { memory.or_else(|| marketed(&labels)) };
    let found = accelerator.map(|found| match of_card {
        Some(memory) => catalogue.with_memory(found, memory),
        None => found,
    });
    let shares = |key: &&str| labels(key).is_some_and(|strategy| !strategy.eq_ignore_ascii_case("none"));
    Some(Labelled {
        accelerator: found,
        name: value.to_owned(),
        label: key.key,
        memory,
        count: COUNTS.iter().find_map(|key| labels(key)?.trim().parse().ok()),
        partition: partition.map(str::to_owned),
        shared: product.shared || SHARING.iter().any(shares),
        ambiguous: key.names != Names::Machine && of_card.is_none() && catalogue.variants(value).len() > 1,
    })
}

/// The memory of the part of a card that a machine has, if the machine type or its marketed memory says so.
fn part_of<'a>(
    catalogue: &Catalogue,
    card: &Accelerator,
    key: Key<'_>,
    value: &str,
    labels: &impl Fn(&str) -> Option<&'a str>,
) -> Option<Bytes> {
    if key.names == Names::Machine {
        return catalogue.share_of_instance(value).map(|parts| card.memory.share(parts));
    }
    let smallest = catalogue.variants(value).into_iter().chain([card]).map(|card| card.memory).min()?;
    marketed(labels).filter(|memory| *memory < smallest.scale(LEAST_OF_A_CARD))
}

/// The accelerators that labels allow which name none: NVIDIA's of a family, or of an amount of memory. None if there is
/// no such label. The memory that the labels give comes with them.
pub fn allowed<'a, 'c>(
    catalogue: &'c Catalogue,
    labels: impl Fn(&str) -> Option<&'a str>,
) -> Option<(Vec<&'c Accelerator>, Option<Bytes>, &'static str)> {
    let memory = labels(MEMORY).and_then(|mib| mib.trim().parse().ok()).map(Bytes::from_mib);
    let family = labels(FAMILY).and_then(|family| {
        FAMILIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(family.trim())).map(|(_, keys)| *keys)
    });
    let label = if family.is_some() { FAMILY } else { MEMORY };
    if family.is_none() && memory.is_none() {
        return None;
    }
    let is_of_family =
        |card: &&Accelerator| family.is_none_or(|keys| keys.iter().any(|key| card.key.starts_with(key)));
    let has_memory = |card: &&Accelerator| memory.is_none_or(|memory| card.is_near(memory));
    let nvidia = catalogue.all().iter().filter(|card| card.vendor == super::Vendor::NVIDIA);
    Some((nvidia.filter(is_of_family).filter(has_memory).collect(), memory, label))
}

/// Whether people may name an accelerator under this key of their own.
pub fn may_name(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key).to_ascii_lowercase();
    !key.contains("kubernetes.io/") && OWN_WORDS.iter().any(|word| name.contains(word))
}

/// The accelerator that a label under a key of one's own names. None if the value is no known accelerator.
pub fn of_own_label<'c>(catalogue: &'c Catalogue, key: &str, value: &str) -> Option<&'c Accelerator> {
    if !may_name(key) || is_read(catalogue, key) {
        return None;
    }
    let value = value.trim();
    catalogue.find(value).or_else(|| catalogue.of_instance_type(value))
}

impl Labelled<'_> {
    /// Whether the labels give much more memory than the accelerator, or the named part of it, has.
    pub fn overstates(&self, catalogue: &Catalogue) -> bool {
        let part =
            |card| self.partition.as_deref().and_then(|profile| partition::on(catalogue, card, profile));
        let has = self.accelerator.map(|card| part(card).map_or(card.memory, |slice| slice.memory));
        self.memory.zip(has).is_some_and(|(labelled, has)| labelled > has.scale(MOST_MORE))
    }

    /// The memory that one process can address, by labels and catalogue. All of a shared accelerator, since the use
    /// of the others is unknown.
    pub fn usable(&self, catalogue: &Catalogue) -> Option<Bytes> {
        if let (Some(profile), None) = (&self.partition, self.memory) {
            let on_card = self.accelerator.and_then(|card| partition::on(catalogue, card, profile));
            let slice: Option<Slice> = on_card.or_else(|| partition::anywhere(catalogue, profile));
            return slice.map(|slice| slice.memory);
        }
        match (self.accelerator, self.memory) {
            // The reading of a slice is nvidia-smi's figure for the slice.
            (_, Some(slice)) if self.partition.is_some() => Some(slice),
            (Some(card), Some(reported)) => Some(card.usable_of(reported)),
            (Some(card), None) => Some(card.usable()),
            (None, reported) => reported.map(|total| total.scale(1.0 - KEPT_OF_UNKNOWN)),
        }
    }
}

type Named<'a, 'c> = (Key<'c>, &'a str, Option<&'c Accelerator>);

/// The accelerator of one key. None if the key is absent or names none.
fn named<'a, 'c>(
    catalogue: &'c Catalogue,
    key: Key<'c>,
    labels: &impl Fn(&str) -> Option<&'a str>,
) -> Option<Named<'a, 'c>> {
    let value = labels(key.key).map(str::trim).filter(|value| !value.is_empty())?;
    if key.names == Names::Machine {
        return Some((key, value, Some(catalogue.of_instance_type(value)?)));
    }
    let to_the_letter = catalogue.labelled(&format!("{}={value}", key.key));
    let accelerator = to_the_letter.or_else(|| catalogue.find(value));
    // Some keys in general use have a machine type, or its family: `a3-high`.
    let of_machine = || {
        let family = || catalogue.of_instance_type(&format!("{value}gpu-8g"));
        (key.names == Names::IfKnown).then(|| catalogue.of_instance_type(value).or_else(family)).flatten()
    };
    let accelerator = accelerator.or_else(of_machine);
    (accelerator.is_some() || key.names == Names::Accelerator).then_some((key, value, accelerator))
}

fn marketed<'a>(labels: &impl Fn(&str) -> Option<&'a str>) -> Option<Bytes> {
    MARKETED.iter().find_map(|(key, unit)| {
        let number = labels(key)?.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic());
        Some(*unit * number.parse::<u64>().ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(labels: &[(&str, &'static str)]) -> Option<Labelled<'static>> {
        let of = |key: &str| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        of_labels(Catalogue::builtin(), of)
    }

    fn name(labels: &[(&str, &'static str)]) -> Option<&'static str> {
        read(labels).and_then(|l| l.accelerator).map(|a| a.name.as_str())
    }

    #[test]
    fn every_vendors_label_names_its_accelerator() {
        for (key, value, accelerator) in [
            ("nvidia.com/gpu.product", "NVIDIA-A800-SXM4-80GB", "A800-80GB"),
            ("nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3", "H100-80GB"),
            ("nvidia.com/gpu.product", "Tesla-T4-SHARED", "T4"),
            ("amd.com/gpu.product-name", "AMD_Instinct_MI300X_OAM", "MI300X"),
            ("cloud.google.com/gke-accelerator", "nvidia-tesla-a100", "A100-40GB"),
            ("cloud.google.com/gke-accelerator", "nvidia-a100-80gb", "A100-80GB"),
            ("cloud.google.com/gke-accelerator", "nvidia-h100-mega-80gb", "H100-80GB"),
            ("cloud.google.com/gke-tpu-accelerator", "tpu-v6e-slice", "TPU-v6e"),
            ("karpenter.k8s.aws/instance-gpu-name", "l40s", "L40S"),
            ("karpenter.k8s.aws/instance-accelerator-name", "trainium2", "Trainium2"),
            ("gpu.nvidia.com/class", "A100_NVLINK_80GB", "A100-80GB"),
            ("gpu.nvidia.com/class", "H100_NVLINK_94GB", "H100-NVL"),
            ("node.kubernetes.io/npu.chip.name", "910B3", "Ascend-910B3"),
            ("accelerator-type", "module-910b-8", "Ascend-910B3"),
            ("accelerator", "nvidia-h100-80gb", "H100-80GB"),
            ("eks.amazonaws.com/instance-gpu-name", "l40s", "L40S"),
            ("karpenter.azure.com/sku-gpu-name", "H100", "H100-80GB"),
            ("aliyun.accelerator/nvidia_name", "NVIDIA-H20", "H20-96GB"),
            ("machine.cluster.vke.volcengine.com/gpu-name", "NVIDIA-A800-SXM4-80GB", "A800-80GB"),
            ("k8s.amazonaws.com/accelerator", "nvidia-tesla-v100", "V100-16GB"),
            ("cloud.google.com/compute-class", "a3-high", "H100-80GB"),
            ("gpu-type", "a100-80gb", "A100-80GB"),
            ("node.kubernetes.io/instance-type", "p5.48xlarge", "H100-80GB"),
            ("node.kubernetes.io/instance-type", "ml.p4d.24xlarge", "A100-40GB"),
            ("node.kubernetes.io/instance-type", "Standard_ND96isr_H100_v5", "H100-80GB"),
            ("beta.kubernetes.io/instance-type", "a3-ultragpu-8g", "H200-141GB"),
        ] {
            assert_eq!(name(&[(key, value)]), Some(accelerator), "{key}={value}");
        }
    }

    #[test]
    fn machines_with_a_part_of_a_card_offer_that_part() {
        let memory = |labels: &[(&str, &'static str)]| read(labels).unwrap().memory;
        assert_eq!(
            memory(&[("node.kubernetes.io/instance-type", "g6f.xlarge")]),
            Some(Bytes::from_mib(23_034).share(8))
        );
        assert_eq!(memory(&[("node.kubernetes.io/instance-type", "g6.xlarge")]), None);
        let karpenter = |gpu, mib| {
            memory(&[
                ("karpenter.k8s.aws/instance-gpu-name", gpu),
                ("karpenter.k8s.aws/instance-gpu-memory", mib),
            ])
        };
        assert_eq!(karpenter("l4", "2861"), Some(Bytes::from_mib(2_861)));
        assert_eq!(karpenter("l4", "22888"), None);
        assert_eq!(karpenter("a100", "40960"), None);
    }

    #[test]
    fn a_family_and_an_amount_of_memory_allow_cards_without_naming_one() {
        let of = |labels: &[(&str, &'static str)]| {
            let label = |key: &str| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
            let (cards, ..) = allowed(Catalogue::builtin(), label)?;
            Some(cards.into_iter().map(|card| card.name.as_str()).collect::<Vec<_>>())
        };
        assert!(of(&[(FAMILY, "hopper")]).unwrap().contains(&"H200-141GB"));
        assert_eq!(of(&[(FAMILY, "hopper"), (MEMORY, "81559")]).unwrap()[0], "H100-80GB");
        assert!(of(&[(MEMORY, "23034")]).unwrap().contains(&"L4"));
        assert_eq!(of(&[(FAMILY, "unheard-of")]), None);
        assert_eq!(of(&[("zone", "a")]), None);
    }

    #[test]
    fn a_key_of_ones_own_counts_if_it_may_name_an_accelerator_and_its_value_is_one() {
        let own = |key: &str, value: &str| {
            of_own_label(Catalogue::builtin(), key, value).map(|card| card.name.as_str())
        };
        assert_eq!(own("node-type", "A800"), Some("A800-80GB"));
        assert_eq!(own("team.example/gpu-card", "h200"), Some("H200-141GB"));
        assert_eq!(own("pool", "p5.48xlarge"), Some("H100-80GB"));
        assert_eq!(own("node-type", "large"), None);
        assert_eq!(own("zone", "h200"), None);
        assert_eq!(own("kubernetes.io/instance", "h200"), None);
    }

    #[test]
    fn memory_distinguishes_cards_of_one_name() {
        let karpenter = |memory| {
            name(&[
                ("karpenter.k8s.aws/instance-gpu-name", "a100"),
                ("karpenter.k8s.aws/instance-gpu-memory", memory),
            ])
        };
        assert_eq!(karpenter("40960"), Some("A100-40GB"));
        assert_eq!(karpenter("81920"), Some("A100-80GB"));
        let bare = [("nvidia.com/gpu.product", "NVIDIA-H100"), ("nvidia.com/gpu.memory", "65247")];
        assert_eq!(name(&bare), Some("H100-64GB"));
        let ambiguous = |labels: &[(&str, &'static str)]| read(labels).map(|l| l.ambiguous);
        assert_eq!(ambiguous(&[("karpenter.k8s.aws/instance-gpu-name", "a100")]), Some(true));
        assert_eq!(ambiguous(&bare), Some(false));
    }

    #[test]
    fn memory_distinguishes_cards_of_one_label() {
        let product = ("nvidia.com/gpu.product", "NVIDIA-GeForce-RTX-3080");
        assert_eq!(name(&[product, (MEMORY, "10240")]), Some("RTX-3080-10GB"));
        assert_eq!(name(&[product, (MEMORY, "12288")]), Some("RTX-3080-12GB"));
        assert_eq!(read(&[product]).map(|l| l.ambiguous), Some(true));
    }

    #[test]
    fn every_nvidia_card_is_of_one_family() {
        let nvidia =
            Catalogue::builtin().all().iter().filter(|card| card.vendor == crate::hardware::Vendor::NVIDIA);
        for card in nvidia {
            let of = FAMILIES.iter().filter(|(_, keys)| keys.iter().any(|key| card.key.starts_with(key)));
            assert_eq!(of.count(), 1, "{}", card.key);
        }
    }

    #[test]
    fn the_nodes_own_reading_counts() {
        let labels = [
            ("nvidia.com/gpu.product", "NVIDIA-A800-SXM4-80GB"),
            ("nvidia.com/gpu.memory", "81251"),
            ("nvidia.com/gpu.count", "8"),
        ];
        let labelled = read(&labels).unwrap();
        assert_eq!(labelled.memory, Some(Bytes::from_mib(81_251)));
        assert_eq!(labelled.count, Some(8));
        assert_eq!(labelled.usable(Catalogue::builtin()), Some(Bytes::from_mib(81_048)));
    }

    #[test]
    fn a_reading_of_much_more_memory_overstates() {
        let product = |product| ("nvidia.com/gpu.product", product);
        for (product, memory, expected) in [
            (product("NVIDIA-H100-80GB-HBM3"), "999999", true),
            (product("NVIDIA-H100-80GB-HBM3"), "81559", false),
            (product("NVIDIA-H100-80GB-HBM3"), "10000", false),
            (product("NVIDIA-H100"), "65247", false),
            (product("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb"), "40192", false),
            (product("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb"), "81251", true),
            (product("NVIDIA-Z900"), "999999", false),
        ] {
            let labelled = read(&[product, (MEMORY, memory)]).unwrap();
            assert_eq!(labelled.overstates(Catalogue::builtin()), expected, "{product:?} {memory}");
        }
    }

    #[test]
    fn a_slice_offered_as_a_card_is_a_slice() {
        let product = ("nvidia.com/gpu.product", "NVIDIA-A100-SXM4-80GB-MIG-3g.40gb");
        let usable = |labels: &[(&str, &'static str)]| {
            let labelled = read(labels).unwrap();
            assert_eq!(labelled.accelerator.unwrap().name, "A100-80GB");
            assert_eq!(labelled.partition.as_deref(), Some("3g.40gb"));
            labelled.usable(Catalogue::builtin())
        };
        let slice = Some(Bytes::from_gib(39.25));
        assert_eq!(usable(&[product]), slice);
        assert_eq!(usable(&[product, ("nvidia.com/gpu.memory", "40192")]), slice);
        let gke = [
            ("cloud.google.com/gke-accelerator", "nvidia-a100-80gb"),
            ("cloud.google.com/gke-gpu-partition-size", "3g.40gb"),
        ];
        assert_eq!(usable(&gke), slice);
    }

    #[test]
    fn sharing_is_read() {
        assert!(read(&[("nvidia.com/gpu.product", "Tesla-T4-SHARED")]).unwrap().shared);
        let strategy = |s| {
            read(&[("nvidia.com/gpu.product", "Tesla-T4"), ("nvidia.com/gpu.sharing-strategy", s)])
                .unwrap()
                .shared
        };
        assert!(strategy("mps"));
        assert!(!strategy("none"));
    }

    #[test]
    fn an_unknown_product_keeps_its_memory() {
        let labelled =
            read(&[("nvidia.com/gpu.product", "NVIDIA-Z900"), ("nvidia.com/gpu.memory", "100000")]).unwrap();
        assert!(labelled.accelerator.is_none());
        assert_eq!((labelled.name.as_str(), labelled.label), ("NVIDIA-Z900", "nvidia.com/gpu.product"));
        assert_eq!(labelled.usable(Catalogue::builtin()), Some(Bytes::from_mib(99_000)));
    }

    #[test]
    fn is_read_covers_every_key_that_of_labels_reads() {
        let unread = std::cell::RefCell::new(Vec::new());
        let catalogue =
            Catalogue::builtin().extended(&std::collections::BTreeMap::new(), vec!["own".into()]).unwrap();
        let all = |key: &str| {
            if !is_read(&catalogue, key) {
                unread.borrow_mut().push(key.to_owned());
            }
            (key == "accelerator").then_some("h100")
        };
        assert!(of_labels(&catalogue, all).is_some());
        assert!(unread.borrow().is_empty(), "{unread:?}");
        assert!(is_read(&catalogue, "own") && !is_read(&catalogue, "kubernetes.io/hostname"));
    }

    #[test]
    fn labels_in_general_use_count_only_with_a_known_value() {
        assert!(read(&[("accelerator", "nvidia")]).is_none());
        assert!(read(&[("accelerator", "huawei-Ascend910")]).is_none());
        assert!(read(&[("node.kubernetes.io/instance-type", "m5.large")]).is_none());
        assert!(read(&[("kubernetes.io/arch", "amd64")]).is_none());
        assert!(read(&[("nvidia.com/gpu.product", " ")]).is_none());
    }
}
