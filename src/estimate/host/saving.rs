//! States that a save gathers in the memory of one process.
//!
//! ```text
//! divided, gathered       max(P × saved width, P_trained × moments)    weights first, then the optimizer's states
//! divided, not gathered   0                                            each rank writes its own share
//! undivided               min(P × saved width, one file)               the tensors of a file are copied; 0 at the leanest
//! tensor or pipeline parallel, or without saves   0
//! ```
//!
//! `P` are the model's parameters, or the adapters' if the weights are undivided and only adapters are trained. The saved width is that of
//! a parameter, at most 4 bytes, and at most 2 under ZeRO 3.
//!
//! - FSDP with `FULL_STATE_DICT` gathers weights on the first rank, writes them, then gathers the optimizer's states
//!   (`save_fsdp_model`, `save_fsdp_optimizer` in accelerate).
//! - ZeRO 3 with `stage3_gather_16bit_weights_on_model_save` gathers the weights alone. Each rank writes its own optimizer
//!   states (`_zero3_consolidated_16bit_state_dict`).
//! - The tensors of a file of safetensors are copied to the host before it is written; writing takes no more (measured). A file
//!   has at most 5 GB, since Transformers 5.0 at most 50 GB (`max_shard_size`).
//!
//! Only the pod of the first rank holds them.

use super::{End, HostPlan, Part};
use crate::estimate::states;
use crate::job::Sharding;
use crate::units::Bytes;

/// The largest file of safetensors, before Transformers 5.0.
const FILE: Bytes = Bytes(5_000_000_000);
/// The same, since 5.0.
const LARGE_FILE: Bytes = Bytes(50_000_000_000);

/// The part's name.
const NAME: &str = "gathered states";

/// The gathered states of a save.
pub(super) fn saving(host: &HostPlan<'_>) -> Part {
    let plan = host.plan;
    let (weights_divided, ..) = states::divided(plan.sharding);
    if !host.saves || plan.pipeline > 1 || plan.tensor > 1 {
        return Part::measured(NAME, Bytes::ZERO);
    }
    if weights_divided && !host.gathers {
        return Part::measured(NAME, Bytes::ZERO);
    }
    let saved = if plan.adapters.is_some() && !weights_divided { host.trained } else { host.parameters };
    let weights =
        Bytes::of(saved, plan.widths.parameter.min(if plan.sharding == Sharding::ZeRO3 { 2.0 } else { 4.0 }));
    let large = host.end == End::Heavy || plan.is_of(plan.profile.host.large_files);
    let file = if large { LARGE_FILE } else { FILE }.min(weights);
    if !weights_divided {
        return Part::measured(NAME, if host.end == End::Lean { Bytes::ZERO } else { file });
    }
    let optimizer = match plan.sharding {
        Sharding::FSDP | Sharding::HSDP if host.saves_optimizer => {
            Bytes::of(host.trained, states::moments(plan.optimizer, plan.widths.moment))
        }
        _ => Bytes::ZERO,
    };
    Part::measured(NAME, weights.max(optimizer))
}
