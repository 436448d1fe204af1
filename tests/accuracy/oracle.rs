//! PyTorch's own counts of allocated peaks, against the estimate's allocated figure.
//!
//! `oracle.csv` holds one training step per row: a Hugging Face causal language model, run eagerly on fake tensors,
//! alone or sharded by FSDP2. The peak is the count of PyTorch's `MemTracker`, tensor by tensor, in the second step. A
//! row becomes the training job that a person would write for it:
//!
//! | row | training job |
//! | --- | --- |
//! | `dtype=bf16` | `parameterPrecision: BF16` alone (the model is loaded in bf16 without casts) |
//! | `dtype=fp32` | `precision: FP32` |
//! | `dtype=fp32, autocast` | `precision: BF16`, `parameterPrecision: FP32` (`bf16=True` of the Trainer) |
//! | `dtype=fp32, mixed=bf16` | the same with `sharding: FSDP`, `gradientReductionPrecision: FP32` (FSDP2's policy) |
//! | `fsdp=N` | `sharding: FSDP`, `data: N`; 1: `sharding: None` |
//! | `reshard`, `recompute` | `reshardAfterForward`, `recompute` |
//! | `adamw`, `adamw_foreach`, `sgd` | `optimizer`, with `optimizerImplementation: ForLoop` or `Foreach` |
//! | `lora=r` | `finetuning: {method: LoRA, rank: r, targets: [q_proj, v_proj]}` |
//! | `bits=4`, `8` | `finetuning: {method: QLoRA, quantization: {bits}, embeddingPrecision: BF16}`, `precision: BF16` |
//! | `liger`, `tiled`, `loss=fused` | `layerKernels: Liger`, `tiledLayers: true`, `loss: Fused` |
//!
//! `oracle/step.py` makes such rows.

use super::shown::{Shown, show};
use weighbridge::estimate::assume::{Device, assume};
use weighbridge::estimate::calibration::Calibration;
use weighbridge::estimate::memory::{Peak, peak};
use weighbridge::job::{
    Activation, Batch, Finetuning, Framework, LayerKernels, Loss, Method, Model, Normalization, Optimizer,
    OptimizerImplementation, Parallelism, Positions, Precision, Quantization, Recompute, Sharding,
    TrainingJob,
};
use weighbridge::units::Decimal;

/// The largest allowed error.
const WORST: f64 = 0.03;
/// The largest allowed median of the errors.
const MEDIAN: f64 = 0.003;

struct Row<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Row<'a> {
    fn get(&self, name: &str) -> &'a str {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| *value).expect(name)
    }

    fn number(&self, name: &str) -> u32 {
        self.get(name).parse().expect(name)
    }

    /// A number that may be absent.
    fn optional(&self, name: &str) -> Option<u32> {
        self.get(name).parse().ok()
    }

    fn yes(&self, name: &str) -> bool {
        self.get(name) == "yes"
    }

    fn measured(&self) -> f64 {
        self.get("peak_gib").parse().expect("peak_gib")
    }

    /// The settings of the row, in short.
    fn setting(&self) -> String {
        let mut words =
            vec![format!("{}x{}", self.get("mbs"), self.get("seq")), self.get("dtype").to_owned()];
        if self.yes("autocast") {
            words.push("autocast".into());
        }
        if !self.get("mixed").is_empty() {
            words.push("mixed".into());
        }
        if self.number("fsdp") > 1 {
            words.push(format!("fsdp{}", self.get("fsdp")));
            if !self.yes("reshard") {
                words.push("kept".into());
            }
        }
        if self.get("recompute") == "full" {
            words.push("recompute".into());
        }
        if self.yes("liger") {
            words.push("liger".into());
        }
        if self.get("loss") == "fused" {
            words.push("fused-loss".into());
        }
        if self.yes("tiled") {
            words.push("tiled".into());
        }
        if let Some(bits) = self.optional("bits") {
            words.push(format!("{bits}bit"));
        }
        words.push(self.get("optimizer").to_owned());
        if self.number("lora") > 0 {
            words.push(format!("lora{}", self.get("lora")));
        }
        words.join(" ")
    }

    fn job(&self) -> TrainingJob {
        let gpt2 = self.get("arch") == "gpt2";
        let model = Model {
            layers: Some(self.number("layers")),
            hidden_size: Some(self.number("hidden")),
            attention_heads: Some(self.number("heads")),
            key_value_heads: Some(self.number("kv_heads")),
            ffn_hidden_size: Some(self.number("ffn")),
            vocab_size: Some(self.number("vocab")),
            tied_embeddings: Some(self.yes("tie")),
            activation: Some(if gpt2 { Activation::GELU } else { Activation::SwiGLU }),
            positions: Some(if gpt2 { Positions::Learned } else { Positions::Rotary }),
            normalization: Some(if gpt2 { Normalization::LayerNorm } else { Normalization::RMSNorm }),
            biases: Some(gpt2),
            qkv_biases: Some(gpt2 || self.get("arch") == "qwen2"),
            query_key_normalization: Some(self.get("arch").starts_with("qwen3")),
            head_size: self.optional("head_size"),
            experts: self.optional("experts"),
            experts_per_token: self.optional("top"),
            expert_ffn_hidden_size: self.optional("expert_ffn"),
            ..Model::default()
        };
        let bits = self.optional("bits");
        let half = self.get("dtype") == "bf16" && bits.is_none();
        let mixed = self.yes("autocast") || !self.get("mixed").is_empty();
        let fsdp = self.number("fsdp");
        TrainingJob {
            model: Some(model),
            parallelism: Some(Parallelism {
                data: Some(fsdp),
                sharding: Some(if fsdp > 1 { Sharding::FSDP } else { Sharding::None }),
                reshard_after_forward: Some(self.yes("reshard")),
                ..Parallelism::default()
            }),
            batch: Some(Batch {
                micro_batch_size: Some(self.number("mbs")),
                global_batch_size: Some(self.number("mbs") * fsdp),
                sequence_length: Some(self.number("seq")),
                ..Batch::default()
            }),
            // bf16 weights alone do not turn autocast on.
            precision: (!half).then_some(if mixed { Precision::BF16 } else { Precision::FP32 }),
            parameter_precision: bits.is_none().then_some(if half {
                Precision::BF16
            } else {
                Precision::FP32
            }),
            gradient_reduction_precision: (!half && mixed && bits.is_none()).then_some(Precision::FP32),
            optimizer: Some(if self.get("optimizer") == "sgd" { Optimizer::SGD } else { Optimizer::AdamW }),
            optimizer_implementation: Some(match self.get("optimizer") {
                "adamw_foreach" => OptimizerImplementation::Foreach,
                _ => OptimizerImplementation::ForLoop,
            }),
            recompute: Some(if self.get("recompute") == "full" { Recompute::Full } else { Recompute::None }),
            loss: Some(if self.get("loss") == "fused" { Loss::Fused } else { Loss::Eager }),
            layer_kernels: self.yes("liger").then_some(LayerKernels::Liger),
            tiled_layers: self.yes("tiled").then_some(true),
            finetuning: (self.number("lora") > 0).then(|| Finetuning {
                method: Some(if bits.is_some() { Method::QLoRA } else { Method::LoRA }),
                rank: Some(self.number("lora")),
                targets: Some(vec!["q_proj".into(), "v_proj".into()]),
                dropout: Some(Decimal::from_f64(0.0)),
                quantization: Some(Quantization { bits, double: Some(false), ..Quantization::default() }),
                embedding_precision: bits.map(|_| Precision::BF16),
                ..Finetuning::default()
            }),
            framework: Some(Framework::HuggingFace),
            framework_version: Some("5.24".to_owned()),
            ..TrainingJob::default()
        }
    }

    fn peak(&self) -> Peak {
        let plan = assume(&self.job(), Device { bf16: true }).expect("a shape").likely;
        peak(&plan, Calibration::builtin())
    }
}

/// The training jobs of all rows.
pub(super) fn jobs() -> Vec<TrainingJob> {
    rows(include_str!("oracle.csv")).iter().map(Row::job).collect()
}

fn rows(table: &str) -> Vec<Row<'_>> {
    let mut lines = table.lines().filter(|line| !line.starts_with('#'));
    let header: Vec<_> = lines.next().expect("a header").split(',').collect();
    lines.map(|line| Row { fields: header.iter().copied().zip(line.split(',')).collect() }).collect()
}

fn median(errors: &[f64]) -> f64 {
    let mut sizes: Vec<_> = errors.iter().map(|error| error.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.get(sizes.len() / 2).copied().unwrap_or(0.0)
}

fn worst(errors: &[f64]) -> f64 {
    errors.iter().fold(0.0, |worst, error| error.abs().max(worst))
}

#[test]
fn allocated_peaks_match_pytorchs_counts() {
    let mut shown = Shown::new("oracle");
    let rows = rows(include_str!("oracle.csv"));
    let mut groups: Vec<(&str, Vec<f64>)> = Vec::new();
    show!(
        shown,
        "{:<22} {:<46} {:>9} {:>9} {:>7}  instant",
        "model",
        "setting",
        "measured",
        "estimated",
        "error"
    );
    for row in &rows {
        let (peak, measured) = (row.peak(), row.measured());
        let estimated = peak.allocated.as_gib();
        let error = estimated / measured - 1.0;
        show!(
            shown,
            "{:<22} {:<46} {measured:>9.4} {estimated:>9.4} {:>6.2}%  {}",
            row.get("model"),
            row.setting(),
            error * 100.0,
            peak.instant
        );
        let group = row.get("group");
        match groups.iter_mut().find(|(name, _)| *name == group) {
            Some((_, errors)) => errors.push(error),
            None => groups.push((group, vec![error])),
        }
    }
    for (name, errors) in &groups {
        show!(
            shown,
            "{name}: {} rows, median |error| {:.3} %, worst {:.2} %",
            errors.len(),
            median(errors) * 100.0,
            worst(errors) * 100.0
        );
    }
    for (name, errors) in &groups {
        assert!(median(errors) <= MEDIAN, "{name}: median {}", median(errors));
        assert!(worst(errors) <= WORST, "{name}: worst {}", worst(errors));
    }
    shown.end();
}
