//! What to say of an elastic job that fits now, and runs out when its controller shrinks it.
//!
//! The size at submission is judged and decides. If the smallest size would run out, a warning says so at submission, since
//! the job would fail in the night.

use serde_json::Value;

use crate::judgement::{Judgement, LONGEST_WARNING, Verdict};
use crate::kinds::Kind;
use crate::kinds::elastic::smallest;
use crate::printable::printable;

/// The object at its smallest size, and that size in words, if that is worth judging: the job fits at its present size.
pub fn smallest_to_judge(kind: &Kind, object: &Value, judgement: &Judgement) -> Option<(Value, String)> {
    let fits = matches!(judgement.verdict, Verdict::Fits | Verdict::Tight);
    fits.then(|| smallest(kind, object)).flatten()
}

/// The warning, if the smallest size runs out of memory.
pub fn at_smallest(judgement: &Judgement, size: &str) -> Option<String> {
    let runs_out = judgement.verdict == Verdict::OutOfMemory;
    // What would fit is advice about the smallest size, and leaves no room.
    let need = judgement.message.split(';').next().unwrap_or_default();
    runs_out.then(|| printable(&format!("with {size} it {need}"), LONGEST_WARNING))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::judgement::Reason;
    use crate::kinds::Kinds;

    #[test]
    fn a_job_that_runs_out_at_its_smallest_size_is_told_so() {
        let of = |verdict| Judgement {
            message:
                "needs 97.4 GiB per GPU (at least 92.5), an A800-80GB offers 79.1 GiB; recompute=full fits"
                    .into(),
            ..Judgement::without_figures(verdict, Reason::AboveCapacity)
        };
        let job = json!({"spec": {
            "elasticPolicy": {"minReplicas": 2}, "pytorchReplicaSpecs": {"Worker": {"replicas": 8}},
        }});
        let kind = Kinds::built_in().find("kubeflow.org", "PyTorchJob").unwrap();
        let (_, size) = smallest_to_judge(kind, &job, &of(Verdict::Fits)).unwrap();
        assert_eq!(
            at_smallest(&of(Verdict::OutOfMemory), &size).unwrap(),
            "with 2 workers instead of 8 it needs 97.4 GiB per GPU (at least 92.5), an A800-80GB offers 79.1 GiB"
        );
        assert_eq!(at_smallest(&of(Verdict::Tight), &size), None);
        assert_eq!(smallest_to_judge(kind, &job, &of(Verdict::OutOfMemory)), None, "it is refused anyway");
    }
}
