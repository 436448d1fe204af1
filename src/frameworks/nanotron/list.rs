//! The options that the releases of nanotron know.

use crate::frameworks::reading::options::{List, inert};

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[inert("torch_adam_is_fused", "how the step runs")],
};
