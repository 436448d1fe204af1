//! Logs that cannot be written change nothing but the logs.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, ErrorKind, PipeReader, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::controlplane::{ControlPlane, Reach, Serve, Setup, TestNamespace, wait_until};
use crate::gate::{SOON, create, refusal, weighbridge};
use crate::jobs::{hopeless, named};

const DROPPED: &str = "weighbridge_log_lines_dropped_total";

/// A gate of its own, whose standard error is this.
async fn start<'a>(
    control_plane: &'a ControlPlane,
    name: &str,
    errors: File,
    filter: &str,
) -> Result<(Serve, TestNamespace<'a>)> {
    let namespace = control_plane.guarded_namespace(name, &[]).await?;
    let setup = Setup {
        errors: Some(errors),
        arguments: vec![format!("--log={filter}")],
        ..Setup::new(name, Reach::Namespaces(vec![namespace.name().to_owned()]))
    };
    Ok((Serve::start(control_plane, weighbridge(), setup).await?, namespace))
}

/// Twenty jobs that must be refused are, and the probes are answered.
async fn works(control_plane: &ControlPlane, serve: &Serve, namespace: &TestNamespace<'_>) -> Result<()> {
    let client = control_plane.admin()?;
    for number in 0..20 {
        let job = named(hopeless("")?, &format!("llama-{number}"));
        let refused = refusal(create(&client, namespace.name(), &job).await?)?;
        ensure!(refused.code == 403, "{}", refused.message);
    }
    for path in ["/readyz", "/livez"] {
        let (status, said) = serve.probe(path).await?;
        ensure!(status == 200, "{path}: {said}");
    }
    let failed = serve.metrics().await?.sum("weighbridge_admission_errors_total", &[]);
    ensure!(failed < 0.5, "{failed} reviews were not judged");
    Ok(())
}

async fn dropped(serve: &Serve) -> Result<f64> {
    Ok(serve.metrics().await?.sum(DROPPED, &[]))
}

/// The two ends of a pipe; the one for writing may be given to another process.
fn pipe() -> Result<(PipeReader, File)> {
    let (reader, writer) = std::io::pipe()?;
    Ok((reader, File::from(OwnedFd::from(writer))))
}

/// Writes until the pipe takes no more.
fn fill(pipe: &File) -> Result<()> {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let mut end = OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    loop {
        match end.write(&[b'\n'; 512]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

#[tokio::test]
async fn a_full_disk_below_the_log_lets_nothing_by() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let full = OpenOptions::new().write(true).open("/dev/full")?;
    let (serve, namespace) = start(control_plane, "logs-full", full, "info").await?;
    works(control_plane, &serve, &namespace).await?;
    ensure!(dropped(&serve).await? > 20.5, "each refusal has a line");
    serve.stop().await
}

#[tokio::test]
async fn a_log_whose_reader_has_gone_lets_nothing_by() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let (reader, writer) = pipe()?;
    drop(reader);
    let (serve, namespace) = start(control_plane, "logs-closed", writer, "info").await?;
    works(control_plane, &serve, &namespace).await?;
    ensure!(dropped(&serve).await? > 20.5, "each refusal has a line");
    serve.stop().await
}

#[tokio::test]
async fn a_log_that_nobody_reads_lets_nothing_by_and_tells_later_what_was_dropped() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let (reader, writer) = pipe()?;
    fill(&writer)?;
    // Every frame of every connection: the queue is full soon.
    let (serve, namespace) = start(control_plane, "logs-stalled", writer, "trace").await?;
    wait_until("a line to be dropped", SOON, || async {
        works(control_plane, &serve, &namespace).await?;
        Ok(dropped(&serve).await? > 0.5)
    })
    .await?;

    let told = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(reader).lines();
        let told =
            lines.find_map(|line| line.ok().filter(|line| line.contains("lines of the log were dropped")));
        // What comes later is read, too, or the end would wait.
        std::thread::spawn(move || lines.for_each(drop));
        told
    });
    let told = tokio::time::timeout(SOON, told).await??.context("the log has ended")?;
    ensure!(told.contains("WARN weighbridge: ") && told.contains(" lines="), "{told}");
    works(control_plane, &serve, &namespace).await?;
    serve.stop().await
}

#[tokio::test]
async fn a_log_that_is_never_read_does_not_keep_the_process_from_ending() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let (_reader, writer) = pipe()?;
    fill(&writer)?;
    let (serve, namespace) = start(control_plane, "logs-asleep", writer, "info").await?;
    works(control_plane, &serve, &namespace).await?;
    serve.stop().await
}

#[test]
fn a_start_that_fails_ends_with_its_status_though_it_cannot_be_said() -> Result<()> {
    for arguments in [
        &["serve", "--no-such-flag"][..],
        &["serve", "--deny-at=90"],
        &["serve", "--log=weighbridge=loud"],
        &["serve", "--config=/no/such/file", "--listen=127.0.0.1:0", "--metrics-listen=127.0.0.1:0"],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full")?;
        let ended = Command::new(weighbridge()).args(arguments).stderr(full).status()?;
        ensure!(ended.code() == Some(2), "{arguments:?} ended with {ended}");
    }
    Ok(())
}
