//! What outsiders may write, as functions of bytes: they must end, panic never, and keep the laws of [`sound`].
//!
//! cargo-fuzz drives them (`make fuzz`). Every input that it found stays in `corpus/`, and `tests/hostile_input.rs` runs
//! these with the pinned compiler.

mod judged;
mod numbers;
pub mod sound;

#[cfg(feature = "operator")]
mod edges;

pub use judged::{KINDS, annotation, configuration, object, python, shell};
pub use numbers::quantity;

#[cfg(feature = "operator")]
pub use edges::{policy, review, stream};

/// A function of bytes, by the name of its target and of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// The targets of the core.
pub const CORE: &[Target] = &[
    ("annotation", annotation),
    ("configuration", configuration),
    ("object", object),
    ("python", python),
    ("quantity", quantity),
    ("shell", shell),
];

/// The targets of what talks to the world.
#[cfg(feature = "operator")]
pub const EDGES: &[Target] = &[("policy", policy), ("review", review), ("stream", stream)];
