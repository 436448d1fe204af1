//! The options that `XTuner`'s programs know.

use crate::frameworks::reading::options::{List, inert};

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[inert(
        "cfg_options max_length chat_template tokenize_fn dataset cache_dir cache_tag tokenizer_path load_model \
         load_optimizer_states load_optimizer_args load_dataset load_scheduler",
        "the making of samples, and what is loaded",
    )],
};
