//! `weighbridge check` as its users have it: the real binary, its output and its exit status.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

const OUT_OF_MEMORY: &str = "examples/pytorchjob-llama2-70b-oom.yaml";
const FITS: &str = "examples/pytorchjob-llama2-70b.yaml";
const NODE: &str = "apiVersion: v1\nkind: Node\nmetadata: {name: a}\n";
const UNKNOWN: &str = r"
apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata:
  name: mystery
spec:
  pytorchReplicaSpecs:
    Worker:
      template:
        spec:
          containers:
            - {name: pytorch, image: mystery, resources: {limits: {nvidia.com/gpu: 8}}}
";

struct Said {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    fn json(&self) -> Result<Vec<Value>> {
        serde_json::from_str(&self.stdout).with_context(|| self.stderr.clone())
    }
}

/// Runs `weighbridge check` in the repository with this on standard input.
fn check(arguments: &[&str], input: &str) -> Result<Said> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weighbridge"))
        .arg("check")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    Ok(Said {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

fn example(path: &str) -> Result<String> {
    Ok(fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))?)
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().into_iter().flat_map(|object| object.keys()).map(String::as_str).collect()
}

#[test]
fn the_exit_status_tells_what_was_found() -> Result<()> {
    let (oom, fits) = (example(OUT_OF_MEMORY)?, example(FITS)?);
    for (what, input, status) in [
        ("nothing", String::new(), 2),
        ("only a comment", "# nothing\n---\n".to_owned(), 2),
        ("no training", NODE.to_owned(), 0),
        ("it fits", fits.clone(), 0),
        ("it would run out", oom.clone(), 1),
        ("it cannot be judged", UNKNOWN.to_owned(), 2),
        ("it cannot be read", "a: [".to_owned(), 2),
        ("one fits and one cannot be read", format!("{fits}\n---\na: ["), 2),
        ("one would run out, and one cannot be read", format!("a: [\n---\n{oom}"), 1),
        ("one would run out, and one cannot be judged", format!("{UNKNOWN}\n---\n{oom}"), 1),
    ] {
        for output in ["table", "json"] {
            let said = check(&["-", "-o", output], &input)?;
            assert_eq!(said.status, Some(status), "{what}, as {output}: {}{}", said.stdout, said.stderr);
        }
    }
    assert_eq!(check(&["no/such/file.yaml"], "")?.status, Some(2));
    assert_eq!(check(&[], "")?.status, Some(2), "without a path there is nothing to do");
    Ok(())
}

#[test]
fn what_is_not_judged_is_told_and_fails_only_if_asked() -> Result<()> {
    let stream = example("tests/cases/not-recognised.yaml")?;
    let said = check(&["-", "-o", "json"], &stream)?;
    assert_eq!(said.status, Some(0), "{}", said.stderr);
    let elements = said.json()?;
    let told: Vec<_> = elements.iter().map(|element| (&element["verdict"], &element["cause"])).collect();
    let (verdict, program, kind) = (json!("Unrecognised"), json!("unknown-program"), json!("unknown-kind"));
    assert_eq!(told, [(&verdict, &program), (&verdict, &kind), (&verdict, &kind)]);
    assert!(said.stderr.contains("Deployment/chat: asks for 1 GPU, trains nothing"), "{}", said.stderr);
    assert_eq!(check(&["-", "--fail-on", "unrecognised"], &stream)?.status, Some(2));
    assert_eq!(check(&["-", "--fail-on", "unrecognised"], &example(FITS)?)?.status, Some(0));
    Ok(())
}

#[test]
fn every_promised_key_is_there_whatever_is_known() -> Result<()> {
    let stream = format!("{}\n---\n{UNKNOWN}", example(OUT_OF_MEMORY)?);
    let elements = check(&["-", "-o", "json"], &stream)?.json()?;
    assert_eq!(elements.len(), 2);
    for element in &elements {
        for key in [
            "name",
            "kind",
            "verdict",
            "oomProbability",
            "missing",
            "warnings",
            "inputs",
            "memory",
            "time",
            "cost",
            "advice",
        ] {
            assert!(keys(element).contains(&key), "{key} is not in {element}");
        }
    }
    let out_of_memory = &elements[0];
    assert_eq!(
        (&out_of_memory["name"], &out_of_memory["kind"]),
        (&json!("llama2-70b-oom"), &json!("PyTorchJob"))
    );
    assert_eq!(out_of_memory["verdict"], "OutOfMemory");
    let promised: [(&str, &[&str]); 4] = [
        (
            "/memory",
            &[
                "peakBytes",
                "leastBytes",
                "lowerBytes",
                "upperBytes",
                "allocatedBytes",
                "reservedBytes",
                "processBytes",
                "capacityBytes",
                "worstRank",
                "instant",
                "components",
                "phases",
                "instants",
            ],
        ),
        (
            "/time",
            &[
                "days",
                "daysLow",
                "daysHigh",
                "gpuHours",
                "gpuHoursLow",
                "gpuHoursHigh",
                "stepSeconds",
                "tokensPerSecondPerGpu",
                "mfu",
                "mfuLow",
                "mfuHigh",
                "flopsPerToken",
                "hardwareFlopsPerToken",
                "pipelineBubble",
                "convention",
            ],
        ),
        ("/memory/components/0", &["name", "bytes"]),
        ("/inputs/0", &["field", "value", "source"]),
    ];
    for (pointer, expected) in promised {
        let value =
            out_of_memory.pointer(pointer).with_context(|| format!("{pointer} in {out_of_memory}"))?;
        assert_eq!(keys(value), expected, "{pointer}");
    }
    assert_eq!(elements[1]["verdict"], "Unknown");
    assert!(elements[1]["missing"].as_array().is_some_and(|missing| !missing.is_empty()));
    Ok(())
}

#[test]
fn the_parts_of_the_peak_add_up_to_it() -> Result<()> {
    let elements = check(&["examples", "-o", "json"], "")?.json()?;
    assert_eq!(elements.len(), 5);
    for element in elements {
        let parts = element["memory"]["components"].as_array().context("no components")?;
        let sum: u64 = parts.iter().filter_map(|part| part["bytes"].as_u64()).sum();
        assert_eq!(element["memory"]["peakBytes"], sum, "{}", element["name"]);
    }
    Ok(())
}

#[test]
fn a_stream_may_mix_yaml_json_and_lists() -> Result<()> {
    let manifest = |path| -> Result<Value> { Ok(serde_saphyr::from_str(&example(path)?)?) };
    let (oom, fits) = (manifest(OUT_OF_MEMORY)?, manifest(FITS)?);
    let mut bare = fits.clone();
    let object = bare.as_object_mut().context("no mapping")?;
    object.remove("apiVersion");
    object.remove("kind");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [oom, {"apiVersion": "v1", "kind": "List", "items": [fits]}]});
    let typed = json!({"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJobList", "items": [bare]});
    let stream =
        format!("{}\n---\n{list}\n{typed}\n---\n{NODE}---\n{}", example(FITS)?, example(OUT_OF_MEMORY)?);
    let elements = check(&["-", "-o", "json"], &stream)?.json()?;
    let verdicts: Vec<_> = elements.iter().map(|element| element["verdict"].as_str().unwrap_or("")).collect();
    assert_eq!(verdicts, ["Fits", "OutOfMemory", "Fits", "Fits", "OutOfMemory"]);
    Ok(())
}

#[test]
fn an_estimate_reads_the_workload_that_it_refers_to_from_the_same_stream() -> Result<()> {
    let estimate = "apiVersion: weighbridge.dev/v1alpha1\nkind: TrainingEstimate\nmetadata: {name: halved}\n\
                    spec:\n  workloadRef: {apiVersion: kubeflow.org/v1, kind: PyTorchJob, name: llama2-70b}\n  \
                    dataset: {tokens: 1T}\n";
    let elements = check(&["-", FITS, "-o", "json"], estimate)?.json()?;
    let days: Vec<_> = elements.iter().filter_map(|element| element["time"]["days"].as_f64()).collect();
    assert_eq!(elements.len(), 2);
    // It loads once, however much it trains.
    assert!(
        matches!(days.as_slice(), [half, whole] if (half * 2.0 - whole).abs() < 1e-3 * whole),
        "{days:?}"
    );
    Ok(())
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_judged() -> Result<()> {
    let stream = format!(
        "{}\n---\nkind: Job\nkind: Job\n---\nreplicas: {{{{ .Values.n }}}}\n---\nhello: world\n",
        example(FITS)?
    );
    let said = check(&["-", "-o", "json"], &stream)?;
    assert_eq!(said.json()?.len(), 1);
    let line = example(FITS)?.lines().count() + 4;
    let lines: Vec<_> = said.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{}", said.stderr);
    assert!(
        lines[0].starts_with(&format!("weighbridge: standard input: document 2, line {line}: ")),
        "{}",
        lines[0]
    );
    assert!(lines[1].contains("helm template"), "{}", lines[1]);
    assert_eq!(lines[2], "weighbridge: 1 document is no Kubernetes object and was skipped; -v names them");
    Ok(())
}

#[test]
fn a_job_counts_and_not_the_pods_that_its_controller_made() -> Result<()> {
    let mut job: Value = serde_saphyr::from_str(&example(FITS)?)?;
    job["metadata"]["uid"] = json!("u1");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "llama2-70b-master-0",
            "annotations": job["metadata"]["annotations"],
            "ownerReferences": [{"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "name": "llama2-70b",
                                 "uid": "u1", "controller": true}],
        },
        "spec": job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"],
    });
    let said = check(&["-", "-o", "json"], &format!("{pod}\n{job}"))?;
    let found = said.json()?;
    assert_eq!(found.iter().map(|element| &element["kind"]).collect::<Vec<_>>(), ["PyTorchJob"]);
    assert_eq!(said.status, Some(0));
    // Alone it is one of several, and their number is not known.
    let found = check(&["-", "-o", "json"], &pod.to_string())?.json()?;
    assert_ne!(found[0]["verdict"], "OutOfMemory", "{}", found[0]["message"]);
    Ok(())
}

#[test]
fn equal_jobs_have_a_line_each_in_the_order_of_the_stream() -> Result<()> {
    let job = |name: &str, path| -> Result<Value> {
        let mut job: Value = serde_saphyr::from_str(&example(path)?)?;
        job["metadata"]["name"] = name.into();
        Ok(job)
    };
    let jobs = [job("a", FITS)?, job("b", OUT_OF_MEMORY)?, job("c", FITS)?, job("d", OUT_OF_MEMORY)?];
    let stream = jobs.map(|job| job.to_string()).join("\n");
    let mut together = check(&["-", "-o", "json"], &stream)?.json()?;
    let names: Vec<_> = together.iter().map(|element| element["name"].clone()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    let documents: Vec<_> = together.iter().map(|element| element["document"].clone()).collect();
    assert_eq!(documents, [1, 2, 3, 4]);
    for element in &mut together {
        for field in ["name", "document", "line"] {
            element[field] = Value::Null;
        }
    }
    assert_eq!((&together[0], &together[1]), (&together[2], &together[3]));
    assert_eq!((&together[0]["verdict"], &together[1]["verdict"]), (&json!("Fits"), &json!("OutOfMemory")));
    Ok(())
}

#[test]
fn a_path_that_does_not_exist_is_named() -> Result<()> {
    let said = check(&["no/such.yaml"], "")?;
    let expected = "weighbridge: no/such.yaml: there is no such file or folder\n";
    assert_eq!((said.status, said.stderr.as_str()), (Some(2), expected));
    Ok(())
}

#[test]
fn an_unknown_accelerator_is_asked_for_again_before_its_memory() -> Result<()> {
    let said = check(&["--set", "model=llama-3-8b", "--accelerator", "H10O-80GB", "--gpus", "8"], "")?;
    assert!(said.stdout.contains("did you mean H100-80GB"), "{}", said.stdout);
    let at = |text| said.stdout.find(text).with_context(|| format!("{text}: {}", said.stdout));
    assert!(at("--set gpu-type=NAME")? < at("--set accelerator-memory=SIZE")?);
    // It is given, so the hint to give one is not true.
    assert!(!said.stderr.contains("--accelerator TYPE"), "{}", said.stderr);
    Ok(())
}

#[test]
fn a_list_whose_items_are_not_a_list_is_an_error() -> Result<()> {
    let said = check(&["-"], "apiVersion: v1\nkind: List\nitems: 3\n")?;
    assert!(said.status == Some(2) && said.stderr.contains("items are not a list"), "{}", said.stderr);
    Ok(())
}

#[test]
fn an_annotation_that_is_no_string_is_an_error_that_says_to_quote_it() -> Result<()> {
    let quoted = "weighbridge.dev/tensor-parallel: \"4\"";
    let manifest = example(FITS)?.replace(quoted, "weighbridge.dev/tensor-parallel: 4");
    let said = check(&["-", "-o", "json"], &manifest)?;
    assert_eq!(said.status, Some(2));
    let element = &said.json()?[0];
    assert_eq!((&element["verdict"], &element["reason"]), (&json!("Unknown"), &json!("Malformed")));
    assert!(
        element["errors"][0]["message"].as_str().is_some_and(|message| message.contains(quoted)),
        "{element}"
    );
    let said = check(&["-"], &manifest)?;
    assert!(said.stdout.contains(quoted), "{}", said.stdout);
    Ok(())
}

#[test]
fn the_same_input_gives_the_same_bytes() -> Result<()> {
    for output in ["table", "json"] {
        let [first, second] = [(), ()].map(|()| check(&["examples", "-o", output], ""));
        assert_eq!(first?.stdout, second?.stdout);
    }
    Ok(())
}

#[test]
fn a_reader_that_goes_away_is_no_failure() -> Result<()> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weighbridge"))
        .args(["check", "-", "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Gone before there is anything to write: the report begins when the input ends.
    drop(child.stdout.take());
    child.stdin.take().context("no standard input")?.write_all(example(OUT_OF_MEMORY)?.as_bytes())?;
    let output = child.wait_with_output()?;
    assert_eq!((output.status.code(), String::from_utf8(output.stderr)?), (Some(1), String::new()));
    Ok(())
}

#[test]
fn nothing_of_the_input_can_steer_the_terminal() -> Result<()> {
    let manifest = example(FITS)?.replace("name: llama2-70b\n", "name: \"\\e[31mred\"\n");
    let said = check(&["-"], &manifest)?;
    assert!(said.stdout.contains("[31mred") && !said.stdout.contains('\u{1b}'), "{}", said.stdout);
    Ok(())
}

#[test]
fn a_models_own_config_gives_the_dimensions_of_an_unknown_name() -> Result<()> {
    let manifest = example("tests/cases/unknown-model.yaml")?;
    let folder = tempfile::tempdir()?;
    let of = |config: &str| -> Result<Said> {
        let path = folder.path().join("config.json");
        fs::write(&path, config)?;
        let path = path.to_str().context("a path that is not UTF-8")?;
        check(&["--model-config", path, "-o", "json", "-"], &manifest)
    };
    let said =
        of(r#"{"model_type": "llama", "num_hidden_layers": 4, "hidden_size": 256, "vocab_size": 1000}"#)?;
    let inputs = said.json()?[0]["inputs"].take();
    let layers = json!({"field": "model.layers", "value": "4", "source": "model config.json"});
    assert!(inputs.as_array().is_some_and(|inputs| inputs.contains(&layers)), "{inputs}");
    let said = of(r#"{"model_type": "acme"}"#)?;
    assert_eq!(said.status, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("has model_type acme, which is not known"), "{}", said.stderr);
    Ok(())
}

#[test]
fn any_pipeline_stage_can_be_asked_for_and_none_needs_more_than_the_worst() -> Result<()> {
    let peak = |rank: &str| -> Result<(u64, String)> {
        let memory = check(&["--rank", rank, FITS, "-o", "json"], "")?.json()?[0]["memory"].take();
        let stage = memory["worstRank"].as_str().context("no rank")?.to_owned();
        Ok((memory["peakBytes"].as_u64().context("no peak")?, stage))
    };
    let worst = peak("worst")?;
    for (rank, stage) in [("0", 0), ("1", 1), ("2", 2), ("3", 3), ("last", 3)] {
        let (bytes, said) = peak(rank)?;
        assert!(bytes <= worst.0, "{rank}: {bytes} of {}", worst.0);
        assert_eq!(said, format!("pipeline stage {stage} of 4"));
    }
    let said = check(&["--rank", "first", FITS], "")?;
    assert_eq!(said.status, Some(2));
    assert!(said.stderr.contains("write worst, last, or the number of a pipeline stage"), "{}", said.stderr);
    Ok(())
}

/// LoRA of a model of 8B parameters, without a file.
const DESCRIBED: [&str; 6] =
    ["--set", "model=llama-3-8b", "--set", "method=lora", "--accelerator", "A100-80GB"];

#[test]
fn a_question_needs_no_file() -> Result<()> {
    let elements = check(&[&DESCRIBED[..], &["-o", "json"]].concat(), "")?.json()?;
    assert_eq!((elements.len(), &elements[0]["name"]), (1, &json!("llama-3-8b")));
    assert_eq!(elements[0]["accelerator"], "A100-80GB");
    assert!(elements[0]["memory"]["peakBytes"].is_u64());
    let said = check(&["--set", "tensor-paralel=2"], "")?;
    assert_eq!(said.status, Some(2));
    assert!(said.stderr.contains("did you mean tensor-parallel?"), "{}", said.stderr);
    Ok(())
}

#[test]
fn a_setting_wins_over_the_manifest() -> Result<()> {
    let whole = check(&[FITS, "-o", "json"], "")?.json()?;
    let halved = check(&["-f", FITS, "--set", "tokens=1T", "-o", "json"], "")?.json()?;
    let days = |elements: &[Value]| elements[0]["time"]["days"].as_f64().unwrap_or_default();
    assert!((days(&whole) / days(&halved) - 2.0).abs() < 0.01, "{} {}", days(&whole), days(&halved));
    Ok(())
}

const AXOLOTL: &str = r"
apiVersion: batch/v1
kind: Job
metadata: {name: lora}
spec:
  template:
    spec:
      containers:
        - name: t
          image: axolotl
          command: [axolotl, train, /cfg/lora.yml]
          resources: {limits: {nvidia.com/gpu: 1}}
";

#[test]
fn a_local_file_stands_for_a_path_in_the_container() -> Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), "base_model: meta-llama/Meta-Llama-3-8B\nadapter: lora\nsequence_len: 2048\n")?;
    let given = format!("/cfg/lora.yml={}", file.path().display());
    let elements = check(&["-", "--file", &given, "-o", "json"], AXOLOTL)?.json()?;
    assert_eq!(elements[0]["model"], "llama-3-8b", "{}", elements[0]);
    let inputs = elements[0]["inputs"].as_array().context("no inputs")?;
    assert!(inputs.iter().any(|input| input["source"] == "file /cfg/lora.yml: sequence_len"), "{inputs:?}");
    let said = check(&["-"], AXOLOTL)?;
    assert!(said.stderr.contains("hint: --file PATH-IN-THE-CONTAINER=FILE"), "{}", said.stderr);
    Ok(())
}

#[test]
fn the_findings_that_fail_can_be_chosen() -> Result<()> {
    let oom = example(OUT_OF_MEMORY)?;
    for (arguments, input, status) in [
        (["--pass-on", "all"], oom.as_str(), 0),
        (["--pass-on", "oom"], oom.as_str(), 0),
        (["--pass-on", "unknown"], oom.as_str(), 1),
        (["--fail-on", "unrecognised"], oom.as_str(), 1),
        (["--fail-on", "refused"], UNKNOWN, 2),
        (["--pass-on", "unknown"], UNKNOWN, 0),
        (["--pass-on", "unknown,unreadable"], "a: [", 0),
        (["--fail-on", "tight"], "a: [", 2),
    ] {
        let said = check(&[&["-"], arguments.as_slice()].concat(), input)?;
        assert_eq!(said.status, Some(status), "{arguments:?}: {}", said.stdout);
    }
    // The gate of a namespace that only warns refuses nothing, but the job runs out all the same.
    let refused = ["-", "--fail-on", "refused", "--pass-on", "oom"];
    assert_eq!(check(&refused, &oom)?.status, Some(1));
    assert_eq!(check(&[&refused, ["--mode", "warn"].as_slice()].concat(), &oom)?.status, Some(0));
    Ok(())
}

#[test]
fn what_the_gate_would_do_is_said() -> Result<()> {
    let malformed = UNKNOWN.replace("name: mystery", "name: m, annotations: {weighbridge.dev/layers: many}");
    let malformed =
        malformed.replace("metadata:\n  name: m,", "metadata: {name: m,").replace("many}", "many}}");
    for (arguments, input, gate) in [
        (&["-"][..], example(OUT_OF_MEMORY)?, "refused"),
        (&["-"], example(FITS)?, "admitted"),
        (&["-"], malformed, "invalid"),
        (&["-", "--mode", "warn"], example(OUT_OF_MEMORY)?, "warned"),
        (&["-", "--mode", "off"], example(OUT_OF_MEMORY)?, "not-judged"),
    ] {
        let elements = check(&[arguments, &["-o", "json"]].concat(), &input)?.json()?;
        assert_eq!(elements[0]["gate"], gate, "{arguments:?}: {}", elements[0]["message"]);
    }
    Ok(())
}

#[test]
fn several_jobs_get_a_line_each_unless_details_are_wanted() -> Result<()> {
    let short = check(&["examples"], "")?.stdout;
    assert!(!short.contains("optimizer states") && short.lines().count() < 20, "{short}");
    assert!(check(&["examples", "-v"], "")?.stdout.contains("optimizer states"));
    assert!(check(&[FITS], "")?.stdout.contains("optimizer states"));
    let quiet = check(&["examples", "-q"], "")?;
    assert_eq!((quiet.stdout.as_str(), quiet.status), ("", Some(1)));
    Ok(())
}

#[test]
fn a_repository_is_checked_without_what_is_no_object() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, text) in [
        ("job.yaml", example(FITS)?),
        ("kustomization.yaml", "resources: [job.yaml]\n".to_owned()),
        ("configs/lora.yml", "base_model: x\n".to_owned()),
        (".github/workflows/ci.yaml", "on: push\njobs: {}\n".to_owned()),
        ("package.json", "{\"name\": \"x\"}".to_owned()),
        ("charts/x/templates/job.yaml", "a: {{ .Values.a }}\n".to_owned()),
    ] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        fs::write(path, text)?;
    }
    let path = folder.path().to_string_lossy();
    let said = check(&[&path, "--ignore", "charts"], "")?;
    assert_eq!(said.status, Some(0), "{}", said.stderr);
    assert_eq!(
        said.stderr,
        "weighbridge: 3 documents are no Kubernetes objects and were skipped; -v names them\n"
    );
    assert_eq!(check(&[&path], "")?.status, Some(2));
    Ok(())
}

#[test]
fn every_format_is_printed() -> Result<()> {
    for (format, holds) in [
        ("yaml", "verdict: OutOfMemory"),
        ("name", "pytorchjob.kubeflow.org/llama2-70b-oom\n"),
        ("markdown", "| PyTorchJob llama2-70b-oom |"),
        ("github", "::error file=examples/pytorchjob-llama2-70b-oom.yaml,line="),
        ("junit", "<failure type=\"OutOfMemory\""),
        ("sarif", "\"version\": \"2.1.0\""),
    ] {
        let said = check(&[OUT_OF_MEMORY, "-o", format], "")?;
        assert!(said.stdout.contains(holds), "{format}: {}", said.stdout);
        assert_eq!(said.status, Some(1));
    }
    Ok(())
}

#[test]
fn a_stage_alone_gets_neither_advice_nor_a_decision_of_the_gate() -> Result<()> {
    let element = &check(&[OUT_OF_MEMORY, "--rank", "last", "-o", "json"], "")?.json()?[0];
    assert_eq!((&element["advice"], &element["gate"]), (&json!([]), &Value::Null));
    Ok(())
}

#[test]
fn what_the_command_line_sets_is_its_own_everywhere() -> Result<()> {
    let said = check(&[OUT_OF_MEMORY, "--set", "gpu-type=V100-32GB", "--set", "micro-batch-size=7"], "")?;
    assert!(said.stdout.contains("--set gpu-type"), "{}", said.stdout);
    for key in ["gpu-type", "micro-batch-size"] {
        assert!(!said.stdout.contains(&format!("annotation weighbridge.dev/{key}")), "{}", said.stdout);
    }
    let said = check(&["--set", "model=lama-3-8b"], "")?;
    assert!(said.stdout.contains("Otherwise add --set parameters"), "{}", said.stdout);
    Ok(())
}

#[test]
fn every_element_says_what_and_where_it_is() -> Result<()> {
    let element = &check(&[OUT_OF_MEMORY, "-o", "json"], "")?.json()?[0];
    for (key, value) in [
        ("schemaVersion", json!(1)),
        ("apiVersion", json!("kubeflow.org/v1")),
        ("file", json!(OUT_OF_MEMORY)),
        ("document", json!(1)),
        ("model", json!("llama-2-70b")),
        ("gpus", json!(1024)),
        ("accelerator", json!("A800-80GB")),
        ("gate", json!("refused")),
        ("namespace", Value::Null),
    ] {
        assert_eq!(element[key], value, "{key}");
    }
    let element = &check(&[&DESCRIBED[..], &["-o", "json"]].concat(), "")?.json()?[0];
    let missing = element["missingFields"].as_array().context("nothing is missing")?;
    let length = missing.iter().find(|missing| missing["key"] == "sequence-length").context("no length")?;
    assert_eq!(length["line"], "weighbridge.dev/sequence-length: NUMBER");
    assert!(length["moreBytes"].as_u64() > Some(1 << 30), "{length}");
    Ok(())
}
