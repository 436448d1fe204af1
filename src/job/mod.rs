//! The vocabulary under everything: what a training job is, and where each of its values came from.
//!
//! A [`TrainingJob`] is what was asked. Each of its fields is declared once, in [`mod@field`], and named by its
//! [handle](Field). [`Provenance`] holds the job value by value, each with its [`Source`]. [`keys`] are the annotations
//! that set its fields.

mod ask;
mod cause;
mod dense_layers;
pub mod field;
mod gap;
pub mod grammar;
mod handle;
mod input;
pub mod keys;
mod layer_pattern;
pub mod nearest_key;
mod open;
mod outer_modules;
pub mod provenance;
mod ranges;
pub mod source;
mod understood;
mod values;
mod words;

pub use ask::{Ask, Quoting, Rank};
pub use cause::{Cause, Follows};
pub use dense_layers::DenseLayers;
pub use field::{
    Accelerator, Batch, Checkpoint, Dataset, Efficiency, Finetuning, GlobalAttention, Host, LatentAttention,
    LinearAttention, Model, Offload, Parallelism, Price, Quantization, Roles, StateSpace, Target,
    TrainingJob,
};
pub use gap::Gap;
pub(crate) use handle::Assignment;
pub use handle::{AnyField, Field, FieldType, Group, Member, Range, ValueOf};
pub use input::{Input, InputError};
pub use layer_pattern::{LETTERS, LayerPattern};
pub(crate) use open::OpenField;
pub use outer_modules::OuterModules;
pub(crate) use provenance::Hidden;
pub use provenance::Provenance;
pub(crate) use ranges::out_of_range;
pub use source::Source;
pub use understood::{OpenWord, Understood};
pub use words::*;
