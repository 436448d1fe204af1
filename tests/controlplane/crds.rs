//! Installing CustomResourceDefinitions, to the point where their objects can be created.

use std::{
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::{ClusterResourceScope, serde::de::DeserializeOwned};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use serde_json::Value;

use super::{ControlPlane, wait::wait_until};

const DEADLINE: Duration = Duration::from_mins(1);

impl ControlPlane {
    /// Installs what the files define and waits until it is served. Controllers that already run (the
    /// garbage collector) may take a while to notice: what all tests need belongs in
    /// [`Options::crds`](super::Options::crds).
    pub async fn install_crds(&self, files: &[PathBuf]) -> Result<()> {
        install(&self.admin()?, files).await
    }
}

pub(super) async fn install(client: &Client, files: &[PathBuf]) -> Result<()> {
    // All first, then the waiting: the server establishes them side by side.
    let mut definitions = Vec::new();
    for file in files {
        definitions.extend(apply(client, file).await.with_context(|| file.display().to_string())?);
    }
    for definition in &definitions {
        wait_until_served(client, definition).await?;
    }
    Ok(())
}

/// Applies everything in the file, and returns the definitions.
async fn apply(client: &Client, file: &Path) -> Result<Vec<CustomResourceDefinition>> {
    let mut definitions = Vec::new();
    for document in serde_saphyr::from_multiple::<Value>(&fs::read_to_string(file)?)? {
        match document["kind"].as_str() {
            Some("CustomResourceDefinition") => definitions.push(apply_one(client, &document).await?),
            // Those who may use what is defined.
            Some("ClusterRole") => drop(apply_one::<ClusterRole>(client, &document).await?),
            _ => bail!("holds a {}", document["kind"]),
        }
    }
    Ok(definitions)
}

/// Server-side, since PyTorchJob's definition is larger than the annotation of a client-side apply may be.
async fn apply_one<K>(client: &Client, document: &Value) -> Result<K>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + Debug + DeserializeOwned,
{
    let name = document["metadata"]["name"].as_str().context("holds an object without a name")?;
    let manager = PatchParams::apply("weighbridge-tests").force();
    Ok(Api::<K>::all(client.clone()).patch(name, &manager, &Patch::Apply(document)).await?)
}

/// The condition Established comes a moment before the first request is answered; an answered request
/// implies it.
async fn wait_until_served(client: &Client, definition: &CustomResourceDefinition) -> Result<()> {
    let spec = &definition.spec;
    for version in spec.versions.iter().filter(|version| version.served) {
        let kind = GroupVersionKind::gvk(&spec.group, &version.name, &spec.names.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, &spec.names.plural);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let what = format!("{} to be served as {}", spec.names.plural, resource.api_version);
        let one = ListParams::default().limit(1);
        wait_until(&what, DEADLINE, || async {
            api.list(&one).await?;
            Ok(true)
        })
        .await?;
    }
    Ok(())
}
