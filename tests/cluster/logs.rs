//! A log that cannot be written loses lines, and changes nothing else.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, ErrorKind, PipeReader, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::gate::{SOON, create, refusal, weighbridge};
use super::jobs::{hopeless, named};
use crate::controlplane::{ControlPlane, Reach, Serve, Setup, TestNamespace, wait_until};

const DROPPED: &str = "weighbridge_log_lines_dropped_total";

/// A gate whose standard error goes to this file.
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

/// Checks that twenty hopeless jobs are refused and the probes are answered.
async fn works(control_plane: &ControlPlane, serve: &Serve, namespace: &TestNamespace<'_>) -> Result<()> {
    let client = control_plane.admin()?;
    for number in 0..20 {
        let job = named(hopeless("")?, &format!("llama-{number}"));
        let refused = refusal(create(&client, namespace.name(), &job).await?)?;
        ensure!(refused.code == 403, "{}", refused.message);
    }
    for path in ["/readyz", "/livez"] {
        let (status, body) = serve.probe(path).await?;
        ensure!(status == 200, "{path}: {body}");
    }
    let failed = serve.metrics().await?.sum("weighbridge_admission_errors_total", &[]);
    ensure!(failed < 0.5, "{failed} reviews were not judged");
    Ok(())
}

async fn dropped(serve: &Serve) -> Result<f64> {
    Ok(serve.metrics().await?.sum(DROPPED, &[]))
}

/// The two ends of a pipe. The writing end may be given to another process.
fn pipe() -> Result<(PipeReader, File)> {
    let (reader, writer) = std::io::pipe()?;
    Ok((reader, File::from(OwnedFd::from(writer))))
}

/// Fills the pipe.
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
async fn a_full_disk_below_the_log_changes_no_answer() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let full = OpenOptions::new().write(true).open("/dev/full")?;
    let (serve, namespace) = start(control_plane, "logs-full", full, "info").await?;
    works(control_plane, &serve, &namespace).await?;
    ensure!(dropped(&serve).await? > 20.5, "each refusal has a line");
    serve.stop().await
}

#[tokio::test]
async fn a_log_whose_reader_has_closed_it_changes_no_answer() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let (reader, writer) = pipe()?;
    drop(reader);
    let (serve, namespace) = start(control_plane, "logs-closed", writer, "info").await?;
    works(control_plane, &serve, &namespace).await?;
    ensure!(dropped(&serve).await? > 20.5, "each refusal has a line");
    serve.stop().await
}

#[tokio::test]
async fn a_log_that_is_not_read_changes_no_answer_and_later_counts_its_lost_lines() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let (reader, writer) = pipe()?;
    fill(&writer)?;
    // The filter logs every frame of every connection, so the queue is full soon.
    let (serve, namespace) = start(control_plane, "logs-stalled", writer, "trace").await?;
    wait_until("a line to be dropped", SOON, || async {
        works(control_plane, &serve, &namespace).await?;
        Ok(dropped(&serve).await? > 0.5)
    })
    .await?;

    let line = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(reader).lines();
        let line =
            lines.find_map(|line| line.ok().filter(|line| line.contains("lines of the log were dropped")));
        // The rest is read too, because the process waits for it at its end.
        std::thread::spawn(move || lines.for_each(drop));
        line
    });
    let line = tokio::time::timeout(SOON, line).await??.context("the log has ended")?;
    ensure!(line.contains("WARN weighbridge: ") && line.contains(" lines="), "{line}");
    works(control_plane, &serve, &namespace).await?;
    serve.stop().await
}

#[tokio::test]
async fn a_log_that_is_never_read_does_not_stop_the_process_from_ending() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let (_reader, writer) = pipe()?;
    fill(&writer)?;
    let (serve, namespace) = start(control_plane, "logs-asleep", writer, "info").await?;
    works(control_plane, &serve, &namespace).await?;
    serve.stop().await
}

#[test]
fn a_failing_start_ends_with_its_status_without_a_log() -> Result<()> {
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
