//! The training steps of this project, as the jobs that a person would write.
//!
//! `h200.csv` is the output of `measure.py`.
//!
//! | row | training job |
//! | --- | --- |
//! | `model` | `model.name`, which stands for the catalogue's dimensions |
//! | `method` | `finetuning: {method, rank: 16}`, `targets: [q_proj, k_proj, v_proj, o_proj]` for `lora-attention` |
//! | `weights` | `parameterPrecision: FP32` or `BF16`, and with autocast `precision: BF16` |
//! | `optimizer`, `recompute`, `compile` | `optimizerImplementation`, `recompute`, `compile` |
//! | `dropout` among the options | `finetuning.dropout: "5"`, else `"0"` |
//! | `eager`, `mask` among the options | `attention: Unfused`, `Masked`; else `Flash` |

use std::collections::BTreeMap;

use weighbridge::job::{
    Accelerator, Attention, Batch, Finetuning, Framework, Method, Optimizer, OptimizerImplementation,
    Precision, Recompute, TrainingJob,
};
use weighbridge::model::known;
use weighbridge::units::Decimal;

/// A line of the table, by column.
pub(crate) struct Run {
    fields: BTreeMap<&'static str, &'static str>,
}

impl Run {
    pub(crate) fn get(&self, column: &str) -> &'static str {
        self.fields.get(column).copied().unwrap_or_else(|| panic!("no column {column}"))
    }

    pub(crate) fn count(&self, column: &str) -> u32 {
        self.get(column).parse().unwrap_or_else(|e| panic!("{column}: {e}"))
    }

    pub(crate) fn number(&self, column: &str) -> f64 {
        self.get(column).parse().unwrap_or_else(|e| panic!("{column}: {e}"))
    }

    pub(crate) fn has(&self, option: &str) -> bool {
        self.get("options").split(' ').any(|word| word == option)
    }

    pub(crate) fn fits(&self) -> bool {
        self.get("outcome") == "fits"
    }

    pub(crate) fn compiled(&self) -> bool {
        self.get("compile") == "compiled"
    }

    /// The job that a person would write.
    pub(crate) fn job(&self) -> TrainingJob {
        let method = self.get("method");
        let attention_only = || ["q_proj", "k_proj", "v_proj", "o_proj"].map(ToOwned::to_owned).to_vec();
        let micro_batch = self.count("micro_batch");
        TrainingJob {
            model: Some(known::find(self.get("model")).expect("it is known").model.clone()),
            framework: Some(Framework::HuggingFace),
            framework_version: Some("5.17".to_owned()),
            precision: self.get("weights").ends_with("+amp").then_some(Precision::BF16),
            parameter_precision: Some(match self.get("weights") {
                "fp32+amp" => Precision::FP32,
                _ => Precision::BF16,
            }),
            optimizer: Some(Optimizer::AdamW),
            optimizer_implementation: Some(match self.get("optimizer") {
                "fused" => OptimizerImplementation::Fused,
                _ => OptimizerImplementation::Foreach,
            }),
            recompute: Some(if self.get("recompute") == "full" { Recompute::Full } else { Recompute::None }),
            compile: Some(self.compiled()),
            attention: Some(match (self.has("eager"), self.has("mask")) {
                (true, _) => Attention::Unfused,
                (false, true) => Attention::Masked,
                (false, false) => Attention::Flash,
            }),
            finetuning: Some(Finetuning {
                method: Some(if method == "full" { Method::Full } else { Method::LoRA }),
                rank: (method != "full").then_some(16),
                targets: (method == "lora-attention").then(attention_only),
                dropout: (method != "full")
                    .then(|| Decimal::from_f64(if self.has("dropout") { 5.0 } else { 0.0 })),
                ..Finetuning::default()
            }),
            batch: Some(Batch {
                micro_batch_size: Some(micro_batch),
                global_batch_size: Some(micro_batch * self.count("accumulation")),
                sequence_length: Some(self.count("sequence")),
                packing: Some(true),
                ..Batch::default()
            }),
            accelerator: Some(Accelerator {
                kind: Some("H200".to_owned()),
                count: Some(1),
                ..Accelerator::default()
            }),
            ..TrainingJob::default()
        }
    }
}

/// All runs, in the file's order.
pub(crate) fn runs() -> Vec<Run> {
    let mut lines = include_str!("h200.csv").lines().filter(|line| !line.starts_with('#'));
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    lines.map(|line| Run { fields: header.iter().copied().zip(line.split(',')).collect() }).collect()
}
