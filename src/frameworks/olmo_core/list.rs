//! The options that `OLMo-core`'s configurations know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert("max_target_sequence_length", "the making of samples"),
        opens(
            "activation_memory_budget",
            &[Subject::Recompute],
            "below 1 a compiled step computes a part again",
        ),
    ],
};
