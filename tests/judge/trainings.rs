//! Several trainings of one object: the worst decides. The accelerators of one training.

use serde_json::{Value, json};
use weighbridge::judgement::{Judgement, Verdict};

use super::{judged, source};

/// A 70B model by FSDP, which needs many accelerators to share its states, and a small one.
const LARGE: &str = "train.py --hidden_width 8192 --num_layers 80 --num_heads 64 --num_key_value_heads 8 \
    --llama_intermediate_size 28672 --max_context_width 4096 --train_batch_size 1 --model_type llama_v2 \
    --vocab_size 32000 --sharding_strategy full --activation_checkpointing 1 --offload_activations 0";
const SMALL: &str = "train.py --hidden_width 1024 --num_layers 12 --num_heads 16 --num_key_value_heads 16 \
    --llama_intermediate_size 2816 --max_context_width 1024 --train_batch_size 1 --model_type llama_v2 \
    --vocab_size 32000 --sharding_strategy full --activation_checkpointing 1 --offload_activations 0";

fn gpt(layers: u64, hidden: u64, sequence: u64) -> String {
    format!(
        "torchrun --nproc_per_node 8 pretrain_gpt.py --num-layers {layers} --hidden-size {hidden} \
         --num-attention-heads 16 --seq-length {sequence} --max-position-embeddings {sequence} \
         --micro-batch-size 1 --global-batch-size 64 --bf16 --vocab-size 32000 --use-mcore-models \
         --attention-backend flash"
    )
}

fn container(name: &str, script: &str, gpus: u64) -> Value {
    json!({
        "name": name,
        "image": "trainer",
        "command": ["bash", "-c", script],
        "resources": {"limits": {"nvidia.com/gpu": gpus}},
    })
}

#[expect(clippy::needless_pass_by_value, reason = "json! makes values")]
fn template(containers: Value, init: Value) -> Value {
    json!({"spec": {
        "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
        "containers": containers,
        "initContainers": init,
    }})
}

fn job(template: &Value, pods: u64) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job"},
        "spec": {"parallelism": pods, "template": template},
    })
}

fn of_script(script: &str) -> Judgement {
    judged(&job(&template(json!([container("main", script, 8)]), json!([])), 1))
}

fn accelerators(judgement: &Judgement) -> Option<&str> {
    source(judgement, "accelerator.count").map(|(count, _)| count)
}

#[test]
fn the_worst_of_several_trainings_of_a_script_decides_wherever_it_stands() {
    let (small, large) = (gpt(12, 1024, 1024), gpt(80, 8192, 4096));
    let alone = of_script(&large);
    assert_eq!(alone.verdict, Verdict::OutOfMemory, "{}", alone.message);
    assert_eq!(of_script(&small).verdict, Verdict::Fits);
    for (script, which) in [
        (format!("{small}\n{large}"), "second"),
        (format!("{large}; {small}"), "first"),
        (format!("{small} && {large}"), "second"),
        (format!("{small} & {large} & wait"), "second"),
        (format!("{small}; {small} --lr 1; {large}; python convert.py"), "third"),
        (format!("f() {{ {large}; }}; {small}; f"), "second"),
        (format!("for i in 1 2; do {small}; done; {large}"), "second"),
    ] {
        let judgement = of_script(&script);
        assert_eq!(judgement.verdict, Verdict::OutOfMemory, "{script}: {}", judgement.message);
        assert_eq!(judgement.memory, alone.memory, "{script}");
        assert_eq!(judgement.advice.len(), alone.advice.len(), "{script}");
        assert!(
            judgement.warnings[0]
                .contains(&format!("training commands are started; the {which} decides (container main)"))
                || script.contains("--lr 1"),
            "{script}: {:?}",
            judgement.warnings
        );
    }
    // Stages of one training. The last has the longest sequence.
    let stages = of_script(&format!("{}\n{}", gpt(32, 4096, 1024), gpt(32, 4096, 65_536)));
    assert_eq!(stages.memory, of_script(&gpt(32, 4096, 65_536)).memory);
}

#[test]
fn a_training_that_is_started_twice_alike_is_one() {
    let small = gpt(12, 1024, 1024);
    let once = of_script(&small);
    for script in [format!("{small}\n{small}"), format!("{small} --save /a\n{small} --save /b")] {
        let twice = of_script(&script);
        assert_eq!((twice.verdict, &twice.warnings), (once.verdict, &once.warnings), "{script}");
    }
}

#[test]
fn an_evaluation_or_preparation_is_no_second_training() {
    let small = gpt(12, 1024, 1024);
    let once = of_script(&small);
    for script in [
        format!("python preprocess_data.py --x; {small}; torchrun evaluate.py --num-layers 80"),
        format!("nvidia-smi; {small}; python export.py"),
        format!("{small}; {} --skip-train", gpt(80, 8192, 4096)),
    ] {
        let judgement = of_script(&script);
        assert_eq!((judgement.verdict, &judgement.memory), (Verdict::Fits, &once.memory), "{script}");
    }
}

#[test]
fn a_training_in_a_branch_is_never_refused_and_fits_with_a_warning() {
    let (small, large) = (gpt(12, 1024, 1024), gpt(80, 8192, 4096));
    for script in [
        format!("if [ -f /data/x ]; then {large}; fi\n{small}"),
        format!("[ -f /data/x ] && {large}; {small}"),
        format!("if [ -f /data/x ]; then {large}; else {small}; fi"),
    ] {
        let judgement = of_script(&script);
        assert_eq!(judgement.verdict, Verdict::Unknown, "{script}: {}", judgement.message);
    }
    assert_eq!(
        of_script(&format!("if [ -f /data/x ]; then {small} --lr 1; fi\n{small}")).verdict,
        Verdict::Fits
    );
}

#[test]
fn an_evaluation_or_benchmark_in_a_general_kind_is_no_training() {
    let evaluations: Vec<String> = (0..70).map(|task| format!("python eval.py --task {task}")).collect();
    let evaluations = evaluations.join("\n");
    for script in [
        "torchrun --nproc_per_node=8 generate.py --ckpt_dir /m/llama-2-70b --max_seq_len 512",
        "torchrun --nproc_per_node=8 evaluate.py --model /m --tasks mmlu",
        "accelerate launch -m axolotl.cli.inference cfg.yaml",
        "accelerate launch -m lm_eval --model hf --tasks mmlu",
        "torchrun --help",
        "accelerate launch -h",
        "torchrun --nproc_per_node=8 -m pytest tests",
        "torchrun --nproc_per_node=8 all_reduce_bench.py",
        "torchrun --nproc_per_node=8 example_chat_completion.py --ckpt_dir /m --tokenizer_path /t",
        "tune run --nproc_per_node 2 eleuther_eval --config eval.yaml",
        &evaluations,
    ] {
        let judgement = of_script(script);
        assert_eq!(judgement.verdict, Verdict::NotTraining, "{script}: {}", judgement.message);
    }
    for script in [
        "torchrun own.py",
        "torchrun benchmark.py",
        "torchrun predict.py --train_batch_size 8",
        "torchrun train.py --do_predict",
        "torchrun run_clm.py --do_predict False",
        "tune run full_finetune_distributed --config a",
    ] {
        assert_eq!(of_script(script).verdict, Verdict::Unknown, "{script}");
    }
    let behind = of_script(&format!("{evaluations}\n{}", gpt(80, 8192, 4096)));
    assert_eq!(behind.verdict, Verdict::OutOfMemory, "{}", behind.message);
}

#[test]
fn trainings_with_the_same_deciding_values_are_judged_as_one() {
    let many: Vec<String> = (1..=40).map(|n| format!("{} --lr 1e-{n}", gpt(12, 1024, 1024))).collect();
    let judgement = of_script(&many.join("\n"));
    assert_eq!(judgement.verdict, Verdict::Fits, "{}", judgement.message);
}

#[test]
fn more_trainings_than_are_judged_are_a_gap() {
    let many: Vec<String> = (1..=20).map(|n| gpt(n, 1024, 1024)).collect();
    let judgement = of_script(&many.join("\n"));
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert!(judgement.message.contains("more trainings than are judged"), "{}", judgement.message);
}

#[test]
fn every_container_that_asks_for_accelerators_is_read() {
    let (small, large) = (gpt(12, 1024, 1024), gpt(80, 8192, 4096));
    let alone = of_script(&large);
    let main = |script: &str| container("main", script, 8);
    let mut sidecar = container("beside", &large, 8);
    sidecar["restartPolicy"] = "Always".into();
    for (what, template) in [
        ("beside", template(json!([main(&small), container("big", &large, 8)]), json!([]))),
        ("smaller", template(json!([main(&small), container("big", &large, 4)]), json!([]))),
        ("init", template(json!([container("main", "sleep inf", 0)]), json!([container("init", &large, 8)]))),
        ("init beside", template(json!([main(&small)]), json!([container("init", &large, 8)]))),
        ("sidecar", template(json!([container("main", "sleep inf", 0)]), json!([sidecar]))),
    ] {
        for object in [
            job(&template, 1),
            json!({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]}),
            json!({"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {"pytorchReplicaSpecs": {
                "Master": {"template": template},
            }}}),
        ] {
            let judgement = judged(&object);
            assert_eq!(judgement.verdict, Verdict::OutOfMemory, "{what}: {}", judgement.message);
            if what != "smaller" {
                assert_eq!(judgement.memory, alone.memory, "{what}");
                assert_eq!(accelerators(&judgement), Some("8"), "{what}");
            }
        }
    }
    // A training that only looks at the hardware is no benchmark and no training.
    let looks = json!([container("check", "nvidia-smi", 8)]);
    let serves = judged(&job(&template(json!([container("main", "vllm serve x", 8)]), looks.clone()), 1));
    assert_eq!(serves.verdict, Verdict::NotTraining);
    let pytorchjob = json!({"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {"pytorchReplicaSpecs": {
        "Master": {"template": template(json!([container("main", "bash /opt/train.sh", 8)]), looks)},
    }}});
    assert_eq!(judged(&pytorchjob).verdict, Verdict::Unknown);
}

#[test]
fn pods_whose_launch_meets_no_other_train_each_by_itself() {
    let of = |launch: &str, pods: u64| {
        judged(&job(&template(json!([container("main", &format!("{launch} {LARGE}"), 8)]), json!([])), pods))
    };
    let alone = of("torchrun --nproc_per_node 8", 1);
    assert_ne!(alone.verdict, Verdict::Fits, "{}", alone.message);
    for launch in [
        "torchrun --nproc_per_node 8",
        "torchrun --standalone --nproc_per_node=8",
        "torchrun --nnodes=1 --nproc_per_node=8",
        "accelerate launch --num_processes 8",
        "python -m torch.distributed.run --nproc_per_node 8",
    ] {
        let each = of(launch, 16);
        assert_eq!((each.verdict, accelerators(&each)), (alone.verdict, Some("8")), "{launch}");
        let said = "each of 16 pods trains by itself: its launch names no other";
        assert!(each.warnings.iter().any(|line| line == said), "{launch}: {:?}", each.warnings);
    }
    for launch in [
        "torchrun --nproc_per_node 8 --nnodes 16",
        "torchrun --nproc_per_node 8 --rdzv_endpoint=head:29500",
        "PET_NNODES=16 torchrun --nproc_per_node 8",
        "MASTER_ADDR=head WORLD_SIZE=16 torchrun --nproc_per_node 8",
        "accelerate launch --num_machines 16 --num_processes 128",
        "mpirun -np 128 python",
    ] {
        let together = of(launch, 16);
        assert_eq!(accelerators(&together), Some("128"), "{launch}: {}", together.message);
        assert_eq!(together.verdict, Verdict::Fits, "{launch}: {}", together.message);
    }
    // A file of the image may configure the launch, so nothing is sure.
    let perhaps = of("deepspeed", 16);
    assert!(!matches!(perhaps.verdict, Verdict::OutOfMemory | Verdict::Fits), "{}", perhaps.message);
}

#[test]
fn a_kind_that_tells_its_pods_of_each_other_makes_one_training_of_them() {
    let template = template(
        json!([container("pytorch", &format!("torchrun --nproc_per_node 8 {LARGE}"), 8)]),
        json!([]),
    );
    let judgement = judged(
        &json!({"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {"pytorchReplicaSpecs": {
            "Master": {"replicas": 1, "template": template}, "Worker": {"replicas": 15, "template": template},
        }}}),
    );
    assert_eq!(
        (judgement.verdict, accelerators(&judgement)),
        (Verdict::Fits, Some("128")),
        "{}",
        judgement.message
    );
    assert!(!judgement.warnings.iter().any(|line| line.contains("trainings")), "{:?}", judgement.warnings);
    let volcano = json!({"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "spec": {
        "plugins": {"pytorch": ["--master=a"]},
        "tasks": [{"name": "a", "replicas": 16, "template": template}],
    }});
    assert_eq!(accelerators(&judged(&volcano)), Some("128"));
}

#[test]
fn only_groups_of_pods_that_run_the_training_count() {
    let large = format!("torchrun --nproc_per_node 8 {LARGE}");
    let of = |master: &Value, number: u64| {
        let worker = template(json!([container("pytorch", &large, 8)]), json!([]));
        judged(
            &json!({"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {"pytorchReplicaSpecs": {
                "Master": {"replicas": number, "template": master}, "Worker": {"replicas": 1, "template": worker},
            }}}),
        )
    };
    let alone = of(&template(json!([container("pytorch", "true", 0)]), json!([])), 1_000);
    assert_eq!(accelerators(&alone), Some("8"));
    assert_ne!(alone.verdict, Verdict::Fits, "{}", alone.message);
    for idle in ["sleep inf", "tail -f /dev/null", "nvidia-smi -l 5", "vllm serve x"] {
        let judgement = of(&template(json!([container("pytorch", idle, 8)]), json!([])), 1_000);
        assert_eq!((judgement.verdict, accelerators(&judgement)), (alone.verdict, Some("8")), "{idle}");
    }
    // An unknown command may take part.
    let perhaps = of(&template(json!([container("pytorch", "/opt/start", 8)]), json!([])), 1_000);
    assert!(!matches!(perhaps.verdict, Verdict::OutOfMemory | Verdict::Fits), "{}", perhaps.message);
    let both = of(
        &template(
            json!([container("pytorch", &format!("torchrun --nproc_per_node 8 {SMALL}"), 8)]),
            json!([]),
        ),
        1,
    );
    assert!(both.warnings[0].starts_with("2 training commands are started"), "{:?}", both.warnings);
}

#[test]
fn trainings_of_a_wrapper_do_not_share_their_accelerators() {
    let of = |model: &str, pods: u64| {
        let template = template(
            json!([container("pytorch", &format!("torchrun --nproc_per_node 8 {model}"), 8)]),
            json!([]),
        );
        json!({"template": {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {"pytorchReplicaSpecs": {
            "Worker": {"replicas": pods, "template": template},
        }}}})
    };
    let judgement =
        judged(&json!({"apiVersion": "workload.codeflare.dev/v1beta2", "kind": "AppWrapper", "spec": {
            "components": [of(SMALL, 64), of(LARGE, 1)],
        }}));
    assert_eq!(accelerators(&judgement), Some("8"), "{}", judgement.message);
    assert_ne!(judgement.verdict, Verdict::Fits, "{}", judgement.message);
}

#[test]
fn branches_that_differ_only_in_their_launcher_refuse_nothing() {
    let of = |script: &str| judged(&job(&template(json!([container("main", script, 8)]), json!([])), 16));
    let single = format!("torchrun --standalone --nproc_per_node=8 {LARGE}");
    let several =
        format!("torchrun --nnodes=16 --nproc_per_node=8 --node_rank=$R --master_addr=head {LARGE}");
    assert_eq!(of(&single).verdict, Verdict::OutOfMemory, "{}", of(&single).message);
    for script in [
        format!("if [ \"$NNODES\" = 1 ]; then {single}; else {several}; fi"),
        format!("if [ \"$NNODES\" != 1 ]; then {several}; else {single}; fi"),
        format!(
            "if [ -z \"$N\" ]; then {single}; else export PET_NNODES=16; torchrun --nproc_per_node=8 {LARGE}; fi"
        ),
        format!("[ -n \"$MULTI\" ] || {single}\n[ -n \"$MULTI\" ] && {several}"),
        format!("case $NNODES in 1) {single};; *) {several};; esac"),
        format!("one() {{ {single}; }}; all() {{ {several}; }}; if [ $N = 1 ]; then one; else all; fi"),
        format!("if [ \"$NNODES\" != 1 ]; then exec {several}; fi\nexec {single}"),
        format!("if [ \"$NNODES\" != 1 ]; then {several}; exit 0; fi\n{single}"),
        format!("if [ \"$NNODES\" = 1 ]; then {single}; else bash /opt/several.sh; fi"),
        format!("if [ \"$NNODES\" = 1 ]; then {single}; else torchrun --nnodes=16 own.py; fi"),
    ] {
        let judgement = of(&script);
        assert_eq!(judgement.verdict, Verdict::Unknown, "{script}: {}", judgement.message);
    }
}

#[test]
fn branches_that_all_run_out_are_refused_and_those_that_all_fit_are_admitted_in_silence() {
    let (small, large) = (gpt(12, 1024, 1024), gpt(80, 8192, 4096));
    for (training, verdict) in [(&small, Verdict::Fits), (&large, Verdict::OutOfMemory)] {
        for script in [
            format!("if [ -d /out ]; then {training} --load /out; else {training}; fi"),
            format!("if [ -d /out ]; then {training} --seq-length 512; else {training}; fi"),
            format!("[ $RANK = 0 ] && {training} --tensorboard-dir /t || {training}"),
            format!("if [ -d /out ]; then exec {training} --load /out; fi; {training}"),
        ] {
            let judgement = of_script(&script);
            assert_eq!(judgement.verdict, verdict, "{script}: {}", judgement.message);
            let says = |word: &str| judgement.warnings.iter().any(|line| line.contains(word));
            assert!(verdict != Verdict::Fits || !says("trainings"), "{script}: {:?}", judgement.warnings);
        }
    }
}

#[test]
fn a_file_that_a_branch_writes_decides_nothing_outside_of_it() {
    let train = "deepspeed --num_gpus 8 run_clm.py --model_name_or_path meta-llama/Llama-2-13b-hf --do_train \
        --per_device_train_batch_size 1 --gradient_checkpointing --block_size 1024 --bf16 \
        --attn_implementation flash_attention_2 --output_dir o --deepspeed ds.json";
    let file = |stage: u64| {
        format!(
            "cat > ds.json <<'EOF'\n{{\"zero_optimization\":{{\"stage\":{stage}}},\"bf16\":{{\"enabled\":true}},\
             \"train_micro_batch_size_per_gpu\":1}}\nEOF"
        )
    };
    let (lean, large) = (file(3), file(0));
    let expects = |script: String, verdict: Verdict| {
        let judgement = of_script(&script);
        assert_eq!(judgement.verdict, verdict, "{script}: {}", judgement.message);
    };
    expects(format!("{large}\n{train}"), Verdict::OutOfMemory);
    expects(format!("if [ $Z = 3 ]; then\n{lean}\nfi\n{large}\n{train}"), Verdict::OutOfMemory);
    expects(format!("if [ -d /data ]; then\n{large}\n{train}\nfi"), Verdict::OutOfMemory);
    for script in [
        format!("if [ $Z = 3 ]; then\n{lean}\nelse\n{large}\nfi\n{train}"),
        format!("{lean}\nif [ $Z = 0 ]; then\n{large}\nfi\n{train}"),
        format!("[ -f ds.json ] || {large}\n{train}"),
        format!("case $Z in 3)\n{lean}\n;; *)\n{large}\n;; esac\n{train}"),
        format!("if [ $Z = 3 ]; then cp /a/ds.json .; else\n{large}\nfi\n{train}"),
        format!(
            "{large}\nif [ $Z = 3 ]; then echo '{train} --lora_r 8' > run.sh; else echo '{train}' > run.sh; fi\nbash run.sh"
        ),
        format!(
            "{large}\nif [ $Z = 3 ]; then echo '{train} --lora_r 8' > /r.sh; else echo '{train}' > /r.sh; fi\n. /r.sh"
        ),
    ] {
        expects(script, Verdict::Unknown);
    }
}

#[test]
fn a_launch_may_meet_others_through_an_unread_script() {
    let of = |container: Value| judged(&job(&template(json!([container]), json!([])), 16));
    let launch = format!("torchrun --nproc_per_node=8 {LARGE}");
    for before in [
        ". /shared/env.sh\n",
        "source /etc/profile.d/dist.sh\n",
        "source $ENV_FILE\n",
        "if [ -z $RANK ]; then echo export PET_NNODES=16 > /e.sh; else echo export A=1 > /e.sh; fi; . /e.sh\n",
        "if [ -f /shared/env.sh ]; then . /shared/env.sh; fi\n",
        "set -a; . /shared/env; set +a\n",
        "eval $(python get_env.py)\n",
        "eval \"$(python get_env.py)\"\n",
        "eval `python get_env.py`\n",
        "eval export $(cat /shared/env)\n",
        "export $(cat /shared/env | xargs)\n",
        "export $(grep -v '^#' .env)\n",
        "declare -x $(cat /shared/env)\n",
        "while IFS='=' read -r k v; do export $k=$v; done < /shared/env\n",
        "for line in $(cat /shared/env); do export \"$line\"; done\n",
        "env $(cat /shared/env) ",
        "/workspace/launch.sh ",
        "bash /opt/dist-entrypoint.sh ",
        "sh -x ./wrap -- ",
        "$WRAPPER ",
        "exec /opt/launch ",
        "docker-entrypoint.sh ",
    ] {
        let script = format!("{before}{launch}");
        let mut main = container("main", &script, 8);
        main["env"] = json!([{"name": "WRAPPER", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]);
        let judgement = of(main);
        assert_eq!(judgement.verdict, Verdict::Unknown, "{before}: {}", judgement.message);
    }
    let mut main = container("main", "", 8);
    let words: Vec<&str> = launch.split_ascii_whitespace().collect();
    (main["command"], main["args"]) = (json!(["/workspace/launch.sh"]), json!(words));
    assert_eq!(of(main).verdict, Verdict::Unknown);
    // A command that only sets up software sets no variables.
    for before in [
        "source /opt/venv/bin/activate; ",
        ". /opt/conda/etc/profile.d/conda.sh; conda activate train; ",
        "eval \"$(conda shell.bash hook)\"; ",
        "export A=$(date); ",
        "(. /shared/env.sh); ",
        "read -r NAME < /shared/name; ",
        "exec ",
    ] {
        let judgement = of(container("main", &format!("{before}{launch}"), 8));
        assert_eq!(judgement.verdict, Verdict::OutOfMemory, "{before}: {}", judgement.message);
    }
}

#[test]
fn one_pod_of_a_training_of_several_nodes_is_not_refused_for_its_own_accelerators() {
    let pod = |script: &str| {
        let template = template(json!([container("main", script, 8)]), json!([]));
        json!({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]})
    };
    let alone = judged(&pod(&format!("torchrun --nproc_per_node=8 {LARGE}")));
    assert_eq!(alone.verdict, Verdict::OutOfMemory, "{}", alone.message);
    let several = "torchrun --nproc_per_node=8";
    for launch in [
        &format!("{several} --nnodes=16 --node_rank=0 --master_addr=head"),
        &format!("{several} --nnodes=16 --node_rank=${{HOSTNAME##*-}} --master_addr=p-0.p"),
        &format!("{several} --nnodes=1:16 --rdzv_endpoint=head:29500"),
        &format!("{several} --nnodes=$NNODES --node_rank=$RANK --master_addr=p-0.p"),
        &format!("{several} --nnodes $SKYPILOT_NUM_NODES --master_addr=$MASTER_ADDR"),
        &format!("{several} --rdzv_backend=c10d --rdzv_endpoint=p-0.p:29500"),
        &format!("PET_NNODES=16 {several}"),
        &format!("MASTER_ADDR=head WORLD_SIZE=16 {several}"),
        &"accelerate launch --num_machines 16 --num_processes 128 --main_process_ip head".to_owned(),
        &"accelerate launch --num_machines $N --num_processes 128".to_owned(),
        &"printf 'num_machines: 16\n' > a.yaml; accelerate launch --config_file a.yaml".to_owned(),
        &"deepspeed --num_nodes 16 --no_ssh --node_rank 0 --master_addr head".to_owned(),
        &"MASTER_ADDR=head WORLD_SIZE=128 RANK=3 python".to_owned(),
    ] {
        let script = format!("{launch} {LARGE}");
        let template = template(json!([container("main", &script, 8)]), json!([]));
        for object in [pod(&script), job(&template, 1)] {
            let judgement = judged(&object);
            assert_eq!(judgement.verdict, Verdict::Unknown, "{launch}: {}", judgement.message);
            let said = judgement.warnings.iter().any(|line| line.starts_with("one pod of "));
            assert!(
                said && judgement.missing.iter().any(|field| field.path() == "accelerator.count"),
                "{launch}"
            );
        }
    }
    // Some of the pods, and one node.
    let nodes = |nodes: u64| format!("{several} --nnodes={nodes} {LARGE}");
    let some = judged(&job(&template(json!([container("main", &nodes(16), 4)]), json!([])), 2));
    assert_eq!(some.verdict, Verdict::Unknown, "{}", some.message);
    let said = "2 pods of 16: the launch counts on 16 nodes";
    assert!(some.warnings.iter().any(|line| line == said), "{:?}", some.warnings);
    for script in [
        nodes(1),
        format!("{several} --rdzv_endpoint=localhost:0 {LARGE}"),
        format!("{} --distributed-backend nccl", gpt(80, 8192, 4096))
            .replace("torchrun", "torchrun --nnodes=4"),
    ] {
        let judgement = judged(&pod(&script));
        assert_eq!(judgement.verdict, Verdict::OutOfMemory, "{script}: {}", judgement.message);
    }
    // If the kind tells its pods about each other, the training has all of them.
    let template = template(json!([container("pytorch", &nodes(16), 8)]), json!([]));
    let judgement = judged(
        &json!({"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {"pytorchReplicaSpecs": {
            "Worker": {"replicas": 1, "template": template},
        }}}),
    );
    assert_eq!(judgement.verdict, Verdict::OutOfMemory, "{}", judgement.message);
}
