//! 3. What is there: accelerators, and what one of them offers a process.
//!
//! [`Catalogue`] knows the devices by every name that people, node labels and clouds give them. [`labels`] reads the
//! labels of a node, or the node selector that demands them; [`resources`] reads the name of an extended resource;
//! [`partition`] knows how much of a card's memory a MIG instance has. A name that is in no table means nothing here:
//! a wrong capacity would turn away a job that fits.

mod accelerator;
mod catalogue;
pub mod labels;
mod names;
pub mod partition;
mod price;
pub mod resources;

pub use accelerator::{Accelerator, Bandwidth, Vendor};
pub use catalogue::{Catalogue, CatalogueError};
pub use price::ListPrice;
