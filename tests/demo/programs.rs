//! What the demo runs: our own binary, which cargo has built beside the demo, and the control plane's programs, which
//! take ten minutes the first time.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

/// Where they are.
pub(super) struct Programs {
    pub(super) weighbridge: PathBuf,
    /// The folder of kube-apiserver and the others.
    pub(super) folder: PathBuf,
}

/// Builds what is missing of the control plane; `weighbridge check examples/` needs none of it, and is shown meanwhile.
pub(super) async fn build_while_checking_the_examples() -> Result<Programs> {
    let weighbridge = weighbridge()?;
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Its progress goes to standard error, its result to standard output.
    let build = Command::new(repository.join("tests/controlplane/build"))
        .arg("--print")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("tests/controlplane/build")?;

    println!("$ weighbridge check examples/");
    let checked =
        Command::new(&weighbridge).args(["check", "examples/"]).current_dir(repository).status().await?;
    ensure!(
        checked.code() == Some(1),
        "weighbridge check examples/ ended with {checked}, though one of them would run out of memory: expected 1"
    );
    println!("\nExit status 1: something would run out of memory.");

    let built = build.wait_with_output().await?;
    ensure!(built.status.success(), "tests/controlplane/build ended with {}", built.status);
    let folder = PathBuf::from(String::from_utf8(built.stdout)?.trim_end());
    Ok(Programs { weighbridge, folder })
}

/// Examples lie in a folder of the folder that holds the binaries.
fn weighbridge() -> Result<PathBuf> {
    let demo = env::current_exe()?;
    let target = demo.parent().and_then(Path::parent).context("the demo lies in no target folder")?;
    let weighbridge = target.join("weighbridge");
    ensure!(weighbridge.is_file(), "{} is missing; run `make demo`, which builds it", weighbridge.display());
    Ok(weighbridge)
}
