//! Shapes of models: dimensions, kinds of layers, exact parameter counts, and the usual shape of a model with a known size
//! alone. A shape comes from a job's own fields, from the table of known models, or from a `config.json`.

mod blocks;
pub mod config;
pub mod known;
pub mod mixers;
mod names;
mod parameters;
mod shape;

pub use blocks::{Block, Blocks, Channel, Mixer};
pub use parameters::{LayerParameters, Parameters};
pub use shape::{Experts, LatentAttention, LinearAttention, Shape, ShapeError, StateSpace};
