//! A kind that the administrator adds in the policy's file is judged like the built-in kinds.

use std::fs;

use anyhow::Result;
use serde_json::{Value, json};

use super::gate::{Yard, refusal, weighbridge};
use crate::controlplane::{ControlPlane, Reach, Serve, Setup};

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: trainruns.train.example.com}
spec:
  group: train.example.com
  scope: Namespaced
  names: {kind: TrainRun, plural: trainruns}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

const POLICY: &str = "
apiVersion: config.weighbridge.dev/v1alpha1
kind: Configuration
workloads:
  - {group: train.example.com, version: v1, kind: TrainRun, plural: trainruns, training: true, roles: /spec/roles}
";

fn run(name: &str, parameters: &str) -> Value {
    let container =
        json!({"name": "main", "image": "none", "resources": {"limits": {"nvidia.com/gpu": "8"}}});
    json!({
        "apiVersion": "train.example.com/v1",
        "kind": "TrainRun",
        "metadata": {"name": name, "annotations": {
            "weighbridge.dev/parameters": parameters, "weighbridge.dev/method": "full",
            "weighbridge.dev/gpu-type": "A100-80GB",
        }},
        "spec": {"roles": {"worker": {"replicas": 1, "template": {"spec": {"containers": [container]}}}}},
    })
}

#[tokio::test]
async fn a_kind_of_the_policy_is_judged_and_has_an_estimate() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let folder = tempfile::tempdir()?;
    let (definition, policy) = (folder.path().join("crd.yaml"), folder.path().join("policy.yaml"));
    fs::write(&definition, DEFINITION)?;
    fs::write(&policy, POLICY)?;
    control_plane.install_crds(&[definition]).await?;

    let namespace =
        control_plane.guarded_namespace("further", &[("weighbridge.dev/mode", "enforce")]).await?;
    let reach = Reach::Namespaces(vec![namespace.name().to_owned()]);
    let arguments = vec![format!("--config={}", policy.display())];
    let serve =
        Serve::start(control_plane, weighbridge(), Setup { arguments, ..Setup::new("further", reach) })
            .await?;
    let yard = Yard::new(control_plane, &serve, namespace)?;
    let status = refusal(yard.create(&run("too-large", "400B")).await?)?;
    assert_eq!(status.code, 403, "{}", status.message);
    yard.admitted(&run("small", "1B")).await?;
    let estimate = yard.estimate("trainruns-train-example-com-small").await?;
    assert_eq!(estimate["status"]["display"]["gpus"], "8", "{estimate}");
    serve.stop().await
}
