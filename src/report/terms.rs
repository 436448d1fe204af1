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
        also: &[],
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
        meaning: "The object asks for accelerators, and it is not known whether it trains: its program is in no table. It has no \
                  estimate. The annotation weighbridge.dev/model states that it trains.",
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
        name: "parts",
        also: &[
            "weights",
            "optimizer states",
            "gradients",
            "activations",
            "layer working set",
            "logits",
            "communication buffers",
            "workspaces",
            "fragmentation",
            "context and libraries",
        ],
        meaning: "What the needed memory is made of. Weights, optimizer states and gradients: those of the rank's share of the \
                  model. Activations: what the forward pass keeps for the backward pass. Layer working set: the tensors of the \
                  layer that runs. Logits: the output layer and the loss. Communication buffers: gathered and reduced copies. \
                  Workspaces: scratch memory of libraries, like cuBLAS. Fragmentation: gaps between tensors that the allocator \
                  cannot give back. Context and libraries: what the driver, the communicators and the loaded code hold outside \
                  of PyTorch's allocator.",
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
        also: &["nvidia-smi", "tools"],
        meaning: "The reserved memory, and all that is outside PyTorch's allocator: what nvidia-smi shows while the job runs with \
                  room to spare. It may be more than the needed memory.",
    },
    Term {
        name: "Observed",
        also: &["observed memory", "in use"],
        meaning: "The most memory of one accelerator that was in use while the job ran, by the metrics of the cluster. It also holds \
                  what the job's allocator kept for later, so it is compared with the figure of the process, and the job may \
                  need less.",
    },
    Term {
        name: "of",
        also: &["capacity", "offers", "headroom"],
        meaning: "The memory that one accelerator offers a process: its total, less what the driver keeps, less the headroom that \
                  the policy keeps free. An \"80 GB\" H100 offers 79.1 GiB.",
    },
    Term {
        name: "FREE",
        also: &["free memory"],
        meaning: "The share of the memory that the accelerator offers which the estimate leaves. A line with little left is \
                  sensitive to what is not planned for.",
    },
    Term {
        name: "interval",
        also: &["lower", "upper", "nine of ten cases"],
        meaning: "The range that holds the need in nine of ten cases, like (15.0–40.0), by the open fields and the error of the \
                  formulas together. It lies within the bounds of all readings, for few jobs have all of their open fields at the \
                  leanest or at the heaviest. An end that is far off is no figure: \"or far less\", \"or more\".",
    },
    Term {
        name: "bound",
        also: &["bounds", "lower bound", "at least", "leastBytes"],
        meaning: "The least that the job needs in every reading: with every open field at its leanest value, less the error of the \
                  formulas. A refusal rests on it and prints it, \"at least 88.1\". It is at or below the lower end of the interval. \
                  The range of a job that is Unknown begins at it, for what is missing may reach down to it.",
    },
    Term {
        name: "P(OOM)",
        also: &["probability", "oomprobability", "p"],
        meaning: "The probability that the job runs out of memory, from the open fields and from the measured error of the \
                  formulas. It is never 0 % or 100 %.",
    },
    Term {
        name: "denyAt",
        also: &["warnAt", "threshold"],
        meaning: "Fields of the policy's file: the probability of running out from which a job is refused, 90 % unless it is set, \
                  if its bound is above what the accelerator offers, and the one from which it gets a warning, 20 %.",
    },
    Term {
        name: "instant",
        also: &[
            "loss",
            "backward pass of the loss",
            "start of the backward pass",
            "end of the backward pass",
            "optimizer step",
            "moment",
        ],
        meaning: "The moment of a step at which memory is fullest. \"loss\": logits and loss, on the last pipeline stage. \
                  \"backward pass of the loss\": the gradients of the logits, with all activations kept. \"start of the backward \
                  pass\": all activations are kept, and the gradients of the first layer are computed. \"end of the backward \
                  pass\": all gradients are there. \"optimizer step\": gradients, and the workspace of the optimizer.",
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
                  and the bounds of all readings hold all its values.",
    },
    Term {
        name: "room",
        also: &["grow"],
        meaning: "How far a job that fits can grow: the largest micro-batch, and the longest sequences, with which it still fits. \
                  The present value is doubled as long as the job fits, with everything else as it is. Each limit holds if only that field changes. \
                  A field that cannot grow is left out.",
    },
    Term {
        name: "LAYOUT",
        also: &["layouts", "tp", "pp", "cp", "ep", "dp"],
        meaning: "How the work is divided: the degrees of tensor (tp), pipeline (pp), context (cp), expert (ep) and data parallel \
                  (dp). Degrees of 1 are left out. The product of all but the expert degree is the number of accelerators.",
    },
    Term {
        name: "Time",
        also: &["days", "step time"],
        meaning: "How long the training takes, with the interval that holds it in nine of ten cases, and the time of a step. It \
                  includes failures and restarts. Days need an amount of training: tokens, or steps and the batch.",
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
        also: &["gpuhours"],
        meaning: "The time of the training times the number of accelerators. It includes failures and restarts.",
    },
    Term {
        name: "advice",
        also: &["would fit"],
        meaning: "The nearest changed configurations that fit, with the memory and the days after the change. The model, the data \
                  and the global batch stay the same, unless the line says otherwise.",
    },
    Term {
        name: "Evidence",
        also: &["checked", "derived", "unchecked"],
        meaning: "How far the estimate of this kind of job was compared with measurements. Checked: with runs of at least two \
                  parties. Derived: its terms come from the framework's code, with fewer measurements. Unchecked: with none, so that \
                  only arithmetic can refuse it: weights, optimizer states, and what every implementation must hold.",
    },
    Term {
        name: "Missing",
        also: &["missing inputs"],
        meaning: "The fields that are not stated and decide the verdict, with the memory that depends on each, and the line to add. \
                  State the first one, and ask again.",
    },
    Term {
        name: "Options",
        also: &["words", "read", "without effect"],
        meaning: "How many options of the command, keys of its files and variables were understood. Those without effect change no \
                  memory. One that leaves fields open may set them, so each takes its leanest and its heaviest value. One that is not \
                  known may be a misspelling.",
    },
    Term {
        name: "Inputs",
        also: &["source", "sources"],
        meaning: "Every value that the estimate uses, with its source: an annotation, an option of the command, the model, the \
                  accelerator's catalogue, a default of the framework, or an assumption.",
    },
    Term {
        name: "Host memory",
        also: &["shared memory", "storage"],
        meaning: "What a pod needs besides the memory of its accelerators: the memory of its processes, what they put into /dev/shm, \
                  and the disk for checkpoints. These never change the verdict. The policy decides whether they warn or refuse.",
    },
    Term {
        name: "Deadline",
        also: &[],
        meaning: "The time after which the cluster stops the job, compared with the time that the training takes.",
    },
    Term {
        name: "Cost",
        also: &["price"],
        meaning: "The GPU-hours times the price of one, from the policy or from a public list.",
    },
    Term {
        name: "BelowCapacity",
        also: &[],
        meaning: "The reason of Fits: the needed memory is below what the accelerator offers.",
    },
    Term {
        name: "NearCapacity",
        also: &[],
        meaning: "The reason of Tight: the needed memory is close to what the accelerator offers.",
    },
    Term {
        name: "AboveCapacity",
        also: &[],
        meaning: "The reason of OutOfMemory: the needed memory is above what the accelerator offers.",
    },
    Term {
        name: "RanBefore",
        also: &[],
        meaning: "The same job ran to its end before in this namespace, so its history admits it.",
    },
    Term {
        name: "RanOutBefore",
        also: &[],
        meaning: "The same job ran out of memory before in this namespace, so its history warns of it or refuses it.",
    },
    Term {
        name: "MissingInputs",
        also: &[],
        meaning: "A reason of Unknown: fields that are not stated decide. The report lists them under Missing.",
    },
    Term {
        name: "UnknownModel",
        also: &[],
        meaning: "A reason of Unknown: the model is in no table, and its dimensions are not stated.",
    },
    Term {
        name: "UnknownAccelerator",
        also: &[],
        meaning: "A reason of Unknown: the accelerator is not stated, or it is in no table and its memory is not stated.",
    },
    Term {
        name: "Malformed",
        also: &[],
        meaning: "A value cannot be read. The report lists it under \"Cannot be read\", and the gate refuses the object as invalid.",
    },
    Term {
        name: "TooLarge",
        also: &[],
        meaning: "A reason of Unknown: to read the object takes more work than is allowed.",
    },
    Term {
        name: "NotReadToEnd",
        also: &[],
        meaning: "A reason of Unknown: the object was not read to its end, and the part that was not read may decide.",
    },
    Term {
        name: "ReferenceNotFound",
        also: &[],
        meaning: "A reason of Unknown: the object refers to another object that is missing, and that one may decide.",
    },
    Term {
        name: "WorkloadNotFound",
        also: &[],
        meaning: "A reason of Unknown: the workload that a TrainingEstimate refers to is missing.",
    },
    Term {
        name: "Unsupported",
        also: &["not covered"],
        meaning: "A reason of Unknown: the estimate does not cover this kind of training.",
    },
    Term {
        name: "UnsupportedAccelerator",
        also: &[],
        meaning: "A reason of Unknown: it is not known how this kind of accelerator uses its memory.",
    },
    Term {
        name: "NotRecognised",
        also: &[],
        meaning: "The reason of Unrecognised: the program that the object starts, or its kind, is in no table.",
    },
];

/// The term with this name, in any case.
pub fn term(name: &str) -> Option<&'static Term> {
    let is = |word: &&str| word.eq_ignore_ascii_case(name);
    TERMS.iter().find(|term| is(&term.name) || term.also.iter().any(&is))
}

/// The term whose name, or another word for it, a misspelt word may mean.
pub fn nearest_term(name: &str) -> Option<&'static str> {
    /// A name may have one misspelling for each of so many letters.
    const LETTERS: usize = 4;
    let name = name.to_lowercase();
    let slips = (name.chars().count() / LETTERS).min(2);
    let words = TERMS.iter().flat_map(|term| std::iter::once(&term.name).chain(term.also));
    let compared = words.map(|word| (strsim::damerau_levenshtein(&name, &word.to_lowercase()), *word));
    compared.filter(|(wrong, _)| *wrong <= slips).min_by_key(|(wrong, _)| *wrong).map(|(_, word)| word)
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
    fn every_heading_of_a_report_is_explained() {
        let block = include_str!("block.rs").split("#[cfg(test)]").next().unwrap_or_default();
        let words = block.split('"').skip(1).step_by(2).filter_map(|text| {
            let word = text.split_once(':')?.0;
            let is_heading = word.starts_with(|c: char| c.is_uppercase()) && !word.contains([' ', ',']);
            is_heading.then_some(word)
        });
        let words: BTreeSet<&str> = words.collect();
        assert!(words.contains("Evidence") && words.contains("Inputs"), "{words:?}");
        for word in words.into_iter().filter(|word| *word != "Warnings") {
            assert!(term(word).is_some(), "{word}");
        }
    }

    #[test]
    fn every_verdict_every_reason_and_every_forecast_is_explained() {
        use crate::judgement::{Reason, Verdict};
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
        let reasons = Reason::ALL.map(Reason::name).into_iter();
        for word in
            verdicts.map(Verdict::name).into_iter().chain(forecasts.map(Forecast::name)).chain(reasons)
        {
            assert!(term(word).is_some(), "{word}");
        }
    }
}
