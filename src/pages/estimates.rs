//! The estimates of a cluster: a table of the jobs, the fullest first, with sums by namespace, and a page for each job.
//!
//! A pure function of the objects. It shows what was read and nothing else, so it shows what the person may read who reads the
//! objects. The figures are those of the status, which the controller wrote.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::bars::{self, Need};
use super::markup::{joined, list, section, table, table_of_markup, text};
use super::parts;
use crate::api::v1alpha1::{
    ComponentStatus, MemoryStatus, ResourceStatus, TrainingEstimate, TrainingEstimateStatus,
};
use crate::judgement::Verdict;
use crate::report::figures;
use crate::units::Bytes;
use crate::verdict::Ends;

/// The style of the pages.
pub const STYLE: &str = include_str!("style.css");

/// The most jobs in the table. Those with more room are counted.
const MOST: usize = 500;

/// The estimates that were read.
#[derive(Debug, Default)]
pub struct Seen {
    /// The estimates, in any order.
    pub estimates: Vec<TrainingEstimate>,
    /// The namespaces whose estimates may not be read.
    pub hidden: usize,
}

/// Sorts estimates: those with the least room first.
pub fn sort(estimates: &mut [TrainingEstimate]) {
    estimates.sort_by_key(|estimate| {
        let free = estimate.status.as_ref().and_then(free).unwrap_or(i64::MAX);
        (free, estimate.namespace(), estimate.name_any())
    });
}

/// The free share of the accelerator's memory in thousandths.
pub fn free(status: &TrainingEstimateStatus) -> Option<i64> {
    let memory = status.memory.as_ref()?;
    let capacity = memory.capacity_bytes.filter(|capacity| *capacity > 0)?;
    Some(1000 - memory.peak_bytes.saturating_mul(1000) / capacity)
}

/// The page of all jobs.
pub fn overview(cluster: &str, seen: Seen) -> String {
    let Seen { mut estimates, hidden } = seen;
    sort(&mut estimates);
    let mut spaces: BTreeMap<String, Sum> = BTreeMap::new();
    for estimate in &estimates {
        spaces.entry(estimate.namespace().unwrap_or_default()).or_default().add(estimate);
    }
    let all = spaces.values().fold(Sum::default(), Sum::and);
    let told = match hidden {
        0 => None,
        1 => Some("You may not read the estimates of one other namespace.".to_owned()),
        hidden => Some(format!("You may not read the estimates of {hidden} other namespaces.")),
    };
    let told = told.map(|line| format!("<p class=\"about\">{line}</p>\n")).unwrap_or_default();
    let table_of_jobs =
        if estimates.is_empty() { "<p>There is no job to show.</p>\n".to_owned() } else { jobs(&estimates) };
    let sums = all.sentence(spaces.len());
    let mut content = format!("<h1>Training jobs</h1>\n<p>{}</p>\n{told}{table_of_jobs}", text(&sums));
    if spaces.len() > 1 {
        let rows: Vec<_> = spaces.iter().map(|(name, sum)| sum.row(name)).collect();
        let headings = ["namespace", "jobs", "would run out", "tight", "GPUs", "GPU-hours", "cost"];
        content.push_str(&section("Namespaces", &table("plain", &headings, &rows)));
    }
    page("", &format!("Training jobs of {cluster}"), &content)
}

/// The page of one job.
pub fn one(estimate: &TrainingEstimate) -> String {
    let status = estimate.status.clone().unwrap_or_default();
    let display = status.display.clone().unwrap_or_default();
    let name = estimate.name_any();
    let asked = [display.model, display.gpus.map(|gpus| format!("{gpus} GPUs")), display.accelerator];
    let about = std::iter::once(estimate.namespace()).chain(asked).flatten().collect::<Vec<_>>();
    let message = status.message.clone().unwrap_or_else(|| "It is not judged yet.".to_owned());
    let advice: Vec<Vec<String>> = status
        .advice
        .iter()
        .map(|advice| {
            let days = advice.seconds.map(|seconds| figures::days(seconds as f64 / 86_400.0));
            vec![advice.change.clone(), bytes(advice.peak_bytes).to_string(), days.unwrap_or_default()]
        })
        .collect();
    let inputs: Vec<Vec<String>> = status
        .inputs
        .iter()
        .map(|input| vec![input.field.clone(), input.value.clone(), input.source.clone()])
        .collect();
    let filled = |heading, headings: &[&str], rows: &[Vec<String>]| {
        if rows.is_empty() { String::new() } else { section(heading, &table("plain", headings, rows)) }
    };
    let content = [
        format!("<p><a href=\"../../\">All jobs</a></p>\n<h1>{}</h1>\n", text(&name)),
        format!("<p class=\"about\">{}</p>\n", text(&about.join(" · "))),
        format!("<p class=\"decision\">{} {}</p>\n", badge(&status), text(&message)),
        section("Memory of each GPU", &status.memory.as_ref().map(device).unwrap_or_default()),
        filled(
            "Memory that was in use",
            &["pod", "most on one GPU", "times the prediction"],
            &observed(&status),
        ),
        section("Time and cost", &list(times(&status).into_iter())),
        filled("What would fit", &["change", "needs", "days"], &advice),
        section("Memory and disk of the pod", &resources(&status)),
        section("Missing", &list(status.missing.iter().map(|key| format!("weighbridge.dev/{key}")))),
        section("Warnings", &list(status.warnings.iter().cloned())),
        filled("Where each input came from", &["field", "value", "from"], &inputs),
    ];
    page("../../", &name, &content.concat())
}

/// The memory of a GPU, by component.
fn device(memory: &MemoryStatus) -> String {
    let need = need_of(memory);
    let scale = bars::scale_of(std::iter::once(need.clone()));
    let fullest = format!("The fullest moment is “{}”, on {}.", memory.instant, memory.worst_rank);
    format!(
        "{}{}<p>{}</p>\n",
        bars::need(&need, scale, "per GPU", "it offers"),
        parts::components(&need),
        text(&fullest)
    )
}

/// What the pod needs besides the memory of its GPUs.
fn resources(status: &TrainingEstimateStatus) -> String {
    let resources =
        [("Host memory", &status.host), ("Shared memory", &status.shared_memory), ("Disk", &status.storage)];
    joined(resources.into_iter().filter_map(|(name, resource)| {
        let resource = resource.as_ref()?;
        let need = need_of_resource(resource);
        let scale = bars::scale_of(std::iter::once(need.clone()));
        Some(format!(
            "<div class=\"resource\">\n<h4>{name}</h4>\n<p>{} {}</p>\n{}{}{}</div>\n",
            parts::badge(verdict(&resource.verdict)),
            text(&resource.message),
            bars::need(&need, scale, "a pod", "allowed:"),
            parts::components(&need),
            list(resource.advice.iter().map(|line| format!("Would suffice: {line}"))),
        ))
    }))
}

/// A page with a sentence for a person. `root` leads to the first page.
pub fn trouble(root: &str, sentence: &str) -> String {
    let back = if root.is_empty() { "./" } else { root };
    let content = format!(
        "<h1>Nothing to show</h1>\n<p>{}</p>\n<p><a href=\"{back}\">All jobs</a></p>\n",
        text(sentence)
    );
    page(root, "Weighbridge", &content)
}

fn page(root: &str, title: &str, content: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{} – Weighbridge</title>\n\
         <link rel=\"stylesheet\" href=\"{root}style.css\">\n</head>\n<body>\n<main class=\"cluster\">\n{content}\
         <footer>Weighbridge {}. Read with your own permissions when the page was loaded.</footer>\n</main>\n</body>\n</html>\n",
        text(title),
        env!("CARGO_PKG_VERSION"),
    )
}

/// The table of the jobs.
fn jobs(estimates: &[TrainingEstimate]) -> String {
    let headings = [
        "job",
        "verdict",
        "memory of a GPU",
        "model",
        "GPUs",
        "accelerator",
        "days",
        "GPU-hours",
        "cost",
        "state",
    ];
    let rows: Vec<_> = estimates.iter().take(MOST).map(job).collect();
    let more = estimates.len().saturating_sub(MOST);
    let more = if more > 0 {
        format!("<p>{more} further jobs have more room: name a namespace with -n to see them.</p>\n")
    } else {
        String::new()
    };
    table_of_markup("plain jobs", &headings, &rows) + &more
}

/// The cells of a job.
fn job(estimate: &TrainingEstimate) -> Vec<String> {
    let status = estimate.status.clone().unwrap_or_default();
    let display = status.display.clone().unwrap_or_default();
    let (namespace, name) = (estimate.namespace().unwrap_or_default(), estimate.name_any());
    // Each bar has its own card as its scale, so that bars of different cards compare.
    let bar = status.memory.as_ref().map(|memory| bars::against_the_card(&need_of(memory), &name));
    let of = display.of.map(|of| format!(" of {of}")).unwrap_or_default();
    let memory = format!("{}{of}", display.peak.unwrap_or_default());
    let link = format!(
        "<a href=\"jobs/{0}/{1}\">{1}</a><br><span class=\"about\">{0}</span>",
        text(&namespace),
        text(&name)
    );
    let memory = format!("<div class=\"need\">{}{}</div>", bar.unwrap_or_default(), text(&memory));
    let further = [
        display.model,
        display.gpus,
        display.accelerator,
        display.days,
        display.gpu_hours,
        display.cost,
        state(&status),
    ];
    let further = further.into_iter().map(|cell| text(&cell.unwrap_or_default()));
    [link, badge(&status), memory].into_iter().chain(further).collect()
}

/// Where a job is in its life.
fn state(status: &TrainingEstimateStatus) -> Option<String> {
    let ended = status.outcome.as_ref().map(|outcome| outcome.kind.clone());
    ended.or_else(|| status.running_since.as_ref().map(|_| "running".to_owned()))
}

/// The rows of the pods that used the most memory. The first has the ratio to the prediction.
fn observed(status: &TrainingEstimateStatus) -> Vec<Vec<String>> {
    let Some(observed) = &status.observed else { return Vec::new() };
    let used = |bytes: i64| Bytes(u64::try_from(bytes).unwrap_or_default()).to_string();
    let ratio = observed.ratio_milli.map(|milli| format!("{:.2}", milli as f64 / 1000.0)).unwrap_or_default();
    let ratios = std::iter::once(ratio).chain(std::iter::repeat(String::new()));
    let pods = observed.pods.iter().zip(ratios);
    pods.map(|(pod, ratio)| vec![pod.name.clone(), used(pod.peak_bytes), ratio]).collect()
}

/// The lines about time and cost.
fn times(status: &TrainingEstimateStatus) -> Vec<String> {
    let display = status.display.clone().unwrap_or_default();
    let at = |what: &str, time: Option<&Time>| time.map(|time| format!("{what}: {}", time.0));
    [
        display.days.map(|days| format!("Days: {days}")),
        display.gpu_hours.map(|hours| format!("GPU-hours: {hours}")),
        display.cost.map(|cost| format!("Cost: {cost}")),
        at("Expected end", status.expected_completion_time.as_ref()),
        at("Latest end", status.latest_completion_time.as_ref()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The sums of a namespace, or of all.
#[derive(Clone, Debug, Default)]
struct Sum {
    jobs: usize,
    out_of_memory: usize,
    tight: usize,
    gpus: u64,
    gpu_milli_hours: i64,
    /// By currency.
    cost: BTreeMap<String, f64>,
}

impl Sum {
    fn add(&mut self, estimate: &TrainingEstimate) {
        let status = estimate.status.clone().unwrap_or_default();
        let is = |verdict: Verdict| usize::from(status.verdict.as_deref() == Some(verdict.name()));
        self.jobs += 1;
        self.out_of_memory += is(Verdict::OutOfMemory);
        self.tight += is(Verdict::Tight);
        let gpus = status.display.as_ref().and_then(|display| display.gpus.as_ref()?.parse().ok());
        self.gpus = self.gpus.saturating_add(gpus.unwrap_or(0));
        let hours = status.time.as_ref().and_then(|time| time.gpu_milli_hours);
        self.gpu_milli_hours = self.gpu_milli_hours.saturating_add(hours.unwrap_or(0));
        if let Some((cost, total)) =
            status.cost.as_ref().and_then(|cost| Some((cost, cost.total.parse::<f64>().ok()?)))
        {
            *self.cost.entry(cost.currency.clone()).or_default() += total;
        }
    }

    fn and(self, other: &Self) -> Self {
        let mut cost = self.cost;
        for (currency, total) in &other.cost {
            *cost.entry(currency.clone()).or_default() += total;
        }
        Self {
            jobs: self.jobs + other.jobs,
            out_of_memory: self.out_of_memory + other.out_of_memory,
            tight: self.tight + other.tight,
            gpus: self.gpus.saturating_add(other.gpus),
            gpu_milli_hours: self.gpu_milli_hours.saturating_add(other.gpu_milli_hours),
            cost,
        }
    }

    fn hours(&self) -> String {
        figures::count(self.gpu_milli_hours as f64 / 1000.0)
    }

    fn costs(&self) -> String {
        let costs =
            self.cost.iter().map(|(currency, total)| format!("{} {currency}", figures::count(*total)));
        costs.collect::<Vec<_>>().join(", ")
    }

    fn sentence(&self, namespaces: usize) -> String {
        let jobs = if self.jobs == 1 { "job" } else { "jobs" };
        let spaces = if namespaces == 1 { "namespace" } else { "namespaces" };
        format!(
            "{} {jobs} in {namespaces} {spaces}, on {} GPUs. {} would run out of memory, {} are tight.",
            self.jobs, self.gpus, self.out_of_memory, self.tight
        )
    }

    fn row(&self, name: &str) -> Vec<String> {
        let Self { jobs, out_of_memory, tight, gpus, .. } = self;
        let numbers = [*jobs as u64, *out_of_memory as u64, *tight as u64, *gpus];
        let numbers = numbers.into_iter().map(|number| number.to_string());
        std::iter::once(name.to_owned()).chain(numbers).chain([self.hours(), self.costs()]).collect()
    }
}

fn badge(status: &TrainingEstimateStatus) -> String {
    parts::badge(verdict(status.verdict.as_deref().unwrap_or_default()))
}

/// The verdict of a status. One of another version counts as unknown.
fn verdict(name: &str) -> Verdict {
    let all = [Verdict::Fits, Verdict::Tight, Verdict::OutOfMemory, Verdict::NotTraining];
    all.into_iter().find(|verdict| verdict.name() == name).unwrap_or(Verdict::Unknown)
}

fn bytes(bytes: i64) -> Bytes {
    Bytes(u64::try_from(bytes).unwrap_or_default())
}

fn need_of(memory: &MemoryStatus) -> Need<'_> {
    Need {
        peak: bytes(memory.peak_bytes),
        ends: Ends::of(
            bytes(memory.peak_bytes),
            bytes(memory.lower_bytes),
            bytes(memory.upper_bytes),
            memory.capacity_bytes.map(bytes),
        ),
        offered: memory.capacity_bytes.map(bytes),
        parts: parts_of(&memory.components),
        written: |bytes| bytes.to_string(),
    }
}

fn need_of_resource(resource: &ResourceStatus) -> Need<'_> {
    Need {
        peak: bytes(resource.peak_bytes),
        ends: Ends { lower: Some(bytes(resource.lower_bytes)), upper: Some(bytes(resource.upper_bytes)) },
        offered: resource.limit_bytes.map(bytes),
        parts: parts_of(&resource.components),
        written: Bytes::amount,
    }
}

fn parts_of(components: &[ComponentStatus]) -> Vec<bars::Part<'_>> {
    components.iter().map(|part| (part.name.as_str(), bytes(part.bytes))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn estimate(namespace: &str, name: &str, verdict: &str, peak: i64) -> TrainingEstimate {
        serde_json::from_value(json!({
            "apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {},
            "status": {
                "verdict": verdict, "message": format!("needs {peak}.0 GiB per GPU"),
                "memory": {
                    "peakBytes": peak << 30, "lowerBytes": (peak - 5) << 30, "upperBytes": (peak + 5) << 30,
                    "allocatedBytes": 1, "reservedBytes": 1, "processBytes": 1, "capacityBytes": 80_i64 << 30,
                    "worstRank": "every rank", "instant": "loss",
                    "components": [{"name": "weights", "bytes": peak << 30}],
                },
                "time": {"gpuMilliHours": 2_000_000, "mfuMilli": 400},
                "cost": {"total": "5000", "totalLow": "1", "totalHigh": "1", "perGpuHour": "2.5", "currency": "USD", "source": "p"},
                "display": {"model": "llama-3-8b", "gpus": "8", "peak": format!("{peak}.0Gi"), "of": "80.0Gi"},
            },
        }))
        .unwrap()
    }

    #[test]
    fn the_fullest_job_is_first_and_the_sums_are_by_namespace() {
        let estimates = vec![estimate("b", "small", "Fits", 20), estimate("a", "large", "OutOfMemory", 97)];
        let page = overview("cluster.example", Seen { estimates, hidden: 3 });
        assert!(
            page.contains("2 jobs in 2 namespaces, on 16 GPUs. 1 would run out of memory, 0 are tight."),
            "{page}"
        );
        assert!(page.contains("of 3 other namespaces"), "{page}");
        assert!(page.find("jobs/a/large") < page.find("jobs/b/small"));
        assert!(
            page.contains("<td data-label=\"GPU-hours\">2K</td><td data-label=\"cost\">5K USD</td>"),
            "{page}"
        );
    }

    #[test]
    fn a_job_has_its_bar_its_parts_and_the_way_back() {
        let page = one(&estimate("a", "large", "OutOfMemory", 97));
        for part in ["<svg", "weights", "needs 97.0 GiB", "href=\"../../\"", "OutOfMemory"] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }

    #[test]
    fn a_job_that_was_observed_has_its_pods_and_their_ratio_to_the_prediction() {
        let mut observed = estimate("a", "large", "Fits", 60);
        assert!(!one(&observed).contains("in use"), "nothing was observed");
        if let Some(status) = &mut observed.status {
            let pods = json!([{"name": "large-0", "peakBytes": 62_i64 << 30}, {"name": "large-1", "peakBytes": 9_i64 << 30}]);
            let seen = json!({"peakBytes": 62_i64 << 30, "ratioMilli": 1033, "source": "M", "pods": pods});
            status.observed = serde_json::from_value(seen).unwrap();
        }
        let page = one(&observed);
        for part in ["Memory that was in use", "large-0", "62.0 GiB", "1.03", "large-1", "9.0 GiB"] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }

    #[test]
    fn an_object_that_anybody_may_write_becomes_no_markup() {
        let mut hostile = estimate("a", "large", "<script>x</script>", 97);
        if let Some(status) = &mut hostile.status {
            status.message = Some("<img src=x onerror=alert(1)>".into());
            status.warnings = vec!["<script>".into()];
            status.missing = vec!["\"><script>".into()];
        }
        let seen = Seen { estimates: vec![hostile.clone()], hidden: 0 };
        for page in [one(&hostile), overview("<script>", seen), trouble("", "<script>")] {
            assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        }
    }

    #[test]
    fn odd_figures_of_a_status_break_nothing() {
        for peak in [-5, 0, i64::from(u32::MAX)] {
            let page = one(&estimate("a", "odd", "Fits", peak));
            assert!(!page.contains("NaN"), "{page}");
        }
        let empty: TrainingEstimate = serde_json::from_value(json!({
            "apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "metadata": {"name": "new"}, "spec": {},
        }))
        .unwrap();
        assert!(one(&empty).contains("not judged yet"));
        assert!(overview("c", Seen { estimates: vec![empty], hidden: 0 }).contains("jobs//new"));
        assert!(overview("c", Seen::default()).contains("There is no job"));
    }
}
