//! The options that the releases of torchtitan know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "context_parallel_load_balancer context_parallel_ptrr_mask_key context_parallel_rotate_method \
             enable_async_tensor_parallel enable_fsdp_symm_mem",
            "how ranks of a group talk",
        ),
        inert(
            "enable_fsdp_float8_all_gather precompute_float8_dynamic_scale_for_fsdp \
             force_recompute_fp8_weight_in_bwd",
            "scales of fp8",
        ),
        inert("initial_load_in_hf_quantized", "what is loaded"),
        inert(
            "force_recompute_mm_shapes_by_fqns",
            "which products selective recomputation does not keep: a router's",
        ),
        opens(
            "early_step_in_backward",
            &[Subject::Optimizer],
            "the optimizer steps during the backward pass",
        ),
        opens("memory_budget", &[Subject::Recompute], "how much is recomputed"),
        opens("disable_loss_parallel", &[Subject::Kernels], "the loss on whole logits"),
        inert("should_quantize", "a switch that torchtitan sets itself"),
    ],
};
