//! The known accelerators, by every known name.
//!
//! Read from `data/accelerators.toml` and `data/mig.toml`, which give the source of each figure. A name is looked up
//! first as the exact value of a node label, ignoring case, since `nvidia-tesla-a100` is a cloud's name for the one
//! with 40 GB; then by its normal form; then as the bare name of a chip with variants. If variants have different
//! memory, a bare name means the largest: it is least likely to deny a job that fits. [`Catalogue::variants`] lists
//! them for the message.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::accelerator::{Accelerator, Bandwidth, Vendor, near};
use super::names::{Product, normal};
use super::partition::Partitions;
use crate::hardware::ListPrice;
use crate::job::Precision;
use crate::units::{ByteRate, Bytes, Decimal, FlopRate};

/// All known accelerators.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    accelerators: Vec<Accelerator>,
    prices: BTreeMap<String, ListPrice>,
    /// Position by a label's value in lower case.
    labels: BTreeMap<String, usize>,
    /// Position by a name's normal form.
    names: BTreeMap<String, usize>,
    /// Instance types in lower case, with a star for any end, and positions.
    instances: Vec<(String, usize)>,
    /// Instance types in lower case that have a part of a card: how many parts the card has.
    shares: BTreeMap<String, u64>,
    partitions: Partitions,
    /// An administrator's node labels, whose values name accelerators.
    own_labels: Vec<String>,
    failure: Option<CatalogueError>,
}

/// Why a catalogue could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} cannot be read: {reason}")]
pub struct CatalogueError {
    /// The file.
    pub file: &'static str,
    /// The place and the reason.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    accelerator: Vec<Entry>,
}

/// One `[[accelerator]]` of the file. The head of the file explains the fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: String,
    name: String,
    chip: Option<String>,
    #[serde(default)]
    rare: bool,
    vendor: Vendor,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    instances: Vec<String>,
    #[serde(default)]
    shares: BTreeMap<String, u64>,
    memory: Memory,
    computes_in: Vec<Precision>,
    peak: BTreeMap<Precision, f64>,
    #[serde(default)]
    bandwidth: Rates,
    price: Option<Price>,
    #[expect(dead_code, reason = "for the readers of the file")]
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    total_mib: u64,
    reserve_mib: u64,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    memory: Option<f64>,
    link: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Price {
    per_gpu_hour: Decimal,
    as_of: String,
    #[expect(dead_code, reason = "for the readers of the file")]
    from: String,
}

impl Catalogue {
    /// The built-in catalogue. If its files are broken, it is empty and has a [`failure`](Self::failure).
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Catalogue> = LazyLock::new(|| {
            let accelerators = include_str!("../../data/accelerators.toml");
            Catalogue::parse(accelerators, include_str!("../../data/mig.toml"))
                .unwrap_or_else(|failure| Catalogue { failure: Some(failure), ..Catalogue::default() })
        });
        &BUILTIN
    }

    /// Reads a catalogue from the text of its two files.
    ///
    /// # Errors
    /// The file that cannot be read, and why.
    pub fn parse(accelerators: &str, partitions: &str) -> Result<Self, CatalogueError> {
        let unreadable = |file| move |e: toml::de::Error| CatalogueError { file, reason: e.to_string() };
        let file: File = toml::from_str(accelerators).map_err(unreadable("data/accelerators.toml"))?;
        let partitions = Partitions::parse(partitions).map_err(unreadable("data/mig.toml"))?;
        let mut catalogue = Self { partitions, ..Self::default() };
        for entry in file.accelerator {
            catalogue.add(entry);
        }
        Ok(catalogue)
    }

    fn add(&mut self, entry: Entry) {
        let position = self.accelerators.len();
        for label in &entry.labels {
            self.labels.entry(label.to_lowercase()).or_insert(position);
        }
        for name in [&entry.key, &entry.name].into_iter().chain(&entry.aliases) {
            self.names.entry(normal(name)).or_insert(position);
        }
        self.instances.extend(entry.instances.iter().map(|i| (i.to_lowercase(), position)));
        for (instance, parts) in entry.shares {
            self.instances.push((instance.to_lowercase(), position));
            self.shares.insert(instance.to_lowercase(), parts);
        }
        if let Some(Price { per_gpu_hour, as_of, .. }) = entry.price {
            self.prices.insert(entry.key.clone(), ListPrice { per_gpu_hour, as_of });
        }
        self.accelerators.push(Accelerator {
            key: entry.key,
            name: entry.name,
            chip: entry.chip,
            rare: entry.rare,
            vendor: entry.vendor,
            memory: Bytes::from_mib(entry.memory.total_mib),
            reserve: Bytes::from_mib(entry.memory.reserve_mib),
            computes_in: entry.computes_in,
            peak: entry.peak.into_iter().map(|(p, tera)| (p, FlopRate::from_tera(tera))).collect(),
            bandwidth: Bandwidth {
                memory: entry.bandwidth.memory.map(ByteRate::from_giga),
                link: entry.bandwidth.link.map(ByteRate::from_giga),
            },
        });
    }

    /// This catalogue with an administrator's names and node labels.
    ///
    /// # Errors
    /// An alias of an unknown accelerator, or one that already means another.
    pub fn extended(
        &self,
        aliases: &BTreeMap<String, String>,
        own_labels: Vec<String>,
    ) -> Result<Self, String> {
        let mut extended = Self { own_labels, ..self.clone() };
        for (alias, name) in aliases {
            let meant = self.find(name).map(|accelerator| accelerator.key.clone());
            let Some(key) = meant else {
                let nearest = self.nearest(name).join(", ");
                return Err(format!("aliases.{alias}: unknown accelerator {name}; similar names: {nearest}"));
            };
            if let Some(other) = self.find(alias).filter(|other| other.key != key) {
                return Err(format!("aliases.{alias}: it already means {}", other.name));
            }
            if let Some(position) = self.accelerators.iter().position(|accelerator| accelerator.key == key) {
                extended.labels.insert(alias.to_lowercase(), position);
                extended.names.insert(normal(alias), position);
            }
        }
        Ok(extended)
    }

    /// An administrator's node labels, whose values name accelerators.
    pub(super) fn own_labels(&self) -> &[String] {
        &self.own_labels
    }

    /// Why the catalogue is empty, if it could not be read.
    pub fn failure(&self) -> Option<&CatalogueError> {
        self.failure.as_ref()
    }

    /// Every accelerator, in the file's order.
    pub fn all(&self) -> &[Accelerator] {
        &self.accelerators
    }

    /// The accelerator with this name, in any spelling of people, labels or clouds. None if it is in no table.
    ///
    /// The suffixes that GPU Feature Discovery adds for slices and sharing are ignored.
    pub fn find(&self, name: &str) -> Option<&Accelerator> {
        let card = Product::of(name).card;
        self.labelled(card)
            .or_else(|| {
                let form = normal(card);
                let position = self.names.get(&form)?;
                self.accelerators.get(*position)
            })
            .or_else(|| self.of_chip(card).into_iter().next())
    }

    /// The accelerators that a bare name may mean, one for each amount of memory. The first is that of
    /// [`find`](Self::find). Fewer than two if the name is not ambiguous.
    pub fn variants(&self, name: &str) -> Vec<&Accelerator> {
        let card = Product::of(name).card;
        if self.labelled(card).is_some() {
            return Vec::new();
        }
        self.of_chip(card)
    }

    /// The accelerator with exactly this label value, ignoring case.
    pub(super) fn labelled(&self, value: &str) -> Option<&Accelerator> {
        self.labels.get(&value.to_lowercase()).and_then(|position| self.accelerators.get(*position))
    }

    /// The accelerator of a cloud's machine type: `p5.48xlarge`, `ml.p4d.24xlarge`, `a3-highgpu-8g`.
    pub fn of_instance_type(&self, instance: &str) -> Option<&Accelerator> {
        let instance = plain_instance(instance);
        let matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => instance.starts_with(start),
            None => instance == pattern,
        };
        let (_, position) = self.instances.iter().find(|(pattern, _)| matches(pattern))?;
        self.accelerators.get(*position)
    }

    /// The number of parts of a card, if a machine of this type has one part. None for whole cards.
    pub fn share_of_instance(&self, instance: &str) -> Option<u64> {
        self.shares.get(&plain_instance(instance)).copied()
    }

    /// The variant of an accelerator with about this much memory. If there is none, the accelerator itself.
    ///
    /// For labels that give a bare name and a size: Karpenter's `a100` with 40 960 MiB, or `NVIDIA-H100` with 65 247.
    pub fn with_memory<'c>(&'c self, accelerator: &'c Accelerator, memory: Bytes) -> &'c Accelerator {
        if near(memory, accelerator.memory) || accelerator.chip.is_none() {
            return accelerator;
        }
        let same_chip = |other: &&Accelerator| other.chip == accelerator.chip && near(memory, other.memory);
        self.accelerators.iter().find(same_chip).unwrap_or(accelerator)
    }

    /// The variants that a bare name may mean, the largest memory first.
    fn of_chip(&self, name: &str) -> Vec<&Accelerator> {
        let form = normal(name);
        let named = |a: &&Accelerator| !a.rare && a.chip.as_deref().is_some_and(|chip| normal(chip) == form);
        let mut variants: Vec<&Accelerator> = self.accelerators.iter().filter(named).collect();
        variants.sort_by_key(|a| std::cmp::Reverse(a.memory));
        variants.dedup_by_key(|a| a.memory);
        variants
    }

    /// Up to three names similar to an unknown one, the most similar first.
    ///
    /// Similarity is Jaro and Winkler's on normal forms, 0.8 and over. It gives weight to the beginning, where chips
    /// differ.
    pub fn nearest(&self, name: &str) -> Vec<&str> {
        let form = normal(name);
        if form.is_empty() {
            return Vec::new();
        }
        let mut likeness: BTreeMap<usize, f64> = BTreeMap::new();
        for (other, position) in &self.names {
            let score = strsim::jaro_winkler(&form, other);
            let best = likeness.entry(*position).or_default();
            *best = best.max(score);
        }
        let mut likest: Vec<(usize, f64)> = likeness.into_iter().filter(|(_, score)| *score >= 0.8).collect();
        likest.sort_by(|(a, x), (b, y)| y.total_cmp(x).then(a.cmp(b)));
        likest.iter().take(3).filter_map(|(at, _)| Some(self.accelerators.get(*at)?.name.as_str())).collect()
    }

    /// The list price of an accelerator, by its key.
    pub fn price(&self, key: &str) -> Option<ListPrice> {
        self.prices.get(key).cloned()
    }

    /// The known MIG profiles.
    pub(super) fn partitions(&self) -> &Partitions {
        &self.partitions
    }
}

/// A machine type in lower case, without the prefix of AWS's managed machines.
fn plain_instance(instance: &str) -> String {
    let instance = instance.trim().to_lowercase();
    instance.strip_prefix("ml.").map(str::to_owned).unwrap_or(instance)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
