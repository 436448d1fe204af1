//! The dimensions that the model leaves open.

use super::given::Given;
use super::{Choice, choice};
use crate::estimate::plan::Plan;
use crate::job::field;
use crate::model::Shape;

/// The usual vocabulary of a model, if its own is unknown.
pub(super) const LIKELY_VOCAB: u64 = 100_000;

/// The smallest and the largest vocabulary of the usual models: those of Llama 2 and of Qwen 2.5.
const SMALL_VOCAB: u64 = 32_000;
const LARGE_VOCAB: u64 = 152_064;

/// The width of the widest and of the narrowest usual shape, over the middle one's. Seven in ten of the known dense
/// models (data/models.toml) lie between them.
const WIDE: f64 = 1.25;
const NARROW: f64 = 0.8;

/// The model's size over what a token passes, at most, if experts share it. It is a guess from known mixtures of experts.
const SPARSE: u64 = 8;

/// The open fields.
pub(super) fn open(given: &Given<'_>, likely: &Plan) -> [Option<Choice>; 2] {
    [layers(given, likely), vocabulary(given)]
}

/// At the same size, a wide and shallow model needs fewer activations than a narrow and deep one. If the size is
/// divided among experts, most of it is experts. Then a token passes at least an eighth of it.
fn layers(given: &Given<'_>, likely: &Plan) -> Option<Choice> {
    let model = &given.model;
    if model.layers.is_some() && model.hidden_size.is_some() {
        return None;
    }
    let parameters = model.parameters?.0;
    let sparse = likely.expert > 1 && model.experts.is_none();
    let (wide, narrow) = (model.clone(), model.clone());
    Some(choice(
        field::model::LAYERS,
        move |plan| {
            let passed = if sparse { parameters / SPARSE } else { parameters };
            plan.shape = Shape::of_size(&wide, passed, plan.shape.vocab, WIDE);
            plan.shape.declared = Some(parameters);
        },
        move |plan| plan.shape = Shape::of_size(&narrow, parameters, plan.shape.vocab, NARROW),
    ))
}

fn vocabulary(given: &Given<'_>) -> Option<Choice> {
    if given.model.vocab_size.is_some() || given.model.padded_vocab_size.is_some() {
        return None;
    }
    Some(choice(
        field::model::VOCAB_SIZE,
        |plan| plan.shape.vocab = SMALL_VOCAB,
        |plan| plan.shape.vocab = LARGE_VOCAB,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{Device, assume};
    use super::*;
    use crate::job::{Model, TrainingJob};

    #[test]
    fn a_size_alone_gets_the_usual_vocabulary_and_reads_an_eighth_a_token_where_experts_divide_it() {
        let shapes = |expert: u32| {
            let job: TrainingJob = serde_json::from_value(serde_json::json!({
                "model": {"parameters": "80B"}, "parallelism": {"expert": expert}, "accelerator": {"count": 64},
            }))
            .unwrap();
            let assumed = assume(&job, Device { bf16: true }).unwrap();
            (assumed.likely.shape.vocab, assumed.lean().shape)
        };
        let ((vocab, dense), (_, sparse)) = (shapes(1), shapes(8));
        assert_eq!(vocab, 100_000);
        let passed = |parameters| Shape::of_size(&Model::default(), parameters, dense.vocab, 1.25);
        assert_eq!(
            (dense.layers, dense.hidden),
            (passed(80_000_000_000).layers, passed(80_000_000_000).hidden)
        );
        assert_eq!(
            (sparse.layers, sparse.hidden),
            (passed(10_000_000_000).layers, passed(10_000_000_000).hidden)
        );
    }
}
