//! A command's connection to the cluster: by the given file, else as a pod's service account or as kubectl connects.

use std::error::Error as _;
use std::path::Path;

use anyhow::{Result, anyhow};
use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// The error outside of a cluster without a kubeconfig file. The library's own text tells the same cause four times.
fn not_configured(error: &InferConfigError) -> anyhow::Error {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    anyhow!("no cluster is configured: {cause}; give --kubeconfig FILE, or run in a pod")
}

/// A client of the cluster.
pub(super) async fn client(kubeconfig: Option<&Path>) -> Result<Client> {
    let config = match kubeconfig {
        Some(file) => {
            let unreadable = |error: KubeconfigError| {
                // The library's own text names the file too.
                let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                anyhow!("the kubeconfig {} cannot be read: {cause}", file.display())
            };
            let kubeconfig = Kubeconfig::read_from(file).map_err(unreadable)?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?
        }
        None => Config::infer().await.map_err(|error| not_configured(&error))?,
    };
    Ok(Client::try_from(config)?)
}
