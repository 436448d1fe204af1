//! The keys that GPT-NeoX knows.

use crate::frameworks::reading::options::{List, inert};

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "checkpoint_num_layers synchronize_each_layer contiguous_checkpointing",
            "a setting of what another option turns on",
        ),
        inert(
            "scaled_upper_triang_masked_softmax_fusion scaled_masked_softmax_fusion bias_gelu_fusion \
             bias_dropout_fusion rope_fusion layernorm_fusion rmsnorm_fusion",
            "fused kernels that keep what the others keep",
        ),
        inert(
            "zero_allgather_bucket_size zero_contiguous_gradients zero_reduce_bucket_size zero_reduce_scatter \
             deepspeed_mpi deepspeed_slurm is_pipe_parallel te_fp8_amax_history_len",
            "how ranks start and talk",
        ),
        inert("no_load_optim no_save_optim s3_chunk_size", "what is saved and loaded, and how"),
        inert("pack_impl fused_kernels_build_path", "the making of samples and of kernels"),
        inert("sparsity_config", "the kinds of attention are read"),
    ],
};
