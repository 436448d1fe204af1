//! Attacks on a replica under the chart's memory limit, from the pod network and from a tenant, while a neighbour
//! submits jobs: none of the neighbour's may be lost or wrongly decided.
//!
//! `make test-hostile` runs it, after the suites of single attacks: floods, poisoned objects, hidden trainings, values
//! of others. It prints a row for each attack.

mod network;
mod tenant;

use anyhow::{Result, ensure};
use kube::Client;

use crate::cluster::floods::LIMIT;
use crate::cluster::gate::weighbridge;
use crate::cluster::stranger::Stranger;
use crate::controlplane::{ControlPlane, MemoryGroup, Options, Reach, Serve, Setup};
use crate::faults::load::{Expected, Load};

/// The attacked, and who attacks.
struct Yard {
    serve: Serve,
    /// Alice, in a namespace of her own.
    tenant: Client,
    namespace: String,
    stranger: Stranger,
    load: Load,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-hostile"]
async fn no_attack_costs_a_neighbour_a_judgement() -> Result<()> {
    let control_plane =
        ControlPlane::start(Options { controller_manager: false, ..Options::standard()? }).await?;
    let group = MemoryGroup::new(LIMIT)?;
    let program = group.program(weighbridge(), control_plane.folder())?;
    let arguments = ["--read-config-maps", "--read-queues", "--read-claims", "--timeout-seconds=30"];
    let arguments = arguments.map(str::to_owned).to_vec();
    let setup = Setup { arguments, ..Setup::new("hostile", Reach::Everything) };
    let serve = Serve::start(&control_plane, &program, setup).await?;
    let client = control_plane.admin()?;
    let stranger = Stranger::new(&client, &serve, None).await?;
    let alice = control_plane.namespace(&[]).await?;
    let load = Load::start(client.clone(), Expected::Enforced).await?;
    let yard = Yard { serve, tenant: client, namespace: alice.name().to_owned(), stranger, load };

    println!("attack | right | lost | wrong | p50 | p99 | most memory");
    let mut broken = Vec::new();
    let mut row = |attack: &str| -> Result<()> {
        let tally = yard.load.take();
        let (p50, p99) = (tally.percentile(50).as_millis(), tally.percentile(99).as_millis());
        let (lost, wrong, most) = (tally.lost.len(), tally.wrong.len(), group.most()? >> 20);
        println!("{attack} | {} | {lost} | {wrong} | {p50} ms | {p99} ms | {most} MiB", tally.right);
        if lost + wrong > 0 {
            broken.push(format!("{attack}: {tally}"));
        }
        Ok(())
    };
    yard.load.take();
    yard.load.goes_on(network::MEANWHILE).await?;
    row("none")?;
    macro_rules! attack {
        ($attack:literal, $of:expr) => {
            $of.await.map_err(|error| yard.serve.with_log(&error.context($attack)))?;
            row($attack)?;
        };
    }
    attack!("1,000 connections that say nothing", network::silent(&yard));
    attack!("500 connections of bytes that are not TLS", network::noise(&yard));
    attack!("500 connections with half a greeting", network::half_hello(&yard));
    attack!("200 bodies that never come", network::slow_bodies(&yard));
    attack!("20 bodies that never end", network::endless_bodies(&yard));
    attack!("10,000 requests that are given up at once", network::given_up(&yard));
    attack!("YAML that explodes, in annotations", tenant::explosions(&yard));
    attack!("labels of pods with the slowest script, changed 200 times", tenant::labels(&yard));
    attack!("300 what-ifs", tenant::what_ifs(&yard));
    yard.load.goes_on(network::MEANWHILE).await?;
    row("none, afterwards")?;

    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    let (status, body) = yard.serve.probe("/readyz").await?;
    ensure!(status == 200, "{body}");
    yard.serve.stop().await
}
