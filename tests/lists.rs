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
    let none = run(&["models", "no-such-model", "-o", "wide"])?;
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8(none.stderr)?.contains("known models holds no-such-model"));
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
    let several = text(&["explain", "tokens", "epochs"])?;
    assert!(several.contains("dataset.tokens") && several.contains("dataset.epochs"), "{several}");
    Ok(())
}

#[test]
fn both_names_of_the_program_have_all_commands_and_tell_an_error_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let plugin = folder.path().join("kubectl-weighbridge");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_weighbridge"), &plugin)?;
    let output = Command::new(&plugin).args(["models", "llama-2"]).output()?;
    assert!(output.status.success(), "{output:?}");
    for program in [plugin.as_os_str(), env!("CARGO_BIN_EXE_weighbridge").as_ref()] {
        for arguments in [&["top"][..], &["why", "job/a"], &["dashboard", "--port", "0"]] {
            let output =
                Command::new(program).args(arguments).env("KUBECONFIG", "/nowhere/config").output()?;
            let error = String::from_utf8(output.stderr)?;
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
            assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
            assert_eq!(error.matches("/nowhere/config").count(), 1, "{arguments:?}: {error}");
            assert!(error.contains("--kubeconfig FILE"), "{arguments:?}: {error}");
        }
    }
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
