//! A command's connection to the cluster: by the given file, else as a pod's service account or as kubectl connects.

use std::error::Error as _;
use std::io;
use std::path::Path;

use anyhow::{Result, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// The configuration by a kubeconfig file: the given one, else that of kubectl.
pub(super) async fn of_kubeconfig(file: Option<&Path>, options: &KubeConfigOptions) -> Result<Config> {
    let config = match file {
        Some(file) => match Kubeconfig::read_from(file) {
            Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, options).await,
            Err(error) => Err(error),
        },
        None => Config::from_kubeconfig(options).await,
    };
    config.map_err(|error| match file {
        Some(_) => anyhow!("the kubeconfig cannot be used: {}", cause(&error)),
        None => anyhow!("no cluster is configured: {}; give --kubeconfig FILE", cause(&error)),
    })
}

/// A client of the cluster.
pub(super) async fn client(kubeconfig: Option<&Path>) -> Result<Client> {
    let config = match kubeconfig {
        Some(_) => of_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?,
        None => Config::infer().await.map_err(|error| {
            let kubeconfig = error.source().and_then(|source| source.downcast_ref::<KubeconfigError>());
            let cause = kubeconfig.map_or_else(|| error.to_string(), cause);
            anyhow!("no cluster is configured: {cause}; give --kubeconfig FILE, or run in a pod")
        })?,
    };
    Ok(Client::try_from(config)?)
}

/// The cause in one line. The library's own text tells that of a file twice.
fn cause(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(cause, file) if cause.kind() == io::ErrorKind::NotFound => {
            format!("there is no file {}", file.display())
        }
        KubeconfigError::ReadConfig(cause, file) => format!("{}: {cause}", file.display()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_is_missing_is_told_once() {
        let file = Path::new("/nowhere/config");
        let error = of_kubeconfig(Some(file), &KubeConfigOptions::default()).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "the kubeconfig cannot be used: there is no file /nowhere/config");
        let error = client(Some(file)).await.err().unwrap();
        assert_eq!(format!("{error:#}"), "the kubeconfig cannot be used: there is no file /nowhere/config");
    }
}
