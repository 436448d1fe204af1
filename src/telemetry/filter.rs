//! The filter of the logs: the one of `--log`, without messages that would print users' objects or the text of a
//! panic.
//!
//! If kube's client cannot read an answer of the apiserver, it logs the whole answer at `WARN`, and answers are lists
//! of Jobs and `ConfigMap`s. So only errors of that module are logged, at any level. To see more, name the module
//! itself: `--log info,kube_client::client=warn`.

use anyhow::{Context as _, Result};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::layer::Filter;
use tracing_subscriber::registry::LookupSpan;

/// The module whose messages hold whole answers of the apiserver.
const ANSWERS: &str = "kube_client::client";

/// The module that repeats the message of a panic, which may quote input. The panic itself is logged with its place.
const PANICS: &str = "tower_http::catch_panic";

/// The filter of `--log`.
///
/// # Errors
/// The text is not a filter.
pub(super) fn filter<S>(text: &str) -> Result<impl Filter<S> + Send + Sync + 'static>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let asked: EnvFilter = text.parse().with_context(|| format!("--log {text} is not a filter"))?;
    let names_it = |directive: &str| directive.split(['=', '[']).next().map(str::trim) == Some(ANSWERS);
    let answers_too = text.split(',').any(names_it);
    let harmless =
        move |metadata: &Metadata<'_>| is_harmless(metadata.target(), *metadata.level(), answers_too);
    // Without a hint, tracing would ask this filter about every event.
    Ok(asked.and(filter_fn(harmless).with_max_level_hint(LevelFilter::TRACE)))
}

fn is_harmless(target: &str, level: Level, answers_too: bool) -> bool {
    let answers = target == ANSWERS && level > Level::ERROR;
    target != PANICS && (answers_too || !answers)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Layer as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Which of three messages a filter passes.
    fn logged(directives: &str) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = written.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || Sink(sink.clone()))
            .with_filter(filter(directives).unwrap());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let _span = tracing::debug_span!(target: "kube_client::client::builder", "HTTP").entered();
            tracing::warn!(target: "kube_client::client", "hunter2");
            tracing::trace!(target: "kube_client::client", "Status from hunter2");
            tracing::error!(target: "tower_http::catch_panic", "hunter2");
            tracing::error!(target: "kube_client::client::builder", "failed with status 500");
            tracing::warn!(target: "kube_client::client::tls", "failed to reload CA bundle");
            tracing::warn!("ours");
        });
        let written = written.lock().unwrap().clone();
        String::from_utf8(written).unwrap()
    }

    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_level_logs_the_apiservers_answers() {
        for directives in
            ["info", "trace", "kube_client=trace", "warn,kube=debug", "[HTTP]=trace", "info,[{x}]=trace"]
        {
            let logged = logged(directives);
            assert!(!logged.contains("hunter2"), "{directives}: {logged}");
        }
        let logged = logged("info");
        for harmless in ["ours", "failed with status 500", "failed to reload CA bundle"] {
            assert!(logged.contains(harmless), "{logged}");
        }
    }

    #[test]
    fn a_filter_that_names_the_clients_module_passes_its_messages() {
        let logged = logged("info,kube_client::client=warn");
        assert!(logged.contains("hunter2") && !logged.contains("Status from"), "{logged}");
    }

    #[test]
    fn an_invalid_filter_is_refused() {
        assert!(filter::<tracing_subscriber::Registry>("weighbridge=loud").is_err());
    }
}
