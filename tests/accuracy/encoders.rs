//! PyTorch's own counts of allocated peaks of models with an encoder, against the estimate's allocated figure.
//!
//! `encoders.csv` holds one training step per row, made by `oracle/step.py`: T5, Whisper and BART as Hugging Face's classes run
//! them eagerly, each side cut to two layers. `source` is what the encoder reads, `target` what the decoder writes. The worst
//! are T5 under autocast, whose softmax the CPU leaves narrow, and BART, whose embedding has three gradients.

use super::shown::{Shown, show};
use weighbridge::estimate::assume::{Device, assume};
use weighbridge::estimate::calibration::Calibration;
use weighbridge::estimate::memory::peak;
use weighbridge::job::{LayerPattern, TrainingJob};
use weighbridge::model::known;

/// The largest allowed error, and the largest median.
const WORST: f64 = 0.23;
const MEDIAN: f64 = 0.04;

/// The row's job.
fn job(cells: &[&str]) -> TrainingJob {
    let &[model, source, target, samples, format, autocast, recompute, optimizer, ..] = cells else {
        panic!("{cells:?}")
    };
    let number = |text: &str| text.parse::<u32>().expect("a number");
    let half = format == "bf16";
    let mut job: TrainingJob = serde_json::from_value(serde_json::json!({
        "model": known::find(model).expect(model).model,
        "parallelism": {"data": 1, "sharding": "None"},
        "batch": {
            "microBatchSize": number(samples), "globalBatchSize": number(samples),
            "sequenceLength": number(target), "sourceLength": number(source),
        },
        "parameterPrecision": if half { "BF16" } else { "FP32" },
        "optimizer": if optimizer == "sgd" { "SGD" } else { "AdamW" },
        "optimizerImplementation": "ForLoop",
        "recompute": if recompute == "full" { "Full" } else { "None" },
        "loss": "Eager",
        "framework": "HuggingFace",
    }))
    .expect("a job");
    if !half {
        let precision = if autocast == "yes" { "BF16" } else { "FP32" };
        job.precision = Some(serde_json::from_value(precision.into()).expect("a precision"));
    }
    let cut = job.model.as_mut().expect("a model");
    (cut.hidden_dropout, cut.attention_dropout) = (None, None);
    cut.layers = Some(4);
    cut.layer_pattern = Some(LayerPattern::try_from("BBDD".to_owned()).expect("a pattern"));
    // T5's attention has no fused kernel for its distances; the others' classes take PyTorch's.
    job.attention = Some(serde_json::from_value(attention(model).into()).expect("a kernel"));
    job
}

fn attention(model: &str) -> &'static str {
    if model.contains("t5") { "Unfused" } else { "Flash" }
}

#[test]
fn allocated_peaks_of_models_with_an_encoder_match_pytorchs_counts() {
    let mut shown = Shown::new("encoders");
    let table = include_str!("encoders.csv");
    let mut errors = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let cells: Vec<_> = line.split(',').collect();
        let measured: f64 = cells.last().expect("a peak").parse().expect("a peak");
        let plan = assume(&job(&cells), Device { bf16: true }).expect("a shape").likely;
        let peak = peak(&plan, Calibration::builtin());
        let error = peak.allocated.as_gib() / measured - 1.0;
        errors.push(error.abs());
        show!(
            shown,
            "{:<60} {measured:>8.4} {:>8.4} {:>6.2}%  {}",
            cells.get(..8).expect("eight cells").join(" "),
            peak.allocated.as_gib(),
            error * 100.0,
            peak.instant
        );
    }
    errors.sort_by(f64::total_cmp);
    let (median, worst) = (errors.get(errors.len() / 2).copied(), errors.last().copied());
    let (median, worst) = median.zip(worst).expect("rows");
    show!(shown, "{} rows, median {:.2} %, worst {:.2} %", errors.len(), median * 100.0, worst * 100.0);
    assert!(median <= MEDIAN && worst <= WORST, "median {median}, worst {worst}");
    shown.end();
}
