//! The Prometheus from which the memory of running jobs is read. Without it nothing is observed.
//!
//! The exporters of the vendors tell how much memory of each accelerator is in use, and by which pod:
//!
//! | metric | exporter | unit | source |
//! | --- | --- | --- | --- |
//! | `DCGM_FI_DEV_FB_USED` | NVIDIA's dcgm-exporter | MiB | its etc/default-counters.csv |
//! | `gpu_used_vram`, `amd_gpu_used_vram` | AMD's device-metrics-exporter, bare or as its chart names it | MiB | its docs/configuration/metricslist.md |
//! | `npu_chip_info_hbm_used_memory` | Ascend's npu-exporter | MiB | the list of metrics of its `MindCluster` |
//!
//! The last two pages say MB. Both exporters divide bytes by 2²⁰.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::units::Bytes;

/// The Prometheus, and how it names what it measures.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Observed {
    /// Its address: `http://prometheus.monitoring.svc:9090`, perhaps with a path.
    pub prometheus: String,
    /// How often it is asked.
    #[serde(default = "Observed::every_minutes")]
    pub every_minutes: u8,
    /// What is added to an observed peak before it is compared with the memory of an accelerator.
    #[serde(default = "Observed::margin_percent")]
    pub margin_percent: u8,
    /// The metrics. By default those of NVIDIA's, AMD's and Ascend's exporters.
    #[serde(default = "Observed::gauges")]
    pub metrics: Vec<Gauge>,
    /// The labels that name the pod. By default those of the exporters, also as Prometheus renames them.
    #[serde(default)]
    pub labels: Option<PodLabels>,
    /// Labels that every series must have, such as the cluster's in a Prometheus of several clusters.
    #[serde(default)]
    pub matchers: BTreeMap<String, String>,
    /// A file with a bearer token.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// A file with the certificates that sign the server's. By default the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// A metric that tells the memory in use of an accelerator.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gauge {
    /// Its name.
    pub name: String,
    /// The unit of its values.
    pub unit: Unit,
}

/// A unit of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// 2¹⁰ bytes.
    KiB,
    /// 2²⁰ bytes.
    MiB,
    /// 2³⁰ bytes.
    GiB,
}

/// The labels of a series that name its pod.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodLabels {
    /// The label with the namespace.
    pub namespace: String,
    /// The label with the pod's name.
    pub pod: String,
}

impl Unit {
    /// Its bytes.
    pub const fn bytes(self) -> f64 {
        match self {
            Self::Bytes => 1.0,
            Self::KiB => 1024.0,
            Self::MiB => 1_048_576.0,
            Self::GiB => 1_073_741_824.0,
        }
    }
}

impl Observed {
    /// The most minutes between two questions.
    pub const LONGEST: u8 = 60;
    /// The margin without a policy: an observed peak is of one run, and a scrape may miss the fullest moment. The allocator
    /// keeps what it once reserved, so little is missed. It is an assumption, not a measurement.
    pub const MARGIN_PERCENT: u8 = 5;

    const fn every_minutes() -> u8 {
        5
    }

    const fn margin_percent() -> u8 {
        Self::MARGIN_PERCENT
    }

    fn gauges() -> Vec<Gauge> {
        ["DCGM_FI_DEV_FB_USED", "gpu_used_vram", "amd_gpu_used_vram", "npu_chip_info_hbm_used_memory"]
            .map(|name| Gauge { name: name.to_owned(), unit: Unit::MiB })
            .into()
    }

    /// What is wrong with it, for the administrator.
    ///
    /// # Errors
    /// The field, its value and its rule.
    pub fn check(&self) -> Result<(), String> {
        let url = &self.prometheus;
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let host = rest.and_then(|rest| rest.split('/').next()).filter(|host| !host.is_empty());
        let plain = |c: char| c.is_ascii_graphic() && !"@?#\"<>\\^`{|}".contains(c);
        if host.is_none() || !url.chars().all(plain) {
            return Err(format!(
                "prometheus: {url} must be an address like http://prometheus.monitoring.svc:9090, without a user, a query or a fragment"
            ));
        }
        if self.token_file.is_some() && !url.starts_with("https://") {
            return Err("tokenFile: a token is sent over https only, and prometheus is not https".to_owned());
        }
        if !(1..=Self::LONGEST).contains(&self.every_minutes) {
            return Err(format!(
                "everyMinutes: {} must be a number from 1 to {}",
                self.every_minutes,
                Self::LONGEST
            ));
        }
        if self.margin_percent > 100 {
            return Err(format!("marginPercent: {} must be at most 100", self.margin_percent));
        }
        if self.metrics.is_empty() || self.metrics.len() > 16 {
            return Err("metrics: name one to 16 metrics, or leave it out".to_owned());
        }
        for Gauge { name, .. } in &self.metrics {
            if !is_name(name, true) {
                return Err(format!("metrics: {name} is no name of a metric, like DCGM_FI_DEV_FB_USED"));
            }
        }
        let labels = self.labels.iter().flat_map(|labels| [&labels.namespace, &labels.pod]);
        for label in labels.chain(self.matchers.keys()) {
            if !is_name(label, false) {
                return Err(format!("{label} is no name of a label, like exported_pod"));
            }
        }
        Ok(())
    }

    /// A peak with the margin. Without a policy the default margin counts.
    pub fn with_margin(policy: Option<&Self>, peak: Bytes) -> Bytes {
        let percent = policy.map_or(Self::MARGIN_PERCENT, |observed| observed.margin_percent);
        peak.scale(1.0 + f64::from(percent) / 100.0)
    }
}

/// Whether Prometheus takes it as a name without quotes.
fn is_name(name: &str, of_metric: bool) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (of_metric && c == ':');
    (1..=128).contains(&name.len())
        && name.chars().all(fits)
        && !name.starts_with(|c: char| c.is_ascii_digit())
}
