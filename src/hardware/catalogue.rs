//! The accelerators that are known, by every name that is known for them.
//!
//! Read from `data/accelerators.toml` and `data/mig.toml`, which say where each figure is from. A name is looked up
//! first as a node label's value, to the letter but for case, since `nvidia-tesla-a100` is a cloud's word for the one
//! with 40 GB; then by its normal form; then as the bare name of a chip with variants. A bare name that may mean
//! several amounts of memory means the largest, the one least likely to turn away a job that fits;
//! [`Catalogue::variants`] lists them, so that whoever asks can say so.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::accelerator::{Accelerator, Bandwidth, Vendor, near};
use super::names::{Product, normal};
use super::partition::Partitions;
use crate::hardware::ListPrice;
use crate::job::Precision;
use crate::units::{ByteRate, Bytes, Decimal, FlopRate};

/// All accelerators that are known beforehand.
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
    partitions: Partitions,
    /// Labels of somebody's own whose value names an accelerator.
    own_labels: Vec<String>,
    failure: Option<CatalogueError>,
}

/// Why a catalogue could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} cannot be read: {reason}")]
pub struct CatalogueError {
    /// Which file.
    pub file: &'static str,
    /// Where and why.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    accelerator: Vec<Entry>,
}

/// One `[[accelerator]]` of the file, whose head explains the fields.
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
    memory: Memory,
    computes_in: Vec<Precision>,
    peak: BTreeMap<Precision, f64>,
    #[serde(default)]
    bandwidth: Rates,
    price: Option<Price>,
    #[allow(dead_code, reason = "for the readers of the file")]
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
    #[allow(dead_code, reason = "for the readers of the file")]
    from: String,
}

impl Catalogue {
    /// The catalogue that is compiled in; empty, with a [`failure`](Self::failure), if its files were broken.
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
    /// The file, and where and why it cannot be read.
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

    /// This catalogue with names and node labels of somebody's own.
    ///
    /// # Errors
    /// The alias that means nothing, or something else already.
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
                return Err(format!(
                    "aliases.{alias}: nobody knows the accelerator {name}; like it are: {nearest}"
                ));
            };
            if let Some(other) = self.find(alias).filter(|other| other.key != key) {
                return Err(format!("aliases.{alias}: it means {} already", other.name));
            }
            if let Some(position) = self.accelerators.iter().position(|accelerator| accelerator.key == key) {
                extended.labels.insert(alias.to_lowercase(), position);
                extended.names.insert(normal(alias), position);
            }
        }
        Ok(extended)
    }

    /// Labels of somebody's own whose value names an accelerator.
    pub(super) fn own_labels(&self) -> &[String] {
        &self.own_labels
    }

    /// Why the catalogue is empty, when it could not be read.
    pub fn failure(&self) -> Option<&CatalogueError> {
        self.failure.as_ref()
    }

    /// Every accelerator, in the file's order.
    pub fn all(&self) -> &[Accelerator] {
        &self.accelerators
    }

    /// The accelerator of any spelling that people, labels or clouds write; none for what is in no table.
    ///
    /// The parts that GPU Feature Discovery appends for slices and sharing do not matter here.
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

    /// What a bare name may mean, one for each amount of memory, first what [`find`](Self::find) takes it for. Fewer
    /// than two for a name that is not ambiguous.
    pub fn variants(&self, name: &str) -> Vec<&Accelerator> {
        let card = Product::of(name).card;
        if self.labelled(card).is_some() {
            return Vec::new();
        }
        self.of_chip(card)
    }

    /// The accelerator that a node label's value names to the letter, but for case.
    pub(super) fn labelled(&self, value: &str) -> Option<&Accelerator> {
        self.labels.get(&value.to_lowercase()).and_then(|position| self.accelerators.get(*position))
    }

    /// The accelerator of a cloud's machine type: `p5.48xlarge`, `ml.p4d.24xlarge`, `a3-highgpu-8g`.
    pub fn of_instance_type(&self, instance: &str) -> Option<&Accelerator> {
        let instance = instance.trim().to_lowercase();
        let instance = instance.strip_prefix("ml.").unwrap_or(&instance);
        let matches = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => instance.starts_with(start),
            None => instance == pattern,
        };
        let (_, position) = self.instances.iter().find(|(pattern, _)| matches(pattern))?;
        self.accelerators.get(*position)
    }

    /// The variant of an accelerator that has about this much memory; the accelerator itself where none has.
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

    /// Up to three names that are like an unknown one, the likest first.
    ///
    /// Likeness is Jaro and Winkler's on normal forms, 0.8 and over: they weigh the beginning, where chips differ.
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

    /// The MIG profiles that are known.
    pub(super) fn partitions(&self) -> &Partitions {
        &self.partitions
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
