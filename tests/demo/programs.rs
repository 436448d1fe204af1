//! What the demo runs: our own binary, which cargo has built beside the demo, and the control plane's programs, which
//! take ten minutes the first time.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

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
    let mut build = Build::start(repository)?;

    println!("$ weighbridge check examples/");
    let checked =
        Command::new(&weighbridge).args(["check", "examples/"]).current_dir(repository).output().await?;
    ensure!(
        checked.status.code() == Some(1),
        "weighbridge check examples/ ended with {}, though one of them would run out of memory: expected 1",
        checked.status
    );
    let report = String::from_utf8(checked.stdout)?;
    match report.split_once("\n\n") {
        // There is nothing to wait for, and more text behind each line would push the rest off the screen.
        Some((table, _)) if build.has_ended()? => {
            println!("{table}\n\n(and what stands behind each line, which is left out here)");
        }
        _ => print!("{report}"),
    }
    println!("\nExit status 1: something would run out of memory.");

    let folder = build.folder().await?;
    Ok(Programs { weighbridge, folder })
}

/// The build of the control plane.
struct Build(Child);

impl Build {
    /// Its progress goes to standard error, its result to standard output.
    fn start(repository: &Path) -> Result<Self> {
        let script = repository.join("tests/controlplane/build");
        let child = Command::new(&script).arg("--print").stdout(Stdio::piped()).spawn();
        Ok(Self(child.with_context(|| script.display().to_string())?))
    }

    fn has_ended(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }

    /// The folder of the programs, once they are built.
    async fn folder(&mut self) -> Result<PathBuf> {
        let mut printed = String::new();
        self.0.stdout.take().context("it prints nothing")?.read_to_string(&mut printed).await?;
        let status = self.0.wait().await?;
        ensure!(status.success(), "tests/controlplane/build ended with {status}");
        Ok(PathBuf::from(printed.trim_end()))
    }
}

/// Asked to stop where it still runs: killed, it would leave the compiler behind.
impl Drop for Build {
    fn drop(&mut self) {
        if let Some(id) = self.0.id() {
            let _ = std::process::Command::new("sh").args(["-c", "kill \"$0\"", &id.to_string()]).status();
        }
    }
}

/// Examples lie in a folder of the folder that holds the binaries.
fn weighbridge() -> Result<PathBuf> {
    let demo = env::current_exe()?;
    let target = demo.parent().and_then(Path::parent).context("the demo lies in no target folder")?;
    let weighbridge = target.join("weighbridge");
    ensure!(weighbridge.is_file(), "{} is missing; run `make demo`, which builds it", weighbridge.display());
    Ok(weighbridge)
}
