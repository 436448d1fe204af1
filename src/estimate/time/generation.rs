//! Accelerators by generation: what their data sheets leave out.
//!
//! `data/time.toml` lists the generations with the accelerators of each, and what is not in a catalogue: the share of the
//! peak that large matrix products reach, the share that fused attention reaches, and the network that machines with
//! such accelerators usually have.

use serde::Deserialize;

/// A generation of accelerators.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// Its name.
    pub name: String,
    /// The beginnings of its accelerators' keys.
    pub accelerators: Vec<String>,
    /// Whether what was measured on it is mostly from before 2023.
    #[serde(default)]
    pub early: bool,
    /// The share of the peak that large matrix products reach in a benchmark.
    pub ceiling: f64,
    /// The share of the half-precision peak that the vendor's fused attention reaches on long sequences; none where no
    /// kernel exists.
    pub attention: Option<f64>,
    /// The same of PyTorch's own.
    pub native_attention: Option<f64>,
    /// The memory's rate where the catalogue has none, in GB/s.
    pub memory: f64,
    /// Links between accelerators of a node where the catalogue has none, both directions added, in GB/s.
    pub link: f64,
    /// An accelerator's share of its node's network, one direction, in GB/s.
    pub network: f64,
    /// Accelerators of a node.
    pub node: u64,
    /// Accelerators that one switch of links joins, where that is more than a node.
    pub joined: Option<u64>,
}

impl Generation {
    /// Whether an accelerator is one of it.
    pub fn has(&self, key: &str) -> bool {
        self.accelerators.iter().any(|beginning| key.starts_with(beginning.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use crate::estimate::time::coefficients::Coefficients;
    use crate::hardware::Catalogue;

    /// A new accelerator shows here: under `other` it has the rates of no generation in particular.
    #[test]
    fn every_accelerator_is_of_the_generation_that_its_key_begins_like() {
        let coefficients = Coefficients::builtin();
        let mut table = String::new();
        for generation in coefficients.generations() {
            let of_it = Catalogue::builtin()
                .all()
                .iter()
                .filter(|accelerator| coefficients.generation(accelerator).name == generation.name);
            let keys: Vec<_> = of_it.map(|accelerator| accelerator.key.as_str()).collect();
            writeln!(table, "{}: {}", generation.name, keys.join(" ")).unwrap();
        }
        insta::assert_snapshot!(table);
    }
}
