//! `weighbridge plan`, as a person runs it.

use std::process::{Command, Output};

use anyhow::{Context as _, Result};
use serde_json::Value;

const JOB: &str = "examples/pytorchjob-llama2-70b.yaml";

fn plan(arguments: &[&str]) -> Result<Output> {
    let root = env!("CARGO_MANIFEST_DIR");
    let program = env!("CARGO_BIN_EXE_weighbridge");
    Ok(Command::new(program).arg("plan").args(arguments).current_dir(root).output()?)
}

fn json(arguments: &[&str]) -> Result<Vec<Value>> {
    let output = plan(&[arguments, &["-o", "json"]].concat())?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[test]
fn each_accelerator_has_a_number_that_is_in_time_and_a_smaller_one_is_not() -> Result<()> {
    let types = ["--accelerator", "A800-80GB", "--accelerator", "Ascend-910B3"];
    let planned = json(&[&[JOB, "--days", "90"], &types[..]].concat())?;
    assert_eq!(planned.len(), 2);
    for planned in &planned {
        assert_eq!(planned["name"], "llama2-70b");
        assert_eq!(planned["gpus"], 1024, "{planned}");
        assert!(planned["time"]["days"].as_f64().context("no days")? <= 90.0);
        let [least, whole] = ["gpusByArithmetic", "gpusInWholeReplicas"].map(|key| planned[key].as_u64());
        assert!(least <= whole && whole < Some(1024), "{planned}");
        assert_eq!(whole.map(|whole| whole % 16), Some(0));
        assert!(planned["memory"]["peakBytes"].is_u64() && planned["verdict"] == "Fits", "{planned}");
    }
    // In twice the time half of them do, or fewer.
    let slower = json(&[&[JOB, "--days", "180"], &types[..]].concat())?;
    let is_half = |planned: &Value| planned["gpus"].as_u64().is_some_and(|gpus| gpus <= 512);
    assert!(slower.len() == 2 && slower.iter().all(is_half), "{slower:?}");
    Ok(())
}

#[test]
fn a_training_can_be_described_by_the_words_of_the_annotations() -> Result<()> {
    let settings = ["--set", "model=llama-2-7b", "--set", "tokens=1T", "--set", "sharding=fsdp"];
    let planned = json(&[&settings[..], &["--days", "30", "--accelerator", "H100"]].concat())?;
    let gpus = planned[0]["gpus"].as_u64().context("no number")?;
    assert!(gpus.is_multiple_of(8), "{gpus} fill no nodes");
    assert!(planned[0]["time"]["days"].as_f64().context("no days")? <= 30.0);
    Ok(())
}

#[test]
fn only_layouts_that_fit_are_proposed() -> Result<()> {
    for arguments in [
        &[
            "--set",
            "model=llama-2-70b",
            "--set",
            "tokens=2T",
            "--days",
            "90",
            "--accelerator",
            "H100,A800-80GB",
        ][..],
        &["--set", "model=llama-3-8b", "--gpus", "8", "--accelerator", "H100,A100-40GB"],
        &["--set", "model=mixtral-8x7b", "--accelerator", "H200"],
        &["examples/pytorchjob-llama2-70b-oom.yaml", "--days", "90"],
    ] {
        let planned = json(arguments)?;
        assert!(!planned.is_empty());
        for planned in planned {
            assert_eq!(planned["verdict"], "Fits", "{arguments:?}");
            let layouts = planned["layouts"].as_array().context("no layouts")?;
            assert!(!layouts.is_empty(), "{arguments:?}");
            for layout in layouts {
                let degree = |key: &str| layout[key].as_u64().unwrap_or_default();
                let product = degree("tensor") * degree("pipeline") * degree("context") * degree("data");
                assert_eq!(product, degree("gpus"), "{layout}");
                assert!(degree("peakBytes") < degree("capacityBytes"), "{layout}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_layout_that_does_not_fit_is_replaced_and_the_plan_says_so() -> Result<()> {
    let output = plan(&["examples/pytorchjob-llama2-70b-oom.yaml", "--days", "90"])?;
    let text = String::from_utf8(output.stdout)?;
    assert!(
        output.status.success() && text.contains("no layout with the written fields is sure to fit"),
        "{text}"
    );
    Ok(())
}

#[test]
fn plan_and_check_give_one_answer() -> Result<()> {
    let file = tempfile::NamedTempFile::with_suffix(".yaml")?;
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: dpo}\nspec: {template: {spec: {\
               nodeSelector: {nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB}, containers: [{name: t, image: i, \
               command: [trl, dpo, --model_name_or_path, Qwen/Qwen2.5-7B-Instruct, --per_device_train_batch_size, '4', \
               --gradient_accumulation_steps, '4', --max_length, '2048', --bf16, 'true'], \
               resources: {limits: {nvidia.com/gpu: 1}}}]}}}\n";
    std::fs::write(file.path(), job)?;
    let path = file.path().display().to_string();
    for more in [&[][..], &["--gpus", "8"]] {
        let planned = plan(&[&[path.as_str()][..], more, &["-o", "yaml"]].concat())?;
        assert!(planned.status.success(), "{}", String::from_utf8_lossy(&planned.stderr));
        let estimate = tempfile::NamedTempFile::with_suffix(".yaml")?;
        std::fs::write(estimate.path(), &planned.stdout)?;
        let checked =
            Command::new(env!("CARGO_BIN_EXE_weighbridge")).arg("check").arg(estimate.path()).output()?;
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    }
    // Where nothing is sure to fit, the open fields are named.
    let planned = plan(&[path.as_str(), "--gpus", "1"])?;
    let text = String::from_utf8(planned.stdout)?;
    assert!(!planned.status.success() && text.contains("no plan for 1 GPU: no layout"), "{text}");
    Ok(())
}

#[test]
fn a_plan_names_the_nearest_model() -> Result<()> {
    let planned = plan(&["--set", "model=lama-3-8b", "--accelerator", "H100"])?;
    let text = String::from_utf8(planned.stdout)?;
    assert!(text.contains("the model lama-3-8b is not known; did you mean llama-3-8b?"), "{text}");
    Ok(())
}

#[test]
fn a_plan_is_an_estimate_that_check_reads() -> Result<()> {
    let arguments = ["--set", "model=llama-3-8b", "--gpus", "16", "--accelerator", "H100", "-o", "yaml"];
    let planned = plan(&arguments)?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &planned.stdout)?;
    let checked = Command::new(env!("CARGO_BIN_EXE_weighbridge"))
        .args(["check", "-o", "json"])
        .arg(file.path())
        .output()?;
    let checked: Vec<Value> = serde_json::from_slice(&checked.stdout)?;
    assert_eq!((checked.len(), &checked[0]["verdict"]), (1, &Value::from("Fits")));
    Ok(())
}

#[test]
fn the_table_says_what_was_rounded() -> Result<()> {
    let output = plan(&[JOB, "--days", "90"])?;
    let text = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{text}");
    let heads = "ACCELERATOR GPUS DAYS INTERVAL GPU-HOURS MFU PEAK FREE LAYOUT SHARDING RECOMPUTE BATCH";
    assert_eq!(
        text.lines().next().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).as_deref(),
        Some(heads)
    );
    assert!(text.contains("1024 to share the global batch evenly"), "{text}");
    Ok(())
}

#[test]
fn a_model_without_layers_is_only_divided_by_data_and_the_plan_says_so() -> Result<()> {
    let output = plan(&["--set", "parameters=70B", "--accelerator", "H100"])?;
    let text = String::from_utf8(output.stdout)?;
    assert!(text.contains("only data parallel layouts are tried: add --set layers=80"), "{text}");
    let output = plan(&["--set", "model=llama-3-8b", "--gpus", "8", "--accelerator", "H100"])?;
    let text = String::from_utf8(output.stdout)?;
    assert!(!text.contains("only data parallel"), "{text}");
    Ok(())
}

#[test]
fn a_narrow_terminal_keeps_the_interval_and_names_what_it_hides() -> Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_weighbridge"))
        .args(["plan", JOB, "--days", "90", "-o", "wide"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("COLUMNS", "80")
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    assert!(text.lines().next().is_some_and(|heads| heads.contains("INTERVAL")), "{text}");
    assert!(text.contains("columns hidden: GPU-HOURS, "), "{text}");
    Ok(())
}

#[test]
fn what_cannot_be_planned_says_why_and_fails() -> Result<()> {
    for (arguments, said) in [
        (&[JOB, "--days", "90", "--accelerator", "H999"][..], "unknown accelerator H999"),
        (&[JOB, "--days", "-3"], "the number of days must be more than zero"),
        (&["--days", "9"], "there is nothing to plan"),
        (&["--set", "modle=llama-2-7b", "--accelerator", "H100"], "did you mean model?"),
        (&["--set", "model=llama-2-7b", "--set", "tensor-paralel=2"], "did you mean tensor-parallel?"),
        (
            &["--set", "model=llama-2-7b", "--set", "tokens=1T", "--days", "9"],
            "the type of accelerator is missing",
        ),
        (
            &["--set", "model=llama-2-7b", "--days", "9", "--accelerator", "H100"],
            "the number of tokens is unknown",
        ),
        (&["--set", "tokens=1T", "--days", "9", "--accelerator", "H100"], "the model's size is unknown"),
        (&["--set", "model=llama-2-7b", "--set", "tokens=lots", "--days", "9"], "is no count"),
        (&[JOB, "--days", "1"], "a larger global-batch-size can use more"),
        (&["--set", "model=70B", "--accelerator", "H100"], "add --set parameters=70B"),
        (&["--set", "model=llama-70b", "--accelerator", "H100"], "did you mean llama-2-70b or llama-3-70b?"),
        (
            &["--set", "model=llama-3-8b", "--gpus", "100", "--accelerator", "H100"],
            "the nearest numbers that one uses are 96 and 104",
        ),
        (&["--set", "model=llama-3-8b", "--gpus", "1", "--accelerator", "H100"], "no plan for 1 GPU: "),
        (&["--set", "model=llama-3-8b", "--gpus", "eight"], "write digits, like 8"),
        (&["--set", "model=llama-3-8b", "--set", "accelerator-memory=80"], "is no amount of memory"),
        (&["--set", "model=llama-3.1-405b", "--gpus", "8", "--accelerator", "T4"], "no layout fits"),
    ] {
        let output = plan(arguments)?;
        let text = String::from_utf8([output.stdout, output.stderr].concat())?;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    Ok(())
}
