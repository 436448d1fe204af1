//! The arguments of `weighbridge serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::policy::{FailurePolicy, History, Mode};
use crate::telemetry::LogFormat;
use crate::tls::Version;

/// Where the webhook's certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TlsMode {
    /// The process: it keeps a CA in a Secret, and each replica issues its own certificate.
    Internal,
    /// Another program, in files. It maintains the caBundle too.
    Files,
}

/// Parses a time: `90s`, `1h`, `365d`.
fn duration(text: &str) -> Result<Duration, String> {
    let grammar = || format!("{text} must be a whole number with s, m, h or d behind it, like 365d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(grammar)?;
    let number: u32 = number.parse().map_err(|_| grammar())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(grammar()),
    };
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

/// Parses a number of bytes: `256Mi`, `1Gi`, `268435456`.
fn bytes(text: &str) -> Result<usize, String> {
    let grammar =
        || format!("{text} must be a whole number of bytes, or one with Ki, Mi or Gi behind it, like 256Mi");
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(end) => text.split_at_checked(end).ok_or_else(grammar)?,
        None => (text, ""),
    };
    let number: usize = number.parse().map_err(|_| grammar())?;
    let shift = match unit {
        "" => 0,
        "Ki" => 10,
        "Mi" => 20,
        "Gi" => 30,
        _ => return Err(grammar()),
    };
    number.checked_mul(1 << shift).ok_or_else(grammar)
}

/// The arguments of `weighbridge serve`.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The address on which the apiserver reaches the webhook
    #[arg(long, env = "WEIGHBRIDGE_LISTEN", default_value = "[::]:9443", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// The address of /livez, /readyz and /metrics, in plain HTTP
    #[arg(long, env = "WEIGHBRIDGE_METRICS_LISTEN", default_value = "[::]:8080", value_name = "ADDRESS")]
    pub metrics_listen: SocketAddr,
    /// An address for the calculator's page, in plain HTTP for everybody who reaches it; it reads nothing of the cluster
    /// [default: it is not served]
    #[arg(long, env = "WEIGHBRIDGE_CALCULATOR_LISTEN", value_name = "ADDRESS")]
    pub calculator_listen: Option<SocketAddr>,
    /// The namespace of weighbridge's own Secret and Lease
    #[arg(long, env = "WEIGHBRIDGE_NAMESPACE", default_value = "weighbridge", value_name = "NAME")]
    pub namespace: String,
    /// Answer POST /v1/estimate on the webhook's port, for other policy engines
    #[arg(long, env = "WEIGHBRIDGE_API")]
    pub api: bool,
    /// Audiences whose tokens POST /v1/estimate accepts, besides the apiserver's own
    #[arg(long, env = "WEIGHBRIDGE_API_AUDIENCES", value_delimiter = ',', value_name = "NAMES")]
    pub api_audiences: Vec<String>,
    /// The memory that the process may use, such as the container's limit; a third of it is for requests
    #[arg(long, env = "WEIGHBRIDGE_MEMORY_LIMIT", default_value = "256Mi", value_parser = bytes, value_name = "BYTES")]
    pub memory_limit: usize,
    /// A file with the CAs of client certificates; callers must then show one at /validate [default: none is needed]
    #[arg(long, env = "WEIGHBRIDGE_CLIENT_CA", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,
    /// The common names that a client certificate may have [default: any]
    #[arg(
        long,
        env = "WEIGHBRIDGE_CLIENT_NAMES",
        value_delimiter = ',',
        value_name = "NAMES",
        requires = "client_ca"
    )]
    pub client_names: Vec<String>,
    /// The policy's file; its fields override the arguments, and changes take effect while the process runs
    #[arg(long, env = "WEIGHBRIDGE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do with a job that would run out of memory, in a namespace without the label weighbridge.dev/mode
    #[arg(long, env = "WEIGHBRIDGE_MODE", value_enum, default_value_t = Mode::Enforce)]
    pub mode: Mode,
    /// Refuse at this probability of running out of memory or above, if the lower bound is above the capacity
    #[arg(long, env = "WEIGHBRIDGE_DENY_AT", default_value_t = 0.9, value_name = "PROBABILITY")]
    pub deny_at: f64,
    /// Warn at this probability of running out of memory or above
    #[arg(long, env = "WEIGHBRIDGE_WARN_AT", default_value_t = 0.2, value_name = "PROBABILITY")]
    pub warn_at: f64,
    /// Users who may override a refusal with the annotation weighbridge.dev/override
    #[arg(long, env = "WEIGHBRIDGE_OVERRIDE_USERS", value_delimiter = ',', value_name = "NAMES")]
    pub override_users: Vec<String>,
    /// Groups whose users may override a refusal
    #[arg(long, env = "WEIGHBRIDGE_OVERRIDE_GROUPS", value_delimiter = ',', value_name = "NAMES")]
    pub override_groups: Vec<String>,
    /// The only namespaces to watch workloads and estimates in [default: all]
    #[arg(long, env = "WEIGHBRIDGE_WATCH_NAMESPACES", value_delimiter = ',', value_name = "NAMES")]
    pub watch_namespaces: Vec<String>,
    /// Read ConfigMaps too: configuration files and variables of the jobs that mount them
    #[arg(long, env = "WEIGHBRIDGE_READ_CONFIG_MAPS")]
    pub read_config_maps: bool,
    /// Read Kueue's queues and flavors too: the accelerators that a queue assigns
    #[arg(long, env = "WEIGHBRIDGE_READ_QUEUES")]
    pub read_queues: bool,
    /// Answer Kueue's admission checks that name the controller weighbridge.dev/memory: judge a job again on the flavor that
    /// it was assigned; reads queues and flavors too
    #[arg(long, env = "WEIGHBRIDGE_KUEUE_CHECK")]
    pub kueue_check: bool,
    /// Read claims too: those of devices and their templates, for the accelerators of a pod, and those of volumes, for
    /// the size of the disk that holds its saves
    #[arg(long, env = "WEIGHBRIDGE_READ_CLAIMS")]
    pub read_claims: bool,
    /// Keep the last runs of each job in its namespace, and judge by them: admit a job that ran before, and with refuse
    /// also refuse one that ran out of memory before
    #[arg(long, env = "WEIGHBRIDGE_HISTORY", value_enum, default_value_t = History::Off)]
    pub history: History,
    /// The ValidatingWebhookConfiguration whose caBundle is kept up to date
    #[arg(long, env = "WEIGHBRIDGE_CONFIGURATION_NAME", default_value = "weighbridge", value_name = "NAME")]
    pub configuration_name: String,
    /// The Service through which the apiserver reaches the webhook
    #[arg(long, env = "WEIGHBRIDGE_SERVICE", default_value = "weighbridge", value_name = "NAME")]
    pub service: String,
    /// The Secret that holds the CA
    #[arg(long, env = "WEIGHBRIDGE_CA_SECRET", default_value = "weighbridge-ca", value_name = "NAME")]
    pub ca_secret: String,
    /// How long a CA is valid; the next one is published when a third of that time is left
    #[arg(long, env = "WEIGHBRIDGE_CA_LIFETIME", default_value = "365d", value_parser = duration, value_name = "TIME")]
    pub ca_lifetime: Duration,
    /// How long a replica's certificate is valid
    #[arg(long, env = "WEIGHBRIDGE_CERTIFICATE_LIFETIME", default_value = "7d", value_parser = duration, value_name = "TIME")]
    pub certificate_lifetime: Duration,
    /// How long the next CA is trusted before it signs
    #[arg(long, env = "WEIGHBRIDGE_CA_OVERLAP", default_value = "1h", value_parser = duration, value_name = "TIME")]
    pub ca_overlap: Duration,
    /// Keep a CA in the Secret (internal), or read the certificate from files that another program maintains, such as
    /// cert-manager (files)
    #[arg(long, env = "WEIGHBRIDGE_TLS_MODE", value_enum, default_value_t = TlsMode::Internal)]
    pub tls_mode: TlsMode,
    /// The folder with tls.crt, tls.key and ca.crt, for the TLS mode files
    #[arg(
        long,
        env = "WEIGHBRIDGE_TLS_DIRECTORY",
        default_value = "/etc/weighbridge/tls",
        value_name = "FOLDER"
    )]
    pub tls_directory: PathBuf,
    /// The oldest version of TLS that the webhook's port speaks
    #[arg(
        long,
        env = "WEIGHBRIDGE_TLS_MIN_VERSION",
        value_enum,
        default_value_t = Version::default(),
        value_name = "VERSION"
    )]
    pub tls_min_version: Version,
    /// The Lease that elects the replica that writes
    #[arg(long, env = "WEIGHBRIDGE_LEASE", default_value = "weighbridge", value_name = "NAME")]
    pub lease: String,
    /// The name of this replica in the election [default: random]
    #[arg(long, env = "WEIGHBRIDGE_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,
    /// The file with the access to the cluster [default: the pod's service account, or kubectl's]
    #[arg(long, env = "WEIGHBRIDGE_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The format of the logs, for people or for machines
    #[arg(long, env = "WEIGHBRIDGE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Plain)]
    pub log_format: LogFormat,
    /// The log filter: a level, or levels by module
    #[arg(long, env = "WEIGHBRIDGE_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// How long requests are still answered after the signal to stop [default: 5, and 1 with --webhook-url]
    #[arg(long, env = "WEIGHBRIDGE_DRAIN_SECONDS", value_name = "SECONDS")]
    pub drain_seconds: Option<u16>,
    /// A file that exists while this process is ready; it holds the two addresses as JSON
    #[arg(long, env = "WEIGHBRIDGE_READY_FILE", value_name = "FILE")]
    pub ready_file: Option<PathBuf>,

    /// Create a ValidatingWebhookConfiguration that calls this URL, and remove it at the end; port 0 stands for the
    /// port of --listen
    #[arg(long, env = "WEIGHBRIDGE_WEBHOOK_URL", value_name = "URL", help_heading = "Outside a cluster")]
    pub webhook_url: Option<String>,
    /// What the apiserver does while the webhook does not answer, in that configuration
    #[arg(
        long,
        env = "WEIGHBRIDGE_FAILURE_POLICY",
        value_enum,
        default_value_t = FailurePolicy::Ignore,
        help_heading = "Outside a cluster"
    )]
    pub failure_policy: FailurePolicy,
    /// How long the apiserver waits for an answer, in that configuration
    #[arg(
        long,
        env = "WEIGHBRIDGE_TIMEOUT_SECONDS",
        default_value_t = 5,
        value_parser = clap::value_parser!(u8).range(1..=30),
        value_name = "SECONDS",
        help_heading = "Outside a cluster"
    )]
    pub timeout_seconds: u8,
    /// Labels that a namespace must have to be judged, in that configuration
    #[arg(
        long,
        env = "WEIGHBRIDGE_NAMESPACE_SELECTOR",
        value_delimiter = ',',
        value_name = "KEY=VALUE",
        help_heading = "Outside a cluster"
    )]
    pub namespace_selector: Vec<String>,
}
