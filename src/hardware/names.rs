//! The names of accelerators, as people, node labels and clouds write them.
//!
//! Two names are equal if their normal forms are. The normal form is in lower case, without separators, without the
//! words of vendors and product lines, without the SXM form (a card is an SXM card unless its name has `PCIe` or
//! `NVL`) and without the kind of memory. The amount of memory is last, as digits and `g`:
//!
//! ```text
//! NVIDIA-A100-SXM4-80GB, A100 80G, a100_80gb, A100-80 → a10080g
//! NVIDIA-A100-80GB-PCIe, A100-PCIE-80GB               → a100pcie80g
//! Ascend-910B3, Ascend910B3, 910b3                    → 910b3
//! ```
//!
//! No name is ever guessed: the normal form must be in the table.

/// Words that do not distinguish cards.
const NOISE: &[&str] = &[
    "nvidia", "amd", "huawei", "intel", "habana", "google", "aws", "tesla", "geforce", "instinct", "ascend",
    "hgx", "dgx", "gpu", "npu", "oam", "sxm", "sxm2", "sxm3", "sxm4", "sxm5", "sxm6", "nvlink", "hbm2",
    "hbm2e", "hbm3", "hbm3e",
];

/// Words of vendors that people write without a separator.
const JOINED: &[&str] = &["nvidia", "tesla", "geforce", "instinct", "ascend", "habana"];

/// Amounts of memory that people write without a unit, in GB.
const SIZES: &[&str] =
    &["16", "24", "32", "40", "48", "64", "80", "94", "96", "128", "141", "144", "180", "192", "256", "288"];

/// The longest name. A node label has at most 63 characters.
const LONGEST: usize = 128;

/// The normal form of a name. Empty if the text is not a name.
pub(super) fn normal(name: &str) -> String {
    if name.len() > LONGEST {
        return String::new();
    }
    let lower = name.to_lowercase();
    let (mut rest, mut memory) = (String::new(), String::new());
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = stem(word);
        if NOISE.contains(&word) {
            continue;
        }
        match amount(word) {
            Some(digits) if !rest.is_empty() => memory = format!("{digits}g"),
            _ => rest.push_str(word),
        }
    }
    rest + &memory
}

/// A word without a vendor's word at its front or a form at its end: `ascend910b3`, `h100sxm5`.
fn stem(word: &str) -> &str {
    let front = JOINED.iter().find_map(|joined| word.strip_prefix(joined).filter(|rest| !rest.is_empty()));
    let word = front.unwrap_or(word);
    match word.rfind("sxm") {
        Some(at) if at > 0 && word.len() - at <= 4 => word.get(..at).unwrap_or(word),
        _ => word,
    }
}

/// The digits of an amount of memory: `80gb`, `80g`, `80gib`, and bare sizes.
fn amount(word: &str) -> Option<&str> {
    let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let unit = word.get(digits.len()..).unwrap_or_default();
    let stated = matches!(unit, "g" | "gb" | "gib") || (unit.is_empty() && SIZES.contains(&digits));
    (number && stated).then_some(digits)
}

/// A node label's product in parts: `NVIDIA-A100-SXM4-80GB-MIG-3g.40gb-SHARED`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Product<'a> {
    /// The card.
    pub(super) card: &'a str,
    /// The MIG profile, if the node offers parts of the card.
    pub(super) partition: Option<&'a str>,
    /// Whether several processes take turns on it, in the same memory.
    pub(super) shared: bool,
}

impl<'a> Product<'a> {
    /// Splits off the suffixes of GPU Feature Discovery.
    pub(super) fn of(label: &'a str) -> Self {
        let label = label.trim();
        let (label, shared) = match label.len().checked_sub("-shared".len()) {
            Some(at) if label.get(at..).is_some_and(|end| end.eq_ignore_ascii_case("-shared")) => {
                (label.get(..at).unwrap_or(label), true)
            }
            _ => (label, false),
        };
        match label.split_once("-MIG-") {
            Some((card, profile)) => Self { card, partition: Some(profile), shared },
            None => Self { card: label, partition: None, shared },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_card_have_one_normal_form() {
        for name in
            ["NVIDIA-A100-SXM4-80GB", "A100 80G", "a100_80gb", "A100-80", "A100-80GB-SXM", "a100sxm4-80GiB"]
        {
            assert_eq!(normal(name), "a10080g", "{name}");
        }
        for name in ["Ascend-910B3", "Ascend910B3", "910b3", "huawei Ascend 910B3"] {
            assert_eq!(normal(name), "910b3", "{name}");
        }
        assert_eq!(normal("NVIDIA-A100-80GB-PCIe"), normal("A100_PCIE_80GB"));
        assert_eq!(normal("AMD_Instinct_MI300X_OAM"), "mi300x");
        assert_eq!(normal("RTX 4090"), normal("NVIDIA-GeForce-RTX-4090"));
    }

    #[test]
    fn words_that_distinguish_cards_stay() {
        assert_ne!(normal("H100-PCIe"), normal("H100-SXM5"));
        assert_ne!(normal("H100-NVL"), normal("H100-NVLINK"));
        assert_ne!(normal("A100-40GB"), normal("A100-80GB"));
        assert_ne!(normal("A10"), normal("A10G"));
        assert_ne!(normal("910B4"), normal("910B4-1"));
    }

    #[test]
    fn odd_texts_have_a_normal_form_too() {
        assert_eq!(normal(""), "");
        assert_eq!(normal("-- . --"), "");
        assert_eq!(normal("80gb"), "80gb", "an amount alone is not a card");
        assert_eq!(normal(&"a".repeat(4096)), "");
        assert_eq!(normal("昆仑芯P800"), "昆仑芯p800");
    }

    #[test]
    fn a_product_label_gives_the_partition_and_the_sharing() {
        let product = Product::of("NVIDIA-A100-SXM4-80GB-MIG-3g.40gb-SHARED");
        assert_eq!(product.card, "NVIDIA-A100-SXM4-80GB");
        assert_eq!((product.partition, product.shared), (Some("3g.40gb"), true));
        assert!(Product::of("Tesla-T4-shared").shared);
        assert_eq!(Product::of("Tesla-T4").card, "Tesla-T4");
    }
}
