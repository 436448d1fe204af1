//! `weighbridge crds`: the CustomResourceDefinition, and the roles to read and write its objects, as YAML.

use super::output::print;
use crate::api::definition;

/// Prints them.
pub fn run() -> anyhow::Result<()> {
    Ok(print(&definition::yaml()?)?)
}
