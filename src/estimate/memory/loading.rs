//! Loading: the instant at which a device holds the whole model, before the ranks divide it.
//!
//! ```text
//! loading = P × width      the frozen weights quantized as they are trained, all others in the format of the computation
//! cast    = P × 4          weights that the program casts on their device, before DeepSpeed makes them narrow again
//! ```
//!
//! `P`: all parameters of the stage, and the adapters. It counts if the ranks divide the parameters, and the program puts the
//! whole model on every device first:
//!
//! - axolotl gives quantized weights a `device_map` of one device, unless FSDP loads on the first rank alone
//!   (`_set_device_map_config`).
//! - axolotl moves the model to its device before FSDP divides it, with `experimental_skip_move_to_device: false`, which was
//!   its only way before 0.12 (`loaders/model.py` at 067b021c, `_apply_post_lora_load_setup`).
//! - DeepSpeed moves a model that was built outside `zero.Init`: `zero3_init_flag: false` (`runtime/engine.py`,
//!   `_configure_distributed_model`, 0.19.6).
//! - LLaMA-Factory loads all weights on their device and casts them to fp32, unless `pure_bf16` is set or ZeRO 3 divides them
//!   (0.9.5: `hparams/parser.py`, `device_map`; `model/adapter.py`, `_setup_full_tuning`).

use super::super::plan::{Plan, RankParameters};
use super::super::states;
use super::weights;
use crate::frameworks::profile::widths::Widths;
use crate::job::Sharding;
use crate::units::Bytes;

/// The name of the instant.
pub(super) const NAME: &str = "loading";

/// What the whole model takes on a device, if it is there before the ranks divide it.
pub(super) fn whole(plan: &Plan, rank: RankParameters) -> Option<Bytes> {
    if let Some(parameter) = plan.loaded_width {
        let numbers = rank.dense.saturating_add(rank.experts).saturating_add(rank.frozen_towers);
        return Some(Bytes::of(numbers, parameter));
    }
    if !plan.loads_whole || !states::divided(plan.sharding).0 || plan.shard_group() <= 1 {
        return None;
    }
    let parameter = plan.widths.parameter.min(plan.widths.compute);
    let undivided = Plan {
        sharding: Sharding::None,
        offload_parameters: false,
        widths: Widths { parameter, ..plan.widths },
        ..plan.clone()
    };
    Some(weights::weights(&undivided, rank))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::estimate::calibration::Calibration;
    use crate::estimate::memory;
    use crate::job::TrainingJob;

    fn of(sharding: &str, method: &str, loading: &str) -> (memory::Peak, f64) {
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 32, "hiddenSize": 4096, "attentionHeads": 32, "ffnHiddenSize": 11008,
                      "vocabSize": 32000, "activation": "SwiGLU"},
            "framework": "HuggingFace", "precision": "BF16",
            "finetuning": {"method": method, "rank": 8}, "recompute": "Full", "host": {"loading": loading},
            "parallelism": {"data": 8, "sharding": sharding},
            "batch": {"microBatchSize": 1, "globalBatchSize": 8, "sequenceLength": 512},
        }))
        .unwrap();
        let mut plan = assume(&job, Device { bf16: true }).unwrap().likely;
        plan.offload_parameters = true;
        let peak = memory::peak(&plan, Calibration::builtin());
        let gib = peak.allocated.as_gib();
        (peak, gib)
    }

    #[test]
    fn a_model_that_is_whole_on_every_device_first_has_its_peak_there() {
        let (peak, gib) = of("FSDP", "LoRA", "EveryDevice");
        assert_eq!(peak.instant, NAME);
        // 6.7 billion parameters in two bytes, and their adapters.
        assert!((12.5..13.0).contains(&gib), "{gib}");
        assert_eq!(of("ZeRO3", "LoRA", "EveryDevice").0.instant, NAME);
    }

    #[test]
    fn weights_that_are_cast_on_their_device_have_four_bytes_there() {
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 32, "hiddenSize": 4096, "attentionHeads": 32, "ffnHiddenSize": 11008,
                      "vocabSize": 32000, "activation": "SwiGLU"},
            "framework": "HuggingFace", "precision": "FP16", "recompute": "Full",
            "host": {"loadedPrecision": "FP32"}, "parallelism": {"data": 64, "sharding": "ZeRO2"},
            "batch": {"microBatchSize": 1, "globalBatchSize": 64, "sequenceLength": 512},
        }))
        .unwrap();
        let plan = assume(&job, Device { bf16: false }).unwrap().likely;
        let peak = memory::peak(&plan, Calibration::builtin());
        assert_eq!(peak.instant, NAME);
        // 6.74 billion parameters.
        assert!((25.0..25.2).contains(&peak.allocated.as_gib()), "{}", peak.allocated.as_gib());
    }

    #[test]
    fn a_model_that_is_divided_while_it_loads_has_its_peak_in_training() {
        for loading in ["FirstRank", "EveryRank", "Sharded"] {
            assert_ne!(of("FSDP", "LoRA", loading).0.instant, NAME, "{loading}");
        }
        assert_ne!(of("ZeRO2", "LoRA", "EveryDevice").0.instant, NAME);
    }
}
