//! Transformer shapes: dimensions, exact parameter counts, and what can be said of a model that only has a size.

pub mod known;
mod names;
mod parameters;
mod shape;

pub use parameters::{LayerParameters, Parameters};
pub use shape::{Experts, LatentAttention, Shape, ShapeError};
