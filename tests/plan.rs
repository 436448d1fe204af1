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
    assert!(slower.iter().all(|planned| planned["gpus"].as_u64() <= Some(512)), "{slower:?}");
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
fn the_table_says_what_was_rounded() -> Result<()> {
    let output = plan(&[JOB, "--days", "90"])?;
    let text = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{text}");
    let heads = "NAME ACCELERATOR GPUS DAYS INTERVAL GPU-HOURS COST PEAK OF VERDICT";
    assert_eq!(
        text.lines().next().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).as_deref(),
        Some(heads)
    );
    assert!(
        text.contains("in whole replicas and nodes, 1024 where they share the global batch evenly"),
        "{text}"
    );
    Ok(())
}

#[test]
fn what_cannot_be_planned_says_why_and_fails() -> Result<()> {
    for (arguments, said) in [
        (&[JOB][..], "the number of days is missing: set --days, or target.days"),
        (&[JOB, "--days", "90", "--accelerator", "H999"], "unknown accelerator H999"),
        (
            &["--set", "model=llama-2-7b", "--days", "9", "--accelerator", "H100"],
            "the number of tokens is unknown",
        ),
        (&["--set", "tokens=1T", "--days", "9", "--accelerator", "H100"], "the model's size is unknown"),
        (&["--set", "model=llama-2-7b", "--set", "tokens=lots", "--days", "9"], "is no count"),
        (&[JOB, "--days", "1"], "the most that layout and batch can use"),
    ] {
        let output = plan(arguments)?;
        let text = String::from_utf8([output.stdout, output.stderr].concat())?;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    Ok(())
}
