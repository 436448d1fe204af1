//! Memory held by activations: what the backward pass needs of the forward pass, one implementation of a layer a file.

pub(super) mod fused;
mod torchtitan;
