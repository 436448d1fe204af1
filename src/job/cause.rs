//! Why a workload that asks for accelerators has no estimate: the closed list of causes.
//!
//! A cause has a slug, which never changes (JSON, metrics), and a sentence for people. It also says what follows: the
//! workload trains something that the estimate does not cover (`Unknown`), or it trains nothing (`NotTraining`), or no
//! table knows its program (`Unrecognised`).

use serde::{Serialize, Serializer};

/// What follows from a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Follows {
    /// A known program trains nothing.
    TrainsNothing,
    /// The program is in no table.
    NotRecognised,
    /// A known program trains something that the estimate does not cover.
    NotCovered,
}

/// Declares the causes: what follows from each, its slug and its sentence.
macro_rules! causes {
    ($($(#[$doc:meta])* $cause:ident $follows:ident $slug:literal $sentence:literal)+) => {
        /// Why a workload that asks for accelerators has no estimate.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause { $(#[doc = $sentence] $(#[$doc])* $cause),+ }

        impl Cause {
            /// Every cause, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$cause),+];

            /// The stable name, for JSON and metrics: `preference-optimization`.
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$cause => $slug),+ }
            }

            /// The sentence for people, without a capital and a full stop.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$cause => $sentence),+ }
            }

            /// What follows from it.
            pub const fn follows(self) -> Follows {
                match self { $(Self::$cause => Follows::$follows),+ }
            }
        }
    };
}

causes! {
    Distillation NotCovered "distillation" "distillation holds two models"
    PreferenceOptimization NotCovered "preference-optimization" "preference optimization holds a reference model"
    ReinforcementLearning NotCovered "reinforcement-learning" "reinforcement learning holds several models"
    RewardModel NotCovered "reward-model" "a reward model has another loss"
    OtherStage NotCovered "other-stage" "its stage trains with more than one model, or another loss"
    OtherTrainer NotCovered "other-trainer" "its trainer is one of its own, which is not read"
    Classifier NotCovered "classifier" "a classifier has no logits of the vocabulary"
    Ranking NotCovered "ranking" "a sample holds several documents to rank"
    NotCausal NotCovered "not-causal" "it is no model of causal language"
    Encoder NotCovered "encoder" "an encoder"
    EncoderDecoder NotCovered "encoder-decoder" "an encoder with a decoder"
    Diffusion NotCovered "diffusion" "diffusion models are not transformers of text"
    Images NotCovered "images" "images are embedded beside the text"
    Vision NotCovered "vision" "a vision model"
    Retriever NotCovered "retriever" "a retriever, or a model beside one"
    StateSpace NotCovered "state-space" "a state-space model"
    UnequalLayers NotCovered "unequal-layers" "layers of different shapes"
    OwnExperts NotCovered "own-experts" "its mixture of experts is not read"
    ChangedModel NotCovered "changed-model" "it changes the dimensions of its model"
    OtherAdapters NotCovered "other-adapters" "it trains neither all weights nor LoRA adapters"
    StoredQuantized NotCovered "stored-quantized" "its model's weights are stored in few bits"
    QuantizationAware NotCovered "quantization-aware" "training for quantization holds fake-quantized copies"
    StepsInBackward NotCovered "steps-in-backward" "its optimizer steps during the backward pass"
    PieceByPiece NotCovered "piece-by-piece" "its optimizer never holds all gradients and moments"
    ExpertsOnHost NotCovered "experts-on-host" "experts are computed by the CPU"
    OtherBackend NotCovered "other-backend" "another framework trains in place of its own, and is not read"
    OtherRecipe NotCovered "other-recipe" "a recipe that is not known"
    Trainium NotCovered "trainium" "what Trainium's compiler lays out is not estimated"
    Server TrainsNothing "server" "it answers requests"
    Notebook TrainsNothing "notebook" "it is a notebook or a session for people"
    Benchmark TrainsNothing "benchmark" "it measures the hardware or a model's speed"
    Evaluation TrainsNothing "evaluation" "it evaluates a model"
    Inference TrainsNothing "inference" "it generates or predicts"
    Conversion TrainsNothing "conversion" "it converts a model"
    Preparation TrainsNothing "preparation" "it prepares data or downloads"
    Simulation TrainsNothing "simulation" "it simulates or renders"
    Help TrainsNothing "help" "it prints its help"
    NoTraining TrainsNothing "no-training" "its options turn training off"
    Idle TrainsNothing "idle" "its command only waits or ends"
    UnknownProgram NotRecognised "unknown-program" "its program is in no table"
    UnknownKind NotRecognised "unknown-kind" "its kind is in no table"
    WrongShape NotRecognised "wrong-shape" "its pods are not where its kind has them"
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.slug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_unique_and_can_stand_in_a_label() {
        for (at, cause) in Cause::ALL.iter().enumerate() {
            let slug = cause.slug();
            assert_eq!(Cause::ALL.iter().position(|other| other.slug() == slug), Some(at), "{slug}");
            assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{slug}");
            assert!(!cause.sentence().ends_with('.') && cause.sentence().len() < 80, "{slug}");
        }
    }
}
