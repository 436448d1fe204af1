//! The first judgement. It reads the tables that are compiled in, which takes as long as dozens of other judgements.
//! It happens at the start, so that no review waits for it.

use serde_json::{Value, json};

use super::evaluation::Judge;
use crate::job::Ask;
use crate::policy::Policy;
use crate::surroundings::Surroundings;

/// Judges a job that uses every table: models, accelerators, options, constants.
pub(super) fn judge_first(judge: Judge, policy: &Policy) {
    let _ = judge(&job(), &Surroundings::default(), &policy.world(), &Ask::default());
}

fn job() -> Value {
    let command = ["torchrun", "--nproc-per-node=8", "pretrain_gpt.py", "--num-layers=32"];
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "first", "annotations": {"weighbridge.dev/model": "llama-2-70b"}},
        "spec": {"template": {"spec": {
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
            "containers": [{
                "name": "main",
                "command": ["bash", "-c", command.join(" ")],
                "resources": {"limits": {"nvidia.com/gpu": 8}},
            }],
        }}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::judge;
    use crate::judgement::Verdict;

    #[test]
    fn the_first_job_is_judged_to_its_end() {
        let policy = Policy::default();
        let judgement = judge(&job(), &Surroundings::default(), &policy.world(), &Ask::default());
        assert_eq!(judgement.verdict, Verdict::OutOfMemory);
        assert!(judgement.memory.is_some() && !judgement.message.is_empty());
    }
}
