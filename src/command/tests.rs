//! Commands as people write them, and the reading of each: place, launchers, target, arguments, environment, files.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::command::*;
use crate::hardware::Catalogue;
use crate::kinds::requests;
use crate::surroundings::{ConfigMaps, Documents};

/// All that is read of one container, one item a line.
fn shown(launches: &[Launch]) -> String {
    let words = |arguments: &Arguments| {
        let shown = arguments.words().iter().map(|word| {
            let text = word.text.replace('\n', "⏎");
            if word.known { format!(" {text}") } else { format!(" ‹{text}›") }
        });
        shown.collect::<Vec<_>>().concat()
    };
    let mut out = String::new();
    for launch in launches {
        let _ = writeln!(out, "{}", launch.place);
        for launcher in &launch.launchers {
            let _ = writeln!(out, "  {}{}", launcher.name, words(&launcher.arguments));
        }
        let _ = writeln!(out, "  {:?}{}", launch.target, words(&launch.arguments));
        let variables = launch.environment.iter();
        let environment: Vec<String> =
            variables.map(|(name, value)| format!(" {name}={}", value.unwrap_or("‹›"))).collect();
        let environment = environment.concat();
        if !environment.is_empty() {
            let _ = writeln!(out, "  env{environment}");
        }
        for (path, file) in launch.files.iter() {
            let _ = writeln!(out, "  file {path} ({}): {}", file.source, file.text.replace('\n', "⏎"));
        }
    }
    out
}

fn read(container: Value) -> String {
    let mut container = container;
    if container.get("name").is_none() {
        container["name"] = "trainer".into();
    }
    let template = json!({"spec": {"containers": [container]}});
    let groups =
        [PodGroup { role: "", template: &template, path: "spec.template".into(), replicas: Some(1) }];
    shown(&launches(&groups, None, &[], &Surroundings::default(), "ml").launches)
}

fn script(script: &str) -> String {
    read(json!({"command": ["bash", "-c", script]}))
}

#[test]
fn commands_given_as_words() {
    let commands = [
        "torchrun --nnodes=2 --nproc_per_node 8 --rdzv-backend=c10d /workspace/pretrain_gpt.py --num-layers 80 --bf16",
        "python3 -u -m torch.distributed.run --standalone --nproc-per-node=gpu -m torchtitan.train --x 1",
        "python -m torch.distributed.launch --use_env --nproc_per_node=4 train.py a",
        "torchrun --no-python --nproc_per_node 2 python train.py",
        "accelerate launch --use_deepspeed --num_processes 8 --mixed_precision bf16 --config_file=/cfg/a.yaml train.py --lr 1e-4",
        "accelerate launch --use_fsdp --num_processes=2 -m tuning.sft_trainer --r 4 --target_modules q_proj v_proj",
        "deepspeed --num_gpus 8 --master_port 29500 main.py --deepspeed --zero_stage 3",
        "deepspeed --module --hostfile=/job/hostfile training.main -x",
        "mpirun --allow-run-as-root -np 16 -bind-to none -x NCCL_DEBUG=INFO -x PATH -mca pml ob1 --mca btl ^openib numactl --membind=0 python -m train --lr 1",
        "mpiexec.hydra -n 4 -ppn 2 -genv CCL_LOG_LEVEL info python3 train.py",
        "mpirun --tag-output -np 16 -N 8 --bind-to none -x PATH /opt/nccl-tests/build/all_reduce_perf -b 8",
        "horovodrun -np 4 -H a:2,b:2 python train.py",
        "srun -N 2 --ntasks-per-node=8 --container-image=x python train.py --a",
        "composer -n 8 --world_size 16 train.py /mcli/params.yaml max_duration=100ba",
        "composer -m llmfoundry.command x",
        "colossalai run --nproc_per_node 8 --hostfile hosts train.py -c 7b",
        "python gaudi_spawn.py --world_size 8 --use_mpi run_lora_clm.py --bf16=True",
        "dlrover-run --nnodes=1:2 --nproc_per_node=1 --network-check train.py --n_layer 48",
        "ray job submit --address http://x:8265 --working-dir . --no-wait -- python train.py --epochs 3",
        "tune run --nnodes 1 --nproc_per_node 2 full_finetune_distributed --config llama3_2/1B_full dataset.packed=True",
        "tune run full_finetune_single_device --config llama3_2/1B_full",
        "axolotl train config.yaml --base-model x",
        "python -m axolotl.cli.train /workspace/configs/gemma3.yaml",
        "llamafactory-cli train examples/lora.yaml cutoff_len=2048",
        "swift sft --model Qwen/Qwen2.5-7B",
        "litgpt finetune_lora meta-llama/Llama-3.2-1B --lora_r 8",
        "nsys profile -o /r/x -t cuda,nvtx --capture-range=cudaProfilerApi torchrun --nproc_per_node=1 /fsdp/train.py --num_layers=16",
        "/bin/bash /scripts/nsys-profile.sh -- /usr/local/bin/torchrun --nproc_per_node=1 --nnodes=2 /fsdp/train.py --num_layers=16",
        "uv run --with trl accelerate launch train.py",
        "uv run --isolated --extra fsdp -m skyrl.train.entrypoints.main_base trainer.epochs=20",
        "/opt/nccl-tests/build/all_reduce_perf -b 8",
        "python -m vllm.entrypoints.openai.api_server --model x",
        "vllm serve meta-llama/Llama-3-8B --tensor-parallel-size 8",
        "sleep inf",
        "tail -f /dev/null",
        "python -c import torch",
    ];
    let all: Vec<String> = commands
        .iter()
        .map(|command| {
            let words: Vec<&str> = command.split(' ').collect();
            format!("$ {command}\n{}\n", read(json!({ "command": words })))
        })
        .collect();
    insta::assert_snapshot!(all.concat());
}

#[test]
fn a_script_is_read_as_its_shell_reads_it() {
    let scripts = [
        r#"export TP=8 PP=2; torchrun --nproc_per_node=$TP train.py --tp ${TP} --pp "$PP""#,
        "A=1 B=2 python train.py $A $B",
        "set -euo pipefail\npip install \"numpy==1.26.4\" && torchrun \\\n --nnodes=2 --node_rank=${RANK} --role `hostname -s`: \\\n  --tee 3 ft.py --enable_fsdp",
        "accelerate launch --num_processes $((8 * NNODES)) --machine_rank ${RANK:-0} train.py --lr ${LR:-1e-4}",
        "NNODES=4; accelerate launch --num_processes $((8 * NNODES)) train.py",
        "ARGS=( --a 1\n --b 2 )\nARGS+=(--c \"x y\")\ntorchrun \"${DIST[@]}\" train.py \"${ARGS[@]}\" ${ARGS[1]}",
        "OPTIONS=\" \\\n  --x 1 \\\n  --y $Y --z \"\ntorchrun $OPTIONS train.py $OPTIONS",
        "torchrun --nproc_per_node=2 $(which swift) sft --model a --external plugin.py\nSWIFT=`command -v swift`\n$SWIFT pt --model b",
        "if [ -z \"$(which swift)\" ]; then pip install ms-swift; fi; swift sft --model a",
        "uv run coverage run -a --data-file=/c --source /src examples/run_sft.py policy.model_name=a",
        "coverage run -m train --a 1",
        "mkdir -p $HF_HOME/accelerate; echo \"a: 1\\nb: 2\" > $HF_HOME/accelerate/default_config.yaml; echo -e 'c\\nd' > $X/notes; accelerate launch train.py",
        "N=`expr 16 / 8`; M=$(expr 2 \\* $N); python train.py $N $M $(nproc)",
        "if [ -n \"$X\" ]; then A=1; torchrun one.py $A; else A=2; deepspeed two.py; fi; python three.py $A",
        "[ -z \"$1\" ] && exit 1; [ -n \"$Q\" ] && Q=2; cd /a && python b.py $Q",
        "if [[ -z \"${TOKEN:-}\" ]]; then echo no token; exit 1; fi\npython a.py",
        "[ -z \"$TOKEN\" ] && { echo no token; exit 1; }; python a.py",
        "while [[ $# -gt 0 ]]; do case $1 in --model) M=$2; shift 2;; *) break;; esac; done\nif [ -z \"$M\" ]; then M=gpt2; fi; python a.py $M",
        "[ -z \"$TOKEN\" ] && { python prepare.py; exit 0; }; python a.py",
        "check() { return 1; }; check; A=1; if [[ $A == 1 ]]; then B=2; fi; python a.py $B",
        "run() { local n=$1; torchrun --nproc_per_node=$n \"${@:2}\"; shift; python \"$@\"; }\nrun 8 train.py --x",
        "for i in 1 2 3; do echo $i; done; for m in a; do python train.py $m; done; python train.py $i $m",
        "n=0; while true; do n=$((n+1)); python a.py $n; done",
        "(cd /x; A=1; python a.py $A); python b.py $A | tee log; torchrun c.py &",
        "cat > ds.json <<EOF\n{\"zero\": $Z, \"bf16\": true}\nEOF\ncat <<'EOT' >/cfg/a.yaml\na: $B\nEOT\ndeepspeed train.py --deepspeed ds.json",
        "python - <<EOF\nimport torch\nEOF\npython -c 'print(1)' x",
        "bash <<EOF\ntorchrun --nproc_per_node 2 train.py\nEOF\necho 'python b.py' | sh",
        "cat > /tmp/run.sh <<'EOF'\n#!/bin/bash\ntorchrun train.py --tp $1 \"$@\"\nEOF\nchmod +x /tmp/run.sh\nbash -x /tmp/run.sh 4 --q\n/tmp/run.sh 2\nsource /tmp/run.sh",
        "set -- a b; python t.py \"$@\" $# $2 $3; eval \"python e.py $1\"",
        "case $MODE in a) X=1;; b) X=2;; esac; python t.py $X; F=/a/b/c.json; python ${F%.json} ${F##*/} ${F%/*}",
        "unset RANK; python t.py $RANK ${NEVER-d} ${E:=5} $E ${E:+yes} ${E:1:2}",
        "${PROFILER} torchrun train.py; $CMD --x 1",
        "DISTRIBUTED_ARGS=\"--nproc_per_node ${LOCAL_WORLD_SIZE:-8} --nnodes 2\"\ntorchrun $DISTRIBUTED_ARGS pretrain_gpt.py --fp16 2>&1 --save x > log",
        "exec torchrun a.py; python never.py",
        "torchrun a.py || { echo failed; exit 1; }; python b.py",
        "A=\"--x 1\"; if [ -f /f ]; then A=\"$A --y 2\"; fi; python train.py $A",
        "A=(--x 1); [ -f /f ] && A+=(--y 2); A+=(--z); torchrun train.py \"${A[@]}\"",
        "SIZE=7b; case $SIZE in 7b) M=small;; 70b) M=large;; esac; if [[ $SIZE == 7b && -n $M ]]; then torchrun a.py $M; else torchrun b.py; fi",
        "N=0; [ $N -gt 0 ] && torchrun a.py || torchrun b.py",
        "A='a b'; for i in 1 2; do B=\"$A\"; A='a c'; done; python train.py $A $B",
        "read -r -d '' words <<EOF\nopenrlhf.cli.train_sft --x 1 \\\n  --y 2\nEOF\ndeepspeed --module $words",
        "export TOKEN=<YOUR_TOKEN>\ntorchrun train.py --token <TOKEN> --lr 1",
        "ray job submit --address http://h:8265 -- torchrun a.py; ray status",
        "torchx run -s local_cwd dist.ddp -j 1x8 --script a.py -- --x 1",
        "hyperpodrun --nproc_per_node 8 --server-port 80 a.py --x 1; ft_launcher --ft-cfg-path a.yaml b.py",
        "if true; then",
    ];
    let all: Vec<String> = scripts.iter().map(|text| format!("$ {text}\n{}\n", script(text))).collect();
    insta::assert_snapshot!(all.concat());
}

/// The launches of groups of pods. A group is a role, a number of accelerators and its containers.
fn of_groups(
    groups: &[(&str, Value)],
    entrypoint: Option<Entrypoint<'_>>,
    config_maps: &ConfigMaps,
) -> String {
    let templates: Vec<Value> =
        groups.iter().map(|(_, containers)| json!({"spec": {"containers": containers}})).collect();
    let groups: Vec<PodGroup<'_>> = groups
        .iter()
        .zip(&templates)
        .map(|((role, _), template)| PodGroup {
            role,
            template,
            path: format!("spec.{role}"),
            replicas: Some(2),
        })
        .collect();
    let requests = requests::requests(&groups, &Documents::default(), "", Catalogue::builtin());
    let around = Surroundings { config_maps: Arc::new(config_maps.clone()), ..Surroundings::default() };
    shown(&launches(&groups, entrypoint, &requests, &around, "ml").launches)
}

#[test]
fn containers_are_read_in_the_order_of_their_accelerators() {
    let gpus = |count: u64| json!({"limits": {"nvidia.com/gpu": count}});
    let pods = of_groups(
        &[
            ("Launcher", json!([{"name": "mpi", "command": ["mpirun", "-np", "16", "python", "train.py"]}])),
            (
                "Worker",
                json!([
                    {"name": "log", "command": ["fluentd"]},
                    {"name": "second", "command": ["watch-gpu"], "resources": gpus(1)},
                    {"name": "first", "args": ["--model", "x"], "resources": gpus(8)},
                ]),
            ),
        ],
        None,
        &ConfigMaps::default(),
    );
    let tied = of_groups(
        &[(
            "a",
            json!([{"name": "x", "command": ["x"], "resources": gpus(1)}, {"name": "pytorch", "command": ["y"], "resources": gpus(1)}]),
        )],
        None,
        &ConfigMaps::default(),
    );
    insta::assert_snapshot!(format!("{pods}\n{tied}"));
}

#[test]
fn an_entrypoint_is_a_shell_script_in_the_first_containers_environment() {
    let entrypoint = Entrypoint {
        script: "python train.py --tp $TP --lr ${LR:-1}",
        environment: vec![("LR".into(), "2".into())],
        path: "spec.entrypoint",
        gap: None,
    };
    let head = json!([{"name": "head", "env": [{"name": "TP", "value": "4"}], "command": ["ray", "start"]}]);
    insta::assert_snapshot!(of_groups(&[("head", head)], Some(entrypoint), &ConfigMaps::default()), @r#"
    entrypoint
      Script("train.py") --tp 4 --lr 2
      env LR=2 TP=4
    container head
      Program("ray start")
      env TP=4
    "#);
}

#[test]
fn a_file_is_found_from_the_programs_working_directory() {
    let command = "cd /work && echo 'a: 1' > conf.yaml && python train.py";
    let template = json!({"spec": {"containers": [{"command": ["sh", "-c", command]}]}});
    let groups = [PodGroup { role: "", template: &template, path: String::new(), replicas: Some(1) }];
    let launches = launches(&groups, None, &[], &Surroundings::default(), "").launches;
    let files = &launches.first().unwrap().files;
    for path in ["conf.yaml", "./conf.yaml", "/work/conf.yaml"] {
        assert_eq!(files.get(path).map(|file| &*file.text), Some("a: 1\n"), "{path}");
    }
    assert_eq!(files.get("/conf.yaml"), None);
}

#[test]
fn variables_of_a_container_are_put_in_by_kubernetes_and_by_the_shell() {
    let mut maps = ConfigMaps::default();
    let data = [("NNODES".to_owned(), "3".into()), ("lr".to_owned(), "1e-4".into())];
    maps.add("ml", "all", data.into());
    let containers = |script: &str| {
        json!([{
            "name": "a",
            "workingDir": "/workspace",
            "env": [
                {"name": "N", "valueFrom": {"configMapKeyRef": {"name": "all", "key": "NNODES"}}},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            ],
            "envFrom": [{"configMapRef": {"name": "all"}}],
            "command": ["/bin/sh", "-ec", script],
            "args": ["name", "$(N)", "$(TOKEN)", "$$(N)"],
        }])
    };
    let script = "torchrun --nnodes=$(N) --x=$((8 * NNODES)) train.py $1 $2 $3 $TOKEN $(TOKEN) ${Q:-none}";
    let known = of_groups(&[("", containers(script))], None, &maps);
    // Variables may come from an unknown ConfigMap. Then no default holds.
    let unknown = of_groups(&[("", containers(script))], None, &ConfigMaps::default());
    insta::assert_snapshot!(format!("{known}\n{unknown}"));
}

/// A script in the style of Megatron-LM's examples, of 40 lines.
pub(crate) const MEGATRON: &str = r#"
set -euo pipefail
export CUDA_DEVICE_MAX_CONNECTIONS=1
export NCCL_DEBUG=WARN
GPUS_PER_NODE=8
NNODES=${NNODES:-4}
WORLD_SIZE=$(($GPUS_PER_NODE*$NNODES))
CHECKPOINT_PATH=${CHECKPOINT_PATH:-/data/ckpt}
if [ ! -d "$CHECKPOINT_PATH" ]; then
    mkdir -p "$CHECKPOINT_PATH"
fi
pip install -q wandb && echo "world size ${WORLD_SIZE}"

DISTRIBUTED_ARGS=(
    --nproc_per_node $GPUS_PER_NODE
    --nnodes $NNODES
    --node_rank ${JOB_COMPLETION_INDEX}
    --master_addr $MASTER_ADDR
    --master_port 6000
)
GPT_MODEL_ARGS=(
    --num-layers 96
    --hidden-size 12288
    --num-attention-heads 96
    --seq-length 2048
    --max-position-embeddings 2048
)
TRAINING_ARGS="
    --micro-batch-size 1
    --global-batch-size $((2 * WORLD_SIZE))
    --train-iters 500000
    --bf16
"
MODEL_PARALLEL_ARGS="--tensor-model-parallel-size 8     --pipeline-model-parallel-size ${PP:-4}"
numactl --membind=0 nsys profile -t cuda,nvtx -o /tmp/trace   torchrun ${DISTRIBUTED_ARGS[@]} pretrain_gpt.py     ${GPT_MODEL_ARGS[@]} $TRAINING_ARGS $MODEL_PARALLEL_ARGS     --save "$CHECKPOINT_PATH" 2>&1 | tee /data/log.txt
"#;

#[test]
fn a_script_like_megatrons_examples_is_read_whole() {
    insta::assert_snapshot!(script(MEGATRON));
}
