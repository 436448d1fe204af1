//! What the chart carries of the code is that of the code.

use std::fs;

use anyhow::Result;
use weighbridge::{api::definition, cli::kinds, kinds::Kinds};

fn carried(file: &str) -> String {
    fs::read_to_string(format!("{}/files/{file}", super::helm::CHART)).unwrap_or_default()
}

#[test]
fn the_definition_in_the_chart_is_that_of_the_types() -> Result<()> {
    let file = "weighbridge.dev_trainingestimates.yaml";
    assert!(carried(file) == definition::yaml()?, "{file} in the chart is stale: run `make generate`");
    Ok(())
}

#[test]
fn the_kinds_in_the_chart_are_those_of_the_code() -> Result<()> {
    assert!(
        carried("kinds.yaml") == kinds::yaml(Kinds::built_in())?,
        "kinds.yaml in the chart is stale: run `make generate`"
    );
    Ok(())
}
