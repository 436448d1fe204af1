//! What trains and what does not.

use serde_json::{Value, json};
use weighbridge::judgement::{Reason, Verdict};

use super::judged;
use super::stated::template;

#[test]
fn a_workload_that_does_not_train_is_left_alone() {
    let job = |command: Value, gpus: u64| {
        let mut template = template(gpus);
        template["spec"]["containers"][0]["command"] = command;
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": {"template": template}})
    };
    let of_kind = |kind: &str, object: &Value| {
        let template = &object["spec"]["template"];
        match kind {
            "PyTorchJob" => json!({
                "apiVersion": "kubeflow.org/v1", "kind": kind,
                "spec": {"pytorchReplicaSpecs": {"Master": {"template": template}}},
            }),
            _ => object.clone(),
        }
    };
    for (kind, command, gpus, verdict) in [
        ("Job", json!(["torchrun", "train.py"]), 8, Verdict::Unknown),
        ("Job", json!(["bash", "-c", "cd /work && accelerate launch train.py"]), 8, Verdict::Unknown),
        ("Job", json!(["torchrun", "train.py"]), 0, Verdict::NotTraining),
        ("Job", json!(["python", "serve.py"]), 8, Verdict::NotTraining),
        ("PyTorchJob", json!(["python", "train.py"]), 8, Verdict::Unknown),
        ("PyTorchJob", json!(["python", "train.py"]), 0, Verdict::NotTraining),
        ("PyTorchJob", json!(["mpirun", "all_reduce_perf"]), 8, Verdict::NotTraining),
    ] {
        let object = of_kind(kind, &job(command.clone(), gpus));
        let judgement = judged(&object);
        assert_eq!(judgement.verdict, verdict, "{kind} {command} {gpus}");
        if verdict == Verdict::NotTraining {
            assert!(judgement.warnings.is_empty() && judgement.message.is_empty() == (gpus == 0));
        } else {
            assert_eq!(
                (judgement.reason, judgement.missing[0].path()),
                (Reason::MissingInputs, "model.name")
            );
        }
    }
    // An override alone does not make a backup a training job.
    let mut backup = job(json!(["restic"]), 0);
    backup["metadata"]["annotations"] = json!({"weighbridge.dev/override": "because"});
    assert_eq!(judged(&backup).verdict, Verdict::NotTraining);
}
