//! Transformer shapes: dimensions, exact parameter counts, and the usual shape of a model with a known size alone.

pub mod known;
mod names;
mod parameters;
mod shape;

pub use parameters::{LayerParameters, Parameters};
pub use shape::{Experts, LatentAttention, Shape, ShapeError};
