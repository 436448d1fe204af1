//! What is wanted of a judgement, and how much work may be spent.

/// What is wanted of a judgement, and how much work may be spent: counted, never timed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Whose memory is judged.
    pub rank: Rank,
    /// Whether to look for changed configurations that fit.
    pub advice: bool,
    /// How many configurations to try at most.
    pub max_candidates: usize,
    /// How many bytes of annotations and arguments to read at most.
    pub max_bytes: usize,
    /// Whose values may be quoted.
    pub quoting: Quoting,
}

/// Whose values a judgement may quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// The request's own: who asks need not be allowed to read the other objects.
    Request,
    /// All: who asks has brought every object along.
    Everything,
}

impl Default for Ask {
    fn default() -> Self {
        // The apiserver takes no more annotations, and Linux no longer arguments than half of it each.
        Self {
            rank: Rank::Worst,
            advice: true,
            max_candidates: 500,
            max_bytes: 256 << 10,
            quoting: Quoting::Request,
        }
    }
}

/// Whose memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// The one that needs the most.
    Worst,
    /// One of the last pipeline stage, which loggers usually are.
    Last,
    /// One of this pipeline stage, counted from zero.
    Stage(u64),
}
