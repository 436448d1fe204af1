//! The keys of the contract: which field of the spec each means, and how its value is written.

use crate::job::field;
use crate::job::grammar::Grammar;
use crate::job::handle::{AnyField, Field, Member, Range, Word};
use crate::units::Count;

/// What all keys begin with.
pub const PREFIX: &str = "weighbridge.dev/";

/// An annotation of the contract.
#[derive(Debug)]
pub struct Key {
    /// Behind the prefix: `tensor-parallel`.
    pub name: &'static str,
    /// The field of the spec that it sets, or the group of which it sets several.
    pub sets: Member,
    /// How its value is written.
    pub grammar: Grammar,
}

impl Key {
    /// The path of what it sets: `parallelism.tensor`.
    pub fn path(&self) -> &'static str {
        match self.sets {
            Member::Field(field) => field.path(),
            Member::Group(group) => group.path(),
        }
    }
}

const fn key(name: &'static str, sets: Member, grammar: Grammar) -> Key {
    Key { name, sets, grammar }
}

/// A whole number, within its field's range.
const fn whole(name: &'static str, field: Field<u32>) -> Key {
    let most = match field.erased().range() {
        Range::Whole { most, .. } => most,
        Range::Any | Range::Percent { .. } => u64::MAX,
    };
    key(name, field.member(), Grammar::Whole { most })
}

/// A count as people write it: `70B`.
const fn count(name: &'static str, field: Field<Count>) -> Key {
    key(name, field.member(), Grammar::Count)
}

/// One of the words of the field's type.
const fn word<T: Word>(name: &'static str, field: Field<T>) -> Key {
    key(name, field.member(), Grammar::Word { read: T::read, words: T::OWN })
}

/// A name, and what of.
const fn named(name: &'static str, field: Field<String>, what: &'static str) -> Key {
    key(name, field.member(), Grammar::Name(what))
}

/// Every annotation that sets fields of the spec, in the order of the documentation. `training` and `override` are the
/// two others.
pub static KEYS: &[Key] = &[
    named("model", field::model::NAME, "the name of a model, like llama-2-70b or meta-llama/Llama-2-70b-hf"),
    count("parameters", field::model::PARAMETERS),
    whole("layers", field::model::LAYERS),
    whole("hidden-size", field::model::HIDDEN_SIZE),
    whole("attention-heads", field::model::ATTENTION_HEADS),
    whole("kv-heads", field::model::KEY_VALUE_HEADS),
    whole("ffn-hidden-size", field::model::FFN_HIDDEN_SIZE),
    whole("vocab-size", field::model::VOCAB_SIZE),
    whole("experts", field::model::EXPERTS),
    whole("experts-per-token", field::model::EXPERTS_PER_TOKEN),
    whole("sequence-length", field::batch::SEQUENCE_LENGTH),
    whole("micro-batch-size", field::batch::MICRO_BATCH_SIZE),
    whole("global-batch-size", field::batch::GLOBAL_BATCH_SIZE),
    whole("tensor-parallel", field::parallelism::TENSOR),
    whole("pipeline-parallel", field::parallelism::PIPELINE),
    whole("context-parallel", field::parallelism::CONTEXT),
    whole("expert-parallel", field::parallelism::EXPERT),
    whole("data-parallel", field::parallelism::DATA),
    whole("virtual-pipeline", field::parallelism::VIRTUAL_PIPELINE),
    key("sequence-parallel", field::parallelism::SEQUENCE.member(), Grammar::Boolean),
    word("sharding", field::parallelism::SHARDING),
    word("method", field::finetuning::METHOD),
    whole("lora-rank", field::finetuning::RANK),
    key("lora-targets", field::finetuning::TARGETS.member(), Grammar::List),
    word("precision", field::PRECISION),
    word("optimizer", field::OPTIMIZER),
    word("recompute", field::RECOMPUTE),
    word("attention", field::ATTENTION),
    key("offload", field::OFFLOAD.member(), Grammar::Offload),
    word("framework", field::FRAMEWORK),
    named("gpu-type", field::accelerator::KIND, "the name of an accelerator, like A100-80GB"),
    count("tokens", field::dataset::TOKENS),
    key("steps", field::dataset::STEPS.member(), Grammar::Count),
    key("mfu", field::efficiency::MFU_PERCENT.member(), Grammar::Percent),
    key("price-per-gpu-hour", field::PRICE.member(), Grammar::Price),
];

/// The key of a field of the spec, or of the group that it belongs to: the annotation that gives it.
pub fn of_field(field: impl Into<AnyField>) -> Option<&'static str> {
    let field = field.into();
    let own = KEYS.iter().find(|key| key.sets == field.member());
    let of_group = || KEYS.iter().find(|key| matches!(key.sets, Member::Group(group) if group.has(field)));
    own.or_else(of_group).map(|key| key.name)
}
