//! What no reader knows: an option that may shrink the job, or a program that may train adapters, stops a refusal.

use serde_json::{Value, json};
use weighbridge::judgement::Verdict;

use super::judged;

/// A 14B model whose lengths are given.
fn supervised(options: &str) -> Value {
    let command = format!(
        "torchrun --nproc_per_node 8 run_sft.py --do_train --model_name_or_path Qwen/Qwen2.5-14B \
         --per_device_train_batch_size 8 --max_seq_length 32768 --packing true --bf16 {options}"
    );
    job(&command)
}

fn job(command: &str) -> Value {
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

#[test]
fn an_unknown_length_raises_the_upper_bound() {
    let upper = |options: &str| {
        let command = format!(
            "trl sft --model_name_or_path Qwen/Qwen2.5-1.5B --per_device_train_batch_size 2 --packing true --bf16 {options}"
        );
        judged(&job(&command)).memory.unwrap().upper_bytes
    };
    assert_eq!(upper(""), upper("--my_color red"));
    assert_eq!(upper(""), upper("--my_packed_length 0"));
    assert!(upper("--my_packed_length 32768") > upper(""));
}

#[test]
fn the_judgement_says_how_each_word_was_understood() {
    let judgement =
        judged(&supervised("--load_in_3bit true --save_steps 5 --my_color red --gradient_checkpointng true"));
    let words = judgement.words.unwrap();
    assert!(words.read >= 5, "{words:?}");
    assert_eq!(words.open.iter().map(|open| open.word.as_str()).collect::<Vec<_>>(), ["load_in_3bit"]);
    assert_eq!(words.unknown, ["my_color", "gradient_checkpointng"]);
    let meant = "gradient_checkpointng is no option of Transformers 4.57.1, 5.24.0; did you mean gradient_checkpointing?";
    assert!(judgement.warnings.iter().any(|warning| warning == meant), "{:?}", judgement.warnings);
}

#[test]
fn a_program_that_no_reader_recognises_may_train_adapters() {
    let verdict = |program: &str, annotations: Value| {
        judged(&json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"annotations": annotations}, "spec": {"template": {"spec": {
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-L4"},
            "containers": [{"name": "a", "command": ["bash", "-c", program], "resources": {"limits": {"nvidia.com/gpu": 1}}}],
        }}}}))
        .verdict
    };
    let model = json!({"weighbridge.dev/model": "meta-llama/Llama-3.1-8B"});
    for program in ["python3 scripts/train.py --lora-r=16", "torchrun --nproc_per_node 1 scripts/train.py"] {
        assert_eq!(verdict(program, model.clone()), Verdict::Unknown, "{program}");
    }
    for key in ["optimizer", "method"] {
        let mut described = model.clone();
        described[format!("weighbridge.dev/{key}")] = json!(if key == "method" { "full" } else { "adamw" });
        assert_eq!(verdict("torchrun train.py", described), Verdict::OutOfMemory, "{key}");
    }
}
