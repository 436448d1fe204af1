//! The command line.

pub mod crds;
