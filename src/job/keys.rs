//! The keys of the annotations. Each sets a field of the spec, and has the grammar of its value.
//!
//! Every field has one key. The contract names the keys that people write most. The key of every other field is its own
//! name in lower case with dashes: `batch.typicalSequenceLength` is `typical-sequence-length`. A name that is not clear
//! alone has its path before it: `accelerator.count` is `accelerator-count`. The grammar follows from the field's
//! declaration, unless the contract names another one.

use std::sync::LazyLock;

use crate::job::field;
use crate::job::grammar::{self, Grammar};
use crate::job::handle::{AnyField, Field, Group, Member};

/// The prefix of all keys.
pub const PREFIX: &str = "weighbridge.dev/";

/// An annotation that sets fields of the spec.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Behind the prefix: `tensor-parallel`.
    pub name: &'static str,
    /// The field of the spec that it sets, or the group in which it sets several fields.
    pub sets: Member,
    /// How its value is written.
    pub grammar: Grammar,
}

impl Key {
    /// The path of its field or group: `parallelism.tensor`.
    pub fn path(&self) -> &'static str {
        match self.sets {
            Member::Field(field) => field.path(),
            Member::Group(group) => group.path(),
        }
    }

    /// What its value is, in words. A length may be written short.
    pub fn takes(&self) -> String {
        let short = if grammar::is_length(self.sets) { ", or like 4k for 4096" } else { "" };
        self.grammar.takes() + short
    }
}

const fn key(name: &'static str, sets: Member, grammar: Grammar) -> Key {
    Key { name, sets, grammar }
}

/// A key with the grammar of its field's declaration.
const fn plain<T>(name: &'static str, field: Field<T>) -> Key {
    key(name, field.member(), field.erased().grammar())
}

/// The keys that the contract names, in the order of the documentation.
const CONTRACT: &[Key] = &[
    key("model", field::model::NAME.member(), Grammar::Name(A_MODEL)),
    plain("parameters", field::model::PARAMETERS),
    plain("layers", field::model::LAYERS),
    plain("hidden-size", field::model::HIDDEN_SIZE),
    plain("attention-heads", field::model::ATTENTION_HEADS),
    plain("kv-heads", field::model::KEY_VALUE_HEADS),
    plain("ffn-hidden-size", field::model::FFN_HIDDEN_SIZE),
    plain("vocab-size", field::model::VOCAB_SIZE),
    plain("experts", field::model::EXPERTS),
    plain("experts-per-token", field::model::EXPERTS_PER_TOKEN),
    plain("sequence-length", field::batch::SEQUENCE_LENGTH),
    plain("micro-batch-size", field::batch::MICRO_BATCH_SIZE),
    plain("global-batch-size", field::batch::GLOBAL_BATCH_SIZE),
    plain("tensor-parallel", field::parallelism::TENSOR),
    plain("pipeline-parallel", field::parallelism::PIPELINE),
    plain("context-parallel", field::parallelism::CONTEXT),
    plain("expert-parallel", field::parallelism::EXPERT),
    plain("data-parallel", field::parallelism::DATA),
    plain("virtual-pipeline", field::parallelism::VIRTUAL_PIPELINE),
    plain("sequence-parallel", field::parallelism::SEQUENCE),
    plain("sharding", field::parallelism::SHARDING),
    plain("method", field::finetuning::METHOD),
    plain("lora-rank", field::finetuning::RANK),
    key(
        "lora-targets",
        field::finetuning::TARGETS.member(),
        Grammar::List { example: "q_proj,v_proj", most: u64::MAX }
            .within(field::finetuning::TARGETS.erased().range()),
    ),
    plain("quantization-bits", field::quantization::BITS),
    plain("double-quantization", field::quantization::DOUBLE),
    plain("quantized-experts", field::quantization::EXPERTS),
    plain("objective", field::OBJECTIVE),
    plain("precision", field::PRECISION),
    plain("optimizer", field::OPTIMIZER),
    plain("recompute", field::RECOMPUTE),
    plain("attention", field::ATTENTION),
    key("offload", field::OFFLOAD.member(), Grammar::Offload),
    plain("framework", field::FRAMEWORK),
    key(
        "gpu-type",
        field::accelerator::KIND.member(),
        Grammar::Name("the name of an accelerator, like A100-80GB"),
    ),
    plain("tokens", field::dataset::TOKENS),
    key("steps", field::dataset::STEPS.member(), Grammar::Count),
    plain("mfu", field::efficiency::MFU_PERCENT),
    key("price-per-gpu-hour", field::PRICE.member(), Grammar::Price),
];

/// Fields whose own names are not clear without their paths.
const UNCLEAR_ALONE: &[Member] = &[
    field::ACCELERATOR.member(),
    field::TARGET.member(),
    field::CHECKPOINT.member(),
    field::host::LOADING.member(),
    field::model::GLOBAL_ATTENTION.member(),
    field::model::LATENT_ATTENTION.member(),
    field::model::LINEAR_ATTENTION.member(),
    field::model::STATE_SPACE.member(),
    field::parallelism::SCHEDULE.member(),
    field::finetuning::DROPOUT.member(),
];

/// What the names of other fields are.
const NAMES: &[(Member, &str)] = &[
    (field::FRAMEWORK_VERSION.member(), "the version of the framework, like 0.24.0"),
    (field::host::HUB_CACHE.member(), "the path of a folder in the container"),
    (field::checkpoint::DIRECTORY.member(), "the path of a folder in the container"),
    (field::roles::REWARD_MODEL_NAME.member(), A_MODEL),
    (field::roles::CRITIC_MODEL_NAME.member(), A_MODEL),
    (field::roles::TEACHER_MODEL_NAME.member(), A_MODEL),
];
const A_MODEL: &str = "the name of a model, like llama-2-70b or meta-llama/Llama-2-70b-hf";

/// The grammar of a field that the contract does not name.
fn grammar(field: AnyField) -> Grammar {
    let name = NAMES.iter().find(|(member, _)| *member == field.member());
    name.map_or(field.grammar(), |(_, what)| Grammar::Name(what))
}

/// Every annotation that sets fields of the spec: those that the contract names, then those of the other fields in the
/// order of the spec. `training` and `override` are the two others.
pub static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let others = field::SPEC.fields().into_iter();
    let others = others.filter(|field| !CONTRACT.iter().any(|key| key.sets.covers(*field)));
    let others = others.map(|field| key(dashed(field).leak(), field.member(), grammar(field)));
    CONTRACT.iter().copied().chain(others).collect()
});

/// The key of a field that the contract does not name: `lossAsLayer` is `loss-as-layer`.
fn dashed(field: AnyField) -> String {
    let is_unclear = UNCLEAR_ALONE.iter().any(|unclear| unclear.covers(field));
    let name = if is_unclear { field.path() } else { field.member().name() };
    let mut dashed = String::new();
    for letter in name.chars() {
        match letter {
            '.' => dashed.push('-'),
            letter if letter.is_ascii_uppercase() => dashed.extend(['-', letter.to_ascii_lowercase()]),
            letter => dashed.push(letter),
        }
    }
    dashed
}

/// The key of a field of the spec, or of the group that it belongs to: the annotation that gives it.
pub fn of_field(field: impl Into<AnyField>) -> &'static str {
    let field = field.into();
    KEYS.iter().find(|key| key.sets.covers(field)).map_or(field.path(), |key| key.name)
}

/// The key of a field of the spec, or of a group that has a key of its own.
pub(super) fn of_member(member: Member) -> Option<&'static str> {
    let covers =
        |key: &&Key| key.sets == member || member.field().is_some_and(|field| key.sets.covers(field));
    KEYS.iter().find(covers).map(|key| key.name)
}

/// Whether an annotation with this key, without the prefix, may change the memory of a job. The amount of data, the speed, the
/// price, the target and an override do not.
pub fn decides_memory(key: &str) -> bool {
    const OTHERS: [Group; 4] = [field::DATASET, field::EFFICIENCY, field::PRICE, field::TARGET];
    let sets = KEYS.iter().find(|known| known.name == key).map(|known| known.sets);
    let is_of_others =
        |sets: Member| OTHERS.iter().any(|group| group.fields().into_iter().any(|field| sets.covers(field)));
    key != "override" && !sets.is_some_and(is_of_others)
}

/// The keys of these fields in their order, each once: one key may set several fields.
pub fn of_fields(fields: &[AnyField]) -> Vec<&'static str> {
    let mut keys = Vec::new();
    for key in fields.iter().map(|field| of_field(*field)) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_field_of_the_spec_has_exactly_one_key() {
        for field in field::SPEC.fields() {
            let keys: Vec<_> = KEYS.iter().filter(|key| key.sets.covers(field)).collect();
            assert_eq!(keys.len(), 1, "{field}: {keys:?}");
            assert_eq!(of_field(field), keys[0].name);
        }
    }

    #[test]
    fn no_two_keys_have_the_same_name() {
        let names: BTreeSet<_> =
            KEYS.iter().map(|key| key.name).chain(["training", "override", "mode"]).collect();
        assert_eq!(names.len(), KEYS.len() + 3);
        for name in names {
            let is_dashed = name.split('-').all(|part| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            });
            // Kubernetes allows no longer names.
            assert!(is_dashed && name.len() <= 63, "{name}");
        }
    }

    #[test]
    fn the_keys_that_the_contract_names_come_first() {
        assert!(CONTRACT.iter().map(|key| key.name).eq(KEYS.iter().take(CONTRACT.len()).map(|key| key.name)));
    }

    #[test]
    fn amounts_prices_and_targets_decide_no_memory() {
        let others = KEYS.iter().map(|key| key.name).chain(["override"]).filter(|key| !decides_memory(key));
        let listed = "tokens steps mfu price-per-gpu-hour epochs goodput-percent target-days override";
        assert_eq!(others.collect::<Vec<_>>().join(" "), listed);
    }

    #[test]
    fn fields_of_one_key_are_named_once() {
        let fields =
            [field::offload::OPTIMIZER.into(), field::LOSS.into(), field::offload::PARAMETERS.into()];
        assert_eq!(of_fields(&fields), ["offload", "loss"]);
    }

    #[test]
    fn the_list_of_keys_is_known() {
        let list: Vec<_> = KEYS.iter().map(|key| format!("{} = {}", key.name, key.path())).collect();
        insta::assert_snapshot!(list.join("\n"));
    }
}
