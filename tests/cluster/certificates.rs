//! Certificates that change under load: the CA by rotation, and files that another program renews.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use super::ca::Ca;
use super::gate::weighbridge;
use super::gate::{SOON, create, refusal};
use super::jobs::hopeless;
use crate::controlplane::{ControlPlane, Reach, Serve, Setup, wait_until};

/// The certificate of the CA that signs.
async fn signing(client: &Client, home: &str) -> Result<Vec<u8>> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), home);
    let data = secrets.get("weighbridge-ca").await?.data.context("it is empty")?;
    Ok(data.get("tls.crt").context("nothing signs")?.0.clone())
}

#[tokio::test]
async fn a_rotation_of_the_ca_under_load_loses_no_request() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("rotating", &[]).await?;
    let client = control_plane.admin()?;
    // A year in a minute: the next CA is published after 40 s, and signs after 43 s.
    let lives = ["--ca-lifetime=60s", "--certificate-lifetime=7s", "--ca-overlap=3s"];
    let setup = |name: &str| Setup {
        home: "rotating".to_owned(),
        arguments: lives.map(str::to_owned).to_vec(),
        ..Setup::new(name, Reach::Namespaces(vec![namespace.name().to_owned()]))
    };
    let (one, other) = tokio::try_join!(
        Serve::start(control_plane, weighbridge(), setup("rotating-one")),
        Serve::start(control_plane, weighbridge(), setup("rotating-other")),
    )?;
    let first = signing(&client, "rotating").await?;
    let (mut requests, mut after) = (0, 0);
    while after < 50 {
        // The apiserver calls both webhooks, and one that it does not trust would fail with 500.
        let status = refusal(create(&client, namespace.name(), &hopeless("llama")?).await?)?;
        ensure!(status.code == 403, "request {requests}: {}", one.with_log(&anyhow::anyhow!(status.message)));
        requests += 1;
        if requests % 10 == 0 && signing(&client, "rotating").await? != first || after > 0 {
            after += 1;
        }
    }
    ensure!(requests > 100, "only {requests} requests came during the rotation");
    one.stop().await?;
    other.stop().await
}

/// Mounts files like a kubelet mounts a Secret: behind a link to a folder, which is replaced by the next.
fn mount(folder: &Path, version: usize, (certificate, key): &(String, String), trusted: &str) -> Result<()> {
    let next = format!("..version-{version}");
    fs::create_dir(folder.join(&next))?;
    for (name, content) in [("tls.crt", certificate.as_str()), ("tls.key", key), ("ca.crt", trusted)] {
        fs::write(folder.join(&next).join(name), content)?;
        if version == 1 {
            std::os::unix::fs::symlink(format!("..data/{name}"), folder.join(name))?;
        }
    }
    std::os::unix::fs::symlink(&next, folder.join("..data_tmp"))?;
    fs::rename(folder.join("..data_tmp"), folder.join("..data"))?;
    Ok(())
}

#[tokio::test]
async fn files_that_are_renewed_are_served_without_a_restart() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("tls-files", &[]).await?;
    let client = control_plane.admin()?;
    let folder = tempfile::tempdir()?;
    let (ca, next_ca) = (Ca::new()?, Ca::new()?);
    mount(folder.path(), 1, &ca.signed(30)?, &ca.pem)?;
    let arguments =
        vec!["--tls-mode=files".to_owned(), format!("--tls-directory={}", folder.path().display())];
    let reach = Reach::Namespaces(vec![namespace.name().to_owned()]);
    let serve =
        Serve::start(control_plane, weighbridge(), Setup { arguments, ..Setup::new("tls-files", reach) })
            .await?;
    let expires = async || -> Result<f64> {
        Ok(serve.metrics().await?.sum("weighbridge_certificate_expires_seconds", &[]))
    };
    let refused = async || -> Result<()> {
        let status = refusal(create(&client, namespace.name(), &hopeless("llama")?).await?)?;
        ensure!(status.code == 403, "{}", status.message);
        Ok(())
    };
    let before = expires().await?;

    // The next CA is trusted first, and then signs.
    let both = format!("{}{}", ca.pem, next_ca.pem);
    mount(folder.path(), 2, &next_ca.signed(60)?, &both)?;
    wait_until("the next certificate to be served", SOON, || async {
        Ok(expires().await? > before + 86_400.0)
    })
    .await
    .map_err(|error| serve.with_log(&error))?;
    refused().await?;

    // The second renewal has a key that does not match the certificate. The old certificate stays in use.
    let torn = (next_ca.signed(90)?.0, next_ca.signed(90)?.1);
    mount(folder.path(), 3, &torn, &both)?;
    wait_until("the mistake to be counted", SOON, || async {
        Ok(serve.metrics().await?.sum("weighbridge_certificate_failures_total", &[]) > 0.5)
    })
    .await?;
    refused().await?;

    // These files never reach a Secret.
    let secrets: Api<Secret> = Api::namespaced(client.clone(), serve.home());
    ensure!(secrets.get_opt("weighbridge-ca").await?.is_none(), "it created a CA Secret");
    serve.stop().await
}
