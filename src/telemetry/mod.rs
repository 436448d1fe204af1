//! The process's logs, and the registry of its metrics.
//!
//! A line of the log goes through [`escape`] into a [`queue`], and a thread of its own writes it to standard error.
//! Logging costs the caller only a copy of the line, in any state of standard error.

mod escape;
mod filter;
mod line;
mod queue;

use std::collections::BTreeSet;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use prometheus_client::registry::Registry;
use tracing::{Level, Subscriber};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry as Spans};

use line::Line;
use queue::{Lines, Queue};

/// How long the end of the process waits for lines that are not written yet.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The reader of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line of text an event, for people.
    Plain,
    /// One JSON object an event, for machines.
    Json,
}

/// The process's logs, on their way to standard error.
#[derive(Clone, Debug)]
pub struct Logs {
    format: LogFormat,
    queue: Arc<Queue>,
}

impl Logs {
    /// Starts logging, also of panics.
    ///
    /// # Errors
    /// The filter cannot be read, or the process logs already.
    pub fn start(format: LogFormat, filter: &str) -> Result<Self> {
        let queue = Arc::new(Queue::new(format));
        let subscriber = subscriber(format, filter, queue.clone())?;
        queue::write(queue.clone(), queue::standard_error())
            .context("starting the thread that writes logs")?;
        subscriber.try_init().context("logging could not be started")?;
        let logs = Self { format, queue };
        let hooked = logs.clone();
        std::panic::set_hook(Box::new(move |panic| hooked.panicked(panic.location())));
        Ok(logs)
    }

    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "weighbridge_log_lines_dropped",
            "Lines of the log that could not be written",
            self.queue.dropped(),
        );
    }

    /// Logs why the process ends, past the filter.
    pub fn fatal(&self, error: &anyhow::Error) {
        self.queue.push(Line::new(Level::ERROR, &format!("{error:#}")).written(self.format));
    }

    /// Waits until every line is written, but not for ever.
    pub fn finish(self) {
        self.queue.finish(LAST_LINES);
    }

    /// Logs the place of a panic. Its message is left out, for it may quote an object.
    fn panicked(&self, place: Option<&Location<'_>>) {
        let place = place.map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let line = Line::new(Level::ERROR, "a panic; its message may quote input and is not logged");
        self.queue.push(line.with("location", place).written(self.format));
    }
}

/// The subscriber that puts the filtered events into the queue.
fn subscriber(
    format: LogFormat,
    filter: &str,
    queue: Arc<Queue>,
) -> Result<impl Subscriber + Send + Sync + 'static> {
    let layer = layer::<Spans>()
        .with_writer(Lines::new(queue, format))
        .with_ansi(false)
        // The queue counts a failure. The library would print it, and panic if it cannot.
        .log_internal_errors(false);
    let layer = match format {
        LogFormat::Plain => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    Ok(tracing_subscriber::registry().with(layer.with_filter(filter::filter(filter)?)))
}

/// A registry with the running version.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    registry.register("weighbridge_build", "What runs", prometheus_client::metrics::info::Info::new(version));
    registry
}

/// The metrics in the text format of OpenMetrics.
pub fn encode(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, registry);
    text
}

/// OpenMetrics in Prometheus' older text format: the type and the help of a counter name its samples, which end in
/// `_total`, and there are no units and no end.
pub fn as_prometheus_text(openmetrics: &str) -> String {
    let counters: BTreeSet<&str> = openmetrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let described = ["# HELP ", "# TYPE "].into_iter().find_map(|what| {
            let (name, rest) = line.strip_prefix(what)?.split_once(' ')?;
            counters.contains(name).then_some((what, name, rest))
        });
        match described {
            Some((what, name, rest)) => text.extend([what, name, "_total ", rest, "\n"]),
            None => text.extend([line, "\n"]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use super::*;
    use crate::printable::is_printable;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that this logs.
    fn logged(format: LogFormat, something: impl FnOnce(&Logs)) -> Vec<String> {
        let (queue, written) = (Arc::new(Queue::new(format)), Written::default());
        queue::write(queue.clone(), written.clone()).unwrap();
        let logs = Logs { format, queue: queue.clone() };
        let subscriber = subscriber(format, "info", queue).unwrap();
        tracing::subscriber::with_default(subscriber, || something(&logs));
        logs.finish();
        let written = written.0.lock().unwrap().clone();
        String::from_utf8(written).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_name_with_control_characters_is_escaped_in_both_formats() {
        let name = "a\u{202e}b\u{200b}c\u{85}d\u{1b}[31m\nforged";
        let log = |_: &Logs| {
            let error = io::Error::other(name);
            tracing::info!(name, %error, "refused {name}");
        };
        for format in [LogFormat::Plain, LogFormat::Json] {
            let lines = logged(format, log);
            let [line] = lines.as_slice() else { panic!("{lines:?}") };
            assert!(line.chars().all(is_printable), "{line}");
            if format == LogFormat::Json {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!((&line["name"], &line["error"]), (&name.into(), &name.into()));
            } else {
                assert!(line.contains("\\u{202e}b\\u{200b}c"), "{line}");
            }
        }
    }

    #[test]
    fn lines_past_tracing_have_tracings_format() {
        let both = |_: &Logs| tracing::error!(target: "weighbridge", "it ends");
        let shape = |line: &str| line.split_once(' ').map(|(_, rest)| rest.to_owned());
        let plain = |lines: &[String]| shape(&lines[0]);
        let ours = logged(LogFormat::Plain, |logs| logs.fatal(&anyhow::anyhow!("it ends")));
        assert_eq!(plain(&logged(LogFormat::Plain, both)), plain(&ours));

        let fields = |lines: &[String]| {
            let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
            line.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        let ours = logged(LogFormat::Json, |logs| logs.fatal(&anyhow::anyhow!("it ends")));
        assert_eq!(fields(&logged(LogFormat::Json, both)), fields(&ours));
    }

    #[test]
    fn only_the_place_of_a_panic_is_logged() {
        for format in [LogFormat::Plain, LogFormat::Json] {
            let lines = logged(format, |logs| logs.panicked(Some(Location::caller())));
            assert!(lines[0].contains("a panic") && lines[0].contains("telemetry/mod.rs:"), "{lines:?}");
        }
    }
}
