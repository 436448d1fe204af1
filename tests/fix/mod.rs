//! `weighbridge fix`: the law that `check` then gives the advised verdict, and that nothing else of a text changes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every manifest of the tree that a person could mend: the examples, the cases, the shapes of public manifests, and the
/// shapes of this suite.
fn manifests() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in ["examples", "tests/cases", "tests/manifests", "tests/fix"] {
        for entry in fs::read_dir(root().join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "yaml" || ending == "json") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

struct Said {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

fn weighbridge(arguments: &[&str]) -> Result<Said> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_weighbridge")).args(arguments).stdin(Stdio::null()).output()?;
    Ok(Said {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

fn checked(path: &Path) -> Result<Vec<Value>> {
    let said = weighbridge(&["check", &path.display().to_string(), "-o", "json"])?;
    serde_json::from_str(&said.stdout).with_context(|| format!("{}: {}", path.display(), said.stderr))
}

/// Whether `fix` may change a job: it may not fit, and there is advice.
fn is_advised(element: &Value) -> bool {
    let advice = element["advice"].as_array().is_some_and(|advice| !advice.is_empty());
    advice && element["verdict"] != "Fits"
}

/// The comments of a text.
fn comments(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| Some(line.get(line.find(" # ")?..)?.to_owned())).collect()
}

#[test]
fn after_fix_check_gives_the_verdict_that_the_advice_promised() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (mut fixed, mut left) = (0, Vec::new());
    for manifest in manifests()? {
        let before = checked(&manifest)?;
        if !before.iter().any(is_advised) {
            continue;
        }
        let original = fs::read_to_string(&manifest)?;
        let copy = folder.path().join(manifest.file_name().context("no name")?);
        fs::write(&copy, &original)?;
        let said = weighbridge(&["fix", &copy.display().to_string()])?;
        let after = checked(&copy)?;
        ensure!(after.len() == before.len(), "{}", manifest.display());
        for (before, after) in before.iter().zip(&after) {
            let name = format!("{} {}", manifest.display(), before["name"]);
            if !is_advised(before) {
                ensure!(before["memory"] == after["memory"], "{name} had no advice and changed");
            } else if before["memory"] == after["memory"] {
                ensure!(
                    said.status == Some(1) || before["verdict"] != "OutOfMemory",
                    "{name}: {}",
                    said.stderr
                );
                left.push(name);
            } else {
                ensure!(after["verdict"] == "Fits", "{name} is now {}: {}", after["verdict"], said.stderr);
                fixed += 1;
            }
        }
        let text = fs::read_to_string(&copy)?;
        ensure!(comments(&text).is_superset(&comments(&original)), "{} lost a comment", manifest.display());
        // What is fixed stays as it is.
        weighbridge(&["fix", &copy.display().to_string()])?;
        ensure!(text == fs::read_to_string(&copy)?, "{} changed again", manifest.display());
    }
    ensure!(fixed >= 8, "only {fixed} jobs were fixed; not: {left:?}");
    Ok(())
}

#[test]
fn every_advice_is_written_as_promised_or_the_file_stays() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut written = 0;
    for manifest in manifests()? {
        let before = checked(&manifest)?;
        let [element] = before.as_slice() else { continue };
        if !is_advised(element) {
            continue;
        }
        let original = fs::read_to_string(&manifest)?;
        let copy = folder.path().join(manifest.file_name().context("no name")?);
        for (at, advice) in element["advice"].as_array().into_iter().flatten().enumerate() {
            fs::write(&copy, &original)?;
            let number = (at + 1).to_string();
            let said = weighbridge(&["fix", &copy.display().to_string(), "--advice", &number])?;
            let name = format!("{} advice {}", manifest.display(), advice["change"]);
            let after = checked(&copy)?;
            if fs::read_to_string(&copy)? == original {
                ensure!(!said.stderr.is_empty(), "{name}: no reason is given");
                continue;
            }
            written += 1;
            ensure!(after[0]["verdict"] == "Fits", "{name}: {}", said.stderr);
            ensure!(after[0]["memory"]["peakBytes"] == advice["peakBytes"], "{name}: another need");
        }
    }
    ensure!(written >= 15, "only {written} pieces of advice were written");
    Ok(())
}

#[test]
fn what_changes_is_shown_and_nothing_else_changes() -> Result<()> {
    for manifest in manifests()? {
        let said = weighbridge(&["fix", &manifest.display().to_string(), "--diff"])?;
        if said.stdout.is_empty() {
            continue;
        }
        let name = manifest.file_stem().context("no name")?.to_string_lossy().into_owned();
        let diff: Vec<&str> = said.stdout.lines().skip(2).collect();
        let stderr = said.stderr.replace(&manifest.display().to_string(), "FILE");
        insta::with_settings!({ snapshot_path => root().join("tests/fix"), prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, format!("{}\n{stderr}", diff.join("\n")));
        });
    }
    Ok(())
}

#[test]
fn standard_input_is_fixed_on_standard_output() -> Result<()> {
    let example = root().join("examples/pytorchjob-llama2-70b-oom.yaml");
    let output = Command::new(env!("CARGO_BIN_EXE_weighbridge"))
        .args(["fix", "-"])
        .stdin(fs::File::open(&example)?)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(text.contains("weighbridge.dev/sharding: distributed-optimizer"), "{text}");
    ensure!(text.starts_with("# Llama-2-70B"), "{text}");
    Ok(())
}

/// A Job of one GPU with these lines in its metadata.
fn job(metadata: &str, command: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: a{metadata}}}\nspec: {{template: {{spec: {{\
         nodeSelector: {{nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB}}, containers: [{{name: t, image: i, \
         command: {command}, resources: {{limits: {{nvidia.com/gpu: 1}}}}}}]}}}}}}\n"
    )
}

#[test]
fn one_line_says_what_became_of_each_job() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let annotated = |text: &str| {
        job(&format!(", annotations: {{weighbridge.dev/training: \"{text}\"}}"), "[torchrun, x.py]")
    };
    for (number, (text, status, line)) in [
        (String::new(), 0, "it holds no training job"),
        ("kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\n".to_owned(), 0, "it holds no training job"),
        (
            annotated("{model: {name: gpt2}, finetuning: {method: LoRA}, batch: {sequenceLength: 64}}"),
            0,
            "it fits; nothing to change",
        ),
        (annotated("{model: {name: gpt2}, batch: {microBatchSize: many}}"), 2, "not judged: "),
        (
            job(", annotations: {weighbridge.dev/sequence-length: \"64\"}", "[torchrun, x.py]"),
            0,
            "before these are stated: model",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let file = folder.path().join(format!("{number}.yaml"));
        fs::write(&file, &text)?;
        let said = weighbridge(&["fix", &file.display().to_string()])?;
        ensure!(said.stderr.lines().count() == 1 && said.stderr.contains(line), "{number}: {}", said.stderr);
        ensure!(said.status == Some(status), "{number}: {:?}", said.status);
        ensure!(fs::read_to_string(&file)? == text, "{number} changed");
    }
    Ok(())
}

#[test]
fn a_smaller_micro_batch_keeps_the_global_batch_or_is_not_written() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.yaml");
    let options = "--model_name_or_path=mistralai/Mistral-7B-v0.1, --use_peft, --lora_r=16, --per_device_train_batch_size=8, \
                   --max_seq_length=4096, --bf16, --gradient_checkpointing, --num_train_epochs=3";
    let original = job("", &format!("[python, train_sft.py, {options}]")).replace("A100-SXM4-80GB", "A10");
    fs::write(&file, &original)?;
    let path = file.display().to_string();
    let said = weighbridge(&["fix", &path])?;
    let text = fs::read_to_string(&file)?;
    let value = |name: &str| -> Option<u64> {
        let rest = text.split(name).nth(1)?.trim_start_matches('=');
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let micro_batch = value("--per_device_train_batch_size").context("no micro-batch")?;
    ensure!(micro_batch < 8, "{}", said.stderr);
    ensure!(micro_batch * value("--gradient_accumulation_steps").context("no accumulation")? == 8, "{text}");
    Ok(())
}

#[test]
fn odd_texts_are_left_alone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let example = fs::read_to_string(root().join("examples/pytorchjob-llama2-70b-oom.yaml"))?;
    for (number, (text, status)) in [
        (String::new(), 0),
        ("# only words\n".to_owned(), 0),
        ("a: [".to_owned(), 2),
        ("hello: world\n".to_owned(), 2),
        (format!("{example}\n---\na: ["), 2),
        ("{\"kind\": \"Job\"}".to_owned(), 2),
        ("apiVersion: v1\nkind: List\nitems: 3\n".to_owned(), 2),
        ("[".repeat(100_000), 2),
    ]
    .into_iter()
    .enumerate()
    {
        let file = folder.path().join(format!("{number}.yaml"));
        fs::write(&file, &text)?;
        let said = weighbridge(&["fix", &file.display().to_string()])?;
        ensure!(said.status == Some(status), "{number}: {:?} {}", said.status, said.stderr);
        ensure!(fs::read_to_string(&file)? == text, "{number} changed");
    }
    let many = folder.path().join("many.yaml");
    let last = "---\nkind: ConfigMap\n";
    fs::write(&many, "# words\n".repeat((64 << 20) / 8) + last)?;
    let said = weighbridge(&["fix", &many.display().to_string()])?;
    ensure!(said.status == Some(2) && said.stderr.contains("larger than 64 MiB"), "{}", said.stderr);
    ensure!(fs::read_to_string(&many)?.ends_with(last), "the end of a large file is lost");
    ensure!(weighbridge(&["fix", "no/such.yaml"])?.status == Some(2));
    ensure!(weighbridge(&["fix", &folder.path().display().to_string()])?.stderr.contains("no file"));
    Ok(())
}
