//! What a neighbour waits while a tenant keeps 200 reviews of the most expensive script open.
//!
//! The neighbour sends one refused job after another, at a steady rate, first alone and then beside the flood. Both
//! come from one address, as behind one apiserver. The client of the flood runs on the same processors: how long the
//! server's ordinary threads waited for a processor shows how much of the wait is not the server's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::client::{Answers, Server};
use crate::controlplane::{ControlPlane, Serve};
use crate::documents::{REFUSED, running, worst_script};
use crate::figures::{median, percentile};
use crate::process::Process;
use crate::reviews::{NUMBER, Review, numbered};

const OPEN: usize = 200;
const REVIEWS: usize = 500;
const RATE: f64 = 100.0;

pub(crate) async fn measure(control_plane: &ControlPlane, serve: &Serve, runs: usize) -> Result<()> {
    let (alice, bob) = (control_plane.namespace(&[]).await?, control_plane.namespace(&[]).await?);
    let (server, process) = (Server::new(serve.webhook(), "/validate")?, Process(serve.id()));
    let refused: Value = serde_saphyr::from_str(REFUSED)?;
    let review = Review::new(bob.name(), "pytorchjobs", &numbered(refused));
    let mut script = running(&worst_script());
    script["metadata"]["annotations"] = json!({"number": NUMBER});
    let script = Arc::new(Review::new(alice.name(), "jobs", &script));
    println!(
        "\nA neighbour's {REVIEWS} reviews, {RATE} a second, beside {OPEN} open reviews of a flood; in ms\n"
    );
    println!(
        "{:>4} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7} {:>12} {:>12}",
        "RUN", "P50", "FLOODED", "P99", "FLOODED", "P50 ×", "P99 ×", "WAITED", "FLOOD"
    );
    let mut ratios = Vec::new();
    for run in 1..=runs {
        let alone = asked(&server, &review).await?;
        let flood = Flood::start(server.clone(), script.clone());
        // Until the flood is known for what it is: the first second is what a tenant's first dry runs cost others.
        let waited = process.waited()?;
        let flooded = asked(&server, &review).await?;
        let waited = process.waited()?.saturating_sub(waited).as_secs_f64() * 1e3 / REVIEWS as f64;
        let answered = flood.stop()?;
        let [alone, flooded] =
            [alone, flooded].map(|answers| [50, 99].map(|p| percentile(&answers.times, p)));
        let [middle, tail] = [flooded[0] / alone[0], flooded[1] / alone[1]];
        ratios.push(tail);
        println!(
            "{run:>4} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {middle:>7.2} {tail:>7.2} {waited:>9.2} ms {answered:>12}",
            alone[0], flooded[0], alone[1], flooded[1],
        );
    }
    println!("the median of P99 × is {:.2}", median(&ratios));
    Ok(())
}

/// The neighbour's reviews. Each must be refused: one that is admitted was not judged.
async fn asked(server: &Server, review: &Review) -> Result<Answers> {
    let answers = server.ask_at(review, 1, RATE, REVIEWS).await?;
    ensure!(answers.admitted == 0, "{} of the neighbour's jobs were admitted unjudged", answers.admitted);
    Ok(answers)
}

/// The flood, on a thread of its own.
struct Flood {
    stopped: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<Result<()>>,
}

impl Flood {
    fn start(server: Server, review: Arc<Review>) -> Self {
        let (stopped, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let thread = {
            let (stopped, answered) = (stopped.clone(), answered.clone());
            std::thread::spawn(move || keep_open(&server, &review, &stopped, &answered))
        };
        Self { stopped, answered, thread }
    }

    /// Ends it, and returns how many of its reviews were answered.
    fn stop(self) -> Result<usize> {
        self.stopped.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the flood panicked"))??;
        Ok(self.answered.load(Ordering::Relaxed))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn keep_open(
    server: &Server,
    review: &Arc<Review>,
    stopped: &Arc<AtomicBool>,
    answered: &Arc<AtomicUsize>,
) -> Result<()> {
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..OPEN {
        let (server, review, answered) = (server.clone(), review.clone(), answered.clone());
        senders.spawn(async move {
            let mut connection = server.connect().await?;
            loop {
                connection.ask(&review).await?;
                answered.fetch_add(1, Ordering::Relaxed);
            }
            #[expect(unreachable_code, reason = "gives the type of its error")]
            anyhow::Ok(())
        });
    }
    let started = Instant::now();
    while !stopped.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if let Some(ended) = senders.try_join_next() {
            ended??;
        }
        ensure!(started.elapsed() < Duration::from_mins(10), "the flood was not stopped");
    }
    // Dropping the connections ends what still waits for its turn.
    senders.abort_all();
    Ok(())
}
