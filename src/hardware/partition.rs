//! The memory of a MIG instance.
//!
//! A card's memory has 8 slices (4 on A30 and RTX PRO), and a profile takes some of them. The instance offers less
//! than its slices, because it keeps some memory for itself:
//!
//! ```text
//! bytes = the figure of nvidia-smi for the profile on that card, if a listing is known
//!       = the card's usable memory, for a profile of all slices
//!       = total memory × slices of the profile ÷ slices of the card − 512 MiB, otherwise
//! ```
//!
//! 512 MiB: 1g and 2g on an A100-80GB report 9.50 of 10 and 19.50 of 20 GiB; on an A100-40GB a 1g reports 4.75 of 5.
//! The number in the name is GiB, rounded. Source: NVIDIA MIG user guide; listings named in `data/mig.toml`. An
//! H200's profiles keep more (32.50 of 35.1 GiB for 2g), and the file has their readings. A GH200 with 144 GB may be
//! similar, but no listing of one is known.

use serde::Deserialize;

use super::{Accelerator, Catalogue};
use crate::units::Bytes;

/// The memory that an instance keeps for itself, if no reading is known.
const KEPT: Bytes = Bytes::from_mib(512);

/// A part of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The profile: `3g.40gb`.
    pub profile: String,
    /// The memory that a process in it can address.
    pub memory: Bytes,
    /// Its share of the card's multiprocessors, in thousandths. None if the card is not known.
    pub compute_milli: Option<u64>,
}

/// The instance of a profile on a card. None if the card has no such profile.
pub fn on(catalogue: &Catalogue, accelerator: &Accelerator, profile: &str) -> Option<Slice> {
    let profile = plain(profile)?;
    let partitions = catalogue.partitions();
    let card = partitions.card.iter().find(|c| c.accelerators.contains(&accelerator.key))?;
    let found = card.profiles.iter().find(|p| p.name == profile)?;
    Some(Slice {
        memory: card.memory(found, accelerator),
        compute_milli: Some(found.compute.saturating_mul(1000) / card.compute_slices.max(1)),
        profile,
    })
}

/// The instance of a profile on an unknown card: the largest memory on any card that has it, since a smaller one
/// could deny a job that fits. If no known card has the profile, the size in its name, less 512 MiB.
pub fn anywhere(catalogue: &Catalogue, profile: &str) -> Option<Slice> {
    let named = plain(profile)?;
    let largest = catalogue.all().iter().filter_map(|a| on(catalogue, a, &named)).max_by_key(|s| s.memory);
    match largest {
        Some(slice) => Some(Slice { compute_milli: None, ..slice }),
        None => Some(Slice { memory: nominal(&named)? - KEPT, profile: named, compute_milli: None }),
    }
}

/// A profile without suffixes that do not change its memory: media engines (`+me`, in resource names `.me`),
/// graphics. None if the text is not like `3g.40gb`.
fn plain(profile: &str) -> Option<String> {
    let profile = profile.trim().to_lowercase();
    let end = profile.find("gb")?.checked_add(2)?;
    let (name, rest) = profile.split_at_checked(end)?;
    nominal(name)?;
    matches!(rest.chars().next(), None | Some('+' | '.' | '-')).then(|| name.to_owned())
}

/// The memory in a profile's name, in GiB.
fn nominal(profile: &str) -> Option<Bytes> {
    let (compute, memory) = profile.split_once("g.")?;
    let gib: u64 = memory.strip_suffix("gb")?.parse().ok()?;
    let slices: u64 = compute.parse().ok()?;
    let sensible = (1..=8).contains(&slices) && (1..=1024).contains(&gib);
    sensible.then(|| Bytes::from_mib(gib.saturating_mul(1024)))
}

/// The profiles of `data/mig.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Partitions {
    card: Vec<Card>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Card {
    accelerators: Vec<String>,
    memory_slices: u64,
    compute_slices: u64,
    profiles: Vec<Profile>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    name: String,
    memory: u64,
    compute: u64,
    gib: Option<f64>,
}

impl Partitions {
    pub(super) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

impl Card {
    fn memory(&self, profile: &Profile, accelerator: &Accelerator) -> Bytes {
        if let Some(gib) = profile.gib {
            return Bytes::from_gib(gib);
        }
        if profile.memory >= self.memory_slices {
            return accelerator.usable();
        }
        Bytes(accelerator.memory.0 / self.memory_slices.max(1)) * profile.memory - KEPT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gib(card: &str, profile: &str) -> Option<f64> {
        let catalogue = Catalogue::builtin();
        on(catalogue, catalogue.find(card).unwrap(), profile).map(|slice| slice.memory.as_gib())
    }

    #[test]
    fn half_an_a100_has_slightly_less_than_half_the_memory() {
        assert_eq!(gib("A100-80GB", "3g.40gb"), Some(39.25));
        assert_eq!(gib("A100-40GB", "3g.20gb"), Some(19.5));
        let slice =
            on(Catalogue::builtin(), Catalogue::builtin().find("A100-80GB").unwrap(), "3g.40gb").unwrap();
        assert_eq!(slice.compute_milli, Some(428));
    }

    #[test]
    fn media_engines_change_no_memory() {
        assert_eq!(gib("A100-80GB", "1g.10gb+me"), Some(9.5));
        assert_eq!(gib("A100-80GB", "1g.10gb.me"), Some(9.5));
    }

    #[test]
    fn a_profile_of_all_slices_is_the_card() {
        let catalogue = Catalogue::builtin();
        let h100 = catalogue.find("H100").unwrap();
        assert_eq!(on(catalogue, h100, "7g.80gb").unwrap().memory, h100.usable());
    }

    #[test]
    fn a_card_has_only_its_own_profiles() {
        assert_eq!(gib("A100-80GB", "1g.5gb"), None);
        assert_eq!(gib("T4", "1g.5gb"), None);
    }

    #[test]
    fn on_an_unknown_card_the_largest_memory_holds() {
        let memory = |profile: &str| anywhere(Catalogue::builtin(), profile).map(|s| s.memory.as_gib());
        assert_eq!(memory("3g.40gb"), Some(39.25));
        assert_eq!(memory("1g.10gb"), Some(9.75), "an H100's; an A100's are smaller");
        assert_eq!(memory("3g.95gb"), Some(94.5), "of no known card");
        for odd in
            ["", "gb", "3g", "3g.40", "g.gb", "99g.40gb", "3g.40gbx", "3g.18446744073709551615gb", "ägb"]
        {
            assert_eq!(memory(odd), None, "{odd}");
        }
    }

    #[test]
    fn every_profile_is_of_a_known_card_and_within_its_share() {
        let catalogue = Catalogue::builtin();
        assert!(catalogue.partitions().card.len() >= 10);
        for card in &catalogue.partitions().card {
            for key in &card.accelerators {
                let accelerator = catalogue.all().iter().find(|a| a.key == *key).expect(key);
                for profile in &card.profiles {
                    let share = accelerator.memory.scale(profile.memory as f64 / card.memory_slices as f64);
                    let memory = card.memory(profile, accelerator);
                    assert!(memory < share && memory > share.scale(0.9), "{key} {}", profile.name);
                    let named = nominal(&profile.name).expect(&profile.name);
                    assert!(memory < named.scale(1.05), "{key} {}", profile.name);
                }
            }
        }
    }
}
