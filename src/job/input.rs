//! A value that was used, and a value that could not be read.

use serde::Serialize;

use super::handle::AnyField;

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Input {
    /// The field: `model.layers`.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub field: AnyField,
    /// The value as text, at most 64 characters.
    pub value: String,
    /// Its source: `annotation weighbridge.dev/layers`, `model llama-2-70b`, `assumed`.
    pub source: String,
}

/// A value that could not be read. It is complete: it shows the error, its place, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InputError {
    /// The place in the object: `metadata.annotations[weighbridge.dev/tensor-parallel]`.
    pub field: String,
    /// One line with key, value and grammar.
    pub message: String,
}
