//! Jobs that are submitted all the time, by dry runs: every other one must be refused.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::NAMESPACE;
use crate::cluster::jobs::{fitting, hopeless};
use crate::controlplane::wait_until;

/// How many jobs are submitted at once.
pub(crate) const AT_ONCE: usize = 4;
/// How long a client waits for the apiserver. Longer than the apiserver waits for the webhook.
const PATIENCE: Duration = Duration::from_secs(20);

/// What must become of a job that does not fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Expected {
    /// It is refused.
    Enforced,
    /// It is admitted.
    Warned,
}

/// What became of the jobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Answered as they must be.
    pub(crate) right: usize,
    /// The webhook was not reached, or gave no answer.
    pub(crate) lost: Vec<String>,
    /// Answered otherwise.
    pub(crate) wrong: Vec<String>,
    /// The apiserver itself did not answer.
    pub(crate) unanswered: usize,
    /// How long the right answers took.
    times: Vec<Duration>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { right, lost, wrong, unanswered, .. } = self;
        write!(
            f,
            "{right} right, {} lost, {} wrong, {unanswered} without an apiserver",
            lost.len(),
            wrong.len()
        )?;
        lost.iter().chain(wrong).take(3).try_for_each(|said| write!(f, "; {said}"))
    }
}

impl Tally {
    /// How long this share of the right answers took at most.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(times.len() * percent / 100).copied().unwrap_or_default()
    }

    fn add(&mut self, hopeless: bool, expected: Expected, answer: &kube::Result<DynamicObject>) {
        let refuse = hopeless && expected == Expected::Enforced;
        match answer {
            Ok(_) if refuse => self.wrong.push("a job that does not fit was admitted".to_owned()),
            Ok(_) => self.right += 1,
            Err(kube::Error::Api(status)) if status.message.contains("failed calling webhook") => {
                self.lost.push(status.message.clone());
            }
            Err(kube::Error::Api(status)) if status.message.contains("denied the request") => {
                if refuse {
                    self.right += 1;
                } else {
                    self.wrong.push(status.message.clone());
                }
            }
            Err(_) => self.unanswered += 1,
        }
    }
}

/// Running load.
pub(crate) struct Load {
    tally: watch::Sender<Tally>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts, and waits until some jobs were answered.
    pub(crate) async fn start(client: Client, expected: Expected) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let tally = watch::Sender::new(Tally::default());
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("kubeflow.org", "v1", "PyTorchJob"));
        let jobs: Api<DynamicObject> = Api::namespaced_with(client, NAMESPACE, &resource);
        let objects: [(bool, DynamicObject); 2] = [
            (true, serde_json::from_value(hopeless("load-refused")?)?),
            (false, serde_json::from_value(fitting("load-admitted")?)?),
        ];
        let mut tasks = Vec::new();
        for _ in 0..AT_ONCE {
            let (jobs, objects, sender, stopped) =
                (jobs.clone(), objects.clone(), tally.clone(), stopped.clone());
            tasks.push(tokio::spawn(async move {
                let dry_run = PostParams { dry_run: true, ..PostParams::default() };
                while !*stopped.borrow() {
                    for (hopeless, object) in &objects {
                        // An error may come at once.
                        tokio::task::yield_now().await;
                        let asked = Instant::now();
                        let answer = tokio::time::timeout(PATIENCE, jobs.create(&dry_run, object)).await;
                        sender.send_modify(|tally| match answer {
                            Ok(answer) => {
                                tally.add(*hopeless, expected, &answer);
                                tally.times.push(asked.elapsed());
                            }
                            Err(_) => tally.unanswered += 1,
                        });
                    }
                }
            }));
        }
        let load = Self { tally, stop, tasks };
        load.goes_on(50).await?;
        Ok(load)
    }

    /// Waits until so many more jobs were answered rightly.
    pub(crate) async fn goes_on(&self, more: usize) -> Result<()> {
        let until = self.tally.borrow().right + more;
        wait_until("jobs to be answered", super::SOON, || async {
            let tally = self.tally.borrow();
            ensure!(tally.right >= until, "{}", *tally);
            Ok(true)
        })
        .await
    }

    /// What became of the jobs since the last time.
    pub(crate) fn take(&self) -> Tally {
        let mut taken = Tally::default();
        self.tally.send_modify(|tally| taken = std::mem::take(tally));
        taken
    }

    pub(crate) async fn stop(mut self) -> Result<Tally> {
        self.stop.send_replace(true);
        for task in &mut self.tasks {
            task.await?;
        }
        Ok(self.tally.borrow().clone())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
