//! Whether every word of a command is known.
//!
//! An unknown word (`$EXTRA_ARGS`) may be an option's value. Then only this value is open. An unknown word by itself
//! may be any further options. Then the program's defaults may not hold.

use crate::command::Arguments;
use crate::frameworks::reading::claims::Claims;
use crate::job::{
    AnyField, Assignment, Framework, LayerKernels, Loss, Method, OpenField, Optimizer, Precision, Recompute,
    Sharding, ValueOf as _, field,
};

/// How a program writes its options.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Options that stand alone, without dashes and with `-` for `_`.
    pub(crate) alone: &'static [&'static str],
    /// The beginnings of such options.
    pub(crate) alone_beginnings: &'static [&'static str],
    /// The beginnings of options that take a value.
    pub(crate) valued: &'static [&'static str],
    /// Options that take several values.
    pub(crate) lists: &'static [&'static str],
}

impl Written {
    /// Whether an unknown word may be options, not an option's value.
    pub(crate) fn may_hold_more(&self, arguments: &Arguments) -> bool {
        let mut value = false;
        let mut list = false;
        arguments.words().iter().any(|word| {
            let Some(option) = word.text.strip_prefix("--") else {
                let expected = value || list;
                value = false;
                // The value of `key=$VALUE` is inside the word.
                return !word.known && !expected && (word.text.starts_with('$') || !word.text.contains('='));
            };
            let (name, within) = option.split_once('=').map_or((option, false), |(name, _)| (name, true));
            let name = name.replace('_', "-");
            let is = |names: &[&str]| names.contains(&name.as_str());
            let begins = self.alone_beginnings.iter().any(|begin| name.starts_with(begin));
            list = is(self.lists);
            value = !within && !is(self.alone) && (!begins || is(self.valued));
            // `--$NAME`
            !word.known && !within
        })
    }
}

/// The leanest value of a field, if its given value is not understood. Batches and lengths are open anyway.
const LEANEST: &[Assignment] = &[
    field::finetuning::METHOD.is(Method::LoRA),
    field::GRADIENT_PRECISION.is(Precision::BF16),
    field::LAYER_KERNELS.is(LayerKernels::Liger),
    field::MAIN_PARAMETER_PRECISION.is(Precision::BF16),
    field::offload::ACTIVATIONS.is(true),
    field::offload::OPTIMIZER.is(true),
    field::offload::PARAMETERS.is(true),
    field::OPTIMIZER.is(Optimizer::SGD),
    field::OPTIMIZER_PRECISION.is(Precision::BF16),
    field::parallelism::CONTEXT.is(8),
    field::parallelism::DATA.is(8),
    field::parallelism::EXPERT.is(64),
    field::parallelism::EXPERT_TENSOR.is(8),
    field::parallelism::PIPELINE.is(16),
    field::parallelism::SHARDING.is(Sharding::FSDP),
    field::parallelism::TENSOR.is(8),
    field::PARAMETER_PRECISION.is(Precision::BF16),
    field::RECOMPUTE.is(Recompute::Full),
];

/// Opens fields whose given values are not understood: `--tensor-model-parallel-size $TP` may divide by eight.
pub(crate) fn leave_open(claims: &mut Claims) {
    for field in claims.unparsed.clone() {
        open_at_its_leanest(field, claims);
    }
}

/// Opens what is trained, because a part of the model is frozen, and which one is not read. At the most all weights are trained.
/// At the least they are stored in four bits beside small adapters, and nothing is kept for the layers that no gradient passes.
pub(crate) fn leave_frozen_open(claims: &mut Claims) {
    claims.open_field(OpenField {
        field: field::finetuning::METHOD.erased(),
        leanest: Some(Method::QLoRA.json()),
        heaviest: Some(Method::Full.json()),
        although_given: true,
    });
    claims.open_anyway(field::RECOMPUTE, Recompute::Full);
    claims.open_anyway(field::offload::ACTIVATIONS, true);
    claims.open_anyway(field::LOSS, Loss::Fused);
}

/// A compiled model keeps less than its layers do one by one. It was measured for torchtitan, torchtune, and the Trainer
/// without sharding. Elsewhere it may keep as little as with recomputation.
pub(crate) fn leave_compiled_open(claims: &mut Claims) {
    let framework = claims.get(field::FRAMEWORK);
    let sharding = claims.get(field::parallelism::SHARDING);
    let is_measured = matches!(framework, Some(Framework::Torchtitan | Framework::Torchtune))
        || framework == Some(Framework::HuggingFace)
            && sharding.is_none_or(|sharding| {
                matches!(sharding, Sharding::None | Sharding::ZeRO1 | Sharding::ZeRO2)
            });
    let keeps = claims.get(field::RECOMPUTE).is_none_or(|recompute| recompute != Recompute::Full);
    if claims.get(field::COMPILE) == Some(true) && keeps && !is_measured {
        claims.open_anyway(field::RECOMPUTE, Recompute::Full);
    }
}

/// Opens a field at its leanest value.
pub(crate) fn open_at_its_leanest(field: impl Into<AnyField>, claims: &mut Claims) {
    let field = field.into();
    if let Some(leanest) = LEANEST.iter().find(|leanest| leanest.field == field) {
        claims.open_as(*leanest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Word;

    #[test]
    fn a_word_that_stands_by_itself_may_be_anything() {
        const WRITTEN: Written =
            Written { alone: &["bf16"], alone_beginnings: &["use-"], valued: &["use-n"], lists: &["data"] };
        for (words, expected) in [
            ("--a $A --b=$B --c 1", false),
            ("--bf16 $MORE", true),
            ("--use-it $MORE", true),
            ("--use-n $N", false),
            ("--data 1 $A 2 $B", false),
            ("--a 1 $MORE", true),
            ("--$NAME 3", true),
            ("key=$VALUE", false),
            ("$KEY=3", true),
        ] {
            let words = words.split(' ').map(|word| Word { text: word.into(), known: !word.contains('$') });
            let arguments = Arguments::of(words.collect());
            assert_eq!(WRITTEN.may_hold_more(&arguments), expected, "{arguments:?}");
        }
    }

    #[test]
    fn a_compiled_model_may_keep_less_where_that_was_not_measured() {
        let opens = |framework: Framework, sharding: Sharding, recompute: Recompute| {
            let mut claims = Claims::default();
            claims.argument(field::FRAMEWORK, framework, "--a");
            claims.argument(field::COMPILE, true, "--b");
            claims.argument(field::parallelism::SHARDING, sharding, "--c");
            claims.argument(field::RECOMPUTE, recompute, "--d");
            leave_compiled_open(&mut claims);
            claims.leaves_open(field::RECOMPUTE.erased())
        };
        assert!(opens(Framework::FSDP, Sharding::FSDP, Recompute::None));
        assert!(opens(Framework::HuggingFace, Sharding::ZeRO3, Recompute::None));
        assert!(!opens(Framework::FSDP, Sharding::FSDP, Recompute::Full));
        assert!(!opens(Framework::HuggingFace, Sharding::None, Recompute::None));
        assert!(!opens(Framework::Torchtitan, Sharding::FSDP, Recompute::None));
    }

    #[test]
    fn what_is_not_understood_may_be_at_its_leanest() {
        let mut claims = Claims::default();
        claims.unparsed(field::parallelism::TENSOR);
        claims.unparsed(field::model::LAYERS);
        leave_open(&mut claims);
        let open: Vec<_> = claims.open.iter().map(|open| (open.field, open.leanest.clone())).collect();
        assert_eq!(open, [(field::parallelism::TENSOR.erased(), Some(8.into()))]);
        for leanest in LEANEST {
            assert!(leanest.field.read(&leanest.value.json()).is_ok(), "{leanest:?}");
        }
    }
}
