//! Host memory: small runs of this project on CPUs, and jobs that others reported.
//!
//! `host/measure.py` makes `host/runs.csv`: real processes in a memory cgroup, with their peak of anonymous and shared memory.
//! A run on a CPU also holds what an accelerator would hold; `resident_bytes` is that part, and it is taken off.
//!
//! `host/reports.csv` lists jobs of public threads and examples, each a manifest in `host/reports/`: twenty that died for host
//! memory, shared memory or disk, with the cause that the thread found, and twenty that ran. A cause is shown if the resource
//! does not surely suffice and the text names the part. No job that ran may be refused, or warned of.

use std::fmt::Write as _;
use std::fs;

use serde::Deserialize;
use serde_json::{Value, json};
use weighbridge::estimate::assume::Device;
use weighbridge::estimate::estimate;
use weighbridge::estimate::host::{self, Pod};
use weighbridge::job::{Ask, Quoting, TrainingJob};
use weighbridge::judge::judge;
use weighbridge::judgement::{Judgement, Verdict};
use weighbridge::kinds::Kinds;
use weighbridge::policy::World;
use weighbridge::surroundings::Surroundings;

use super::statistics::median;

/// A run of `measure.py`.
#[derive(Debug, Deserialize)]
struct Run {
    id: String,
    kind: String,
    model: String,
    ranks: u64,
    loading: String,
    file: String,
    loaded: String,
    workers: String,
    prefetch: String,
    batch: String,
    sample_bytes: String,
    resident_bytes: f64,
    anonymous_mib: f64,
    shared_mib: f64,
}

/// The shapes of `measure.py`: layers, hidden size, heads, feed-forward, vocabulary.
fn shape(model: &str) -> [u32; 5] {
    match model {
        "135m" => [12, 768, 12, 2048, 32000],
        "450m" => [18, 1280, 20, 3456, 32000],
        _ => [20, 1536, 24, 4096, 32000],
    }
}

impl Run {
    /// The job that the row's program runs.
    fn job(&self) -> TrainingJob {
        let [layers, hidden, heads, ffn, vocab] = shape(&self.model);
        let mut job = json!({
            "model": {"layers": layers, "hiddenSize": hidden, "attentionHeads": heads, "keyValueHeads": heads,
                "ffnHiddenSize": ffn, "vocabSize": vocab, "tiedEmbeddings": false, "activation": "SwiGLU",
                "positions": "Rotary", "normalization": "RMSNorm", "biases": false},
            "batch": {"microBatchSize": 1, "sequenceLength": 2048},
            "parallelism": {"data": self.ranks, "sharding": "None"},
            "precision": "FP32", "framework": "HuggingFace", "frameworkVersion": "5.24", "optimizer": "AdamW", "finetuning": {"method": "Full"},
            "host": {"loading": "Direct", "dataloaderWorkers": 0, "pinnedOffload": false},
            "checkpoint": {"saves": 0},
        });
        let mut set = |pointer: &str, value: Value| {
            let (group, field) = pointer.split_once('.').unwrap_or(("", pointer));
            if group.is_empty() { job[field] = value } else { job[group][field] = value }
        };
        let number = |text: &str| json!(text.parse::<u64>().unwrap_or(0));
        let precision = |text: &str| match text {
            "bf16" | "bfloat16" => json!("BF16"),
            _ => json!("FP32"),
        };
        match self.kind.as_str() {
            "loading" => {
                let loading = if self.loading == "first-rank" { "FirstRank" } else { "EveryRank" };
                set("host.loading", json!(loading));
                set("parameterPrecision", precision(&self.loaded));
            }
            "saving" => {
                set("checkpoint.saves", json!(1));
                set("precision", precision(&self.loaded));
            }
            "gathering" | "sharded-saving" => {
                set("checkpoint.saves", json!(1));
                set("parallelism.sharding", json!("FSDP"));
                set("host.fullStateDict", json!(self.kind == "gathering"));
            }
            "offloaded-step" => set("offload", json!({"optimizer": true})),
            "workers" => {
                set("host.dataloaderWorkers", number(&self.workers));
                set("host.prefetch", number(&self.prefetch));
                set("host.sampleMemory", json!(self.sample_bytes));
                set("batch.microBatchSize", number(&self.batch));
            }
            _ => {}
        }
        serde_json::from_value(job).unwrap_or_else(|error| panic!("{}: {error}", self.id))
    }

    /// The estimate in MiB: lower bound, point, upper bound.
    fn estimated(&self) -> [f64; 3] {
        let job = self.job();
        let whole = estimate(&job, Device { bf16: true }).unwrap_or_else(|_| panic!("{}", self.id));
        let launched = false;
        let pod = Pod { ranks: self.ranks, pods: 1, accelerated: false, launched, linked: None };
        let need = host::estimate(&job, &whole, pod).memory.distribution;
        let (lower, upper) = need.bounds();
        [lower, need.likely(), upper].map(|bytes| bytes.as_f64() / f64::from(1 << 20))
    }

    /// The peak without what an accelerator would hold. A save copies a file's tensors to the host, where those of a run on a CPU
    /// lie already.
    fn measured(&self) -> f64 {
        if self.kind == "saving" {
            return self.anonymous_mib + self.shared_mib;
        }
        self.anonymous_mib + self.shared_mib - self.resident_bytes / f64::from(1 << 20)
    }
}

fn runs() -> Vec<Run> {
    let text = fs::read_to_string("tests/accuracy/host/runs.csv").unwrap();
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &str| {
        let cells = columns.iter().zip(line.split(','));
        let number = |name: &str| ["ranks", "resident_bytes", "anonymous_mib", "shared_mib"].contains(&name);
        let value = |name: &str, cell: &str| {
            if !number(name) {
                return json!(cell);
            }
            cell.parse::<f64>()
                .map_or(json!(0), |number| if name == "ranks" { json!(number as u64) } else { json!(number) })
        };
        let object = cells.map(|(name, cell)| ((*name).to_owned(), value(name, cell))).collect();
        serde_json::from_value(Value::Object(object)).unwrap()
    };
    lines.map(row).collect()
}

#[test]
fn measured_peaks_are_near_the_estimates_and_within_their_intervals() {
    let mut table = String::new();
    let (mut errors, mut within) = (Vec::new(), 0usize);
    for run in runs() {
        let ([lower, likely, upper], measured) = (run.estimated(), run.measured());
        if run.kind == "loading" && run.file.contains("fp32") && run.loaded.contains("32") {
            // The file's format is no field: its weights would stay pages of the file.
            continue;
        }
        let error = likely / measured - 1.0;
        let holds = (lower..=upper).contains(&measured);
        within += usize::from(holds);
        errors.push(error.abs());
        let mark = if holds { "" } else { "outside" };
        let _ = writeln!(
            table,
            "{:<36} {measured:>8.0} {likely:>8.0} {:>6.0} % {lower:>8.0} {upper:>8.0} {mark}",
            run.id,
            error * 100.0
        );
    }
    let (middle, share) = (median(&errors), within as f64 / errors.len() as f64);
    println!("{table}{} runs: median {:.1} %, {:.0} % within", errors.len(), middle * 100.0, share * 100.0);
    assert!(errors.len() >= 30 && middle <= 0.15 && share >= 0.85);
}

/// A reported job.
struct Report {
    case: String,
    ran: bool,
    cause: String,
}

fn reports() -> Vec<Report> {
    let text = fs::read_to_string("tests/accuracy/host/reports.csv").unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        Report { case: cells[0].to_owned(), ran: cells[1] == "runs", cause: cells[2].to_owned() }
    };
    text.lines().skip(1).map(row).collect()
}

impl Report {
    fn judgement(&self) -> Judgement {
        let path = format!("tests/accuracy/host/reports/{}.yaml", self.case);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let documents =
            serde_saphyr::from_multiple::<Value>(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let around = Surroundings::of(&documents, Kinds::built_in());
        let ask = Ask { quoting: Quoting::Everything, ..Ask::default() };
        judge(&documents[0], &around, &World::built_in(), &ask)
    }

    /// Whether the judgement shows the cause.
    fn shows(&self, judgement: &Judgement) -> bool {
        let (resource, part) = match self.cause.as_str() {
            "offloaded" => (&judgement.host, "offloaded"),
            "loading" => (&judgement.host, "weights while loading"),
            "gathered" => (&judgement.host, "gathered states"),
            "shared" => (&judgement.shared_memory, ""),
            _ => (&judgement.storage, ""),
        };
        resource.as_ref().is_some_and(|resource| {
            let doubted = resource.verdict != Verdict::Fits;
            let told =
                resource.message.contains(part) || resource.components.iter().any(|c| c.name.contains(part));
            let compared = resource.limit_bytes.is_some();
            (doubted && told && compared) || (part.is_empty() && !resource.warnings.is_empty())
        })
    }
}

#[test]
fn reported_jobs_that_died_show_why_and_those_that_ran_are_not_refused() {
    let (mut shown, mut died, mut refused, mut doubted) = (0, 0, Vec::new(), Vec::new());
    for report in reports() {
        let judgement = report.judgement();
        let messages: Vec<String> = judgement
            .resources()
            .map(|(name, resource)| {
                format!("    {name} {:?}: {} {:?}", resource.verdict, resource.message, resource.warnings)
            })
            .collect();
        if report.ran {
            let worst = |verdict| judgement.resources().any(|(_, resource)| resource.verdict == verdict);
            // That a pod without requests is evicted first is true of it.
            let shared = judgement.shared_memory.as_ref();
            let warned = shared.is_some_and(|shared| !shared.warnings.is_empty());
            if worst(Verdict::OutOfMemory) {
                refused.push(report.case.clone());
            } else if worst(Verdict::Tight) || warned {
                doubted.push(report.case.clone());
            }
            println!("{} ran\n{}", report.case, messages.join("\n"));
        } else {
            let shows = report.shows(&judgement);
            (shown, died) = (shown + usize::from(shows), died + 1);
            let mark = if shows { "shown" } else { "MISSED" };
            println!("{} died of {}: {mark}\n{}", report.case, report.cause, messages.join("\n"));
        }
    }
    println!("causes shown: {shown} of {died}; refused wrongly: {refused:?}; warned wrongly: {doubted:?}");
    assert!(died >= 20 && shown >= 16, "{shown} of {died}");
    assert!(refused.is_empty() && doubted.is_empty(), "{refused:?} {doubted:?}");
}
