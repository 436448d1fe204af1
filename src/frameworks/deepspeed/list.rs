//! The options that the releases of DeepSpeed know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "partition_activations cpu_checkpointing contiguous_memory_optimization number_checkpoints \
             synchronize_checkpoint_boundary",
            "DeepSpeed's own checkpointing, which only Megatron-DeepSpeed calls",
        ),
        opens(
            "bf16_master_weights_and_grads fp16_master_weights_and_grads bf16_optimizer_states",
            &[Subject::Optimizer],
            "states and gradients in two bytes",
        ),
        opens("grad_accum_dtype", &[Subject::Gradients], "the format of accumulated gradients"),
        inert(
            "gather_16bit_weights_on_model_save stage3_gather_16bit_weights_on_model_save parallel_write",
            "what is saved, and how",
        ),
        inert(
            "zero_quantized_gradients zero_quantized_weights seq_parallel_communication_data_type \
             intra_op_parallelism use_data_before_expert_parallelism",
            "how ranks talk",
        ),
        inert(
            "nvme_path cpu_offload_use_pin_memory super_offload",
            "where offloaded states are put: another option offloads",
        ),
        inert("zero_allow_untested_optimizer zero_force_ds_cpu_optimizer", "checks of what is combined"),
        inert("recompute_fwd_factor", "the profiler's arithmetic"),
        inert("model_params", "whose states there are"),
        inert("fp32_optimizer_states", "the format of the states on the host, where it is the default"),
        opens("tp_size", &[Subject::Tensor], "tensor parallel by DeepSpeed"),
        opens("zenflow", &[Subject::Offload], "ZenFlow steps on the CPU"),
    ],
};
