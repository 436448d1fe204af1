//! Options that no reader knows. A word that may shrink the job prevents a refusal.

use serde_json::{Value, json};
use weighbridge::judgement::Verdict;

use super::judged;

/// A 14B model whose lengths are given.
fn supervised(options: &str) -> Value {
    let command = format!(
        "torchrun --nproc_per_node 8 run_sft.py --do_train --model_name_or_path Qwen/Qwen2.5-14B \
         --per_device_train_batch_size 2 --max_seq_length 32768 --packing true --bf16 {options}"
    );
    json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": {
        "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"},
        "containers": [{"name": "a", "command": ["bash", "-c", command], "resources": {"limits": {"nvidia.com/gpu": 8}}}],
    }}}})
}

#[test]
fn an_unknown_option_that_may_shrink_the_job_stops_a_refusal() {
    let verdict = |options: &str| judged(&supervised(options)).verdict;
    assert_eq!(verdict("--fsdp 'full_shard auto_wrap'"), Verdict::OutOfMemory);
    assert_eq!(
        verdict("--fsdp 'full_shard auto_wrap' --save_sharded_logs 1 --my_color red"),
        Verdict::OutOfMemory
    );
    let opened = judged(&supervised("--fsdp 'full_shard auto_wrap' --my_sequence_parallel_degree 8"));
    assert_eq!(opened.verdict, Verdict::Unknown);
    assert!(opened.missing.iter().any(|field| field.path() == "parallelism.context"), "{:?}", opened.missing);
}
