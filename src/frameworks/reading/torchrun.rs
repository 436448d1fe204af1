//! The options that torchrun knows. It starts the programs of most frameworks.

use crate::frameworks::reading::options::List;

pub(in crate::frameworks) static LIST: List = List { text: include_str!("torchrun.tsv"), corrections: &[] };
