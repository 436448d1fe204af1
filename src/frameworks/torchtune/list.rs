//! The options that the releases of torchtune know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert("checkpointer.adapter_checkpoint", "the checkpointer's bookkeeping"),
        inert("min_response_length", "it generates, it does not train"),
        opens("use_dora model.use_dora", &[Subject::Trained], "DoRA keeps more for each adapter"),
        inert("custom_sharded_layers", "how the embedding and the output layer are gathered"),
        inert("apply_lora_to_output model.apply_lora_to_output", "an adapter on the output layer alone"),
        inert("tensor_parallel_plan tensor_parallel_plan._component_", "which layers a tensor group divides"),
    ],
};
