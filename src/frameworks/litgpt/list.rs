//! The options that the releases of LitGPT know.

use crate::frameworks::reading::options::{List, inert};

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[inert("lora_head", "an adapter on the output layer alone")],
};
