//! The options that the releases of ColossalAI know.

use crate::frameworks::reading::options::{List, inert};

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert("length_normalization", "preference stages are not estimated"),
        inert("shard_param_frac", "the accelerator's share of states, which gemini's placement sets"),
    ],
};
