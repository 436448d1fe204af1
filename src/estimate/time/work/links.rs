//! The rate at which a group of ranks exchanges data.
//!
//! ```text
//! ranks of a group in a node   g = max(1, min(n, node / stride))
//! near                         bytes / link                          (inside the node)
//! far                          bytes · (1 − g/n) / (g · network)     (through the network ports of all g)
//! ```
//!
//! `n` ranks that are `stride` apart; `link` the rate of one direction between the accelerators of a node; `network`
//! one accelerator's share of the node's network. Degrees are nested in Megatron's order: tensor, context, data,
//! pipeline. Jobs do not state a network's rate, so the generation's usual one counts (`data/time.toml`).

use crate::estimate::time::generation::Generation;
use crate::hardware::Accelerator;
use crate::job::TrainingJob;

/// The rate of PCI Express 4.0 with 16 lanes, one direction. Every dedicated link is faster.
const HOST_LINK: f64 = 32e9;

/// The rates of a machine, in bytes per second and direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Links {
    /// Between accelerators of a node.
    pub(super) link: f64,
    /// An accelerator's share of the node's network.
    pub(super) network: f64,
    /// Accelerators that the link joins.
    pub(super) node: u64,
}

impl Links {
    /// The links of the job's accelerator.
    pub(super) fn of(job: &TrainingJob, accelerator: &Accelerator, generation: &Generation) -> Self {
        let link = accelerator.bandwidth.link.map_or(generation.link * 1e9, |rate| rate.0 as f64);
        let stated = job.accelerator.as_ref().and_then(|a| a.per_node).map(u64::from);
        let joined = generation.joined.unwrap_or(0);
        let node = stated.unwrap_or(generation.node).max(joined).max(1);
        Self { link: (link / 2.0).max(1.0), network: (generation.network * 1e9).max(1.0), node }
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
        if together >= ranks { self.link } else { self.link.min(self.network * together as f64) }
    }

    /// Seconds of a collective over `bytes`, inside the node and between nodes.
    pub(super) fn near_and_far(&self, bytes: f64, ranks: u64, stride: u64) -> (f64, f64) {
        let together = self.together(ranks, stride) as f64;
        let outside = (1.0 - together / ranks.max(1) as f64).max(0.0);
        (bytes / self.link, bytes * outside / (together * self.network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_as_slow_as_pci_express_goes_through_the_host() {
        let passes = |link: f64| Links { link, network: 1.0, node: 8 }.through_host();
        assert!(passes(32e9));
        assert!(!passes(33e9));
    }
}
