//! What trains and what does not, by the commands of public examples: serving, notebooks, benchmarks, evaluation, data
//! preparation, conversion and simulation on one side, the ways in which people start a training on the other.

use serde_json::{Value, json};
use weighbridge::job::{Ask, Cause, Quoting};
use weighbridge::judge::judge;
use weighbridge::judgement::{Judgement, Verdict};
use weighbridge::policy::World;
use weighbridge::surroundings::Surroundings;

fn judged(object: &Value) -> Judgement {
    let ask = Ask { quoting: Quoting::Everything, ..Ask::default() };
    judge(object, &Surroundings::default(), &World::built_in(), &ask)
}

fn template(container: Value) -> Value {
    let mut container = container;
    container["name"] = json!("main");
    container["resources"] = json!({"limits": {"nvidia.com/gpu": 8}});
    json!({"spec": {"containers": [container]}})
}

/// A Job, which may run anything.
fn job(container: Value) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": template(container)}})
}

/// A `PyTorchJob`, which is for training.
fn pytorchjob(container: Value) -> Value {
    let replicas = json!({"Worker": {"replicas": 1, "template": template(container)}});
    json!({"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {"pytorchReplicaSpecs": replicas}})
}

fn shell(command: &str) -> Value {
    json!({"command": ["bash", "-c", command]})
}

const NOT_TRAINING: &[(&str, Cause)] = &[
    ("vllm serve meta-llama/Llama-3.1-8B-Instruct --tensor-parallel-size 8", Cause::Server),
    ("python3 -m vllm.entrypoints.openai.api_server --model mistralai/Mistral-7B-v0.1", Cause::Server),
    ("python3 -m sglang.launch_server --model-path Qwen/Qwen2.5-72B-Instruct --tp 8", Cause::Server),
    ("torchrun --nproc_per_node 8 -m sglang.launch_server --model-path a", Cause::Server),
    ("text-generation-launcher --model-id tiiuae/falcon-40b --num-shard 8", Cause::Server),
    ("tritonserver --model-repository=/models --allow-gpu-metrics=true", Cause::Server),
    ("mpirun -n 8 --allow-run-as-root trtllm-serve /engines", Cause::Server),
    ("python3 scripts/launch_triton_server.py --world_size=8 --model_repo=/tmp/models", Cause::Server),
    ("/usr/local/bin/dockerd-entrypoint.sh serve 2>&1 | tee /tmp/log", Cause::Server),
    ("ollama serve", Cause::Server),
    ("lmdeploy serve api_server internlm/internlm2_5-7b-chat", Cause::Server),
    ("llamafactory-cli api config.yaml", Cause::Server),
    ("swift deploy --model Qwen/Qwen2.5-7B-Instruct --infer_backend vllm", Cause::Server),
    ("pip install fastapi && uvicorn app:app --host 0.0.0.0", Cause::Server),
    ("streamlit run app.py", Cause::Server),
    ("torchrun tools/run_text_generation_server.py --load /ckpt --port 5000", Cause::Server),
    ("jupyter lab --ip=0.0.0.0 --allow-root --NotebookApp.token=''", Cause::Notebook),
    ("start-notebook.sh --NotebookApp.base_url=/x", Cause::Notebook),
    ("code-server --bind-addr 0.0.0.0:8080", Cause::Notebook),
    (
        "mpirun -np 16 -x LD_LIBRARY_PATH /opt/nccl-tests/build/all_reduce_perf -b 8 -e 8G -f 2 -g 1",
        Cause::Benchmark,
    ),
    ("/opt/rccl-tests/build/all_gather_perf -b 1M -e 16G -f 2 -g 8", Cause::Benchmark),
    ("nvidia-smi -L; nvidia-smi", Cause::Benchmark),
    ("/usr/bin/dcgmproftester12 --no-dcgm-validation -t 1004 -d 1200", Cause::Benchmark),
    ("ib_write_bw -d mlx5_0 --report_gbits", Cause::Benchmark),
    ("torchrun --nproc_per_node 8 all_reduce_bench.py", Cause::Benchmark),
    ("vllm bench throughput --model facebook/opt-125m", Cause::Benchmark),
    ("genai-perf profile -m llama-3 --concurrency 64", Cause::Benchmark),
    (
        "lm_eval --model hf --model_args pretrained=EleutherAI/pythia-160m --tasks hellaswag",
        Cause::Evaluation,
    ),
    ("accelerate launch -m lm_eval --model hf --tasks lambada_openai --batch_size 16", Cause::Evaluation),
    ("lighteval accelerate model_name=gpt2 tasks.txt", Cause::Evaluation),
    ("torchrun --nproc_per_node 8 evaluate.py --checkpoint /ckpt", Cause::Evaluation),
    ("tune run eleuther_eval --config eleuther_evaluation", Cause::Evaluation),
    ("python run_clm.py --model_name_or_path gpt2 --do_eval --dataset_name wikitext", Cause::Evaluation),
    ("accelerate launch --num_processes 8 inference.py --model a --prompts p.json", Cause::Inference),
    ("python batch_inference.py", Cause::Inference),
    ("torchrun --nproc_per_node 2 example_chat_completion.py --ckpt_dir llama-2-7b-chat/", Cause::Inference),
    ("swift infer --model Qwen/Qwen2.5-7B-Instruct --adapters out/checkpoint-100", Cause::Inference),
    ("python -m verl.trainer.main_generation data.path=/data", Cause::Inference),
    (
        "python convert_llama_weights_to_hf.py --input_dir /in --model_size 7B --output_dir /out",
        Cause::Conversion,
    ),
    (
        "torchrun --nproc_per_node 8 tools/checkpoint/convert.py --model-type GPT --loader mcore",
        Cause::Conversion,
    ),
    ("trtllm-build --checkpoint_dir ./ckpt --output_dir ./engine --gemm_plugin auto", Cause::Conversion),
    ("mergekit-yaml config.yml ./merged --cuda", Cause::Conversion),
    ("llamafactory-cli export merge.yaml", Cause::Conversion),
    ("axolotl preprocess config.yaml", Cause::Preparation),
    (
        "python tools/preprocess_data.py --input a.jsonl --output-prefix b --tokenizer-type GPT2BPETokenizer",
        Cause::Preparation,
    ),
    ("mpirun -np 8 --bind-to none lmp -k on g 8 -sf kk -in in.lj", Cause::Simulation),
    ("gmx mdrun -s topol.tpr -nb gpu -pme gpu -bonded gpu", Cause::Simulation),
    ("torchrun --help", Cause::Help),
];

const TRAINING: &[&str] = &[
    "python train.py --model meta-llama/Llama-3.1-70B --lr 1e-4",
    "torchrun --nproc_per_node 8 train.py --lr 1e-4",
    "python -m torch.distributed.run --nproc_per_node=8 main.py",
    "python3 -m torch.distributed.launch --nproc_per_node=8 tools/train.py config.py --launcher pytorch",
    "hyperpodrun --tee=3 --log_dir=/tmp/hyperpod --nnodes=2 --nproc-per-node=8 --server-port 8080 /fsdp/train.py",
    "hyperpodrun --nproc-per-node=8 --pre-train-script=/w/a.sh --pre-train-args 'a b' /w/mnist.py --epochs 2",
    "ft_launcher --nproc_per_node 8 --ft-cfg-path cfg.yaml --ft-rank-heartbeat-timeout 450 run_grpo.py --config a.yaml",
    "uv run ft_launcher --ft-initial-rank-heartbeat-timeout 1200 --max-restarts 5 examples/run_sft.py",
    "torchx run -s local_cwd dist.ddp -j 1x8 --script main.py -- --epochs 1",
    "torchx run -s local_cwd -cfg log_dir=/tmp dist.ddp -j 2x4 -m my.train -- --lr 1",
    "accelerate launch --config_file fsdp.yaml train.py",
    "accelerate-launch --num_processes 8 -m my.train",
    "deepspeed --num_gpus 8 train.py --deepspeed ds.json",
    "deepspeed --hostfile /etc/mpi/hostfile --module my.train",
    "mpirun -np 16 -x PATH deepspeed train.py",
    "horovodrun -np 8 -H localhost:8 python train.py",
    "composer -n 8 train.py cfg.yaml",
    "colossalai run --nproc_per_node 8 train.py",
    "python gaudi_spawn.py --world_size 8 --use_deepspeed run_clm.py --do_train",
    "python xla_spawn.py --num_cores 8 run_glue_no_trainer.py",
    "dlrover-run --nnodes=2 --nproc_per_node=8 train.py",
    "msrun --worker_num=8 --local_worker_num=8 --master_port=8118 run_mindformer.py --config a.yaml",
    "python -m paddle.distributed.launch --gpus 0,1,2,3 run_pretrain.py ./config.json",
    "fabric run --devices 8 --strategy fsdp train.py",
    "lightning run model --accelerator=gpu --devices=8 train.py",
    "ray job submit --address http://h:8265 -- torchrun --nproc_per_node 8 train.py",
    "srun --gpus-per-node 8 torchrun train.py",
    "tune run --nproc_per_node 8 full_finetune_distributed --config llama3/8B_full",
    "axolotl train config.yaml",
    "accelerate launch -m axolotl.cli.train config.yaml",
    "llamafactory-cli train examples/train_lora/llama3_lora_sft.yaml",
    "swift sft --model Qwen/Qwen2.5-7B-Instruct --train_type lora --dataset a",
    "megatron sft --load Qwen2.5-7B-mcore --dataset a",
    "litgpt finetune_lora meta-llama/Llama-3.2-1B",
    "trl sft --model_name_or_path Qwen/Qwen2.5-0.5B --dataset_name a",
    "nemo llm finetune --factory llama3_8b",
    "xtuner train internlm2_chat_7b_qlora_oasst1_e3",
    "ilab model train --pipeline accelerated",
    "oumi train -c config.yaml",
    "automodel finetune llm -c config.yaml",
    "python run_clm.py --model_name_or_path gpt2 --do_train --per_device_train_batch_size 8",
    "CMD=\"torchrun train.py\"; if [ -f /data/x ]; then CMD=\"$CMD --resume\"; fi; eval $CMD",
    "export WANDB_API_KEY=<YOUR_KEY>\ntorchrun train.py",
    "conda run -n a nsys profile -o x numactl -N 0 torchrun train.py",
    "nvidia-smi && pip install -r requirements.txt && torchrun train.py",
];

#[test]
fn programs_that_are_known_for_something_else_train_nothing_in_any_kind() {
    assert!(NOT_TRAINING.len() >= 40);
    for (command, cause) in NOT_TRAINING {
        for object in [job(shell(command)), pytorchjob(shell(command))] {
            let judgement = judged(&object);
            let found = (judgement.verdict, judgement.cause);
            assert_eq!(found, (Verdict::NotTraining, Some(*cause)), "{} {command}", object["kind"]);
            assert!(
                judgement.message.starts_with("asks for 8 GPUs, trains nothing: "),
                "{}",
                judgement.message
            );
        }
    }
}

#[test]
fn every_way_to_start_a_training_is_seen() {
    assert!(TRAINING.len() >= 40);
    for command in TRAINING {
        for object in [job(shell(command)), pytorchjob(shell(command))] {
            let judgement = judged(&object);
            assert!(judgement.verdict.trains(), "{} {command}: {}", object["kind"], judgement.message);
        }
    }
}

#[test]
fn an_unknown_program_is_not_recognised_in_a_general_kind_and_trains_in_a_kind_for_training() {
    for command in [
        "python train.py --model my-model --lr 1e-4",
        "python run.py --model meta-llama/Llama-3.1-70B --lr 1e-4",
        "python3 -m my.train",
        "./run.sh",
        "bash /scripts/run.sh",
        "nvidia-smi && ./run.sh",
        "python eval.py; ./train.sh",
    ] {
        let judgement = judged(&job(shell(command)));
        let found = (judgement.verdict, judgement.cause);
        assert_eq!(found, (Verdict::Unrecognised, Some(Cause::UnknownProgram)), "{command}");
        assert_eq!(
            judgement.message,
            "asks for 8 GPUs, not recognised: its program is in no table; if it trains, add weighbridge.dev/model"
        );
        assert_eq!(judged(&pytorchjob(shell(command))).verdict, Verdict::Unknown, "{command}");
    }
}

#[test]
fn an_images_own_program_is_known_by_the_image() {
    for (image, cause) in [
        ("vllm/vllm-openai:v0.9.1", Some(Cause::Server)),
        ("ghcr.io/huggingface/text-generation-inference:3.0", Some(Cause::Server)),
        ("quay.io/jupyter/pytorch-notebook:cuda12", Some(Cause::Notebook)),
        ("nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0", Some(Cause::Benchmark)),
        ("registry.example/team/trainer:1", Some(Cause::UnknownProgram)),
    ] {
        let judgement = judged(&job(json!({"image": image, "args": ["--model", "x"]})));
        assert_eq!(judgement.cause, cause, "{image}");
    }
}

#[test]
fn a_ray_job_is_what_its_entrypoint_does() {
    let of = |entrypoint: &str| {
        judged(&json!({
            "apiVersion": "ray.io/v1", "kind": "RayJob",
            "spec": {"entrypoint": entrypoint, "rayClusterSpec": {
                "headGroupSpec": {"template": {"spec": {"containers": [{"name": "h", "image": "ray"}]}}},
                "workerGroupSpecs": [{"replicas": 2, "template": template(json!({"image": "ray"}))}]}},
        }))
    };
    assert_eq!(
        (of("python batch_inference.py").verdict, of("python batch_inference.py").cause),
        (Verdict::NotTraining, Some(Cause::Inference))
    );
    assert_eq!(of("python -m vllm.entrypoints.openai.api_server").cause, Some(Cause::Server));
    assert_eq!(of("python my_program.py").verdict, Verdict::Unknown);
}

#[test]
fn a_ray_cluster_waits_for_its_jobs() {
    let cluster = judged(&json!({
        "apiVersion": "ray.io/v1", "kind": "RayCluster",
        "spec": {"headGroupSpec": {"template": template(json!({"image": "ray"}))}},
    }));
    assert_eq!((cluster.verdict, cluster.cause), (Verdict::NotTraining, Some(Cause::Idle)));
}

#[test]
fn an_object_without_accelerators_needs_no_cause() {
    let object = json!({"apiVersion": "batch/v1", "kind": "Job",
        "spec": {"template": {"spec": {"containers": [{"name": "a", "command": ["./run.sh"]}]}}}});
    assert_eq!((judged(&object).verdict, judged(&object).cause), (Verdict::NotTraining, None));
}
