//! The rate at which a group of ranks exchanges data.
//!
//! ```text
//! ranks of a group in a node   g = max(1, min(n, node / stride))
//! near                         bytes / link                          (inside the node; in a mesh, link·(g − 1)/(node − 1))
//! far                          bytes · (1 − g/n) / (g · network)     (through the network ports of all g)
//! ```
//!
//! The bridge of a card joins two cards. More cards of a node exchange through PCI Express.
//!
//! `n` ranks that are `stride` apart; `link` the rate of one direction between the accelerators of a node; `network`
//! one accelerator's share of the node's network. Degrees are nested in Megatron's order: tensor, context, data,
//! pipeline. Jobs do not state a network's rate, so the generation's usual one counts (`data/time.toml`).

use crate::estimate::time::generation::Generation;
use crate::hardware::Accelerator;
use crate::job::TrainingJob;

/// The rate of PCI Express 4.0 with 16 lanes, one direction. Every dedicated link is faster.
const HOST_LINK: f64 = 32e9;

/// Parts of the keys of cards, which have bridges.
const CARDS: [&str; 2] = ["-pcie", "-nvl"];

/// The rates of a machine, in bytes per second and direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Links {
    /// Between accelerators of a node.
    pub(super) link: f64,
    /// An accelerator's share of the node's network.
    pub(super) network: f64,
    /// Accelerators that the link joins.
    pub(super) node: u64,
    /// Whether each accelerator has an own link to each other one of the node.
    pub(super) mesh: bool,
}

impl Links {
    /// The links of the job's accelerator.
    pub(super) fn of(job: &TrainingJob, accelerator: &Accelerator, generation: &Generation) -> Self {
        let own = accelerator.bandwidth.link.map_or(generation.link * 1e9, |rate| rate.0 as f64);
        let many = job.accelerator.as_ref().and_then(|a| a.count).is_none_or(|count| count > 2);
        let bridged = many && CARDS.iter().any(|card| accelerator.key.contains(card));
        let link = generation.pcie.filter(|_| bridged).map_or(own, |pcie| own.min(pcie * 1e9));
        let stated = job.accelerator.as_ref().and_then(|a| a.per_node).map(u64::from);
        let joined = generation.joined.unwrap_or(0);
        let node = stated.unwrap_or(generation.node).max(joined).max(1);
        let network = (generation.network * 1e9).max(1.0);
        Self { link: (link / 2.0).max(1.0), network, node, mesh: generation.mesh }
    }

    /// The rate of one direction among so many accelerators of a node.
    pub(super) fn among(&self, together: u64) -> f64 {
        let others = self.node.saturating_sub(1).max(1) as f64;
        let of_all = (together.saturating_sub(1).max(1) as f64 / others).min(1.0);
        if self.mesh { self.link * of_all } else { self.link }
    }

    /// Whether the accelerators of a node exchange through the host.
    pub(super) fn through_host(&self) -> bool {
        self.link <= HOST_LINK
    }

    /// Ranks of a group that share a node.
    pub(super) fn together(&self, ranks: u64, stride: u64) -> u64 {
        ranks.min(self.node / stride.max(1)).max(1)
    }

    /// The rate of a ring, which is that of its slowest part.
    pub(super) fn ring(&self, ranks: u64, stride: u64) -> f64 {
        let together = self.together(ranks, stride);
        let near = self.among(together);
        if together >= ranks { near } else { near.min(self.network * together as f64) }
    }

    /// Seconds of a collective over `bytes`, inside the node and between nodes.
    pub(super) fn near_and_far(&self, bytes: f64, ranks: u64, stride: u64) -> (f64, f64) {
        let together = self.together(ranks, stride);
        let outside = (1.0 - together as f64 / ranks.max(1) as f64).max(0.0);
        (bytes / self.among(together), bytes * outside / (together as f64 * self.network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::time::coefficients::Coefficients;
    use crate::hardware::Catalogue;
    use crate::job::Accelerator as Accelerators;

    #[test]
    fn a_link_as_slow_as_pci_express_goes_through_the_host() {
        let passes = |link: f64| Links { link, network: 1.0, node: 8, mesh: false }.through_host();
        assert!(passes(32e9));
        assert!(!passes(33e9));
    }

    #[test]
    fn a_bridge_joins_two_cards() {
        let link = |name: &str, count: u32| {
            let accelerator = Catalogue::builtin().find(name).unwrap();
            let generation = Coefficients::builtin().generation(accelerator);
            let asked = Accelerators { count: Some(count), ..Accelerators::default() };
            let job = TrainingJob { accelerator: Some(asked), ..TrainingJob::default() };
            Links::of(&job, accelerator, generation).link / 1e9
        };
        assert!((link("a100-pcie-80gb", 2) - 300.0).abs() < 1e-6);
        assert!((link("a100-pcie-80gb", 8) - 32.0).abs() < 1e-6);
        assert!((link("a100-sxm4-80gb", 8) - 300.0).abs() < 1e-6);
        assert!((link("h100-pcie-80gb", 4) - 64.0).abs() < 1e-6);
    }

    #[test]
    fn two_of_four_in_a_mesh_have_a_third_of_the_rate() {
        let links = Links { link: 450e9, network: 25e9, node: 4, mesh: true };
        assert!((links.ring(2, 1) - 150e9).abs() < 1.0 && (links.ring(4, 1) - 450e9).abs() < 1.0);
        assert!((links.near_and_far(300e9, 2, 1).0 - 2.0).abs() < 1e-9);
    }
}
