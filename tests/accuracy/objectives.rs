//! PyTorch's own counts of allocated peaks by objective, against the estimate's allocated figure.
//!
//! `objectives.csv` holds one training step per row, made by `objectives.py`: a small Llama on fake tensors, with the losses
//! of TRL's released code, and the frozen model that it is compared with.

use super::shown::{Shown, show};
use weighbridge::estimate::assume::{Device, assume};
use weighbridge::estimate::calibration::Calibration;
use weighbridge::estimate::memory::{Peak, peak};
use weighbridge::job::TrainingJob;

/// The largest allowed error.
const WORST: f64 = 0.03;

/// The shape of all rows.
const MODEL: &str = r#"{"layers": 4, "hiddenSize": 1024, "attentionHeads": 16, "keyValueHeads": 8, "ffnHiddenSize": 2816,
    "vocabSize": 64000, "tiedEmbeddings": false, "activation": "SwiGLU", "positions": "Rotary",
    "normalization": "RMSNorm", "biases": false}"#;

/// The training job of a row.
fn job(row: &[&str]) -> TrainingJob {
    let [objective, micro_batch, dtype, autocast, recompute, lora, _] = row else { panic!("{row:?}") };
    let half = *dtype == "bf16";
    let adapted = *lora != "0";
    let reference = if adapted { "AdaptersOff" } else { "Resident" };
    let mut job = serde_json::json!({
        "model": serde_json::from_str::<serde_json::Value>(MODEL).unwrap(),
        "objective": objective,
        "framework": "HuggingFace",
        "parallelism": {"data": 1, "sharding": "None"},
        "batch": {
            "microBatchSize": micro_batch.parse::<u32>().unwrap(), "globalBatchSize": micro_batch.parse::<u32>().unwrap(),
            "sequenceLength": 1024, "packing": true,
        },
        "parameterPrecision": if half { "BF16" } else { "FP32" },
        "optimizer": "AdamW", "optimizerImplementation": "ForLoop", "attention": "Flash", "loss": "Eager",
        "recompute": if *recompute == "full" { "Full" } else { "None" },
    });
    match *objective {
        "DPO" | "KTO" => job["roles"] = serde_json::json!({"referenceModel": reference}),
        "Distillation" => job["roles"] = serde_json::json!({"teacherModel": "Resident"}),
        _ => {}
    }
    if !half {
        job["precision"] = if *autocast == "yes" { "BF16" } else { "FP32" }.into();
    }
    if adapted {
        job["finetuning"] = serde_json::json!({
            "method": "LoRA", "rank": lora.parse::<u32>().unwrap(), "targets": ["q_proj", "v_proj"], "dropout": "0",
        });
    }
    serde_json::from_value(job).unwrap()
}

fn estimated(row: &[&str]) -> Peak {
    let plan = assume(&job(row), Device { bf16: true }).unwrap().likely;
    peak(&plan, Calibration::builtin())
}

#[test]
fn objectives_need_what_pytorch_counts() {
    let mut shown = Shown::new("objectives");
    let lines = include_str!("objectives.csv").lines().filter(|line| !line.starts_with('#')).skip(1);
    show!(shown, "{:<38} {:>9} {:>9} {:>7}  instant", "row", "counted", "estimated", "error");
    let mut worst = 0f64;
    for line in lines {
        let row: Vec<&str> = line.split(',').collect();
        let counted: f64 = row[6].parse().unwrap();
        let peak = estimated(&row);
        let error = peak.allocated.as_gib() / counted - 1.0;
        worst = worst.max(error.abs());
        let name = row[..6].join(" ");
        show!(
            shown,
            "{name:<38} {counted:>9.4} {:>9.4} {:>6.2}%  {}",
            peak.allocated.as_gib(),
            error * 100.0,
            peak.instant
        );
    }
    shown.end();
    assert!(worst <= WORST, "{worst}");
}
