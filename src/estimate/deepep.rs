//! The buffers of DeepEP, which sends tokens to experts.
//!
//! ```text
//! within a node   C · min(n, 8) · r · (2h + 2056)          n ranks, r tokens in flight: 256 up to 8 ranks, 288 up to 64,
//!                                                          480 up to 96, 560 up to 128, 720 beyond
//! between nodes   C · ⌈n/8⌉ · 128 · (2h + 2072) · 2        with more than 8 ranks
//! workspace       32 MiB
//! ```
//!
//! `C` = 10 channels, two of 20 multiprocessors each. 2056 bytes a token: its source, and 128 indices, weights and scales.
//! All ranks that share the experts are one group. Megatron takes the larger buffers of dispatch and combination, which are
//! equal. Source: DeepEP's `csrc/legacy/config.hpp` (`get_nvl_buffer_size_hint`, `get_rdma_buffer_size_hint`) and
//! `get_dispatch_config` (dd758ca); Megatron-LM's `fused_a2a.py` (`get_buffer`).

use super::plan::Plan;
use crate::units::Bytes;

const CHANNELS: u64 = 10;
const RANKS_OF_A_NODE: u64 = 8;
const BESIDE_A_TOKEN: u64 = 2056;
const BETWEEN_NODES: u64 = 128;
const WORKSPACE: Bytes = Bytes::from_mib(32);

/// Tokens in flight between two ranks of a node.
fn in_flight(ranks: u64) -> u64 {
    match ranks {
        0..=8 => 256,
        9..=64 => 288,
        65..=96 => 480,
        97..=128 => 560,
        _ => 720,
    }
}

/// The buffers of a rank.
pub(super) fn buffers(plan: &Plan) -> Bytes {
    let ranks = plan.expert.saturating_mul(plan.expert_tensor).max(1);
    let hidden = plan.shape.hidden.saturating_mul(2);
    let of = |peers: u64, tokens: u64, bytes: u64| {
        Bytes(bytes.saturating_mul(CHANNELS).saturating_mul(peers).saturating_mul(tokens))
    };
    let within = of(ranks.min(RANKS_OF_A_NODE), in_flight(ranks), hidden.saturating_add(BESIDE_A_TOKEN));
    let nodes = ranks.div_ceil(RANKS_OF_A_NODE);
    let between = of(nodes, BETWEEN_NODES, hidden.saturating_add(BESIDE_A_TOKEN + 16)) * 2;
    within + WORKSPACE + if ranks > RANKS_OF_A_NODE { between } else { Bytes::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    fn of(hidden: u64, expert: u64) -> u64 {
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 2, "hiddenSize": hidden, "experts": 64, "expertsPerToken": 8},
            "framework": "Megatron", "parallelism": {"expert": expert, "expertTensor": 1, "data": 64},
        }))
        .unwrap();
        buffers(&assume(&job, Device { bf16: true }).unwrap().likely).0 - WORKSPACE.0
    }

    #[test]
    fn a_node_needs_a_place_for_its_tokens_in_flight() {
        assert_eq!(of(2048, 8), 10 * 8 * 256 * (4096 + 2056));
        assert_eq!(of(2048, 4), 10 * 4 * 256 * (4096 + 2056));
    }

    #[test]
    fn several_nodes_also_need_buffers_between_them() {
        assert_eq!(of(7168, 32), 10 * 8 * 288 * (14336 + 2056) + 2 * 10 * 4 * 128 * (14336 + 2072));
    }
}
