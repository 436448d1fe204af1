//! Two replicas behind one address: one is killed, or is of another version.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::line::Line;
use super::load::{AT_ONCE, Expected, Load};
use super::{NAMESPACE, SOON, fits};
use crate::cluster::gate::{create, weighbridge};
use crate::cluster::jobs::fitting;
use crate::controlplane::{Among, ControlPlane, Reach, Serve, Setup, wait_until};

/// Replicas that share a configuration, an authority and a lease, and the Service's address before them.
struct Pair {
    one: Serve,
    other: Serve,
    // Connections end with it.
    _service: Line,
}

impl Pair {
    async fn start(control_plane: &ControlPlane, one: PathBuf, other: PathBuf) -> Result<Self> {
        let service = Line::listen().await?;
        let address = service.address()?;
        // The ports are known once both run, and they are ready only if the address leads to them.
        let ports = (Line::free_port().await?, Line::free_port().await?);
        let service = service.open(vec![ports.0, ports.1])?;
        let setup = |name: &str, listen: std::net::SocketAddr| Setup {
            home: "pair".to_owned(),
            among: Some(Among { configuration: "pair".to_owned(), service: address, listen }),
            ..Setup::new(name, Reach::Everything)
        };
        let one = Serve::start(control_plane, &one, setup("pair-one", ports.0)).await?;
        let other = Serve::start(control_plane, &other, setup("pair-other", ports.1)).await?;
        Ok(Self { one, other, _service: service })
    }
}

async fn leads(serve: &Serve) -> Result<bool> {
    Ok(serve.metrics().await?.sum("leader_election_master_status", &[]) > 0.5)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn a_killed_leader_costs_at_most_the_requests_that_it_held() -> Result<()> {
    let control_plane = super::control_plane().await?;
    let client = control_plane.admin()?;
    let Pair { one, other, _service } =
        Pair::start(&control_plane, weighbridge().into(), weighbridge().into()).await?;
    wait_until("the first to lead", SOON, || leads(&one)).await?;
    let load = Load::start(client.clone(), Expected::Enforced).await?;
    load.goes_on(200).await?;
    one.kill()?;
    let since = std::time::Instant::now();
    create(&client, NAMESPACE, &fitting("late")?).await?.context("it was not admitted")?;
    fits(&client, "pytorchjob-late").await.map_err(|error| other.with_log(&error))?;
    let recovery = since.elapsed();
    load.goes_on(200).await?;
    let tally = load.stop().await?;
    println!("the leader killed: {tally}; estimates right after {:.1} s", recovery.as_secs_f64());
    ensure!(tally.wrong.is_empty() && tally.lost.len() <= AT_ONCE, "{tally}");
    ensure!(leads(&other).await?, "no replica leads");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn replicas_of_two_versions_judge_side_by_side_and_do_not_quarrel() -> Result<()> {
    let previous = std::env::var_os("WEIGHBRIDGE_PREVIOUS");
    let previous = previous.context("WEIGHBRIDGE_PREVIOUS names no older program: run `make test-faults`")?;
    for (one, other) in [
        (PathBuf::from(&previous), weighbridge().to_owned()),
        (weighbridge().to_owned(), PathBuf::from(&previous)),
    ] {
        let control_plane = super::control_plane().await?;
        let client = control_plane.admin()?;
        let pair = Pair::start(&control_plane, one, other).await?;
        let load = Load::start(client.clone(), Expected::Enforced).await?;
        let mut estimates = Vec::new();
        for number in 0..10 {
            let name = format!("side-by-side-{number}");
            create(&client, NAMESPACE, &fitting(&name)?).await??;
            estimates.push(format!("pytorchjob-{name}"));
            load.goes_on(50).await?;
        }
        for name in &estimates {
            fits(&client, name).await?;
        }
        // The other one leads now, and judges what it finds as well.
        let Pair { one, other, _service } = pair;
        let (leader, follower) = if leads(&one).await? { (one, other) } else { (other, one) };
        let written = async || -> Result<usize> {
            let events = control_plane.audit_events_of("admin")?;
            let about = |event: &&crate::controlplane::AuditEvent| {
                event.object_ref["resource"] == "trainingestimates" && event.verb != "create"
            };
            Ok(events.iter().filter(about).count())
        };
        let before = written().await?;
        leader.kill()?;
        wait_until("the other to lead", SOON, || leads(&follower)).await?;
        create(&client, NAMESPACE, &fitting("handed-over")?).await?.context("it was not admitted")?;
        fits(&client, "pytorchjob-handed-over").await.map_err(|error| follower.with_log(&error))?;
        load.goes_on(200).await?;
        let more = written().await? - before;
        let tally = load.stop().await?;
        println!("two versions: {tally}; {more} writes of estimates after the change of the leader");
        ensure!(tally.wrong.is_empty() && tally.lost.len() <= AT_ONCE, "{tally}");
        // Each estimate once, if the versions judge differently, and the new one a few times.
        ensure!(more <= 2 * estimates.len() + 10, "{more} writes: they quarrel");
    }
    Ok(())
}
