//! Values of another object are never quoted. A person may submit a workload without permission to read the objects
//! that it refers to.
//!
//! Every place in ConfigMaps and runtimes holds a canary. The canaries reach fields by every way that a command knows.
//! No judgement may contain one. If all values may be quoted, the same canaries appear. So the ways are really read.

use std::fmt::Write as _;

use serde_json::{Value, json};
use weighbridge::job::{Ask, Quoting};
use weighbridge::judge::judge;
use weighbridge::judgement::{Judgement, Verdict};
use weighbridge::kinds::Kinds;
use weighbridge::policy::World;
use weighbridge::surroundings::Surroundings;

/// Words and numbers that appear in no other place.
const WORD: &str = "canaryword";
const MODEL: &str = "canaryword/Secret-1b";
const NUMBERS: &[u64] =
    &[6151, 613, 7243, 27893, 91813, 778_231, 929, 1009, 503, 4_519_100, 5_347_129, 73_197, 43_217, 61_713];

fn judged(object: &Value, around: &Surroundings, quoting: Quoting) -> Judgement {
    // A little advice is enough.
    let ask = Ask { quoting, max_candidates: 24, ..Ask::default() };
    judge(object, around, &World::built_in(), &ask)
}

/// Everything that a judgement holds, as text.
fn written(judgement: &Judgement) -> String {
    let mut written = serde_json::to_string(judgement).unwrap();
    let Judgement { job, summary, override_reason, swings, deadline, .. } = judgement;
    let _ = write!(written, "{job:?}{summary:?}{override_reason:?}{swings:?}{deadline:?}");
    written
}

/// The canaries that are in a text.
fn canaries(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let mut found: Vec<String> = Vec::new();
    let around = |at: usize| {
        let before: String = lower[..at].chars().rev().take(60).collect();
        before.chars().rev().chain(lower[at..].chars().take(40)).collect()
    };
    found.extend(lower.find(WORD).map(around));
    for number in NUMBERS {
        let digits = number.to_string();
        for (at, _) in lower.match_indices(&digits) {
            let before = lower[..at].chars().next_back();
            let behind = lower[at + digits.len()..].chars().next();
            if ![before, behind].iter().flatten().any(|c| c.is_ascii_digit() || *c == '.') {
                found.push(around(at));
            }
        }
    }
    found
}

/// Annotations of the request: none, some, contradictory ones, and all that decide.
fn annotated() -> [Value; 4] {
    let of = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| (format!("weighbridge.dev/{key}"), json!(value)));
        Value::Object(pairs.collect())
    };
    [
        of(&[]),
        of(&[("gpu-type", "H100-80GB")]),
        of(&[
            ("model", "llama-2-70b"),
            ("sequence-length", "4096"),
            ("micro-batch-size", "2"),
            ("tensor-parallel", "8"),
            ("gpu-type", "H100-80GB"),
        ]),
        of(&[("parameters", "70B"), ("layers", "80"), ("hidden-size", "8192"), ("gpu-type", "A100-80GB")]),
    ]
}

fn config_map() -> Value {
    let axolotl = format!(
        "base_model: {MODEL}\nsequence_len: 6151\nmicro_batch_size: 613\nadapter: lora\nlora_r: 929\nmax_steps: 778231\n\
         canaryword_bits: 4\ncanaryword_color: red\n"
    );
    let script = "torchrun pretrain_gpt.py --tokenizer-model canaryword --seq-length 6151 --micro-batch-size 613 \
                  --num-layers 503 --hidden-size 7243 --num-attention-heads 929 --ffn-hidden-size 27893 \
                  --tensor-model-parallel-size 1009 --pipeline-model-parallel-size 503";
    let trainer = format!(
        "torchrun run_clm.py --do_train --model_name_or_path {MODEL} --block_size 6151 --canaryword_bits 4"
    );
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "team"},
        "data": {
            "model": MODEL,
            "MODEL_NAME": MODEL, "LORA_R": "929", "LORA_ALPHA": "16", "MAX_SEQ_LENGTH": "6151",
            "TRAIN_BATCH_SIZE": "613", "LEARNING_RATE": "1e-4",
            "seq": "6151", "MBS": "613", "P": MODEL, "SEQ": "6151",
            "bad": "canaryword not a number",
            "axolotl.yaml": axolotl,
            "broken.yaml": "base_model: [canaryword\n  seq: {6151",
            "ds.json": r#"{"train_micro_batch_size_per_gpu": 613, "zero_optimization": {"stage": 3},
                           "gradient_accumulation_steps": 929}"#,
            "run.sh": script,
            "trainer.sh": trainer,
            "two.sh": format!("{trainer}\n{script}\n"),
            "torn.sh": format!("{trainer}\nif canaryword 6151 then (\n"),
            "env.sh": format!("export P={MODEL} SEQ=6151 MBS=613\nstart() {{ {trainer}; }}\n"),
            "titan.toml": "[model]\nname = \"canaryword\"\nflavor = \"canaryword\"\n[training]\nseq_len = 6151\n\
                           local_batch_size = 613\n[parallelism]\ntensor_parallel_degree = 1009\n",
        },
    })
}

/// A job that runs a script, with every way to the ConfigMap open.
fn script(script: &str, annotations: &Value) -> Value {
    with_command(&json!(["bash", "-c", script]), annotations)
}

fn with_command(command: &Value, annotations: &Value) -> Value {
    let of_map = |name: &str, key: &str| json!({"name": name, "valueFrom": {"configMapKeyRef": {"name": "settings", "key": key}}});
    let template = json!({"spec": {
        "containers": [{
            "name": "trainer", "command": command,
            "env": [
                of_map("A", "model"), of_map("N", "seq"), of_map("B", "MBS"), of_map("SCRIPT", "trainer.sh"),
                of_map("BAD", "bad"), {"name": "CHAIN", "value": "$(A)"},
            ],
            "envFrom": [{"configMapRef": {"name": "settings"}, "prefix": "F_"}],
            "volumeMounts": [{"name": "v", "mountPath": "/cfg"}],
            "resources": {"limits": {"nvidia.com/gpu": 8}},
        }],
        "volumes": [{"name": "v", "configMap": {"name": "settings"}}],
    }});
    json!({
        "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob",
        "metadata": {"name": "job", "namespace": "team", "annotations": annotations},
        "spec": {"pytorchReplicaSpecs": {"Worker": {"replicas": 4, "template": template}}},
    })
}

/// Ways in which a script uses the values of a ConfigMap.
fn scripts() -> Vec<String> {
    let train = "torchrun run_clm.py --do_train --per_device_train_batch_size";
    let model = "--model_name_or_path";
    [
        format!("{train} $B {model} $A --block_size $N"),
        format!("{train} ${{B}} {model} ${{A}} --block_size ${{N}}"),
        format!("{train} \"$B\" {model}=\"$A\" --block_size=\"$N\""),
        format!("{train} ${{B:-4}} {model} ${{A:-gpt2}} --block_size ${{N:=512}}"),
        format!("{train} $((B * 1)) {model} ${{A%x}} --block_size $(($N))"),
        format!("{train} $(expr $B + 0) {model} $(echo $A) --block_size `echo $N`"),
        format!("{train} 2 {model} $F_P --block_size $F_SEQ"),
        format!("{train} 2 {model} $CHAIN --block_size 512"),
        format!("{train} 2 {model} $(cat /cfg/model) --block_size $(</cfg/seq)"),
        format!("M=$A; L=$N; X=\"$M\"; {train} 2 {model} $X --block_size $L"),
        format!("M=x; M+=$A; {train} 2 {model} ${{A}}-more --block_size $N"),
        format!("ARGS=({model} $A --block_size $N); {train} 2 \"${{ARGS[@]}}\""),
        format!("set -- {model} $A --block_size $N; {train} 2 \"$@\""),
        format!("go() {{ {train} 2 {model} $1 --block_size $2; }}; go $A $N"),
        format!("for m in $A; do {train} 2 {model} $m --block_size $N; done"),
        format!("if [ -n \"$A\" ]; then {train} 2 {model} $A --block_size $N; fi"),
        format!("declare -x M=\"$A\"; export L=\"$N\"; {train} 2 {model} $M --block_size $L"),
        format!("let L=N; {train} 2 {model} gpt2 --block_size $L"),
        format!(". /cfg/env.sh; {train} $MBS {model} $P --block_size $SEQ"),
        "source /cfg/env.sh; start".to_owned(),
        "bash /cfg/run.sh".to_owned(),
        "cd /cfg && sh ./trainer.sh".to_owned(),
        "bash /cfg/two.sh".to_owned(),
        format!("{train} 2 {model} gpt2 --block_size 512; bash /cfg/two.sh"),
        "bash /cfg/torn.sh".to_owned(),
        "bash /cfg/canary-less.sh; bash $P.sh".to_owned(),
        "cp /cfg/run.sh /tmp/r.sh; bash /cfg/run.sh --lr 1".to_owned(),
        "bash -c \"$SCRIPT\"".to_owned(),
        "eval \"$SCRIPT\"".to_owned(),
        "eval $SCRIPT".to_owned(),
        "$SCRIPT".to_owned(),
        "bash <<< \"$SCRIPT\"".to_owned(),
        "echo \"$SCRIPT\" | bash".to_owned(),
        "bash <<EOF\n$SCRIPT\nEOF".to_owned(),
        "printf '%s' \"$SCRIPT\" > /tmp/s.sh; bash /tmp/s.sh".to_owned(),
        "cat > /tmp/c.yaml <<EOF\nbase_model: $A\nsequence_len: $N\nmicro_batch_size: $B\nEOF\naxolotl train /tmp/c.yaml"
            .to_owned(),
        "echo \"base_model: $A\" > /tmp/c.yaml; echo \"sequence_len: $N\" >> /tmp/c.yaml; axolotl train /tmp/c.yaml"
            .to_owned(),
        "axolotl train /cfg/axolotl.yaml".to_owned(),
        "accelerate launch -m axolotl.cli.train /cfg/axolotl.yaml".to_owned(),
        "axolotl train /cfg/broken.yaml".to_owned(),
        format!("deepspeed train.py --deepspeed /cfg/ds.json {model} gpt2 --output_dir o"),
        "torchrun -m torchtitan.train --job.config_file /cfg/titan.toml".to_owned(),
        format!("{train} $BAD {model} gpt2 --block_size $BAD"),
        format!("{train} 2 {model} gpt2 --block_size 512 --optim $BAD --bf16 $BAD"),
        "torchrun pretrain_gpt.py --num-layers 32 --hidden-size $N --num-attention-heads 7 --seq-length $N \
         --micro-batch-size $B --max-position-embeddings 4096 --tensor-model-parallel-size $B"
            .to_owned(),
        "torchrun --nnodes=$B --nproc-per-node=$N train.py".to_owned(),
        "accelerate launch --num_processes $N --num_machines $B --machine_rank $B train.py".to_owned(),
        "$A; torchrun $A --x".to_owned(),
        "torchrun $A.py --model $A".to_owned(),
        "python -m $A".to_owned(),
    ]
    .to_vec()
}

/// Jobs of all shapes, with their surroundings.
fn by_config_map(annotations: &Value) -> Vec<(String, Value)> {
    let mut jobs: Vec<(String, Value)> =
        scripts().into_iter().map(|text| (text.clone(), script(&text, annotations))).collect();
    let arguments = json!([
        "torchrun",
        "run_clm.py",
        "--do_train",
        "--model_name_or_path",
        "$(A)",
        "--block_size=$(N)",
        "--per_device_train_batch_size",
        "$(B)",
        "--learning_rate",
        "$(CHAIN)",
    ]);
    jobs.push(("$(A)".into(), with_command(&arguments, annotations)));
    jobs.push(("$(SCRIPT)".into(), with_command(&json!(["bash", "-c", "$(SCRIPT)"]), annotations)));
    let mut image = with_command(&json!([]), annotations);
    let container = "/spec/pytorchReplicaSpecs/Worker/template/spec/containers/0";
    image.pointer_mut(container).unwrap()["envFrom"] = json!([{"configMapRef": {"name": "settings"}}]);
    jobs.push(("variables".into(), image));
    let template =
        script("sleep 1", annotations).pointer("/spec/pytorchReplicaSpecs/Worker/template").cloned();
    let ray = json!({
        "apiVersion": "ray.io/v1", "kind": "RayJob",
        "metadata": {"name": "job", "namespace": "team", "annotations": annotations},
        "spec": {
            "entrypoint": "torchrun run_clm.py --do_train --model_name_or_path $A --block_size $N",
            "rayClusterSpec": {"headGroupSpec": {"template": template}},
        },
    });
    jobs.push(("RayJob".into(), ray));
    let mut wrapped = jobs[0].1.clone();
    wrapped["metadata"]["annotations"] = json!({});
    let wrapper = json!({
        "apiVersion": "workload.codeflare.dev/v1beta2", "kind": "AppWrapper",
        "metadata": {"name": "job", "namespace": "team", "annotations": annotations},
        "spec": {"components": [{"template": wrapped}]},
    });
    jobs.push(("AppWrapper".into(), wrapper));
    let mut job = jobs[0].1.clone();
    job["apiVersion"] = json!("batch/v1");
    job["kind"] = json!("Job");
    job["spec"] = json!({"template": job.pointer("/spec/pytorchReplicaSpecs/Worker/template")});
    jobs.push(("Job".into(), job));
    jobs
}

fn estimate_of(workload: &Value) -> Value {
    let (kind, version) = (&workload["kind"], &workload["apiVersion"]);
    json!({
        "apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate",
        "metadata": {"name": "e", "namespace": "team"},
        "spec": {
            "workloadRef": {"apiVersion": version, "kind": kind, "name": "job"},
            "parallelism": {"pipeline": 2},
        },
    })
}

fn assert_silent(way: &str, object: &Value, around: &Surroundings) -> Judgement {
    let judgement = judged(object, around, Quoting::Request);
    let found = canaries(&written(&judgement));
    assert!(found.is_empty(), "{way}\n{found:#?}\n{}", written(&judgement));
    judgement
}

#[test]
fn a_config_maps_values_are_quoted_nowhere_by_whatever_way_they_came() {
    let mut read = 0;
    for (shift, annotations) in annotated().into_iter().enumerate() {
        for (number, (way, object)) in by_config_map(&annotations).into_iter().enumerate() {
            // Each way with two of the four sets of annotations.
            if !(number + shift).is_multiple_of(2) {
                continue;
            }
            let around = Surroundings::of(&[config_map(), object.clone()], Kinds::built_in());
            let quiet = assert_silent(&way, &object, &around);
            assert_silent(&format!("an estimate of {way}"), &estimate_of(&object), &around);
            read += usize::from(says_the_same(&way, &quiet, &object, &around));
        }
    }
    assert!(read > 65, "only {read} of the ways are read");
}

/// Asserts that hiding changes no figure. Returns whether the canaries reach a field.
fn says_the_same(way: &str, quiet: &Judgement, object: &Value, around: &Surroundings) -> bool {
    let open = judged(object, around, Quoting::Everything);
    assert_eq!((quiet.verdict, quiet.reason), (open.verdict, open.reason), "{way}");
    let peak = |judgement: &Judgement| judgement.memory.as_ref().map(|memory| memory.peak_bytes);
    assert_eq!(peak(quiet), peak(&open), "{way}");
    !canaries(&written(&open)).is_empty()
}

fn runtime(kind: &str) -> Value {
    let training = "model: {name: canaryword/Secret-1b, hiddenSize: 7243}\nbatch: {sequenceLength: 6151}\ncanaryword: 6151\n\
                    efficiency: {mfuPercent: \"43.217\"}\ntarget: {days: \"61.713\"}\nprice: {perGpuHour: \"7.3197\"}\n";
    let annotations = json!({
        "weighbridge.dev/training": training,
        "weighbridge.dev/ffn-hidden-size": "27893",
        "weighbridge.dev/tensor-parallel": "canaryword",
        "weighbridge.dev/override": "because canaryword",
        "weighbridge.dev/canaryword": "6151",
        "weighbridge.dev/pipeline-parallel": "503",
        "weighbridge.dev/lora-targets": "canaryword,canaryword2",
    });
    let container = json!({
        "name": "node",
        "command": ["torchrun", "run_clm.py", "--do_train", "--model_name_or_path", MODEL, "--block_size", "6151"],
        "env": [{"name": "PET_NNODES", "value": "929"}],
        "resources": {"limits": {"nvidia.com/gpu": 8}},
    });
    let step = json!({"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"});
    json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": kind,
        "metadata": {"name": "torch", "namespace": if kind == "TrainingRuntime" { "team" } else { "" }},
        "spec": {
            "mlPolicy": {"numNodes": 929},
            "template": {"spec": {"replicatedJobs": [{
                "name": "canaryword-job",
                "template": {"metadata": {"labels": step}, "spec": {"template": {
                    "metadata": {"annotations": annotations},
                    "spec": {
                        "activeDeadlineSeconds": 5_347_129,
                        "nodeSelector": {"nvidia.com/gpu.product": "canaryword-gpu"},
                        "containers": [container, {"name": "canaryword", "command": ["torchrun", "canaryword.py"]}],
                        "volumes": [{"name": "v", "configMap": {"name": "canaryword-map"}}],
                    },
                }}},
            }]}},
        },
    })
}

/// Runtimes with different values.
fn runtimes(kind: &str) -> Vec<(String, Value)> {
    let at = "/spec/template/spec/replicatedJobs/0/template/spec/template";
    let whole = runtime(kind);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut changed = whole.clone();
        change(changed.pointer_mut(at).unwrap());
        changed
    };
    let annotated = |pairs: Value| {
        changed(&move |template| {
            template["metadata"]["annotations"] = pairs.clone();
            template["spec"]["nodeSelector"] = json!({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"});
        })
    };
    let block = |text: &str| annotated(json!({"weighbridge.dev/training": text}));
    vec![
        ("the whole".into(), whole.clone()),
        ("no annotations".into(), annotated(json!({}))),
        ("a known model".into(), annotated(json!({"weighbridge.dev/model": "llama-2-70b"}))),
        ("memory".into(), block("model: {parameters: 7B}\naccelerator: {memory: canaryword}")),
        (
            "more memory".into(),
            block("model: {parameters: 7B}\naccelerator: {memory: 73197Mi, type: canaryword}"),
        ),
        ("a broken block".into(), block("model: {parameters: canaryword")),
        ("out of range".into(), block("model: {layers: 778231, hiddenSize: 4519100}")),
        (
            "a price".into(),
            block("price: {perGpuHour: \"7.3197\", currency: canaryword}\nmodel: {parameters: 7B}"),
        ),
        (
            "a share of a card".into(),
            changed(&|template| {
                template["metadata"]["annotations"] = json!({"weighbridge.dev/parameters": "7B"});
                template["spec"]["containers"][0]["resources"] = json!({"limits": {"nvidia.com/gpu": 1, "nvidia.com/gpumem": 73_197, "canaryword.com/x": 1}});
            }),
        ),
        (
            "a named chip".into(),
            changed(&|template| {
                template["spec"]["nodeSelector"] = json!({});
                template["spec"]["containers"][0]["resources"] =
                    json!({"limits": {"huawei.com/Ascend910canaryword": 8}});
            }),
        ),
        (
            "files that are not there".into(),
            changed(&|template| {
                template["spec"]["volumes"] =
                    json!([{"name": "v", "configMap": {"name": "canaryword-absent"}}]);
                let container = &mut template["spec"]["containers"][0];
                container["command"] = json!(["bash", "-c", "bash /canaryword/run.sh"]);
                container["volumeMounts"] = json!([{"name": "v", "mountPath": "/canaryword"}]);
            }),
        ),
        (
            "several trainings".into(),
            changed(&|template| {
                let second = json!({
                    "name": "canaryword-2", "resources": {"limits": {"nvidia.com/gpu": 929}},
                    "command": ["torchrun", "run_clm.py", "--do_train", "--model_name_or_path", "gpt2"],
                });
                template["spec"]["initContainers"] = json!([second]);
                template["spec"]["containers"][1] = second;
            }),
        ),
        (
            "affinity".into(),
            changed(&|template| {
                let term = json!({"matchExpressions": [{
                    "key": "nvidia.com/gpu.product", "operator": "In",
                    "values": ["canaryword-a", "canaryword-b", "NVIDIA-A100-SXM4-80GB"],
                }]});
                template["spec"]["nodeSelector"] = json!({});
                template["spec"]["affinity"] = json!({"nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]},
                }});
            }),
        ),
    ]
}

#[test]
fn a_runtimes_values_are_quoted_nowhere() {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "canaryword-map", "namespace": "team"},
        "data": {"canaryword": "6151"},
    });
    let kinds = ["ClusterTrainingRuntime", "TrainingRuntime"];
    let ways = kinds.into_iter().flat_map(|kind| runtimes(kind).into_iter().map(move |way| (kind, way)));
    let mut read = 0;
    for (number, (kind, (way, runtime))) in ways.enumerate() {
        for (shift, trainer) in trainers().into_iter().enumerate() {
            // Each runtime and each trainer with all sets of annotations, but not both together.
            let annotations = annotated()[(number + shift) % 4].clone();
            let object = json!({
                "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob",
                "metadata": {"name": "job", "namespace": "team", "annotations": annotations},
                "spec": {"runtimeRef": {"kind": kind, "name": "torch"}, "trainer": trainer},
            });
            let around = Surroundings::of(&[runtime.clone(), map.clone(), object.clone()], Kinds::built_in());
            let way = format!("{kind}, {way}, {trainer}, {annotations}");
            let quiet = assert_silent(&way, &object, &around);
            assert_silent(&way, &estimate_of(&object), &around);
            read += usize::from(says_the_same(&way, &quiet, &object, &around));
        }
    }
    assert!(read > 60, "only {read} of the ways are read");
}

/// The values that `TrainJobs` give for their trainer.
fn trainers() -> [Value; 4] {
    let own = json!([
        "torchrun",
        "run_clm.py",
        "--do_train",
        "--model_name_or_path",
        "gpt2",
        "--block_size",
        "1024"
    ]);
    [
        json!({}),
        json!({"numNodes": 4}),
        json!({"numNodes": 4, "args": ["torchrun", "train.py"], "env": [{"name": "X", "value": "1"}]}),
        json!({"numNodes": 4, "command": own, "resourcesPerNode": {"limits": {"nvidia.com/gpu": 8}}}),
    ]
}

#[test]
fn a_claims_values_are_quoted_nowhere() {
    let claim = json!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate",
        "metadata": {"name": "gpus", "namespace": "team"},
        "spec": {"spec": {"devices": {"requests": [{"name": "canaryword", "exactly": {
            "deviceClassName": "gpu.nvidia.com", "count": 929,
            "selectors": [{"cel": {"expression": "device.attributes['x'].productName == 'NVIDIA H200'"}}],
        }}]}}},
    });
    let mut object = script("torchrun train.py", &annotated()[3]);
    let spec = object.pointer_mut("/spec/pytorchReplicaSpecs/Worker/template/spec").unwrap();
    spec["containers"][0]["resources"] = json!({});
    spec["resourceClaims"] = json!([{"name": "g", "resourceClaimTemplateName": "gpus"}]);
    let around = Surroundings::of(&[claim, object.clone()], Kinds::built_in());
    let judgement = assert_silent("a claim", &object, &around);
    let count = judgement.inputs.iter().find(|input| input.field.path() == "accelerator.count").unwrap();
    assert_eq!((count.value.as_str(), count.source.as_str()), ("", "from ResourceClaimTemplate gpus"));
}

#[test]
fn a_contradiction_names_the_object_and_what_it_says_and_quotes_the_request() {
    let annotations = annotated()[2].clone();
    let object = with_command(
        &json!([
            "torchrun",
            "run_clm.py",
            "--do_train",
            "--model_name_or_path",
            "$(A)",
            "--block_size",
            "2048"
        ]),
        &annotations,
    );
    let mut object = object;
    let container = "/spec/pytorchReplicaSpecs/Worker/template/spec/containers/0";
    let container = object.pointer_mut(container).unwrap();
    container["env"] = json!([container["env"][0]]);
    container.as_object_mut().unwrap().remove("envFrom");
    container.as_object_mut().unwrap().remove("volumeMounts");
    object.pointer_mut("/spec/pytorchReplicaSpecs/Worker/template/spec").unwrap()["volumes"] = json!([]);
    let judgement =
        assert_silent("a contradiction", &object, &Surroundings::of(&[config_map()], Kinds::built_in()));
    let says = |line: &str| judgement.warnings.iter().any(|warning| warning == line);
    assert!(
        says(
            "model.name is llama-2-70b (annotation weighbridge.dev/model), not what ConfigMap settings key model says"
        ),
        "{:#?}",
        judgement.warnings
    );
    assert!(
        says(
            "batch.sequenceLength is 4096 (annotation weighbridge.dev/sequence-length), not 2048 (container trainer: --block_size)"
        ),
        "{:#?}",
        judgement.warnings
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let object = script("axolotl train /cfg/broken.yaml", &annotated()[1]);
    let judgement =
        assert_silent("a broken file", &object, &Surroundings::of(&[config_map()], Kinds::built_in()));
    let line =
        "ConfigMap settings key broken.yaml is not read: it is neither YAML, JSON nor TOML that can be read";
    assert!(judgement.warnings.iter().any(|warning| warning == line), "{:?}", judgement.warnings);
}

#[test]
fn a_model_that_another_object_names_is_named_by_that_object_where_it_is_not_known() {
    let object =
        script("torchrun run_clm.py --do_train --model_name_or_path $A --block_size 512", &annotated()[1]);
    let judgement = assert_silent("a model", &object, &Surroundings::of(&[config_map()], Kinds::built_in()));
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert!(judgement.message.starts_with("the model that ConfigMap settings"), "{}", judgement.message);
    let input = |field: &str| judgement.inputs.iter().find(|input| input.field.path() == field).unwrap();
    assert_eq!(input("model.name").value, "");
    assert!(input("model.name").source.starts_with("from ConfigMap settings"));
    assert_eq!(input("batch.sequenceLength").value, "512");
}

#[test]
fn a_label_of_the_clusters_nodes_is_told_in_the_catalogues_words_or_not_at_all() {
    let node = |product: &str| {
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "n", "labels": {"nvidia.com/gpu.product": product}},
            "status": {"allocatable": {"nvidia.com/gpu": "8"}},
        })
    };
    let own = json!({"weighbridge.dev/model": "llama-2-70b"});
    let object = with_command(&json!(["torchrun", "train.py"]), &own);
    let known = judged(
        &object,
        &Surroundings::of(&[node("NVIDIA-H100-80GB-HBM3")], Kinds::built_in()),
        Quoting::Request,
    );
    assert!(known.message.contains("H100-80GB"), "{}", known.message);
    let unknown =
        assert_silent("a node", &object, &Surroundings::of(&[node("canaryword-gpu")], Kinds::built_in()));
    assert!(
        unknown
            .message
            .ends_with("the accelerator that nodes' label nvidia.com/gpu.product names is not known"),
        "{}",
        unknown.message
    );
    let nodes = [node("canaryword-gpu"), node("NVIDIA-H100-80GB-HBM3"), node("canaryword-other")];
    assert_silent("several nodes", &object, &Surroundings::of(&nodes, Kinds::built_in()));
}
