//! What a command of a pretraining framework leads to: the same judgement as annotations that say the same.

use serde_json::{Value, json};
use weighbridge::job::Ask;
use weighbridge::judge::judge;
use weighbridge::judgement::{Judgement, Verdict};
use weighbridge::policy::World;
use weighbridge::surroundings::Surroundings;

/// A `PyTorchJob` of nodes of eight H100, that runs a command, or is annotated.
fn job(command: &str, training: Option<&str>, nodes: u64) -> Value {
    let words: Vec<&str> = command.split_whitespace().collect();
    let mut job = json!({
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "job"},
        "spec": {"pytorchReplicaSpecs": {"Worker": {"replicas": nodes, "template": {"spec": {
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
            "containers": [{
                "name": "pytorch",
                "image": "trainer",
                "command": words,
                "resources": {"limits": {"nvidia.com/gpu": 8}},
            }],
        }}}}},
    });
    if let Some(training) = training {
        job["metadata"]["annotations"] = json!({"weighbridge.dev/training": training});
    }
    job
}

fn judged(job: &Value) -> Judgement {
    judge(job, &Surroundings::default(), &World::built_in(), &Ask::default())
}

struct Case {
    name: &'static str,
    nodes: u64,
    command: &'static str,
    training: &'static str,
    verdict: Verdict,
}

const CASES: &[Case] = &[
    Case {
        name: "a GPT-3 of 7.5B, tensor parallel, without a distributed optimizer",
        nodes: 2,
        command: "torchrun --nproc_per_node=8 --nnodes=2 pretrain_gpt.py --tensor-model-parallel-size=8 \
            --pipeline-model-parallel-size=1 --num-layers=36 --hidden-size=4096 --num-attention-heads=32 \
            --seq-length=2048 --max-position-embeddings=2048 --micro-batch-size=1 --global-batch-size=288 \
            --train-samples=146484375 --fp16 --recompute-activations",
        training: "
            framework: Megatron
            loss: VocabParallel
            model: {layers: 36, hiddenSize: 4096, attentionHeads: 32, ffnHiddenSize: 16384, vocabSize: 50257,
                    activation: GELU, normalization: LayerNorm, positions: Learned, maxPositions: 2048, biases: true,
                    tiedEmbeddings: true, hiddenDropout: 10, attentionDropout: 10}
            parallelism: {tensor: 8, pipeline: 1, context: 1, sequence: false, sharding: None}
            batch: {microBatchSize: 1, globalBatchSize: 288, sequenceLength: 2048}
            dataset: {tokens: 300000000000}
            precision: FP16
            optimizer: AdamW
            recompute: Selective",
        verdict: Verdict::Fits,
    },
    Case {
        name: "Llama 2 70B, interleaved pipeline, distributed optimizer",
        nodes: 16,
        command: "torchrun pretrain_gpt.py --tensor-model-parallel-size 4 --pipeline-model-parallel-size 4 \
            --num-layers-per-virtual-pipeline-stage 5 --sequence-parallel --use-distributed-optimizer --num-layers 80 \
            --hidden-size 8192 --ffn-hidden-size 28672 --num-attention-heads 64 --group-query-attention \
            --num-query-groups 8 --swiglu --normalization RMSNorm --position-embedding-type rope --disable-bias-linear \
            --untie-embeddings-and-output-weights --attention-dropout 0 --hidden-dropout 0 --seq-length 4096 \
            --max-position-embeddings 4096 --micro-batch-size 1 --global-batch-size 1024 --train-iters 500000 --bf16 \
            --vocab-size 32000 --attention-backend flash",
        training: "
            framework: Megatron
            loss: VocabParallel
            model: {name: llama-2-70b, hiddenDropout: 0, attentionDropout: 0}
            parallelism: {tensor: 4, pipeline: 4, virtualPipeline: 4, sequence: true, sharding: DistributedOptimizer}
            batch: {microBatchSize: 1, globalBatchSize: 1024, sequenceLength: 4096}
            dataset: {steps: 500000}
            precision: BF16
            optimizer: AdamW
            attention: Flash
            recompute: None",
        verdict: Verdict::Fits,
    },
    Case {
        name: "a DeepSeek-like mixture of experts",
        nodes: 32,
        command: "torchrun pretrain_gpt.py --num-layers 27 --hidden-size 2048 --ffn-hidden-size 10944 \
            --num-attention-heads 16 --kv-channels 128 --multi-latent-attention --kv-lora-rank 512 --qk-head-dim 128 \
            --qk-pos-emb-head-dim 64 --v-head-dim 128 --num-experts 64 --moe-router-topk 6 --moe-ffn-hidden-size 1408 \
            --moe-shared-expert-intermediate-size 2816 --moe-layer-freq ([0]*1+[1]*26) \
            --moe-token-dispatcher-type alltoall --swiglu --normalization RMSNorm --position-embedding-type rope \
            --disable-bias-linear --untie-embeddings-and-output-weights --vocab-size 102400 --hidden-dropout 0 \
            --attention-dropout 0 --expert-model-parallel-size 8 --use-distributed-optimizer --micro-batch-size 1 \
            --global-batch-size 2048 --seq-length 4096 --max-position-embeddings 4096 --train-samples 1000000 --bf16",
        training: "
            framework: Megatron
            loss: VocabParallel
            model: {layers: 27, hiddenSize: 2048, ffnHiddenSize: 10944, attentionHeads: 16, headSize: 128,
                    vocabSize: 102400, activation: SwiGLU, normalization: RMSNorm, positions: Rotary, biases: false,
                    tiedEmbeddings: false, experts: 64, expertsPerToken: 6, expertFfnHiddenSize: 1408,
                    sharedExperts: 2, denseLayers: 1, hiddenDropout: 0, attentionDropout: 0,
                    latentAttention: {queryRank: 0, keyValueRank: 512, ropeHeadSize: 64, nopeHeadSize: 128, valueHeadSize: 128}}
            parallelism: {tensor: 1, pipeline: 1, context: 1, sequence: false, expert: 8, dispatcher: AllToAll,
                          sharding: DistributedOptimizer}
            batch: {microBatchSize: 1, globalBatchSize: 2048, sequenceLength: 4096}
            dataset: {tokens: 4096000000}
            precision: BF16
            optimizer: AdamW
            recompute: None",
        verdict: Verdict::Fits,
    },
];

#[test]
fn a_command_is_judged_as_annotations_that_say_the_same() {
    for case in CASES {
        let by_command = judged(&job(case.command, None, case.nodes));
        let annotated = judged(&job("python train.py", Some(case.training), case.nodes));
        assert_eq!(annotated.warnings, Vec::<String>::new(), "{}", case.name);
        assert_eq!(by_command.warnings, annotated.warnings, "{}", case.name);
        assert_eq!(by_command.memory, annotated.memory, "{}", case.name);
        assert_eq!(by_command.time, annotated.time, "{}", case.name);
        assert_eq!(by_command.oom_probability, annotated.oom_probability, "{}", case.name);
        assert_eq!(by_command.verdict, case.verdict, "{}: {}", case.name, by_command.message);
        assert_eq!(by_command.missing, annotated.missing, "{}", case.name);
    }
}

#[test]
fn a_command_that_cannot_fit_is_refused() {
    let hopeless =
        CASES[1].command.replace("--tensor-model-parallel-size 4 --pipeline-model-parallel-size 4", "");
    let hopeless = hopeless.replace("--num-layers-per-virtual-pipeline-stage 5", "");
    assert_eq!(judged(&job(&hopeless, None, 1)).verdict, Verdict::OutOfMemory);
}

#[test]
fn recipes_are_denied_only_if_they_run_out_however_they_are_divided() {
    let bridge = |model: &str, options: &str| {
        format!(
            "torchrun run_script.py --gpu gb200 --model_recipe_name {model} --compute_dtype bf16 {options}"
        )
    };
    let given = "--micro_batch_size 1 --global_batch_size 256 --seq_length 8192 --max_steps 50";
    let short = given.replace("8192", "2048");
    for (command, nodes, refused) in [
        (bridge("llama3_70b", &format!("{given} -tp 4 -pp 8 -cp 1 -vp 5")), 8, false),
        (bridge("llama3_8b", given), 1, false),
        // Its states are too large for eight GPUs, and no release moves them to the host.
        (bridge("llama3_70b", given), 1, true),
        // A switch with a value that is not read leaves the sharding open.
        (bridge("llama3_70b", &format!("{short} -tp 1 -pp 1 -cp 1 --use_megatron_fsdp false")), 8, false),
        // What the preset of a recipe that is not in the table divides and offloads is not known.
        (bridge("llama31_70b", given), 1, false),
        ("nemo llm pretrain --factory llama3_8b trainer.devices=8 trainer.num_nodes=1".to_owned(), 1, false),
        (
            "torchrun -m torchtitan.train --model.name llama3 --model.flavor 8B --training.local_batch_size 1 \
             --training.seq_len 8192 --activation_checkpoint.mode selective --activation_checkpoint.selective_ac_option op"
                .to_owned(),
            1,
            false,
        ),
        (
            "torchrun -m torchtitan.train --model.name llama3 --model.flavor 70B --training.local_batch_size 8 \
             --training.seq_len 8192 --activation_checkpoint.mode none --compile.enable"
                .to_owned(),
            1,
            true,
        ),
        (
            "python -m MaxText.train MaxText/configs/base.yml model_name=llama2-70b per_device_batch_size=4 \
             max_target_length=8192 remat_policy=none"
                .to_owned(),
            1,
            true,
        ),
    ] {
        let judgement = judged(&job(&command, None, nodes));
        let denied = judgement.verdict == Verdict::OutOfMemory;
        assert_eq!(denied, refused, "{command}: {}", judgement.message);
        assert!(judgement.memory.is_some(), "{command}: {}", judgement.message);
    }
}

#[test]
fn a_degree_that_nobody_knows_denies_nothing() {
    let command =
        CASES[1].command.replace("--tensor-model-parallel-size 4", "--tensor-model-parallel-size $TP");
    let mut job = job(&command, None, 1);
    let words = command.replace("--num-layers-per-virtual-pipeline-stage 5", "");
    let container = job.pointer_mut("/spec/pytorchReplicaSpecs/Worker/template/spec/containers/0").unwrap();
    container["command"] = json!(["bash", "-c", words]);
    assert_ne!(judged(&job).verdict, Verdict::OutOfMemory);
}
