//! The words of the reports, each explained for a person who meets it first. `weighbridge explain` prints them, and
//! docs/terms.md is made from them.

/// A word, and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    /// The word as reports have it.
    pub name: &'static str,
    /// Other words that find it.
    pub also: &'static [&'static str],
    /// What it means.
    pub meaning: &'static str,
}

/// Every term, in the order of a report.
pub const TERMS: &[Term] = &[
    Term {
        name: "Fits",
        also: &["fit"],
        meaning: "The job needs less memory than the accelerator offers, with room for what is not stated. Its probability of \
                  running out is below 20 %. The gate admits it.",
    },
    Term {
        name: "Tight",
        also: &[],
        meaning: "The job is close to the memory of the accelerator, and may run out. Its probability of running out is 20 % or \
                  more, but the lower bound of the estimate is within the memory. The gate admits it with a warning.",
    },
    Term {
        name: "OutOfMemory",
        also: &["oom", "out-of-memory"],
        meaning: "The job runs out of memory in every reading of it: even the lower bound of the estimate is above the memory \
                  that the accelerator offers. The gate refuses it in the mode enforce.",
    },
    Term {
        name: "Unknown",
        also: &["missing"],
        meaning: "The object trains, but fields that are not stated decide whether it fits. The report lists these fields with \
                  the memory that depends on each, and the line to add. The gate admits it with a warning.",
    },
    Term {
        name: "NotTraining",
        also: &["not-training"],
        meaning: "The object asks for no accelerators, or it runs something else: a server, a notebook, a benchmark. It has no \
                  estimate and no warning.",
    },
    Term {
        name: "Unrecognised",
        also: &["not recognised", "unrecognized"],
        meaning: "The object asks for accelerators, and nothing shows whether it trains: no table knows its program. It has no \
                  estimate. The annotation weighbridge.dev/model says that it trains.",
    },
    Term {
        name: "gate",
        also: &["admitted", "warned", "refused", "audited", "invalid", "not-judged"],
        meaning: "What the admission webhook would do with the object, under the policy and mode of the command: admitted, \
                  warned (admitted with a warning), audited (admitted, with a note in the audit log), refused, invalid (a \
                  value cannot be read), or not-judged (the mode is off, or the policy exempts it).",
    },
    Term {
        name: "needed",
        also: &["peak", "need"],
        meaning: "The memory of one accelerator that must be available at the fullest moment: the live tensors, the context of \
                  the process, its communicators and workspaces, and fragments that cannot be given back. This figure is \
                  compared with what the accelerator offers.",
    },
    Term {
        name: "allocated",
        also: &["max_memory_allocated"],
        meaning: "The live tensors at the fullest moment, as torch.cuda.max_memory_allocated counts them. It is a part of the \
                  needed memory.",
    },
    Term {
        name: "reserved",
        also: &["max_memory_reserved"],
        meaning: "The allocated memory, and the blocks that PyTorch's allocator keeps for later, as \
                  torch.cuda.max_memory_reserved counts them. The allocator gives them back if memory is short, so a job can \
                  need less than it reserves.",
    },
    Term {
        name: "process",
        also: &["nvidia-smi"],
        meaning: "The reserved memory, and all that is outside PyTorch's allocator: what nvidia-smi shows while the job runs with \
                  room to spare. It may be more than the needed memory.",
    },
    Term {
        name: "of",
        also: &["capacity", "offers", "headroom"],
        meaning: "The memory that one accelerator offers a process: its total, less what the driver keeps, less the headroom that \
                  the policy keeps free. An \"80 GB\" H100 offers 79.1 GiB.",
    },
    Term {
        name: "interval",
        also: &["bounds", "lower", "upper", "at least"],
        meaning: "The range that holds the need in nine of ten cases: from the job with every open field at its leanest value to \
                  the job with every open field at its heaviest, with the error of the formulas on both sides. A refusal prints \
                  the lower end, \"at least\".",
    },
    Term {
        name: "P(OOM)",
        also: &["probability", "oomprobability", "p"],
        meaning: "The probability that the job runs out of memory, from the open fields and from the measured error of the \
                  formulas. It is never 0 % or 100 %.",
    },
    Term {
        name: "instant",
        also: &["loss", "loss's backward", "backward, begun", "backward, done", "optimizer step", "moment"],
        meaning: "The moment of a step at which memory is fullest. \"loss\": logits and loss, on the last pipeline stage. \
                  \"backward, begun\": all activations are kept, and the first layer's gradients are computed. \"backward, \
                  done\": all gradients are there. \"loss's backward\": the gradients of the logits, with all activations kept. \
                  \"optimizer step\": gradients, and the workspace of the optimizer.",
    },
    Term {
        name: "worst rank",
        also: &["stage", "rank", "pipeline stage"],
        meaning: "The ranks that need the most. With pipeline parallelism the stages differ: the first keeps the most \
                  activations, the last holds the logits.",
    },
    Term {
        name: "open field",
        also: &["unstated", "assumed", "open"],
        meaning: "A field that the job does not state, or states where it cannot be read. The estimate assumes its usual value, \
                  and the interval holds all its values.",
    },
    Term {
        name: "room",
        also: &["grow"],
        meaning: "How far a job that fits can grow: the largest micro-batch, and the longest sequences, with which it still fits. \
                  The present value is doubled as long as the job fits, with everything else as it is. Each stands alone.",
    },
    Term {
        name: "MFU",
        also: &["utilization"],
        meaning: "Model FLOPs utilization: the share of the accelerator's peak rate that the model's own operations reach. \
                  Recomputed operations do not count.",
    },
    Term {
        name: "goodput",
        also: &[],
        meaning: "The share of the time that is spent training. The rest goes to failures, restarts, and saving checkpoints.",
    },
    Term {
        name: "GPU-hours",
        also: &["gpuhours", "days"],
        meaning: "The time of the training times the number of accelerators. It includes failures and restarts.",
    },
    Term {
        name: "advice",
        also: &["would fit"],
        meaning: "The nearest changed configurations that fit, with the memory and the days after the change. The model, the data \
                  and the global batch stay the same, unless the line says otherwise.",
    },
];

/// The term with this name, in any case.
pub fn term(name: &str) -> Option<&'static Term> {
    let is = |word: &&str| word.eq_ignore_ascii_case(name);
    TERMS.iter().find(|term| is(&term.name) || term.also.iter().any(&is))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_word_finds_one_term() {
        let words: Vec<_> =
            TERMS.iter().flat_map(|term| std::iter::once(&term.name).chain(term.also)).collect();
        let distinct: BTreeSet<_> = words.iter().map(|word| word.to_lowercase()).collect();
        assert_eq!(distinct.len(), words.len());
        assert_eq!(term("oom").map(|term| term.name), Some("OutOfMemory"));
    }

    #[test]
    fn every_verdict_and_every_forecast_is_explained() {
        use crate::judgement::Verdict;
        use crate::report::Forecast;
        let verdicts = [
            Verdict::Fits,
            Verdict::Tight,
            Verdict::OutOfMemory,
            Verdict::Unknown,
            Verdict::NotTraining,
            Verdict::Unrecognised,
        ];
        let forecasts = [
            Forecast::Admitted,
            Forecast::Warned,
            Forecast::Audited,
            Forecast::Refused,
            Forecast::Invalid,
            Forecast::NotJudged,
        ];
        for word in verdicts.map(Verdict::name).into_iter().chain(forecasts.map(Forecast::name)) {
            assert!(term(word).is_some(), "{word}");
        }
    }
}
