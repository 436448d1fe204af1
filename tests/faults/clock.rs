//! The replica's clock jumps: a virtual machine that was paused, a wrong time server. The apiserver's clock stays right.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{SOON, Scene};
use crate::cluster::gate::weighbridge;
use crate::controlplane::wait_until;

const DAY: i64 = 86_400;

/// A clock that can be moved, and the program that goes by it.
struct Clock {
    file: PathBuf,
    program: PathBuf,
}

impl Clock {
    fn new(folder: &Path) -> Result<Self> {
        let (library, file) = (folder.join("clock.so"), folder.join("clock"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/clock.c");
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
        ensure!(built.context("cc, a C compiler")?.success(), "clock.c does not compile");
        fs::write(&file, 0_i64.to_ne_bytes())?;
        let program = folder.join("with-a-clock");
        let script = format!(
            "#!/bin/sh\nexport LD_PRELOAD='{}' WEIGHBRIDGE_TEST_CLOCK='{}'\nexec '{}' \"$@\"\n",
            library.display(),
            file.display(),
            weighbridge().display()
        );
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(Self { file, program })
    }

    /// Moves it by so many seconds from the right time.
    fn set(&self, seconds: i64) -> Result<()> {
        use std::os::unix::fs::FileExt as _;
        // In place, because the program has mapped this file.
        let file = fs::OpenOptions::new().write(true).open(&self.file)?;
        Ok(file.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn nothing_is_lost_when_the_clock_jumps_a_day_or_a_week_and_back() -> Result<()> {
    let control_plane = super::control_plane().await?;
    let clock = Clock::new(control_plane.folder())?;
    let scene = Scene::start_on(control_plane, "clock", &clock.program, &[]).await?;
    let expires = async || -> Result<f64> {
        Ok(scene.serve.metrics().await?.sum("weighbridge_certificate_expires_seconds", &[]))
    };
    let mut estimates = Vec::new();
    for (number, moved) in [DAY, 0, -DAY, 0, 8 * DAY, 0].into_iter().enumerate() {
        clock.set(moved)?;
        estimates.push(scene.submit(&format!("clock-{number}")).await?);
        scene.load.goes_on(200).await?;
        let (status, body) = scene.serve.probe("/readyz").await?;
        println!(
            "clock moved by {moved} s: /readyz says {status} {body:?}, certificate until {}",
            expires().await?
        );
    }
    wait_until("the replica to be ready", SOON, || async {
        Ok(scene.serve.probe("/readyz").await?.0 == 200)
    })
    .await
    .map_err(|error| scene.serve.with_log(&error))?;
    let recovery = scene.recovered(estimates).await?;
    scene.end("the clock moved by a day and by 8 days, and back", recovery).await
}
