//! The gate that most tests share, and a namespace behind it for each test.

use std::{collections::BTreeMap, future::Future, path::Path, time::Duration};

use anyhow::{Context as _, Result, anyhow, ensure};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
    core::Status,
};
use serde_json::Value;
use tokio::sync::OnceCell;
use weighbridge::api::v1alpha1::TrainingEstimate;

use crate::controlplane::{ControlPlane, Options, Reach, Serve, Setup, Shared, TestNamespace, wait_for};

/// Longer than the lease of a killed holder, on a machine that may be compiling.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// The metric that counts the webhook's answers.
pub(crate) const REVIEWS: &str = "weighbridge_admission_reviews_total";

/// The group that may override refusals of the shared gate.
pub(crate) const MAY_OVERRIDE: &str = "release-managers";

/// Kueue's account, which may place pods after admission.
pub(crate) const KUEUE: &str = "system:serviceaccount:kueue-system:kueue-controller-manager";

/// `weighbridge serve`, and the control plane that it guards.
pub(crate) struct Gate {
    pub(crate) control_plane: &'static ControlPlane,
    pub(crate) serve: Serve,
}

/// The binary under test.
pub(crate) fn weighbridge() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_weighbridge"))
}

impl Gate {
    /// The gate of a whole control plane. It enforces by default, like an installed one.
    pub(crate) async fn shared() -> Result<&'static Self> {
        static CONTROL_PLANE: Shared = Shared::new(Options::standard);
        static GATE: OnceCell<Result<Gate, String>> = OnceCell::const_new();
        let start = || async {
            let control_plane = CONTROL_PLANE.get().await?;
            let mut setup = Setup::new("gate", Reach::Everything);
            // The machine may be compiling, and the binary may be a slow debug build.
            let patience = "--timeout-seconds=30".to_owned();
            setup.arguments = vec![format!("--override-groups={MAY_OVERRIDE}"), patience];
            Ok(Gate { control_plane, serve: Serve::start(control_plane, weighbridge(), setup).await? })
        };
        let gate =
            GATE.get_or_init(|| async { start().await.map_err(|error: anyhow::Error| format!("{error:#}")) });
        gate.await.as_ref().map_err(|error| anyhow!("the shared gate: {error}"))
    }

    /// A namespace without a mode label.
    pub(crate) async fn yard(&self) -> Result<Yard<'_>> {
        self.yard_in_mode(None).await
    }

    /// A namespace with a mode label.
    pub(crate) async fn yard_in_mode(&self, mode: Option<&str>) -> Result<Yard<'_>> {
        let labels: Vec<_> = mode.map(|mode| ("weighbridge.dev/mode", mode)).into_iter().collect();
        Yard::new(self.control_plane, &self.serve, self.control_plane.namespace(&labels).await?)
    }
}

/// A namespace behind a gate, with an administrator's client.
pub(crate) struct Yard<'a> {
    pub(crate) control_plane: &'a ControlPlane,
    pub(crate) serve: &'a Serve,
    pub(crate) namespace: TestNamespace<'a>,
    pub(crate) client: Client,
}

impl<'a> Yard<'a> {
    pub(crate) fn new(
        control_plane: &'a ControlPlane,
        serve: &'a Serve,
        namespace: TestNamespace<'a>,
    ) -> Result<Self> {
        Ok(Self { control_plane, serve, namespace, client: control_plane.admin()? })
    }

    /// The same namespace with a client for Kueue's account. It may do anything, because RBAC is not tested here.
    pub(crate) fn by_kueue(self) -> Result<Self> {
        Ok(Self { client: self.control_plane.user(KUEUE, &["system:masters"])?, ..self })
    }

    pub(crate) fn name(&self) -> &str {
        self.namespace.name()
    }

    /// The API for objects of the same kind in this namespace.
    pub(crate) fn of_the_kind_of(&self, object: &Value) -> Result<Api<DynamicObject>> {
        Ok(Api::namespaced_with(self.client.clone(), self.name(), &resource(object)?))
    }

    pub(crate) fn estimates(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), self.name(), &ApiResource::erase::<TrainingEstimate>(&()))
    }

    /// Creates an object.
    pub(crate) async fn create(&self, object: &Value) -> Result<kube::Result<DynamicObject>> {
        create(&self.client, self.name(), object).await
    }

    /// Creates an object, and checks that it was judged: an object that was not judged looks admitted too.
    pub(crate) async fn admitted(&self, object: &Value) -> Result<DynamicObject> {
        let created = self.asked(async { Ok(self.create(object).await??) }).await?;
        self.judged("create", object).await?;
        Ok(created)
    }

    /// The same for a change by a merge patch.
    pub(crate) async fn change_admitted(&self, object: &Value, change: &Value) -> Result<DynamicObject> {
        let changed = self.asked(async { Ok(self.change(object, change).await??) }).await?;
        self.judged("patch", object).await?;
        Ok(changed)
    }

    /// Changes an object by a merge patch.
    pub(crate) async fn change(&self, object: &Value, change: &Value) -> Result<kube::Result<DynamicObject>> {
        let api = self.of_the_kind_of(object)?;
        Ok(api.patch(name(object)?, &PatchParams::default(), &Patch::Merge(change)).await)
    }

    /// Makes a request, and checks that the webhook admitted it.
    pub(crate) async fn asked<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        let before = self.admissions().await?;
        let answer = request.await?;
        ensure!(self.admissions().await? > before, "the webhook has counted no admission");
        Ok(answer)
    }

    async fn judged(&self, verb: &str, object: &Value) -> Result<()> {
        let noted = self.audited(verb, object).await?;
        ensure!(noted.contains_key("verdict"), "the audit log knows of no verdict: {noted:?}");
        Ok(())
    }

    async fn admissions(&self) -> Result<f64> {
        let metrics = self.serve.metrics().await?;
        let decided = |decision| metrics.sum(REVIEWS, &[("decision", decision)]);
        Ok(decided("allowed") + decided("warned"))
    }

    /// How many requests the webhook has answered.
    pub(crate) async fn requests(&self) -> Result<f64> {
        Ok(self.serve.metrics().await?.sum(REVIEWS, &[]))
    }

    /// The webhook's notes in the audit log about the latest request of this kind, by key without our prefix.
    pub(crate) async fn audited(&self, verb: &str, object: &Value) -> Result<BTreeMap<String, String>> {
        let plural = resource(object)?.plural;
        let noted = self.control_plane.audit_annotations(verb, &plural, self.name(), name(object)?).await?;
        let ours = noted.into_iter().filter_map(|(key, value)| {
            let (webhook, key) = key.rsplit_once('/')?;
            webhook.ends_with("weighbridge.dev").then(|| (key.to_owned(), value))
        });
        Ok(ours.collect())
    }

    /// The estimate of this name, once it is Ready for its latest spec.
    pub(crate) async fn estimate(&self, name: &str) -> Result<Value> {
        self.estimate_when(name, |_| true).await
    }

    /// The same with this verdict: an estimate follows its workload a moment later.
    pub(crate) async fn estimate_that(&self, name: &str, verdict: &str) -> Result<Value> {
        self.estimate_when(name, |estimate| estimate["status"]["verdict"] == verdict).await
    }

    pub(crate) async fn estimate_when(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        let estimates = self.estimates();
        wait_for(&format!("the estimate {name} to be Ready"), SOON, || async {
            let estimate = serde_json::to_value(estimates.get(name).await?)?;
            let current = estimate["status"]["observedGeneration"] == estimate["metadata"]["generation"];
            let ready = current && condition(&estimate, "Ready")["status"] == "True";
            ensure!(ready && holds(&estimate), "its status is {}", estimate["status"]);
            Ok(Some(estimate))
        })
        .await
        .map_err(|error| self.serve.with_log(&error))
    }
}

/// Creates an object in a namespace behind any gate.
pub(crate) async fn create(
    client: &Client,
    namespace: &str,
    object: &Value,
) -> Result<kube::Result<DynamicObject>> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource(object)?);
    Ok(api.create(&PostParams::default(), &serde_json::from_value(object.clone())?).await)
}

fn resource(object: &Value) -> Result<ApiResource> {
    let text = |field: &str| object[field].as_str().with_context(|| format!("it has no {field}"));
    let (api_version, kind) = (text("apiVersion")?, text("kind")?);
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Ok(ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind)))
}

/// The status of a refusal.
pub(crate) fn refusal<T>(answer: kube::Result<T>) -> Result<Status> {
    match answer {
        Err(kube::Error::Api(status)) => Ok(*status),
        Err(other) => Err(other.into()),
        Ok(_) => Err(anyhow!("it was admitted")),
    }
}

/// A condition of an estimate, or null if it has none of this type.
pub(crate) fn condition<'v>(estimate: &'v Value, kind: &str) -> &'v Value {
    let conditions = estimate["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

fn name(object: &Value) -> Result<&str> {
    object["metadata"]["name"].as_str().context("it has no name")
}
