//! The options that Unsloth's command lines know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert("loftq_config use_loftq use_rslora", "how adapters begin, and their scale"),
        inert("chunk_size", "the making of samples"),
        inert("quantization", "the bits of saved files"),
        opens("use_dora", &[Subject::Trained], "DoRA keeps more for each adapter"),
    ],
};
