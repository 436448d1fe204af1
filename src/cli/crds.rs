//! `weighbridge crds`: the CustomResourceDefinition, and the roles to read and write its objects, as YAML.

use std::io::Write as _;

use crate::api::definition;

/// Prints them.
pub fn run() -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(definition::yaml()?.as_bytes())?;
    Ok(())
}
