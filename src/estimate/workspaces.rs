//! Scratch memory that matrix libraries take from PyTorch's allocator.
//!
//! ```text
//!                                     since Hopper     before
//! cuBLAS, a handle                       32 MiB       8.125 MiB     the forward and the backward pass have a thread each,
//!                                                                   and so a handle each
//! Transformer Engine                     32 MiB           4 MiB
//!   grouped products of experts          32 MiB           4 MiB     more for each of four streams
//! ```
//!
//! Experts run in grouped products if tokens are sent to them. On accelerators of other vendors it counts as nothing. Sources:
//! PyTorch's `aten/src/ATen/cuda/CublasHandlePool.cpp` (`parseChosenWorkspaceSize`); Transformer Engine's
//! `pytorch/module/base.py` and `cpp_extensions/gemm.py` (`get_cublas_workspace_size_bytes`, `_NUM_MAX_CUBLAS_STREAMS`).
//! Evidence: 58 of 60 eager runs on an H200 hold 0.05 to 0.08 GiB more than their tensors (`tests/accuracy/measured`); 58 dense
//! specifications of Megatron-LM's continuous integration 0.09 to 0.11 GiB on H100 and GB200; 12 with grouped products 0.10 to
//! 0.29 GiB, and 8 without 0.03.

use super::plan::Plan;
use crate::job::Dispatcher;
use crate::units::Bytes;

/// The beginnings of the names of NVIDIA's accelerators, and whether they are of Hopper or a later generation.
const NVIDIA: &[(&str, bool)] = &[
    ("h100", true),
    ("h800", true),
    ("h20", true),
    ("gh200", true),
    ("b100", true),
    ("b200", true),
    ("b300", true),
    ("gb200", true),
    ("gb300", true),
    ("a100", false),
    ("a800", false),
    ("v100", false),
    ("a10", false),
    ("a30", false),
    ("a40", false),
    ("a2", false),
    ("a16", false),
    ("t4", false),
    ("l4", false),
    ("l2", false),
    ("p100", false),
    ("p40", false),
    ("gb10", false),
    ("rtx", false),
    ("gtx", false),
    ("quadro", false),
    ("titan", false),
];

/// The workspaces of a rank.
pub(super) fn workspaces(plan: &Plan) -> Bytes {
    let key = plan.accelerator.as_deref().unwrap_or_default().to_ascii_lowercase();
    let Some((_, recent)) = NVIDIA.iter().find(|(name, _)| key.starts_with(name)) else { return Bytes::ZERO };
    let (handle, engine) = if *recent {
        (Bytes::from_mib(32), Bytes::from_mib(32))
    } else {
        (Bytes(8_519_680), Bytes::from_mib(4))
    };
    let grouped = plan.shape.experts.is_some() && plan.dispatcher != Dispatcher::AllGather;
    let of_engine = match (plan.profile.kernels.transformer_engine, grouped) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 5,
    };
    handle * 2 + engine * of_engine
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    fn mib(framework: &str, accelerator: &str, dispatcher: &str) -> f64 {
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 2, "hiddenSize": 512, "experts": 8, "expertsPerToken": 2},
            "framework": framework, "accelerator": {"type": accelerator},
            "parallelism": {"expert": 2, "data": 2, "dispatcher": dispatcher},
        }))
        .unwrap();
        workspaces(&assume(&job, Device { bf16: true }).unwrap().likely).as_gib() * 1024.0
    }

    #[test]
    fn each_library_has_its_own_workspace() {
        let of = |framework, accelerator, dispatcher| mib(framework, accelerator, dispatcher);
        assert_eq!(of("HuggingFace", "H100-80GB", "AllGather").to_bits(), 64f64.to_bits());
        assert_eq!(of("HuggingFace", "A100-80GB", "AllGather").to_bits(), 16.25f64.to_bits());
        assert_eq!(of("Megatron", "H100-80GB", "AllGather").to_bits(), 96f64.to_bits());
        assert_eq!(of("Megatron", "H100-80GB", "AllToAll").to_bits(), (96f64 + 128.0).to_bits());
        assert_eq!(of("Megatron", "MI300X", "AllToAll").to_bits(), 0f64.to_bits());
    }
}
