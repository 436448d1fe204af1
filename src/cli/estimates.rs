//! The estimates of a cluster, read with the permissions of the person who asks. Nothing is written.
//!
//! | permission | what is read |
//! | --- | --- |
//! | to list estimates everywhere | all |
//! | to list namespaces | those of each namespace where estimates may be listed |
//! | none of these | those of the context's namespace |

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::config::KubeConfigOptions;
use kube::{Api, Client, ResourceExt as _};

use super::connection::of_kubeconfig;
use crate::api::v1alpha1::TrainingEstimate;
use crate::pages::estimates::Seen;

/// Objects of one answer of the apiserver.
const PAGE: u32 = 500;
/// Estimates that are read at most.
const MOST: usize = 20_000;
/// Namespaces that are read at once.
const AT_ONCE: usize = 8;

/// Which cluster, and which namespace.
#[derive(Args, Debug)]
pub(super) struct Cluster {
    /// The namespace [default: that of the context]
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// Which cluster.
#[derive(Args, Debug)]
pub(super) struct Access {
    /// The context of the kubeconfig file
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig file [default: as kubectl finds it]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// A person with permissions in a cluster.
pub(super) struct Viewer {
    client: Client,
    namespace: String,
    /// How the kubeconfig names the cluster.
    pub(super) cluster: String,
}

impl Viewer {
    /// The person of the kubeconfig, in a namespace.
    pub(super) async fn of(cluster: &Cluster) -> Result<Self> {
        let viewer = Self::with(&cluster.access).await?;
        let namespace = cluster.namespace.clone().unwrap_or_else(|| viewer.namespace.clone());
        Ok(Self { namespace, ..viewer })
    }

    /// The person of the kubeconfig.
    pub(super) async fn with(access: &Access) -> Result<Self> {
        let options = KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
        let config = of_kubeconfig(access.kubeconfig.as_deref(), &options).await?;
        let cluster = config.cluster_url.host().unwrap_or_default().to_owned();
        let namespace = config.default_namespace.clone();
        Ok(Self { client: Client::try_from(config)?, namespace, cluster })
    }

    /// The estimates of the namespace.
    pub(super) async fn of_the_namespace(&self) -> Result<Vec<TrainingEstimate>> {
        list(&Api::namespaced(self.client.clone(), &self.namespace)).await.map_err(explained)
    }

    /// The estimates of all namespaces.
    pub(super) async fn of_all(&self) -> Result<Vec<TrainingEstimate>> {
        list(&Api::all(self.client.clone())).await.map_err(explained)
    }

    /// One estimate. `None` if it is not there.
    pub(super) async fn one(&self, namespace: &str, name: &str) -> Result<Option<TrainingEstimate>> {
        let api: Api<TrainingEstimate> = Api::namespaced(self.client.clone(), namespace);
        api.get_opt(name).await.map_err(explained)
    }

    /// The estimates that may be read: those of the named namespaces, or of all.
    pub(super) async fn seen(&self, namespaces: &[String]) -> Result<Seen> {
        if !namespaces.is_empty() {
            return self.of_each(namespaces.to_vec()).await;
        }
        match list(&Api::all(self.client.clone())).await {
            Ok(estimates) => return Ok(Seen { estimates, hidden: 0 }),
            Err(error) if is_forbidden(&error) => {}
            Err(error) => return Err(explained(error)),
        }
        let all: Result<Vec<Namespace>, _> = list(&Api::all(self.client.clone())).await;
        match all {
            Ok(all) => self.of_each(all.iter().map(Namespace::name_any).collect()).await,
            Err(error) if is_forbidden(&error) => self.of_each(vec![self.namespace.clone()]).await,
            Err(error) => Err(explained(error)),
        }
    }

    async fn of_each(&self, namespaces: Vec<String>) -> Result<Seen> {
        let of_one = |namespace: String| async move {
            list::<TrainingEstimate>(&Api::namespaced(self.client.clone(), &namespace)).await
        };
        let number = namespaces.len();
        let mut answers = stream::iter(namespaces).map(of_one).buffer_unordered(AT_ONCE);
        let mut seen = Seen::default();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(estimates) => seen.estimates.extend(estimates),
                Err(error) if is_forbidden(&error) => seen.hidden += 1,
                Err(error) => return Err(explained(error)),
            }
        }
        if number > 0 && seen.hidden == number {
            bail!(
                "you may not list trainingestimates in {}",
                if number == 1 {
                    "this namespace: name others with -n".to_owned()
                } else {
                    format!("any of {number} namespaces: name others with -n")
                }
            );
        }
        Ok(seen)
    }
}

/// All objects, page by page.
async fn list<K>(api: &Api<K>) -> Result<Vec<K>, kube::Error>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let (mut objects, mut next) = (Vec::new(), ListParams::default().limit(PAGE));
    loop {
        let page = api.list(&next).await?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty() && objects.len() < MOST) {
            Some(token) => next = next.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// The error in words for the person who asked.
fn explained(error: kube::Error) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            anyhow::anyhow!("the cluster has no TrainingEstimates: weighbridge is not installed there")
        }
        kube::Error::Api(status) => anyhow::anyhow!("{}", status.message),
        error => anyhow::Error::new(error).context("the cluster does not answer"),
    }
}
