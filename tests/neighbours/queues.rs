//! The admission check in the queues of the real Kueue.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{
    Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::kueue::Kueue;
use crate::cluster::gate::{condition, create, weighbridge};
use crate::cluster::jobs::{WHOLE, annotated, job, pytorchjob};
use crate::controlplane::{ControlPlane, Options, Reach, Serve, Setup, Shared, wait_for};

const PRODUCT: &str = "nvidia.com/gpu.product";
const H100: &str = "NVIDIA-H100-80GB-HBM3";
/// The first pause of a workload that is tried again is a minute.
const SOON: Duration = Duration::from_mins(3);
/// The checks of most queues.
const CHECKED: &[&str] = &["memory"];

/// A control plane with Kueue, and a flavor for each of two accelerators.
struct Hall {
    control_plane: &'static ControlPlane,
    kueue: Kueue,
}

impl Hall {
    async fn shared() -> Result<&'static Self> {
        static CONTROL_PLANE: Shared = Shared::new(Options::standard);
        static HALL: OnceCell<Result<Hall, String>> = OnceCell::const_new();
        let start = || async {
            let control_plane = CONTROL_PLANE.get().await?;
            let hall = Self { control_plane, kueue: Kueue::start(control_plane).await? };
            for (flavor, product) in [("a10", "NVIDIA-A10"), ("h100", H100)] {
                hall.create("ResourceFlavor", flavor, json!({"nodeLabels": {PRODUCT: product}})).await?;
            }
            hall.create("AdmissionCheck", "memory", json!({"controllerName": "weighbridge.dev/memory"}))
                .await?;
            Ok(hall)
        };
        let hall =
            HALL.get_or_init(|| async { start().await.map_err(|error: anyhow::Error| format!("{error:#}")) });
        hall.await.as_ref().map_err(|error| anyhow!("Kueue: {error}"))
    }

    /// Creates an object of the cluster.
    async fn create(&self, kind: &str, name: &str, spec: Value) -> Result<()> {
        let object = json!({
            "apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        let api: Api<DynamicObject> = Api::all_with(self.control_plane.admin()?, &resource(kind));
        api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        Ok(())
    }

    /// A team of this name, which has weighbridge for itself.
    async fn team(&'static self, name: &str) -> Result<Team> {
        let labels = [("weighbridge.dev/mode", "enforce")];
        let namespace = self.control_plane.guarded_namespace(name, &labels).await?.name().to_owned();
        let setup = Setup {
            arguments: vec!["--kueue-check".to_owned()],
            failure_policy: "Ignore",
            ..Setup::new(name, Reach::Namespaces(vec![namespace.clone()]))
        };
        let mut team = Team { hall: self, client: self.control_plane.admin()?, namespace, serve: None };
        team.start(setup).await?;
        Ok(team)
    }
}

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("kueue.x-k8s.io", "v1beta2", kind))
}

/// A namespace with its own weighbridge, which may be away.
struct Team {
    hall: &'static Hall,
    client: Client,
    namespace: String,
    serve: Option<Serve>,
}

impl Team {
    async fn start(&mut self, setup: Setup) -> Result<()> {
        self.serve = Some(Serve::start(self.hall.control_plane, weighbridge(), setup).await?);
        Ok(())
    }

    fn kill(&mut self) -> Result<Setup> {
        self.serve.take().context("it is away")?.kill()
    }

    async fn stop(mut self) -> Result<()> {
        self.serve.take().context("it is away")?.stop().await
    }

    /// Opens a queue with these flavors, in this order, and 16 accelerators of each. Its name is that of the namespace's queue
    /// and, with the namespace, that of the cluster's.
    async fn queue(&self, name: &str, flavors: &[&str], checks: &[&str]) -> Result<()> {
        let of_cluster = format!("{}-{name}", self.namespace);
        let quota = json!([{"name": "nvidia.com/gpu", "nominalQuota": 16}]);
        let flavors: Vec<Value> =
            flavors.iter().map(|name| json!({"name": name, "resources": quota})).collect();
        let checks: Vec<Value> = checks.iter().map(|name| json!({"name": name})).collect();
        let mut spec = json!({
            "namespaceSelector": {},
            "resourceGroups": [{"coveredResources": ["nvidia.com/gpu"], "flavors": flavors}],
        });
        if !checks.is_empty() {
            spec["admissionChecksStrategy"] = json!({"admissionChecks": checks});
        }
        self.hall.create("ClusterQueue", &of_cluster, spec).await?;
        let queue = json!({
            "apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "LocalQueue", "metadata": {"name": name},
            "spec": {"clusterQueue": of_cluster},
        });
        create(&self.client, &self.namespace, &queue).await??;
        Ok(())
    }

    /// Submits a job to a queue.
    async fn submit(&self, mut job: Value, queue: &str) -> Result<DynamicObject> {
        job["metadata"]["labels"] = json!({"kueue.x-k8s.io/queue-name": queue});
        create(&self.client, &self.namespace, &job).await?.with_context(|| format!("{job}"))
    }

    /// The Workload of a job, once it is as wanted.
    async fn workload(
        &self,
        job: &DynamicObject,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let workloads = self.workloads();
        let uid = job.uid().context("it has no uid")?;
        let what = format!("the Workload of {} to be {what}", job.name_any());
        self.soon(&what, wanted, || async {
            let all = workloads.list(&ListParams::default()).await?;
            let owned =
                |workload: &&DynamicObject| workload.owner_references().iter().any(|it| it.uid == uid);
            Ok(all.iter().find(owned).context("there is none")?.clone())
        })
        .await
    }

    /// A job, once it is as wanted.
    async fn job(&self, job: &DynamicObject, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let types = job.types.clone().context("it has no kind")?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
        let jobs: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let name = job.name_any();
        let get = || async { Ok(jobs.get(&name).await?) };
        self.soon(&format!("{name} to be {what}"), wanted, get).await
    }

    async fn soon<F>(
        &self,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
        mut get: impl FnMut() -> F,
    ) -> Result<Value>
    where
        F: Future<Output = Result<DynamicObject>>,
    {
        let found = wait_for(what, SOON, || {
            let got = get();
            async {
                let object = serde_json::to_value(got.await?)?;
                ensure!(wanted(&object), "its status is {:#}", object["status"]);
                Ok(Some(object))
            }
        });
        found.await.map_err(|error| {
            let error =
                self.serve.as_ref().map_or_else(|| anyhow!("{error:#}"), |serve| serve.with_log(&error));
            self.hall.kueue.with_log(&error)
        })
    }

    /// What our event of this reason says to a job's author.
    async fn told(&self, job: &DynamicObject, reason: &str) -> Result<String> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let uid = job.uid();
        wait_for(&format!("the event {reason}"), SOON, || async {
            let all = events.list(&ListParams::default()).await?;
            let about =
                |event: &&Event| event.regarding.as_ref().is_some_and(|regarding| regarding.uid == uid);
            let mut of_reason = all.iter().filter(about).filter(|it| it.reason.as_deref() == Some(reason));
            Ok(Some(of_reason.next().and_then(|event| event.note.clone()).context("there is none")?))
        })
        .await
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let arguments: Vec<&str> =
            ["-n", &self.namespace].into_iter().chain(arguments.iter().copied()).collect();
        self.hall.control_plane.kubectl()?.run(&arguments).await?.success()
    }

    fn workloads(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource("Workload"))
    }

    /// Has a Workload wait for its check for an hour already.
    async fn waits_long(&self, job: &DynamicObject) -> Result<()> {
        let waiting = |workload: &Value| holds(workload, "QuotaReserved") && check(workload).0 == "Pending";
        let mut workload = self.workload(job, "waiting", waiting).await?;
        let before = Timestamp::now() - SignedDuration::from_hours(1);
        let conditions = workload["status"]["conditions"].as_array_mut().context("it has no conditions")?;
        for condition in conditions {
            condition["lastTransitionTime"] = json!(before.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        let name = workload["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let workload: DynamicObject = serde_json::from_value(workload)?;
        self.workloads().replace_status(&name, &PostParams::default(), &workload).await?;
        Ok(())
    }
}

/// Makes it fit on an A10.
const LORA: &[(&str, &str)] = &[("method", "lora"), ("lora-rank", "8")];

fn whole(name: &str) -> Value {
    annotated(job(name, 1, &[]), WHOLE)
}

/// The same by an author who is wrong about the accelerator. So it is not refused at submission.
fn mistaken(job: Value) -> Value {
    annotated(job, &[("gpu-type", "H100-80GB")])
}

fn holds(object: &Value, kind: &str) -> bool {
    condition(object, kind)["status"] == "True"
}

/// The state and the message of our check.
fn check(workload: &Value) -> (&str, &str) {
    let check = &workload["status"]["admissionChecks"][0];
    (check["state"].as_str().unwrap_or_default(), check["message"].as_str().unwrap_or_default())
}

fn flavor(workload: &Value) -> &str {
    let flavors = &workload["status"]["admission"]["podSetAssignments"][0]["flavors"];
    flavors["nvidia.com/gpu"].as_str().unwrap_or_default()
}

/// The message about the memory of a workload that does not fit.
fn refusal(workload: &Value) -> &str {
    let fits = condition(workload, "weighbridge.dev/FitsMemory");
    fits["message"].as_str().filter(|_| fits["status"] == "False").unwrap_or_default()
}

fn is_admitted(workload: &Value) -> bool {
    holds(workload, "Admitted")
}

fn is_rejected(workload: &Value) -> bool {
    workload["spec"]["active"] == false && !holds(workload, "QuotaReserved")
}

/// Refused on what was assigned, and not rejected. Kueue 0.17 keeps the quota until it tries again.
fn is_tried_again(workload: &Value) -> bool {
    let pause = &workload["status"]["requeueState"]["requeueAt"];
    workload["spec"]["active"] != false && !pause.is_null() && !refusal(workload).is_empty()
}

#[tokio::test]
#[ignore = "it needs the Kueue of `make neighbours`"]
async fn a_job_that_fits_on_the_flavor_starts() -> Result<()> {
    let team = Hall::shared().await?.team("fits").await?;
    team.queue("large", &["h100"], CHECKED).await?;
    let of_kubeflow = pytorchjob("kubeflow", 1, WHOLE);
    for (job, suspend, template) in [
        (whole("job"), "/spec/suspend", "/spec/template"),
        (of_kubeflow, "/spec/runPolicy/suspend", "/spec/pytorchReplicaSpecs/Master/template"),
    ] {
        let job = team.submit(job, "large").await?;
        let suspended = json!(true);
        assert_eq!(job.data.pointer(suspend), Some(&suspended), "Kueue suspends it first");
        let workload = team.workload(&job, "admitted", is_admitted).await?;
        let (state, message) = check(&workload);
        ensure!(
            state == "Ready" && message.contains("an H100") && message.ends_with("(flavor h100)"),
            "{message}"
        );
        assert!(holds(&workload, "weighbridge.dev/FitsMemory"));
        let started = team.job(&job, "running", |job| job.pointer(suspend) == Some(&json!(false))).await?;
        let selector = started.pointer(&format!("{template}/spec/nodeSelector"));
        assert_eq!(selector, Some(&json!({PRODUCT: H100})));
    }
    team.stop().await
}

#[tokio::test]
#[ignore = "it needs the Kueue of `make neighbours`"]
async fn a_job_that_runs_out_stays_suspended_until_it_is_changed() -> Result<()> {
    let team = Hall::shared().await?.team("runs-out").await?;
    team.queue("small", &["a10"], CHECKED).await?;
    for (job, suspend) in [
        (mistaken(whole("job")), "/spec/suspend"),
        (mistaken(pytorchjob("kubeflow", 1, WHOLE)), "/spec/runPolicy/suspend"),
    ] {
        let job = team.submit(job, "small").await?;
        let workload = team.workload(&job, "rejected", is_rejected).await?;
        let message = refusal(&workload);
        ensure!(message.contains(&format!("/{} needs ", job.name_any())), "{workload:#}");
        ensure!(message.contains("an A10 offers") && message.ends_with("(flavor a10)"), "{message}");
        assert_eq!(team.told(&job, "AdmissionCheckRejected").await?, message);
        team.job(&job, "suspended", |job| job.pointer(suspend) == Some(&json!(true))).await?;

        // Its author reads that, changes the job and has Kueue make another Workload of it.
        let kind = job.types.clone().context("it has no kind")?.kind;
        let name = job.name_any();
        let changes: Vec<String> =
            LORA.iter().map(|(key, value)| format!("weighbridge.dev/{key}={value}")).collect();
        let annotate = ["annotate", "--overwrite", kind.as_str(), name.as_str()];
        let changes = changes.iter().map(String::as_str);
        team.kubectl(&annotate.into_iter().chain(changes).collect::<Vec<_>>()).await?;
        let of_kueue = workload["metadata"]["name"].as_str().unwrap_or_default();
        team.kubectl(&["delete", "workload", of_kueue]).await?;
        let workload = team.workload(&job, "admitted", is_admitted).await?;
        let (state, message) = check(&workload);
        ensure!(state == "Ready" && message.contains("an A10 offers"), "{message}");
        assert_eq!(refusal(&workload), "");
    }
    team.stop().await
}

#[tokio::test]
#[ignore = "it needs the Kueue of `make neighbours`, and takes minutes"]
async fn of_two_flavors_a_job_gets_the_one_that_holds_it_if_it_selects_that() -> Result<()> {
    let team = Hall::shared().await?.team("two-flavors").await?;
    team.queue("both", &["a10", "h100"], CHECKED).await?;
    let small = team.submit(annotated(whole("small"), LORA), "both").await?;
    let workload = team.workload(&small, "admitted", is_admitted).await?;
    assert_eq!((flavor(&workload), check(&workload).0), ("a10", "Ready"));

    let job = team.submit(whole("large"), "both").await?;
    let workload = team.workload(&job, "tried again", is_tried_again).await?;
    let message = refusal(&workload);
    ensure!(message.contains("an A10 offers"), "{message}");
    ensure!(
        message.contains("(flavor a10); flavor h100 may do, and the queue chooses again in "),
        "{message}"
    );
    let selector = format!("a job with the nodeSelector {{{PRODUCT}: {H100}}} gets only h100");
    ensure!(message.ends_with(&selector), "{message}");
    assert_eq!(team.told(&job, "AdmissionCheckRetry").await?, message);

    // It is not tried again for ever.
    let of_kueue = workload["metadata"]["name"].as_str().unwrap_or_default();
    let count = r#"[{"op": "add", "path": "/status/admissionChecks/0/retryCount", "value": 3}]"#;
    team.kubectl(&["patch", "workload", of_kueue, "--subresource=status", "--type=json", "-p", count])
        .await?;
    let workload = team.workload(&job, "rejected", is_rejected).await?;
    ensure!(refusal(&workload).contains("flavor h100 may do, and was not assigned"), "{workload:#}");

    // As the message says. Kueue would undo such a change of the job that it has.
    team.kubectl(&["delete", "job", "large"]).await?;
    let mut selecting = whole("large");
    selecting["spec"]["template"]["spec"]["nodeSelector"] = json!({PRODUCT: H100});
    let job = team.submit(selecting, "both").await?;
    let workload = team.workload(&job, "admitted", is_admitted).await?;
    assert_eq!((flavor(&workload), check(&workload).0), ("h100", "Ready"));
    team.job(&job, "running", |job| job["spec"]["suspend"] == false).await?;
    team.stop().await
}

#[tokio::test]
#[ignore = "it needs the Kueue of `make neighbours`"]
async fn a_job_of_which_too_few_pods_start_is_tried_again() -> Result<()> {
    let team = Hall::shared().await?.team("fewer").await?;
    team.queue("large", &["h100"], CHECKED).await?;
    let first = team.submit(whole("first"), "large").await?;
    team.workload(&first, "admitted", is_admitted).await?;
    // Seventy billion parameters fit on H100s if 64 share them. The queue has eight left.
    let sharded =
        &[("model", "llama-2-70b"), ("sharding", "fsdp"), ("framework", "fsdp"), ("precision", "fp32")];
    let mut large = annotated(annotated(job("large", 8, &[]), WHOLE), sharded);
    large["metadata"]["annotations"]["kueue.x-k8s.io/job-min-parallelism"] = json!("1");
    let large = team.submit(large, "large").await?;
    let workload = team.workload(&large, "tried again", is_tried_again).await?;
    let message = refusal(&workload);
    ensure!(message.contains("(flavor h100); all its pods may do"), "{message}");
    team.stop().await
}

#[tokio::test]
#[ignore = "it needs the Kueue of `make neighbours`"]
async fn a_check_that_is_added_later_stops_no_job() -> Result<()> {
    let team = Hall::shared().await?.team("later").await?;
    team.queue("small", &["a10"], &[]).await?;
    let job = team.submit(mistaken(whole("job")), "small").await?;
    team.workload(&job, "admitted", is_admitted).await?;
    let strategy = json!({"spec": {"admissionChecksStrategy": {"admissionChecks": [{"name": "memory"}]}}});
    let queues: Api<DynamicObject> = Api::all_with(team.client.clone(), &resource("ClusterQueue"));
    let of_cluster = format!("{}-small", team.namespace);
    queues.patch(&of_cluster, &PatchParams::default(), &Patch::Merge(strategy)).await?;
    let workload = team.workload(&job, "answered", |workload| check(workload).0 == "Ready").await?;
    ensure!(check(&workload).1.ends_with("admitted, because it has started"), "{workload:#}");
    assert!(is_admitted(&workload) && !holds(&workload, "Evicted"));
    team.stop().await
}

#[tokio::test]
#[ignore = "it needs the Kueue of `make neighbours`"]
async fn what_waits_while_no_replica_leads_is_answered_by_the_next() -> Result<()> {
    let mut team = Hall::shared().await?.team("away").await?;
    team.queue("large", &["h100"], CHECKED).await?;
    team.queue("small", &["a10"], CHECKED).await?;
    let setup = team.kill()?;
    let fits = team.submit(mistaken(whole("fits")), "large").await?;
    let runs_out = team.submit(mistaken(whole("runs-out")), "small").await?;
    team.waits_long(&fits).await?;
    team.waits_long(&runs_out).await?;
    team.start(setup).await?;
    team.workload(&fits, "admitted", is_admitted).await?;
    team.workload(&runs_out, "rejected", is_rejected).await?;
    team.stop().await
}
