//! The lists of what is known, `explain`, completions and man pages, as a person runs them.

use std::process::{Command, Output};

use anyhow::Result;
use serde_json::Value;

fn run(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(env!("CARGO_BIN_EXE_weighbridge")).args(arguments).output()?)
}

fn text(arguments: &[&str]) -> Result<String> {
    let output = run(arguments)?;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn a_list_is_filtered_by_text_or_by_another_spelling() -> Result<()> {
    for (arguments, first, lines) in [
        (&["models", "llama-2"][..], "llama-2-13b", 2),
        (&["models", "meta-llama/Llama-2-70b-hf"], "llama-2-70b", 1),
        (&["accelerators", "h100"], "H100", 2),
        (&["annotations", "tensor-parallel"], "tensor-parallel", 1),
        (&["frameworks", "axolotl"], "axolotl", 1),
    ] {
        let text = text(arguments)?;
        assert!(text.lines().nth(1).is_some_and(|line| line.starts_with(first)), "{text}");
        assert!(text.lines().count() > lines, "{text}");
    }
    assert_eq!(run(&["models", "no-such-model"])?.status.code(), Some(1));
    Ok(())
}

#[test]
fn a_list_is_json_too() -> Result<()> {
    let elements: Vec<Value> = serde_json::from_str(&text(&["accelerators", "A800", "-o", "json"])?)?;
    assert!(elements.iter().any(|element| element["name"] == "A800-80GB"), "{elements:?}");
    assert!(elements.iter().all(|element| element["usable"].is_string()));
    Ok(())
}

#[test]
fn terms_keys_and_fields_are_explained() -> Result<()> {
    for (term, holds) in [
        ("tight", "may run out"),
        ("oom", "OutOfMemory: "),
        ("nvidia-smi", "process: "),
        ("mfu", "MFU: Model FLOPs"),
        ("mfu", "Field of the spec: efficiency.mfuPercent"),
        ("Evidence", "Evidence: "),
        ("NearCapacity", "NearCapacity: "),
        ("tensor-parallel", "Field of the spec: parallelism.tensor"),
        ("batch.microBatchSize", "weighbridge.dev/micro-batch-size: Sequences"),
    ] {
        let text = text(&["explain", term])?;
        assert!(text.contains(holds), "{term}: {text}");
    }
    let unknown = run(&["explain", "tensor-paralel"])?;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8(unknown.stderr)?.contains("did you mean tensor-parallel?"));
    Ok(())
}

#[test]
fn shells_complete_the_commands_and_man_shows_them() -> Result<()> {
    assert!(text(&["completions", "bash"])?.contains("_weighbridge()"));
    let folder = tempfile::tempdir()?;
    let folder = folder.path().join("man1");
    text(&["man", &folder.to_string_lossy()])?;
    for page in ["weighbridge.1", "weighbridge-check.1"] {
        assert!(folder.join(page).is_file(), "{page}");
    }
    Ok(())
}
