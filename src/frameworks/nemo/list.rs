//! The options that the releases of NeMo know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "trainer.enable_checkpointing exp_manager.checkpoint_callback_params.model_parallel_size",
            "saving",
        ),
        inert("model.optim.sched model.optim.sched.*", "the schedule of the learning rate"),
        inert(
            "model.enable_megatron_timers model.megatron_timer_kwargs model.megatron_timer_kwargs.* \
             megatron_log_level",
            "bookkeeping",
        ),
        inert("model.data.validation_ds.* model.data.test_ds.*", "validation and test data"),
        inert(
            "model.data.no_seqlen_plus_one_input_tokens model.data.train_ds.min_seq_length \
             model.data.train_ds.truncation_field model.data.train_ds.truncation_method",
            "the making of samples",
        ),
        inert("fp8_amax_history_len model.fp8_amax_history_len", "scales of fp8"),
        inert("layernorm_zero_centered_gamma", "layer normalization"),
        inert(
            "model.grad_allreduce_chunk_size_mb pipeline_model_parallel_comm_backend \
             scatter_embedding_sequence_parallel parallel_output",
            "how ranks of a group talk",
        ),
        inert(
            "model.seq_len_interpolation_factor seq_len_interpolation_factor old_context_len",
            "how positions are scaled",
        ),
        inert(
            "lora_A_init_method lora_B_init_method lora_dtype model.peft.adapter_tuning* \
             model.peft.ia3_tuning* model.peft.lora_tuning.column_init_method \
             model.peft.lora_tuning.layer_selection model.peft.lora_tuning.position_embedding_strategy \
             model.peft.lora_tuning.row_init_method model.peft.lora_tuning.weight_tying model.peft.p_tuning* \
             model.peft.restore_from_path model.peft.selective_tuning*",
            "a setting of an adapter",
        ),
        opens(
            "model.num_micro_batches_with_partial_activation_checkpoints",
            &[Subject::Recompute],
            "how many microbatches are recomputed in full",
        ),
        inert("model.megatron_amp_O2", "the estimate counts as with it"),
    ],
};
