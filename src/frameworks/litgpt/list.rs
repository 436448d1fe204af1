//! The options that the releases of LitGPT know.

use crate::frameworks::reading::options::List;

pub(in crate::frameworks) static LIST: List = List { text: include_str!("options.tsv"), corrections: &[] };
