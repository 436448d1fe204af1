//! What fine-tuning frameworks do with frozen weights and adapters unless told otherwise.
//!
//! ```text
//!                         frozen weights     not quantized under QLoRA   adapters   dropout before them
//! Hugging Face with PEFT  computation's      fp32                        fp32       none or some, the likeliest none
//! LitGPT                  computation's      computation's               as weights 5 %
//! torchtune               computation's      computation's               as weights none
//! plain FSDP              computation's      computation's               as weights none or some, the likeliest none
//! others                  computation's      computation's               fp32       none or some, the likeliest none
//! ```
//!
//! PEFT has no dropout by default, and most public configurations ask for 5 or 10 %: any needs the same memory.
//!
//! Rank 8 where none is given. Sources: PEFT's `autocast_adapter_dtype` and `prepare_model_for_kbit_training`; LitGPT's
//! config hub (`lora_dropout: 0.05`); torchtune's recipes (`dtype: bf16`, `lora_dropout: 0.0`).

use crate::job::{Framework, Method, Recompute, TrainingJob};

use super::super::plan::{Adapters, Targets};
use super::super::states::Widths;

/// What a framework computes again unless told otherwise, where its documentation says: torchtune's recipes have
/// activation checkpointing on; LitGPT's scripts use it with FSDP, and only then.
pub(super) fn recompute(framework: Framework, data: u64) -> Option<Recompute> {
    match framework {
        Framework::Torchtune => Some(Recompute::Full),
        Framework::LitGPT if data > 1 => Some(Recompute::Full),
        Framework::LitGPT => Some(Recompute::None),
        _ => None,
    }
}

/// Whether the optimizer's step runs inside the backward pass: torchtune's recipes for all weights on one device do that
/// (`optimizer_in_bwd: True`).
pub(super) fn steps_in_backward(framework: Framework, adapted: bool, data: u64) -> bool {
    framework == Framework::Torchtune && !adapted && data == 1
}

/// Whether adapters are trained in place of the weights.
pub(super) fn is_adapted(job: &TrainingJob, method: Option<Method>) -> bool {
    match method {
        Some(Method::Full) => false,
        Some(Method::LoRA | Method::QLoRA) => true,
        None => job.finetuning.as_ref().is_some_and(|finetuning| finetuning.rank.is_some()),
    }
}

/// Frozen weights are loaded in the computation's format; of a quantized model PEFT makes fp32 what is left.
pub(super) fn stored(method: Option<Method>, adapted: bool, framework: Framework, widths: Widths) -> Widths {
    if !adapted {
        return widths;
    }
    let quantized = method == Some(Method::QLoRA);
    let parameter = if quantized && framework == Framework::HuggingFace { 4.0 } else { widths.compute };
    Widths { parameter, ..widths }
}

/// Whether a dropout stands before the adapters, where the framework's documentation says.
pub(super) fn dropout(framework: Framework) -> Option<bool> {
    match framework {
        Framework::LitGPT => Some(true),
        Framework::Torchtune => Some(false),
        _ => None,
    }
}

/// The adapters, where not every weight is trained.
pub(super) fn adapters(
    job: &TrainingJob,
    method: Option<Method>,
    framework: Framework,
    widths: Widths,
) -> Option<Adapters> {
    if !is_adapted(job, method) {
        return None;
    }
    let finetuning = job.finetuning.as_ref()?;
    let as_weights = matches!(framework, Framework::LitGPT | Framework::Torchtune | Framework::FSDP);
    Some(Adapters {
        rank: finetuning.rank.map_or(8, |r| u64::from(r).max(1)),
        targets: finetuning.targets.as_deref().map_or(Targets::ALL, Targets::named),
        quantized: method == Some(Method::QLoRA),
        width: if as_weights && widths.parameter <= 2.0 { 2 } else { 4 },
        dropout: match finetuning.dropout {
            Some(percent) => percent.micros > 0,
            None => dropout(framework).unwrap_or(false),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Device, assume};
    use super::*;
    use crate::job::{Finetuning, Model};
    use crate::units::Decimal;

    /// Whether adapters have a dropout in the leanest, the likeliest and the heaviest plan.
    fn dropouts(framework: Framework, percent: Option<f64>) -> [bool; 3] {
        let job = TrainingJob {
            model: Some(Model { layers: Some(2), hidden_size: Some(512), ..Model::default() }),
            framework: Some(framework),
            finetuning: Some(Finetuning {
                method: Some(Method::LoRA),
                dropout: percent.map(Decimal::from_f64),
                ..Finetuning::default()
            }),
            ..TrainingJob::default()
        };
        let assumed = assume(&job, Device { bf16: true }).unwrap();
        [assumed.lean(), assumed.likely.clone(), assumed.heavy()].map(|plan| plan.adapters.unwrap().dropout)
    }

    #[test]
    fn a_dropout_that_nobody_states_is_in_the_heaviest_plan_alone() {
        assert_eq!(dropouts(Framework::HuggingFace, None), [false, false, true]);
        assert_eq!(dropouts(Framework::HuggingFace, Some(5.0)), [true; 3]);
        assert_eq!(dropouts(Framework::HuggingFace, Some(0.0)), [false; 3]);
        assert_eq!(dropouts(Framework::LitGPT, None), [true; 3]);
        assert_eq!(dropouts(Framework::LitGPT, Some(0.0)), [false; 3]);
    }
}
