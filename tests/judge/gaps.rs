//! An object that is not read to its end is unknown, in every kind and for every reason.

use std::sync::Arc;

use serde_json::{Value, json};
use weighbridge::judgement::{Reason, Verdict};
use weighbridge::surroundings::{Reads, Surroundings};

use super::{judged, judged_among};

/// A 70B model on 8 H100. The recipe needs more memory than they have.
const LARGE: &str = "torchrun --nproc_per_node 8 pretrain_gpt.py --num-layers 80 --hidden-size 8192 \
    --ffn-hidden-size 28672 --num-attention-heads 64 --group-query-attention --num-query-groups 8 --swiglu \
    --seq-length 4096 --max-position-embeddings 4096 --micro-batch-size 1 --global-batch-size 64 --bf16 \
    --tensor-model-parallel-size 8 --vocab-size 32000 --use-mcore-models";
const SMALL: &str = "torchrun --nproc_per_node 8 pretrain_gpt.py --num-layers 12 --hidden-size 768 \
    --num-attention-heads 12 --seq-length 1024 --max-position-embeddings 1024 --micro-batch-size 1 \
    --global-batch-size 64 --bf16 --vocab-size 32000 --use-mcore-models --attention-backend flash";

/// A pod template whose one container runs a command.
fn template(command: &Value) -> Value {
    json!({"spec": {
        "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
        "containers": [{
            "name": "main",
            "image": "trainer",
            "command": command,
            "resources": {"limits": {"nvidia.com/gpu": 8}},
        }],
    }})
}

/// A template in every kind that holds one for any purpose.
fn of_every_kind(template: &Value) -> Vec<Value> {
    let job = json!({"template": template});
    let mut pod = template.clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    let of =
        |version: &str, kind: &str, spec: Value| json!({"apiVersion": version, "kind": kind, "spec": spec});
    vec![
        pod.clone(),
        of("batch/v1", "Job", job.clone()),
        of("batch/v1", "CronJob", json!({"jobTemplate": {"spec": job}})),
        of(
            "jobset.x-k8s.io/v1alpha2",
            "JobSet",
            json!({"replicatedJobs": [{"name": "a", "template": {"spec": job}}]}),
        ),
        of("batch.volcano.sh/v1alpha1", "Job", json!({"tasks": [{"name": "a", "template": template}]})),
        of(
            "leaderworkerset.x-k8s.io/v1",
            "LeaderWorkerSet",
            json!({"leaderWorkerTemplate": {"workerTemplate": template, "size": 1}}),
        ),
        of("ray.io/v1", "RayCluster", json!({"headGroupSpec": {"template": template}})),
        of("workload.codeflare.dev/v1beta2", "AppWrapper", json!({"components": [{"template": pod}]})),
        of(
            "kubeflow.org/v1",
            "PyTorchJob",
            json!({"pytorchReplicaSpecs": {"Master": {"template": template}}}),
        ),
        of(
            "kubeflow.org/v2beta1",
            "MPIJob",
            json!({"mpiReplicaSpecs": {"Launcher": {"template": template}}}),
        ),
    ]
}

fn script(script: &str) -> Value {
    template(&json!(["bash", "-c", script]))
}

/// Pod templates with a command that is not read to its end, each with the reason.
fn cut() -> Vec<(&'static str, Value)> {
    let comment = format!("echo '{}'\n", "# words\n".repeat(7_000));
    let with = |key: &str, value: Value| {
        let mut template = template(&json!(["bash", "-c", "$START"]));
        template["spec"]["containers"][0][key] = value;
        template
    };
    let words = |words: Vec<String>| template(&json!(words));
    let nested = (0..8).fold("torchrun a.py".to_owned(), |inner, _| format!("bash -c {inner:?}"));
    let many = |number: usize, word: &str| vec![word.to_owned(); number];
    let mut containers = script("sleep inf");
    for number in 0..70 {
        let mut one = containers["spec"]["containers"][0].clone();
        one["name"] = format!("c{number}").into();
        containers["spec"]["containers"].as_array_mut().unwrap().push(one);
    }
    let heavy = "A=xxxxxxxxxxxxxxxx\n".to_owned() + &"A=$A$A\n".repeat(20) + "$A";
    vec![
        ("a long text", script(&format!("{comment}{LARGE}"))),
        ("a long line", script(&format!("echo {}; {LARGE}", "x".repeat(50_000)))),
        ("statements", script(&("true\n".repeat(4_100) + LARGE))),
        ("tokens", script(&format!("echo {}; {LARGE}", "a ".repeat(9_000)))),
        ("compound commands", script(&format!("{}{LARGE}", "if a; then b; fi\n".repeat(250)))),
        (
            "nested compound commands",
            script(&format!("{}{LARGE}{}", "if a; then ".repeat(30), "; fi".repeat(30))),
        ),
        ("cases", script(&format!("{}{LARGE}", "case a in b) c;; esac\n".repeat(9)))),
        ("expansions", script(&format!("echo {}; {LARGE}", "${A}".repeat(1_100)))),
        ("nested expansions", script(&format!("A={}{}; {LARGE}", "$(echo ".repeat(14), ")".repeat(14)))),
        (
            "words",
            words(
                [many(4_500, "A=1"), many(1, "torchrun")]
                    .concat()
                    .into_iter()
                    .rev()
                    .chain(many(1, "x"))
                    .rev()
                    .collect::<Vec<_>>(),
            ),
        ),
        ("programs", script(&("python a.py\n".repeat(64) + LARGE))),
        ("wrappers", words([many(14, "nice"), many(1, "torchrun")].concat())),
        ("nested shells", script(&nested)),
        (
            "functions",
            script(
                "f() { g; }; g() { h; }; h() { i; }; i() { j; }; j() { k; }; k() { l; }; l() { torchrun a.py; }; f",
            ),
        ),
        ("text of variables", script(&heavy)),
        ("an error below", script("sleep 1\nif x; then")),
        ("an error in a line", script(&format!("sleep 1\n{LARGE} )"))),
        ("an open quote", script("sleep 1\necho 'x")),
        ("an open expansion", script("sleep 1\necho ${x")),
        ("an open document", script("sleep 1\ncat <<EOF\nx")),
        ("a redirection", script("sleep 1\necho 99999999999>x")),
        (
            "variables",
            with("env", (0..600).map(|n| json!({"name": format!("V{n}"), "value": "x"})).collect()),
        ),
        ("containers", containers),
    ]
}

#[test]
fn whatever_ends_a_reading_makes_the_object_unknown_in_every_kind() {
    for (what, template) in cut() {
        for object in of_every_kind(&template) {
            let judgement = judged(&object);
            let kind = &object["kind"];
            assert_eq!(judgement.verdict, Verdict::Unknown, "{what}, {kind}: {}", judgement.message);
            assert_eq!(judgement.reason, Reason::NotReadToEnd, "{what}, {kind}: {}", judgement.message);
            assert!(
                judgement.message.starts_with("not read to its end: "),
                "{what}, {kind}: {}",
                judgement.message
            );
            // The request is still shown.
            assert_eq!(judgement.summary.accelerator_name.as_deref(), Some("H100-80GB"), "{what}, {kind}");
        }
    }
}

#[test]
fn an_object_without_accelerators_is_not_read() {
    for (what, mut template) in cut() {
        for container in template["spec"]["containers"].as_array_mut().unwrap() {
            container["resources"] = json!({});
        }
        for object in of_every_kind(&template) {
            assert_eq!(judged(&object).verdict, Verdict::NotTraining, "{what}, {}", object["kind"]);
        }
    }
}

#[test]
fn an_object_read_to_its_end_without_training_is_left_alone() {
    let long = format!("vllm serve x --chat-template '{}'", "x".repeat(40_000));
    for command in [
        json!(["vllm", "serve", "x", "--chat-template", "x".repeat(300_000)]),
        json!(["bash", "-c", long]),
        json!(["bash", "-c", "exec jupyter lab\n)("]),
        json!(["bash", "-c", format!("{}\nvllm serve x", "# a comment\n".repeat(9_000))]),
        json!(["sleep", "inf"]),
        json!(["bash", "/opt/serve.sh"]),
    ] {
        let general = of_every_kind(&template(&command)).into_iter().take(8);
        for object in general {
            let judgement = judged(&object);
            assert_eq!(judgement.verdict, Verdict::NotTraining, "{}: {}", object["kind"], judgement.message);
        }
    }
}

#[test]
fn a_shells_options_are_read_as_the_shell_reads_them() {
    for words in [
        "bash -euo pipefail -c",
        "bash -eo pipefail -c",
        "/bin/bash -euxo pipefail -c",
        "bash -ceuo pipefail",
        "bash -ec -o pipefail",
        "bash -lo pipefail -c",
        "bash -o pipefail -o errexit -c",
        "bash -oo pipefail errexit -c",
        "bash -O extglob +o history -euo pipefail -c",
        "bash +eo posix -c --",
        "bash -login -c",
        "bash --rcfile /x -euo pipefail -c",
        "env bash -eo pipefail -c",
        "sh -euo pipefail -c",
        "zsh -eo pipefail -c",
    ] {
        let mut command: Vec<&str> = words.split(' ').collect();
        command.push(LARGE);
        let judgement = judged(&of_every_kind(&template(&json!(command))).swap_remove(1));
        assert_eq!(judgement.verdict, Verdict::OutOfMemory, "{words}: {}", judgement.message);
    }
    let written = format!("cat > /r.sh <<'EOF'\n{LARGE}\nEOF\nbash -euo pipefail /r.sh");
    let judgement = judged(&of_every_kind(&script(&written)).swap_remove(1));
    assert_eq!(judgement.verdict, Verdict::OutOfMemory, "{}", judgement.message);
}

#[test]
fn a_training_in_a_command_substitution_is_judged() {
    for text in [
        format!("OUT=$({LARGE} 2>&1)\necho $OUT"),
        format!("LOG=$({LARGE} | tail -1)"),
        format!("LOG=\"$({LARGE} | tail -1)\""),
        format!("LOG=`{LARGE} | tail -1`"),
        format!("main() {{ local out; out=$({LARGE}); }}; main"),
        format!("main() {{ local out=$({LARGE}); }}; main"),
        format!("export OUT=$({LARGE})"),
        format!("readonly OUT=\"$({LARGE})\""),
        format!("echo \"done: $({LARGE})\""),
        format!("A=(a $({LARGE}))"),
        format!("for line in $({LARGE}); do echo $line; done"),
        format!("f() {{ {LARGE}; }}; OUT=$(f)"),
        format!("OUT=${{X:-$({LARGE})}}"),
        format!("OUT=$(echo $({LARGE}))"),
        format!("X=1 OUT=$({LARGE}) true"),
        format!("cat <<EOF\n$({LARGE})\nEOF"),
    ] {
        let judgement = judged(&of_every_kind(&script(&text)).swap_remove(1));
        assert_eq!(judgement.verdict, Verdict::OutOfMemory, "{text}: {}", judgement.message);
    }
    // A command that only looks is no training and no benchmark.
    for look in
        ["nvidia-smi -L | wc -l", "python -c 'import torch; print(torch.cuda.device_count())'", "date"]
    {
        let looks = script(&format!("N=$({look})\n/opt/start --gpus $N"));
        let mut of_kinds = of_every_kind(&looks);
        assert_eq!(judged(&of_kinds[1]).verdict, Verdict::Unrecognised, "{look}");
        assert_eq!(judged(&of_kinds.swap_remove(8)).verdict, Verdict::Unknown, "{look}");
    }
}

#[test]
fn a_script_that_is_written_and_copied_first_is_judged_wherever_it_is_started() {
    let written = format!("cat > a.sh <<'EOF'\n{LARGE}\nEOF\n");
    for text in [
        format!("{written}cat a.sh | bash"),
        format!("{written}cat a.sh 2>/dev/null | bash -s -- x"),
        format!("{written}cat < a.sh | tee /tmp/log | bash -e"),
        format!("{written}cp a.sh /x/b.sh; bash /x/b.sh"),
        format!("{written}cp -f a.sh /x/; bash /x/a.sh"),
        format!("{written}cp a.sh /x; bash /x/a.sh"),
        format!("{written}mv a.sh b.sh; bash b.sh"),
        format!("{written}ln -s a.sh b.sh && bash ./b.sh"),
        format!("{written}cat a.sh > b.sh; sh b.sh"),
        format!("{written}bash < a.sh"),
        format!("{written}bash -euo pipefail -s -- a b < a.sh"),
        format!("mkdir /s; echo '{LARGE}' > /s/a.sh; cp -r /s /t; bash /t/a.sh"),
        format!("echo '{LARGE}' > /s/a.sh; cp /s/* /t/; bash /t/a.sh"),
        format!("tee a.sh <<'EOF' >/dev/null\n{LARGE}\nEOF\nbash ./a.sh"),
        format!("echo '{LARGE}' | tee a.sh; bash a.sh"),
        format!("sudo tee /a.sh >/dev/null <<'EOF'\n{LARGE}\nEOF\nbash /a.sh"),
        format!("printf '%s\\n' '#!/bin/bash' '{LARGE}' > a.sh; bash a.sh"),
        format!("echo '#!/bin/bash' > a.sh; echo '{LARGE}' | tee -a a.sh; bash a.sh"),
    ] {
        let judgement = judged(&of_every_kind(&script(&text)).swap_remove(1));
        assert_eq!(judgement.verdict, Verdict::OutOfMemory, "{text}: {}", judgement.message);
    }
}

#[test]
fn a_script_that_only_bash_accepts_is_no_error() {
    for before in [
        "ARCH=$(case $(uname -m) in x86_64) echo amd64;; *) echo arm64;; esac)",
        "ARCH=\"$(case \"$A\" in\n  a|b) echo 1 ;;\n  *) echo 2 ;;\nesac)\"",
        "for ((;;)); do break; done",
        "for (( ; ; )); do break; done",
        "for ((i=0;;i++)); do break; done",
        "select x in a b; do echo $x; break; done",
        "coproc P { cat; }",
        "coproc { cat; }",
    ] {
        let judgement = judged(&of_every_kind(&script(&format!("{before}\n{LARGE}"))).swap_remove(1));
        assert_eq!(judgement.verdict, Verdict::OutOfMemory, "{before}: {}", judgement.message);
        assert!(!judgement.warnings.iter().any(|line| line.starts_with("not read")), "{before}");
    }
    let inside = format!("coproc P {{ {LARGE}; }}; wait");
    assert_eq!(judged(&of_every_kind(&script(&inside)).swap_remove(1)).verdict, Verdict::OutOfMemory);
}

#[test]
fn groups_of_pods_behind_a_thousand_others_are_not_overlooked() {
    let empty = json!({"spec": {"containers": []}});
    let train = script(LARGE);
    let groups = |of: &dyn Fn(usize, &Value) -> Value| -> Value {
        (0..1_200).map(|n| of(n, if n == 1_100 { &train } else { &empty })).collect()
    };
    let jobs = groups(&|n, t| json!({"name": format!("j{n}"), "template": {"spec": {"template": t}}}));
    let tasks = groups(&|n, t| json!({"name": format!("t{n}"), "template": t}));
    let components = groups(&|_, t| {
        let spec = json!({"template": t});
        json!({"template": {"apiVersion": "batch/v1", "kind": "Job", "spec": spec}})
    });
    let unknown = groups(&|n, t| match n {
        1_100 => json!({"template": {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": t}}}),
        _ => json!({}),
    });
    let workers = groups(&|n, t| json!({"groupName": format!("w{n}"), "replicas": 1, "template": t}));
    for (version, kind, spec) in [
        ("jobset.x-k8s.io/v1alpha2", "JobSet", json!({"replicatedJobs": jobs})),
        ("batch.volcano.sh/v1alpha1", "Job", json!({"tasks": tasks})),
        ("workload.codeflare.dev/v1beta2", "AppWrapper", json!({"components": components})),
        ("workload.codeflare.dev/v1beta2", "AppWrapper", json!({"components": unknown})),
        ("ray.io/v1", "RayCluster", json!({"workerGroupSpecs": workers})),
    ] {
        let judgement = judged(&json!({"apiVersion": version, "kind": kind, "spec": spec}));
        assert_eq!(judgement.verdict, Verdict::Unknown, "{kind}: {}", judgement.message);
        assert!(matches!(judgement.reason, Reason::NotReadToEnd | Reason::TooLarge), "{kind}");
    }
    let containers: Vec<Value> = (0..4_096).map(|n| json!({"name": format!("c{n}")})).collect();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": containers}});
    assert_eq!(judged(&pod).reason, Reason::NotReadToEnd);
}

#[test]
fn a_training_before_a_gap_is_estimated_with_a_warning() {
    let job = |text: &str| of_every_kind(&script(text)).swap_remove(1);
    let fits = judged(&job(SMALL));
    assert_eq!(fits.verdict, Verdict::Fits, "{}", fits.message);
    let cut = judged(&job(&format!("{SMALL}\nif x; then")));
    assert_eq!((cut.verdict, cut.reason), (Verdict::Unknown, Reason::NotReadToEnd));
    assert_eq!(cut.memory, fits.memory);
    assert!(cut.message.contains("what is read needs"), "{}", cut.message);
    // A shell runs the lines above an error, whatever follows them.
    let refused = judged(&job(&format!("{LARGE}\nif x; then")));
    assert_eq!(refused.verdict, Verdict::OutOfMemory, "{}", refused.message);
    assert!(refused.warnings[0].starts_with("not read to its end"), "{:?}", refused.warnings);
    // The unread part before it may change it, but not what another process does.
    let behind = judged(&job(&format!("eval 'if x; then'\n{LARGE}")));
    assert_eq!((behind.verdict, behind.reason), (Verdict::Unknown, Reason::NotReadToEnd));
    let beside = judged(&job(&format!("bash -c 'if x; then'\n{LARGE}")));
    assert_eq!(beside.verdict, Verdict::OutOfMemory, "{}", beside.message);
    // Nothing runs after the end of a script.
    assert_eq!(judged(&job(&format!("{SMALL}\nexit\nif x; then"))).verdict, Verdict::Fits);
}

#[test]
fn annotations_that_give_every_deciding_value_are_believed_despite_a_gap() {
    let mut job = of_every_kind(&script("if x; then")).swap_remove(1);
    let mut annotate = |pairs: &[(&str, &str)]| {
        for (key, value) in pairs {
            job["metadata"]["annotations"][format!("weighbridge.dev/{key}")] = json!(value);
        }
        judged(&job)
    };
    let part = annotate(&[("model", "llama-2-7b")]);
    assert_eq!(part.reason, Reason::NotReadToEnd);
    let whole = annotate(&[
        ("micro-batch-size", "1"),
        ("sequence-length", "4096"),
        ("precision", "bf16"),
        ("attention", "flash"),
        ("framework", "fsdp"),
        ("sharding", "fsdp"),
        ("recompute", "full"),
    ]);
    assert_eq!(whole.verdict, Verdict::Fits, "{}", whole.message);
    assert!(
        whole.warnings.iter().any(|line| line.starts_with("not read to its end")),
        "{:?}",
        whole.warnings
    );
}

/// A Job that runs a script of a volume.
fn of_volume(volume: &Value) -> Value {
    let mut job = of_every_kind(&template(&json!(["bash", "/cfg/run.sh"]))).swap_remove(1);
    job["metadata"]["namespace"] = "team".into();
    let spec = &mut job["spec"]["template"]["spec"];
    spec["volumes"] = json!([volume]);
    spec["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/cfg"}]);
    job
}

fn config_maps_are_read() -> Surroundings {
    Surroundings { reads: Reads { config_maps: true, claims: true }, ..Surroundings::default() }
}

#[test]
fn a_script_that_is_not_there_yet_is_unknown_where_config_maps_are_read() {
    let mut around = config_maps_are_read();
    let mounted = of_volume(&json!({"name": "v", "configMap": {"name": "launch"}}));
    let judgement = judged_among(&mounted, &around);
    assert_eq!((judgement.verdict, judgement.reason), (Verdict::Unknown, Reason::ReferenceNotFound));
    assert_eq!(judgement.message, "ConfigMap launch is not known yet, so it is not read");
    // If no ConfigMap is read, a missing one tells nothing. A volume that may hold anything tells nothing either.
    assert_eq!(judged(&mounted).verdict, Verdict::Unrecognised);
    let claimed = of_volume(&json!({"name": "v", "persistentVolumeClaim": {"claimName": "a"}}));
    assert_eq!(judged_among(&claimed, &around).verdict, Verdict::Unrecognised);
    let maps = Arc::make_mut(&mut around.config_maps);
    maps.add("team", "launch", [("other.sh".to_owned(), "true".into())].into());
    assert_eq!(judged_among(&mounted, &around).reason, Reason::ReferenceNotFound);
    let maps = Arc::make_mut(&mut around.config_maps);
    maps.add("team", "launch", [("run.sh".to_owned(), LARGE.into())].into());
    assert_eq!(judged_among(&mounted, &around).verdict, Verdict::OutOfMemory);
    let maps = Arc::make_mut(&mut around.config_maps);
    maps.add("team", "launch", [("run.sh".to_owned(), "vllm serve x".into())].into());
    assert_eq!(judged_among(&mounted, &around).verdict, Verdict::NotTraining);
}

#[test]
fn a_configuration_file_that_cannot_be_read_is_a_gap() {
    let mut around = config_maps_are_read();
    let mut job = of_volume(&json!({"name": "v", "configMap": {"name": "launch"}}));
    job["spec"]["template"]["spec"]["containers"][0]["command"] = json!(["axolotl", "train", "/cfg/a.yaml"]);
    for text in ["base_model: [", &format!("base_model: {}", "x".repeat(200_000))] {
        let maps = Arc::make_mut(&mut around.config_maps);
        maps.add("team", "launch", [("a.yaml".to_owned(), text.into())].into());
        let judgement = judged_among(&job, &around);
        assert_eq!((judgement.verdict, judgement.reason), (Verdict::Unknown, Reason::NotReadToEnd));
    }
}

#[test]
fn a_command_that_variables_of_a_missing_config_map_name_is_unknown() {
    let mut job = of_every_kind(&script("$START --now")).swap_remove(1);
    job["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{"configMapRef": {"name": "start"}}]);
    let judgement = judged_among(&job, &config_maps_are_read());
    assert_eq!(judgement.message, "ConfigMap start is not known yet, so it is not read");
    assert_eq!(judged(&job).verdict, Verdict::Unrecognised);
    job["spec"]["template"]["spec"]["containers"][0]["command"] = json!(["vllm", "serve", "x"]);
    assert_eq!(judged_among(&job, &config_maps_are_read()).verdict, Verdict::NotTraining);
}

#[test]
fn a_claim_that_is_not_there_yet_may_be_for_accelerators() {
    for (kind, expected) in [("Job", Verdict::Unknown), ("PyTorchJob", Verdict::Unknown)] {
        let mut template = script(LARGE);
        template["spec"]["containers"][0]["resources"] = json!({"claims": [{"name": "gpus"}]});
        template["spec"]["resourceClaims"] = json!([{"name": "gpus", "resourceClaimTemplateName": "eight"}]);
        let object = of_every_kind(&template).into_iter().find(|object| object["kind"] == *kind).unwrap();
        let judgement = judged_among(&object, &config_maps_are_read());
        assert_eq!((judgement.verdict, judgement.reason), (expected, Reason::ReferenceNotFound), "{kind}");
        assert_eq!(judged(&object).verdict, Verdict::NotTraining, "{kind}");
    }
    let mut template = template(&json!(["vllm", "serve", "x"]));
    template["spec"]["containers"][0]["resources"] = json!({});
    template["spec"]["resourceClaims"] = json!([{"name": "nic", "resourceClaimTemplateName": "roce"}]);
    let job = of_every_kind(&template).swap_remove(1);
    assert_eq!(judged_among(&job, &config_maps_are_read()).verdict, Verdict::NotTraining);
}
