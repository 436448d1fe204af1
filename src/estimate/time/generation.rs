//! Accelerators by generation, with the facts that data sheets omit.
//!
//! `data/time.toml` lists the generations, each with its accelerators and the facts that no catalogue has: the share of
//! the peak that large matrix products reach, the share that fused attention reaches, and the usual network of machines
//! with these accelerators.

use serde::Deserialize;

use super::terms::Term;
use crate::job::Precision;

/// A generation of accelerators.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// The name.
    pub name: String,
    /// The prefixes of its accelerators' keys.
    pub accelerators: Vec<String>,
    /// Whether most of its measurements are from before 2023.
    #[serde(default)]
    pub early: bool,
    /// The share of the peak that large matrix products reach in a benchmark.
    pub ceiling: f64,
    /// The share of the half-precision peak that the vendor's fused attention reaches on long sequences. `None` if
    /// there is no such kernel.
    pub attention: Option<f64>,
    /// The same for PyTorch's own kernel.
    pub native_attention: Option<f64>,
    /// The memory's rate if the catalogue has none, in GB/s.
    pub memory: f64,
    /// The links between the accelerators of a node if the catalogue has none, both directions added, in GB/s.
    pub link: f64,
    /// PCI Express between cards whose own links only join pairs, both directions added, in GB/s.
    pub pcie: Option<f64>,
    /// An accelerator's share of its node's network, one direction, in GB/s.
    pub network: f64,
    /// Accelerators of a node.
    pub node: u64,
    /// Accelerators on one switch of links, if more than a node's.
    pub joined: Option<u64>,
    /// Whether each accelerator of a node has an own link to each other one, so that a part of the node has only a part of
    /// the rate.
    #[serde(default)]
    pub mesh: bool,
    /// Whether the whole step is compiled into graphs, so that operations are fused and the host launches no kernels.
    #[serde(default)]
    pub graphs: bool,
    /// Whether the host launches kernels slowly.
    #[serde(default)]
    pub slow_host: bool,
    /// Whether no kernel was measured, so that the sustained rates are guesses.
    #[serde(default)]
    pub guessed: bool,
    /// The microseconds by which a matrix product takes longer than its operations at the full rate.
    pub start: f64,
    /// The term of fp8's products, if not the general one.
    pub fp8: Option<Term>,
}

/// The shares of the peaks that matrix products reach for as long as training lasts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sustained {
    /// The prefixes of the accelerators' keys. The first entry with a prefix of a key holds, and the last one for all
    /// others.
    pub accelerators: Vec<String>,
    /// Of the half-precision peak.
    pub half: f64,
    /// Of fp8's peak. The casts are apart.
    pub fp8: f64,
    /// Of fp4's peak. The casts are apart.
    pub fp4: f64,
}

impl Sustained {
    /// Whether this entry is of an accelerator.
    pub fn has(&self, key: &str) -> bool {
        self.accelerators.iter().any(|beginning| key.starts_with(beginning.as_str()))
    }

    /// The share of the format's peak.
    pub fn share(&self, precision: Precision) -> f64 {
        match precision {
            Precision::FP8 => self.fp8,
            Precision::FP4 => self.fp4,
            _ => self.half,
        }
    }
}

impl Generation {
    /// Whether an accelerator belongs to this generation.
    pub fn has(&self, key: &str) -> bool {
        self.accelerators.iter().any(|beginning| key.starts_with(beginning.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use crate::estimate::time::coefficients::Coefficients;
    use crate::hardware::Catalogue;

    /// A new accelerator appears in this table. Under `other` it has the rates of no particular generation.
    #[test]
    fn every_accelerator_has_the_generation_of_its_key() {
        let coefficients = Coefficients::builtin();
        let mut table = String::new();
        for generation in coefficients.generations() {
            let members = Catalogue::builtin()
                .all()
                .iter()
                .filter(|accelerator| coefficients.generation(accelerator).name == generation.name);
            let keys: Vec<_> = members.map(|accelerator| accelerator.key.as_str()).collect();
            writeln!(table, "{}: {}", generation.name, keys.join(" ")).unwrap();
        }
        insta::assert_snapshot!(table);
    }
}
