//! Floods: bodies that would fill the memory, and reviews that would take all of the time.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use hyper::body::Bytes;
use k8s_openapi::api::batch::v1::Job;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use crate::controlplane::{ControlPlane, MemoryGroup, Reach, Serve, Setup, wait_until};
use crate::gate::{REVIEWS, SOON, create, refusal, weighbridge};
use crate::jobs::{hopeless, job};
use crate::stranger::{Stranger, review};

/// The chart's limit.
const LIMIT: u64 = 256 << 20;
/// What one of the hostile bodies has.
const LARGE: usize = 28 << 20;
/// How many come at once.
const AT_ONCE: usize = 100;

/// One flood at a time: each takes the whole machine.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A replica in a cgroup of the chart's limit, whose apiserver waits long for it.
async fn limited(name: &str, namespaces: &[&str]) -> Result<(MemoryGroup, Serve)> {
    let control_plane = ControlPlane::shared().await?;
    let group = MemoryGroup::new(LIMIT)?;
    let program = group.program(weighbridge(), control_plane.folder())?;
    let reach = Reach::Namespaces(namespaces.iter().map(|name| (*name).to_owned()).collect());
    // The machine compiles meanwhile, and the binary may be a slow one.
    let arguments = vec!["--timeout-seconds=30".to_owned()];
    let serve = Serve::start(control_plane, &program, Setup { arguments, ..Setup::new(name, reach) }).await?;
    Ok((group, serve))
}

/// Repeats a piece of text up to so many bytes.
fn filled(piece: &str, bytes: usize) -> String {
    piece.repeat(bytes / piece.len())
}

/// A Job with so many variables in its container.
fn with_variables(count: usize) -> Value {
    let mut job = job("variables", 1, &[]);
    let variables: Vec<_> = (0..count).map(|_| json!({"name": "A"})).collect();
    job["spec"]["template"]["spec"]["containers"][0]["env"] = variables.into();
    job
}

async fn ready(serve: &Serve) -> Result<bool> {
    let mut stream = tokio::net::TcpStream::connect(serve.plain()).await?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().is_some_and(|line| line.contains(" 200")))
}

/// Reviews until the future is done, each of which must end in a refusal by a replica that is ready; and how many.
async fn judged_during<T>(
    client: &Client,
    namespace: &str,
    serve: &Serve,
    future: impl Future<Output = Result<T>>,
) -> Result<(T, usize)> {
    let mut future = std::pin::pin!(future);
    let mut judged = 0;
    loop {
        let asked = async {
            let said = refusal(create(client, namespace, &hopeless("llama")?).await?)?;
            ensure!(said.code == 403, "{}", said.message);
            ensure!(ready(serve).await?, "it is not ready");
            anyhow::Ok(())
        };
        tokio::select! {
            done = &mut future => return Ok((done?, judged)),
            asked = asked => asked.map_err(|error| serve.with_log(&error))?,
        }
        judged += 1;
    }
}

async fn all_at_once(stranger: &Stranger, body: &Bytes) -> Result<usize> {
    let mut senders = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (stranger, body) = (stranger.clone(), body.clone());
        // A sender who is cut off is no failure of the replica.
        senders.spawn(async move { stranger.post(body).await.is_ok() });
    }
    Ok(senders.join_all().await.into_iter().filter(|answered| *answered).count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_within_the_charts_limit_outlives_hostile_bodies_and_judges_meanwhile() -> Result<()> {
    let _alone = ALONE.lock().await;
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("limited", &[]).await?;
    let (group, serve) = limited("limited", &[namespace.name()]).await?;
    let client = control_plane.admin()?;
    let stranger = Stranger::new(&client, &serve, None).await?;
    let small_objects = format!("[{}0]", filled("{\"a\":0},", LARGE - 1024));
    let bodies = [
        ("junk", Bytes::from(filled("a", LARGE))),
        ("small objects", review(namespace.name(), &small_objects)),
        ("variables", review(namespace.name(), &with_variables(235_000).to_string())),
    ];
    for (what, body) in &bodies {
        let flood = all_at_once(&stranger, body);
        let (answered, judged) = judged_during(&client, namespace.name(), &serve, flood).await?;
        println!(
            "{AT_ONCE} bodies of {what}: {answered} answered, {judged} reviews judged meanwhile, at most {} MiB",
            group.most()? >> 20
        );
    }
    // And as a tenant may send it, whom the apiserver lets through.
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace.name());
    let large: Job = serde_json::from_value(with_variables(180_000))?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let dry_runs = async {
        let create = || jobs.create(&dry_run, &large);
        let (one, two, three) = tokio::join!(create(), create(), create());
        for answer in [one, two, three] {
            match answer {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 403 => {}
                Err(error) => return Err(error).context("a dry run of a Job of 2.9 MiB"),
            }
        }
        Ok(())
    };
    let ((), judged) = judged_during(&client, namespace.name(), &serve, Box::pin(dry_runs)).await?;
    println!("three dry runs: {judged} reviews judged meanwhile, at most {} MiB", group.most()? >> 20);

    wait_until("the memory to be given back", SOON, || async { Ok(group.bytes()? < LIMIT / 2) }).await?;
    println!("{} MiB in the end", group.bytes()? >> 20);
    let unjudged = serve.metrics().await?.sum(REVIEWS, &[("decision", "denied")]);
    ensure!(unjudged > 0.5, "nothing was judged");
    serve.stop().await
}

/// The dearest script that is known, and no other's.
fn dear(number: usize) -> Value {
    let cases = "case x in x) ".repeat(2) + &"if a; then ".repeat(16);
    let ends = "; ".to_owned() + &"fi; ".repeat(16) + &";; esac; ".repeat(2);
    let script = format!("bash -c '{cases}{}{ends}'\n", "a;".repeat(3800)).repeat(3);
    let mut job = job("dear", 1, &[]);
    let container = &mut job["spec"]["template"]["spec"]["containers"][0];
    container["command"] = json!(["bash", "-c", script]);
    container["image"] = json!(format!("image:{number}"));
    job
}

/// How long each of so many reviews took, all of which were refused.
async fn times(client: &Client, namespace: &str, count: usize) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..count {
        let asked = Instant::now();
        let said = refusal(create(client, namespace, &hopeless("llama")?).await?)?;
        ensure!(said.code == 403, "{}", said.message);
        times.push(asked.elapsed());
    }
    times.sort();
    Ok(times)
}

/// Sends 200 dry runs at once, and says how many were admitted.
#[tokio::main(flavor = "current_thread")]
async fn flood(kubeconfig: &Path, namespace: &str) -> Result<usize> {
    let options = kube::config::KubeConfigOptions::default();
    let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    let jobs: Api<Job> = Api::namespaced(Client::try_from(config)?, namespace);
    let mut flood = JoinSet::new();
    for number in 0..200 {
        let jobs = jobs.clone();
        flood.spawn(async move {
            let job: Job = serde_json::from_value(dear(number))?;
            let dry_run = PostParams { dry_run: true, ..PostParams::default() };
            // Judged, unjudged or lost: what is hers is her affair.
            anyhow::Ok(jobs.create(&dry_run, &job).await.is_ok())
        });
    }
    let mut admitted = 0;
    while let Some(ended) = flood.join_next().await {
        admitted += usize::from(ended??);
    }
    Ok(admitted)
}

fn percentile(times: &[Duration], percent: usize) -> Result<Duration> {
    times.get(times.len() * percent / 100).copied().context("no times")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_neighbour_is_admitted_unjudged_while_a_tenant_floods() -> Result<()> {
    let _alone = ALONE.lock().await;
    let control_plane = ControlPlane::shared().await?;
    let alice = control_plane.guarded_namespace("flooded", &[]).await?;
    let bob = control_plane.guarded_namespace("flooded", &[]).await?;
    let (_group, serve) = limited("flooded", &[alice.name(), bob.name()]).await?;
    let client = control_plane.admin()?;
    let alone = times(&client, bob.name(), 300).await?;

    // With a runtime of its own: what is timed must not wait for the flood's own side.
    let (kubeconfig, namespace) = (control_plane.kubeconfig(), alice.name().to_owned());
    let flood = std::thread::spawn(move || flood(&kubeconfig, &namespace));
    let flooded = times(&client, bob.name(), 300).await?;
    let still = !flood.is_finished();
    let admitted = flood.join().map_err(|_| anyhow!("the flood panicked"))??;
    for percent in [50, 95, 99] {
        let (alone, flooded) = (percentile(&alone, percent)?, percentile(&flooded, percent)?);
        println!("p{percent} alone {alone:?}, during the flood {flooded:?}");
    }
    println!(
        "{admitted} dry runs were admitted; the flood was {}",
        if still { "still going on" } else { "over" }
    );
    serve.stop().await
}
