//! 3. The accelerators, and the memory and speed that one of them offers a process.
//!
//! [`Catalogue`] finds a device by every name that people, node labels and clouds use. [`labels`] reads the labels of
//! a node, or the node selector that requires them; [`resources`] reads the name of an extended resource;
//! [`partition`] gives the memory of a MIG instance. A name that is in no table gives no accelerator: a wrong
//! capacity would deny a job that fits.

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
