//! The figures that a judgement is asked for, and its limit of work.

use super::Model;

/// The figures that a judgement is asked for, and its limit of work. Work is counted, not timed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The rank whose memory is judged.
    pub rank: Rank,
    /// Whether to look for changed configurations that fit.
    pub advice: bool,
    /// Whether to look for the largest values with which a job that fits still fits.
    pub room: bool,
    /// Whether to list every value with its source.
    pub inputs: bool,
    /// The most configurations to try.
    pub max_candidates: usize,
    /// The most bytes of annotations and arguments to read.
    pub max_bytes: usize,
    /// The objects whose values may be quoted.
    pub quoting: Quoting,
    /// The dimensions of a model whose name is not known, if the caller gives them.
    pub model: Option<Model>,
}

/// The objects whose values a judgement may quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// Only the request. The person who asks may lack permission to read the other objects.
    Request,
    /// All objects. The person who asks has supplied every one.
    Everything,
}

impl Default for Ask {
    fn default() -> Self {
        // The apiserver limits annotations to this size. Linux limits the arguments to half of it each.
        Self {
            rank: Rank::Worst,
            advice: true,
            room: false,
            inputs: true,
            max_candidates: 500,
            max_bytes: 256 << 10,
            quoting: Quoting::Request,
            model: None,
        }
    }
}

/// The rank whose memory is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// The rank that needs the most.
    Worst,
    /// A rank of the last pipeline stage. Loggers usually run there.
    Last,
    /// A rank of this pipeline stage, counted from zero.
    Stage(u64),
}
