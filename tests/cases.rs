//! Golden cases: a manifest in `tests/cases/`, and beside it the report that `weighbridge check` gives of it.
//!
//! A case without its report fails, and so does a report without its case. After a change that is meant,
//! `make generate` writes the reports anew; what changed is then read in the diff.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

/// The names of the files with this ending, without it.
fn stems(ending: &str) -> Result<BTreeSet<String>> {
    let mut stems = BTreeSet::new();
    for entry in fs::read_dir(folder())? {
        let name = entry?.file_name().into_string().ok().context("a name that is not UTF-8")?;
        stems.extend(name.strip_suffix(ending).map(str::to_owned));
    }
    Ok(stems)
}

#[test]
fn every_case_has_the_report_beside_it() -> Result<()> {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for case in stems(".yaml")? {
        let output = Command::new(env!("CARGO_BIN_EXE_weighbridge"))
            .args(["check", &format!("{case}.yaml")])
            .current_dir(folder())
            .output()?;
        let status = output.status.code().context("ended by a signal")?;
        let (stdout, stderr) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        let report = format!("{stderr}{stdout}exit status {status}\n");
        settings.bind(|| insta::assert_snapshot!(case, report));
    }
    Ok(())
}

#[test]
fn every_report_has_its_case() -> Result<()> {
    assert_eq!(stems(".snap")?, stems(".yaml")?);
    Ok(())
}
