//! A command is judged as annotations with the same values are. What a command leaves out refuses no job.

use serde_json::{Map, Value, json};
use weighbridge::job::Ask;
use weighbridge::job::field;
use weighbridge::judge::judge;
use weighbridge::judgement::{Judgement, Memory, Verdict};
use weighbridge::policy::World;
use weighbridge::surroundings::Surroundings;

/// A `PyTorchJob` of so many pods of 8 GPUs of this type, which run this command.
fn commanded(command: &str, pods: u64, gpu: &str) -> Judgement {
    judged(command, &[("gpu-type", gpu)], pods)
}

fn judged(command: &str, annotations: &[(&str, &str)], pods: u64) -> Judgement {
    let words: Vec<&str> = command.split_whitespace().collect();
    let annotations: Map<String, Value> =
        annotations.iter().map(|(key, value)| (format!("weighbridge.dev/{key}"), (*value).into())).collect();
    let object = json!({
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "job", "annotations": annotations},
        "spec": {"pytorchReplicaSpecs": {"Worker": {"replicas": pods, "template": {"spec": {"containers": [{
            "name": "pytorch",
            "command": words,
            "resources": {"limits": {"nvidia.com/gpu": 8}},
        }]}}}}},
    });
    judge(&object, &Surroundings::default(), &World::built_in(), &Ask::default())
}

const FSDP_70B: &str = "torchrun --nproc_per_node=8 train.py --max_context_width=4096 --num_key_value_heads=8 \
    --intermediate_size=28672 --hidden_width=8192 --num_layers=80 --num_heads=64 --model_type=llama_v2 \
    --train_batch_size=1 --sharding_strategy=full --vocab_size=32000";

#[test]
fn a_command_is_judged_as_the_annotations_that_say_the_same() {
    for (command, annotations) in [
        (
            FSDP_70B,
            &[
                ("layers", "80"),
                ("hidden-size", "8192"),
                ("attention-heads", "64"),
                ("kv-heads", "8"),
                ("ffn-hidden-size", "28672"),
                ("vocab-size", "32000"),
                ("framework", "fsdp"),
                ("sharding", "fsdp"),
                ("recompute", "full"),
                ("precision", "bf16"),
                ("micro-batch-size", "1"),
                ("global-batch-size", "32"),
                ("sequence-length", "4096"),
                ("training", "offload: {activations: false}"),
            ][..],
        ),
        (
            "torchrun finetuning.py --enable_fsdp --fsdp_config.pure_bf16 --use_fast_kernels \
             --model_name=/models/llama-2-7b-hf --batch_size_training=8",
            &[
                ("model", "llama-2-7b"),
                ("framework", "fsdp"),
                ("sharding", "fsdp"),
                ("recompute", "full"),
                ("attention", "flash"),
                ("precision", "bf16"),
                ("optimizer", "adamw"),
                ("method", "full"),
                ("micro-batch-size", "8"),
                ("global-batch-size", "256"),
                ("sequence-length", "4096"),
                ("training", "parameterPrecision: BF16\nbatch: {packing: true}"),
            ],
        ),
        (
            "torchrun run_clm.py --model_name_or_path meta-llama/Llama-2-7b-hf --bf16 True --block_size 2048 \
             --per_device_train_batch_size 2 --gradient_accumulation_steps 4 --gradient_checkpointing True \
             --deepspeed zero3 --optim adamw_torch --attn_implementation flash_attention_2",
            &[
                ("model", "llama-2-7b"),
                ("framework", "huggingface"),
                ("sharding", "zero3"),
                ("recompute", "full"),
                ("attention", "flash"),
                ("precision", "bf16"),
                ("optimizer", "adamw"),
                ("method", "full"),
                ("micro-batch-size", "2"),
                ("global-batch-size", "256"),
                ("sequence-length", "2048"),
                ("training", "optimizerImplementation: Foreach"),
            ],
        ),
    ] {
        let annotations: Vec<_> = annotations.iter().copied().chain([("gpu-type", "A100-80GB")]).collect();
        let (said, stated) = (commanded(command, 4, "A100-80GB"), judged("torchrun x.py", &annotations, 4));
        let (said_memory, stated_memory) = (said.memory.unwrap(), stated.memory.unwrap());
        // A command may do more than its options say, which lowers the lower bound.
        let lower_bytes = said_memory.lower_bytes.min(stated_memory.lower_bytes);
        let least_bytes = said_memory.least_bytes.min(stated_memory.least_bytes);
        let stated_memory = Memory { lower_bytes, least_bytes, ..stated_memory };
        assert_eq!(said_memory, stated_memory, "{command}\n{:?}\n{:?}", said.job, stated.job);
        assert_eq!(said.verdict, stated.verdict, "{command}");
        assert!(said.warnings.is_empty(), "{:?}", said.warnings);
    }
}

#[test]
fn what_is_hopeless_by_its_own_words_is_denied() {
    assert_eq!(commanded(FSDP_70B, 1, "A100-80GB").verdict, Verdict::OutOfMemory);
    assert_eq!(commanded(FSDP_70B, 32, "A100-80GB").verdict, Verdict::Fits);
}

#[test]
fn what_a_script_may_do_without_a_word_is_never_denied_for() {
    let own = "torchrun --nproc_per_node 8 train.py --model_name_or_path meta-llama/Llama-3.1-405B --bf16 True \
        --per_device_train_batch_size 1 --output_dir o --gradient_checkpointing True --max_seq_length 1024";
    let judgement = commanded(own, 1, "A100-80GB");
    assert_eq!(judgement.verdict, Verdict::Unknown, "{}", judgement.message);
    assert!(judgement.missing.contains(&field::finetuning::METHOD.erased()), "{:?}", judgement.missing);
    // Told what the script trains and keeps on its GPUs, the same job is known to run out.
    let told = [("gpu-type", "A100-80GB"), ("method", "full"), ("sharding", "fsdp"), ("offload", "none")];
    let judgement = judged(own, &told, 1);
    assert_eq!(judgement.verdict, Verdict::OutOfMemory, "{} {:?}", judgement.message, judgement.missing);
}

#[test]
fn a_configuration_that_is_not_known_may_offload() {
    let command = "torchrun run_clm.py --model_name_or_path meta-llama/Llama-2-70b-hf --bf16 True --block_size 1024 \
        --per_device_train_batch_size 1 --gradient_checkpointing True --deepspeed /app/ds.json";
    assert_eq!(commanded(command, 1, "A100-80GB").verdict, Verdict::Unknown);
    let known = command.replace("/app/ds.json", "zero3");
    assert_eq!(commanded(&known, 1, "A100-80GB").verdict, Verdict::OutOfMemory);
}

#[test]
fn training_that_the_estimate_does_not_cover_is_admitted() {
    for command in [
        "torchrun train.py --model_name_or_path meta-llama/Llama-2-70b-hf --per_device_train_batch_size 64 \
         --output_dir o --freeze_backbone True",
        "swift sft --model Qwen/Qwen2.5-72B-Instruct --task_type reranker",
    ] {
        assert_eq!(commanded(command, 1, "V100-16GB").verdict, Verdict::Unknown, "{command}");
    }
}

#[test]
fn only_arithmetic_refuses_a_preference_or_a_reward() {
    for (command, refused) in [
        // The weights of 70 billion parameters.
        ("trl dpo --model_name_or_path meta-llama/Llama-2-70b-hf", true),
        // The weights of four models of 7 billion parameters.
        ("tune run ppo_full_finetune_single_device --config mistral/7B_full_ppo_low_memory", true),
        // Logits and activations of 512 pairs.
        (
            "trl dpo --model_name_or_path meta-llama/Llama-2-7b-hf --use_peft --per_device_train_batch_size 512",
            false,
        ),
        (
            "trl grpo --model_name_or_path Qwen/Qwen2.5-0.5B --per_device_train_batch_size 512 --max_completion_length 32768",
            false,
        ),
        // A colocated engine that reserves more than the trained model leaves.
        (
            "trl grpo --model_name_or_path Qwen/Qwen2.5-1.5B --use_vllm --vllm_mode colocate --vllm_gpu_memory_utilization 0.9",
            false,
        ),
        // The reference or the reward model may be a smaller one.
        (
            "swift rlhf --rlhf_type ppo --model Qwen/Qwen2.5-0.5B --train_type lora --reward_model own/model",
            false,
        ),
    ] {
        let verdict = commanded(command, 1, "V100-16GB").verdict;
        assert_eq!(verdict == Verdict::OutOfMemory, refused, "{command}: {verdict:?}");
    }
}

#[test]
fn a_job_that_trains_and_generates_on_one_device_shows_both_needs() {
    let command = "trl grpo --model_name_or_path Qwen/Qwen2.5-1.5B --use_vllm --vllm_mode colocate --bf16 \
                   --vllm_gpu_memory_utilization 0.4";
    let phases = |command: &str| {
        let memory = commanded(command, 1, "A100-80GB").memory.unwrap();
        let needs: Vec<_> = memory.phases.iter().map(|phase| phase.bytes).collect();
        (memory.peak_bytes, needs)
    };
    let (awake, both) = phases(command);
    assert_eq!(both.iter().max(), Some(&awake), "{both:?}");
    // An engine that sleeps during training leaves the step the whole device.
    let (asleep, _) = phases(&format!("{command} --vllm_enable_sleep_mode"));
    assert!(asleep < awake, "{asleep} {awake}");
    assert_eq!(phases("trl dpo --model_name_or_path Qwen/Qwen2.5-1.5B").1, []);
}

/// A Megatron-LM command of two pods' accelerators, with these options instead of the usual.
fn megatron(launcher: &str, options: &[(&str, &str)]) -> String {
    let usual = [
        ("tensor-model-parallel-size", "8"),
        ("pipeline-model-parallel-size", "2"),
        ("context-parallel-size", "1"),
        ("num-layers", "32"),
        ("hidden-size", "4096"),
        ("num-attention-heads", "32"),
        ("seq-length", "2048"),
        ("max-position-embeddings", "2048"),
        ("micro-batch-size", "1"),
        ("global-batch-size", "32"),
    ];
    let given = |name: &str| options.iter().find(|(option, _)| *option == name).map(|(_, value)| *value);
    let usual_names = usual.iter().map(|(name, _)| *name);
    let further = options.iter().filter(|(name, _)| !usual_names.clone().any(|usual| usual == *name));
    let all = usual.iter().map(|(name, value)| (*name, given(name).unwrap_or(value)));
    let words = all.chain(further.copied()).map(|(name, value)| format!(" --{name} {value}"));
    format!("torchrun {launcher} pretrain_gpt.py --bf16{}", words.collect::<String>())
}

#[test]
fn what_does_not_go_together_in_a_command_is_a_warning() {
    let whole = "--nnodes 2 --nproc-per-node 8";
    let none: &[(&str, &str)] = &[];
    for (command, line) in [
        (megatron(whole, none), None),
        (
            megatron(whole, &[("context-parallel-size", "2")]),
            Some("tensor × pipeline × context parallel is 32, but only 16 accelerators are asked for"),
        ),
        (
            megatron(whole, &[("num-attention-heads", "28"), ("kv-channels", "128")]),
            Some("28 attention heads are no multiple of tensor parallel 8"),
        ),
        (
            megatron(
                whole,
                &[
                    ("num-attention-heads", "48"),
                    ("kv-channels", "128"),
                    ("group-query-attention", ""),
                    ("num-query-groups", "6"),
                ],
            ),
            Some("6 key-value heads and tensor parallel 8: neither divides the other"),
        ),
        (megatron(whole, &[("num-layers", "31")]), Some("31 layers are no multiple of pipeline parallel 2")),
        (
            megatron(whole, &[("micro-batch-size", "3")]),
            Some("global batch 32 is no multiple of micro-batch 3 × data parallel 1"),
        ),
        (
            megatron("--nnodes 2 --nproc-per-node 4", none),
            Some("4 of each pod's 8 accelerators stay idle: --nproc-per-node starts 4 processes"),
        ),
        (
            megatron("--nnodes 4 --nproc-per-node 8", none),
            Some("--nnodes is 4, but 2 pods ask for accelerators"),
        ),
    ] {
        let judgement = commanded(&command, 2, "H100-80GB");
        assert_ne!(judgement.verdict, Verdict::OutOfMemory, "{command}: {}", judgement.message);
        match line {
            Some(line) => assert!(
                judgement.warnings.iter().any(|said| said == line),
                "{command}: {:?}",
                judgement.warnings
            ),
            None => assert!(judgement.warnings.is_empty(), "{command}: {:?}", judgement.warnings),
        }
    }
    let named = judged(
        "torchrun train.py --hidden_width 2048 --num_layers 16 --num_heads 32 --max_context_width 2048 \
         --num_key_value_heads 2 --intermediate_size 8192 --model_type llama_v3 --vocab_size 128256 --train_batch_size 1",
        &[("gpu-type", "H100-80GB"), ("model", "meta-llama/Llama-3.2-1B")],
        2,
    );
    assert!(
        named.warnings.iter().any(|said| said.starts_with("model.keyValueHeads is 2")),
        "{:?}",
        named.warnings
    );
}
