//! Weights in host memory while the model is loaded.
//!
//! ```text
//! every rank    ranks × P × width
//! every device  the same; quantized weights go straight to the devices: 0
//! first rank    P × width
//! sharded       ranks × P_rank × width
//! direct        0
//! ```
//!
//! `P`: parameters of the whole model; `P_rank`: those on a rank after tensor, pipeline and expert parallelism and
//! sharding; `width`: bytes of the loaded format. The memory is free again before the first step.
//!
//! - Transformers builds the model on the host, then moves it (`PreTrainedModel._load_pretrained_model`). Each rank does so.
//!   Before 5.0 weights are fp32 unless the program names a format. A file of safetensors is mapped, and since 5.0 weights whose
//!   format is the file's stay pages of the file, which the kernel can drop, until they are written or moved (measured).
//! - With a `device_map` weights go from the mapped file to the accelerator, tensor by tensor. Quantized weights always do.
//! - FSDP's `cpu_ram_efficient_loading` loads on the first rank of a node alone. Other ranks have empty tensors
//!   (`accelerate/utils/fsdp_utils.py`). Under Transformers 5 every rank builds the model all the same (measured with 5.24;
//!   modelscope/ms-swift#9982).
//! - Under ZeRO 3 the first rank reads the files and every rank keeps its share (`integrations/deepspeed.py` in 5.24). Earlier
//!   versions read whole files on every rank.
//! - Sharded checkpoints (PyTorch's, Megatron's) are read rank by rank.

use super::{HostPlan, Part};
use crate::job::Loading;
use crate::units::Bytes;

/// The bytes of a weight in most files.
const SAVED: f64 = 2.0;

/// The weights of a pod's ranks while they are loaded.
pub(super) fn loading(host: &HostPlan<'_>) -> Part {
    // Weights in the file's format stay pages of the file.
    let copied = if host.maps && host.loaded_width <= SAVED { 0.0 } else { host.loaded_width };
    let whole = Bytes::of(host.parameters, copied);
    let bytes = match host.loading {
        Loading::EveryRank | Loading::EveryDevice => whole * host.ranks,
        Loading::FirstRank => whole,
        Loading::Sharded => Bytes::of(host.rank_share, host.loaded_width) * host.ranks,
        Loading::Direct => Bytes::ZERO,
    };
    Part::measured("weights while loading", bytes)
}
