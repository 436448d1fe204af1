//! The memory of NCCL's communicators under DeepSpeed's pipeline engine, by the code.
//!
//! ```text
//! bytes         = groups × channels × 24 MiB
//! groups        1                    all ranks
//!               2 if t > 1           Megatron's tensor group, DeepSpeed's slice group
//!               4 if p > 1           Megatron's and DeepSpeed's pipeline groups, a pair with each neighbour
//!               1 if t > 1 or p > 1  DeepSpeed's model group
//!               2 if d > 1           Megatron's and DeepSpeed's data groups
//! channels      12 on V100, 24 on A100, else 16
//! ```
//!
//! A communicator exists from its first collective on. NCCL then connects a rank with both neighbours of its ring, for its
//! trees in both directions: in every channel two pairs of a sender and a receiver. A pair holds the buffers of three
//! protocols, 0.5, 4.7 and 4 MiB, in two allocations of whole 2 MiB: 12 MiB. NCCL's logs print 12
//! channels on nodes of four V100, and 24 on nodes of eight A100. Since 2.22 NCCL connects only what it uses, so
//! that later releases hold less. Sources: NCCL 2.10.3, `init.cc` (`computeBuffSizes`, `initTransportsRank`) and
//! `transport/p2p.cc`; DeepSpeed 0.5.6, `runtime/pipe/topology.py` and `runtime/engine.py`; Megatron-DeepSpeed,
//! `mpu/initialize.py` and `data/gpt_dataset.py`.

use super::plan::Plan;
use crate::units::Bytes;

/// One channel of one communicator, in MiB.
const CHANNEL_MIB: u64 = 24;

/// Channels of a communicator, by accelerator.
const CHANNELS: &[(&str, u64)] = &[("v100", 12), ("a100", 24), ("a800", 24)];
const OTHER_CHANNELS: u64 = 16;

/// The communicators of a rank.
pub(super) fn of_pipeline_engine(plan: &Plan) -> Bytes {
    let accelerator = plan.accelerator.as_deref().unwrap_or_default().to_ascii_lowercase();
    let known = CHANNELS.iter().find(|(name, _)| accelerator.contains(name));
    let channels = known.map_or(OTHER_CHANNELS, |(_, channels)| *channels);
    Bytes::from_mib(CHANNEL_MIB * channels) * groups(plan)
}

fn groups(plan: &Plan) -> u64 {
    let (tensor, pipeline) = (plan.tensor > 1, plan.pipeline > 1);
    let data = plan.data.saturating_mul(plan.context) > 1;
    let each = [(plan.world() > 1, 1), (tensor, 2), (pipeline, 4), (tensor || pipeline, 1), (data, 2)];
    each.iter().filter(|(exists, _)| *exists).map(|(_, groups)| groups).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    #[test]
    fn every_group_has_the_buffers_of_its_channels() {
        let held = |accelerator: &str, degrees: serde_json::Value| {
            let job: TrainingJob = serde_json::from_value(serde_json::json!({
                "model": {"layers": 8, "hiddenSize": 512}, "framework": "MegatronDeepSpeed",
                "accelerator": {"type": accelerator}, "parallelism": degrees,
            }))
            .unwrap();
            of_pipeline_engine(&assume(&job, Device { bf16: true }).unwrap().likely)
        };
        let one = Bytes::from_mib(24 * 24);
        assert_eq!(
            held("A100-80GB", serde_json::json!({"tensor": 1, "pipeline": 1, "data": 1})),
            Bytes::ZERO
        );
        assert_eq!(held("A100-80GB", serde_json::json!({"tensor": 8, "data": 1})), one * 4);
        assert_eq!(held("A100-80GB", serde_json::json!({"data": 8})), one * 3);
        assert_eq!(held("A100-80GB", serde_json::json!({"tensor": 2, "pipeline": 2, "data": 2})), one * 10);
        assert_eq!(held("V100-32GB", serde_json::json!({"data": 8})), Bytes::from_mib(12 * 24) * 3);
    }
}
