//! The keys that the releases of NeMo `AutoModel` know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert("ci*", "how its own tests run"),
        inert("distributed.dp_size", "it follows from the other degrees"),
        inert("peft.use_triton optimizer.use_triton", "kernels that keep what the others keep"),
        inert(
            "optimizer.adam_w_mode optimizer.bias_correction optimizer.epsilon optimizer.flatten optimizer.mu \
             optimizer.nesterov optimizer.foreach optimizer.fused",
            "hyperparameters, and how the step runs",
        ),
        inert("packed_sequence.packing_strategy packed_sequence.split_across_pack", "the making of samples"),
        inert(
            "model.backend.enable_hf_state_dict_adapter model.backend.enable_fsdp_optimizations \
             peft.moe_rank_scaling fp8.enable_fsdp_float8_all_gather \
             fp8.precompute_float8_dynamic_scale_for_fsdp fp8.force_recompute_fp8_weight_in_bwd",
            "how weights are gathered and adapters scaled",
        ),
        inert("quantization.bnb_4bit_*", "a setting of what another option turns on"),
        inert("dataset.tokenizer* model.config.*", "the model and its tokenizer, whose name is read"),
        opens(
            "model.backend.experts model.backend.dispatcher",
            &[Subject::Expert],
            "how experts are computed",
        ),
    ],
};
