//! `weighbridge crds`: the CustomResourceDefinition as YAML.

use std::io::Write as _;

use crate::api::definition;

/// Prints it.
pub fn run() -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(definition::yaml()?.as_bytes())?;
    Ok(())
}
