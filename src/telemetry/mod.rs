//! What the process says of itself: logs on standard error, and the registry of its metrics.

use anyhow::{Context as _, Result};
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

/// For whom logs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line of text an event, for people.
    Plain,
    /// One JSON object an event, for machines.
    Json,
}

/// Logs from now on.
pub fn log(format: LogFormat, filter: &str) -> Result<()> {
    let filter: EnvFilter = filter.parse().with_context(|| format!("--log {filter} is no filter"))?;
    // It logs whole answers of the apiserver, such as all ConfigMaps, where one cannot be decoded.
    let filter = filter.add_directive("kube_client::client=error".parse()?);
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Plain => logs.with_ansi(false).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging could not be started: {error}"))
}

/// A registry that says which version runs.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    registry.register("weighbridge_build", "What runs", prometheus_client::metrics::info::Info::new(version));
    registry
}

/// The metrics in the text format of OpenMetrics.
pub fn encode(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a string doesn't fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, registry);
    text
}
