//! The options that the releases of `InstructLab`'s training library know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        opens("use_dolomite", &[Subject::Kernels], "other layers"),
        inert(
            "cpu_offload_optimizer_pin_memory cpu_offload_optimizer_ratio",
            "a setting of what another option turns on",
        ),
        opens("block_size", &[Subject::Length], "the length of samples of pretraining"),
        inert("on_demand_checkpointing", "when states are saved"),
        inert("mock_len", "the length of made-up samples"),
        inert("model_class", "which class loads the model"),
    ],
};
