//! What an objective asks for: the sequences of a sample, what the last layer puts out, and the other models of the job.
//!
//! | objective | sequences | last layer | other models | generates |
//! | --- | --- | --- | --- | --- |
//! | pretraining, supervised | 1 | the next token's distribution | | |
//! | DPO, IPO | 2: chosen and rejected | log-probabilities | reference | |
//! | KTO | 1, and one of another prompt without gradients | log-probabilities | reference | |
//! | ORPO, CPO | 2 | log-probabilities, and the next token's loss | | |
//! | SimPO | 2 | log-probabilities | | |
//! | reward model | 2 | a number a token | | |
//! | PPO | 1 | log-probabilities | reference, reward, critic | yes |
//! | GRPO, RLOO | 1 | log-probabilities | reference, if its weight is not zero | yes |
//! | distillation | 1 | two distributions | teacher | |
//! | classification | 1 | a number a class | | |
//! | embedding | 2: query and passage | nothing | | |
//!
//! A micro-batch of `b` samples has `b` × these sequences. Chosen and rejected run in one batch, to spare a second
//! gathering of the weights. Source: `concatenated_forward` of TRL's trainers, 0.7 to 1.9; `get_batch_logps` of
//! LLaMA-Factory 0.9; `openrlhf/trainer` 0.8.

use crate::job::Objective;

/// What the last layer puts out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Logits of the vocabulary, whose cross-entropy is the loss.
    NextToken,
    /// Logits of the vocabulary. Only the log-probabilities of the given tokens count.
    LogProbabilities,
    /// Both losses on the same logits.
    LogProbabilitiesAndNextToken,
    /// The logits of two models, compared word by word.
    Distributions,
    /// A few numbers for each token.
    Numbers,
}

/// Another model of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The frozen copy that the trained model is compared with.
    Reference,
    /// The frozen model that scores samples.
    Reward,
    /// The frozen model whose outputs are learned.
    Teacher,
    /// The second trained model, which predicts rewards.
    Critic,
}

/// What the estimate knows of an objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectiveProfile {
    /// Sequences of one sample.
    pub sequences: u64,
    /// What the last layer puts out.
    pub head: Head,
    /// The other models that it needs, or may need.
    pub roles: &'static [Role],
    /// Whether the job generates the samples that it trains on.
    pub generates: bool,
}

impl ObjectiveProfile {
    const PLAIN: Self = Self { sequences: 1, head: Head::NextToken, roles: &[], generates: false };

    /// The facts of an objective.
    pub fn of(objective: Objective) -> Self {
        use Head::{Distributions, LogProbabilities, LogProbabilitiesAndNextToken, Numbers};
        let facts = |sequences, head, roles| Self { sequences, head, roles, ..Self::PLAIN };
        match objective {
            Objective::Pretraining | Objective::Supervised => Self::PLAIN,
            Objective::DPO => facts(2, LogProbabilities, &[Role::Reference]),
            Objective::KTO => facts(1, LogProbabilities, &[Role::Reference]),
            Objective::ORPO | Objective::CPO => facts(2, LogProbabilitiesAndNextToken, &[]),
            Objective::SimPO => facts(2, LogProbabilities, &[]),
            Objective::Reward | Objective::Embedding => facts(2, Numbers, &[]),
            Objective::PPO => Self {
                generates: true,
                ..facts(1, LogProbabilities, &[Role::Reference, Role::Reward, Role::Critic])
            },
            Objective::GRPO | Objective::RLOO => {
                Self { generates: true, ..facts(1, LogProbabilities, &[Role::Reference]) }
            }
            Objective::Distillation => facts(1, Distributions, &[Role::Teacher]),
            Objective::Classification => facts(1, Numbers, &[]),
        }
    }

    /// Whether it is training on the next token, whose memory was compared with measurements.
    pub fn is_plain(self) -> bool {
        self == Self::PLAIN
    }
}

impl Role {
    const ALL: [Self; 4] = [Self::Reference, Self::Reward, Self::Teacher, Self::Critic];

    /// Whether a part of the peak is one of these models.
    pub fn is_name(name: &str) -> bool {
        Self::ALL.iter().any(|role| role.name() == name)
    }

    /// Its name among the parts of the peak.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference model",
            Self::Reward => "reward model",
            Self::Teacher => "teacher model",
            Self::Critic => "critic model",
        }
    }
}
