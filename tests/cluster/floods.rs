//! Floods: bodies that would fill the memory, and reviews that would take all processor time.

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

use super::gate::{REVIEWS, SOON, create, refusal, weighbridge};
use super::jobs::{hopeless, job};
use super::stranger::{Stranger, review};
use crate::controlplane::{ControlPlane, MemoryGroup, Reach, Serve, Setup, wait_until};

/// The memory limit of the chart.
pub(crate) const LIMIT: u64 = 256 << 20;
/// The bytes of each hostile body.
const LARGE: usize = 28 << 20;
/// How many bodies are sent at once.
const AT_ONCE: usize = 100;

/// Only one flood runs at a time, because each takes the whole machine.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A replica in a cgroup with the chart's limit, and an apiserver that waits long for it.
async fn limited(name: &str, namespaces: &[&str]) -> Result<(MemoryGroup, Serve)> {
    let control_plane = ControlPlane::shared().await?;
    let group = MemoryGroup::new(LIMIT)?;
    let program = group.program(weighbridge(), control_plane.folder())?;
    let reach = Reach::Namespaces(namespaces.iter().map(|name| (*name).to_owned()).collect());
    // The machine may be compiling, and the binary may be a slow debug build.
    let arguments = vec!["--timeout-seconds=30".to_owned()];
    let serve = Serve::start(control_plane, &program, Setup { arguments, ..Setup::new(name, reach) }).await?;
    Ok((group, serve))
}

/// Repeats a text up to a number of bytes.
fn filled(piece: &str, bytes: usize) -> String {
    piece.repeat(bytes / piece.len())
}

/// A Job with a number of variables in its container.
fn with_variables(count: usize) -> Value {
    let mut job = job("variables", 1, &[]);
    let variables: Vec<_> = (0..count).map(|_| json!({"name": "A"})).collect();
    job["spec"]["template"]["spec"]["containers"][0]["env"] = variables.into();
    job
}

/// A review of a user in very many groups.
fn with_groups(review: &Bytes, bytes: usize) -> Bytes {
    let groups = format!("\"mallory\",\"groups\":[{}\"\"]", filled("\"\",", bytes));
    String::from_utf8_lossy(review).replace("\"mallory\"", &groups).into()
}

async fn ready(serve: &Serve) -> Result<bool> {
    let mut stream = tokio::net::TcpStream::connect(serve.plain()).await?;
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().is_some_and(|line| line.contains(" 200")))
}

/// Sends reviews until the future is done, and returns how many. A ready replica must refuse each.
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
            let status = refusal(create(client, namespace, &hopeless("llama")?).await?)?;
            ensure!(status.code == 403, "{}", status.message);
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
        // A sender that is cut off is not a failure of the replica.
        senders.spawn(async move { stranger.post(body).await.is_ok() });
    }
    Ok(senders.join_all().await.into_iter().filter(|answered| *answered).count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_within_the_charts_limit_survives_hostile_bodies_and_judges_meanwhile() -> Result<()> {
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
        ("groups", with_groups(&review(namespace.name(), "{}"), LARGE - 1024)),
    ];
    for (what, body) in &bodies {
        let flood = all_at_once(&stranger, body);
        let (answered, judged) = judged_during(&client, namespace.name(), &serve, flood).await?;
        println!(
            "{AT_ONCE} bodies of {what}: {answered} answered, {judged} reviews judged meanwhile, at most {} MiB",
            group.most()? >> 20
        );
    }
    // The same as a tenant may send it through the apiserver.
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

/// The slowest script that is known. No other object has the same.
pub(crate) fn slowest_script(number: usize) -> Value {
    let cases = "case x in x) ".repeat(2) + &"if a; then ".repeat(16);
    let ends = "; ".to_owned() + &"fi; ".repeat(16) + &";; esac; ".repeat(2);
    let script = format!("bash -c '{cases}{}{ends}'\n", "a;".repeat(3800)).repeat(3);
    let mut job = job("dear", 1, &[]);
    let container = &mut job["spec"]["template"]["spec"]["containers"][0];
    container["command"] = json!(["bash", "-c", script]);
    container["image"] = json!(format!("image:{number}"));
    job
}

/// Sends a number of reviews that must be refused, and returns how long each took.
async fn times(client: &Client, namespace: &str, count: usize) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..count {
        let asked = Instant::now();
        let status = refusal(create(client, namespace, &hopeless("llama")?).await?)?;
        ensure!(status.code == 403, "{}", status.message);
        times.push(asked.elapsed());
    }
    times.sort();
    Ok(times)
}

/// Sends 200 dry runs at once, and returns how many were admitted.
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
            let job: Job = serde_json::from_value(slowest_script(number))?;
            let dry_run = PostParams { dry_run: true, ..PostParams::default() };
            // The flood's own results do not matter.
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

    // A runtime of its own, so that the timed reviews do not wait for the sending of the flood.
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
