//! The policy's file. It is versioned YAML, and every field is optional.
//!
//! ```yaml
//! apiVersion: config.weighbridge.dev/v1alpha1
//! kind: Configuration
//! mode: warn                      # for namespaces without the label: enforce, warn, audit, off
//! denyAt: 0.9                     # P(OOM) from which a job is refused, if its lower bound is above the capacity
//! warnAt: 0.2                     # P(OOM) from which a job gets a warning
//! headroom: 2Gi                   # memory to keep free on every accelerator: an amount, or a share like 5%
//! hostMemory: audit               # audit, warn or enforce: a pod whose host memory or disk does not suffice
//! unknown: Warn                   # Admit, Warn or Deny a training job that cannot be judged
//! unrecognised: Admit             # Admit, or Warn of, an object that asks for accelerators and may train
//! mfuPercent: 38                  # for jobs that give none
//! prices:                         # of one accelerator for one hour, for jobs that give none
//!   perGpuHour: {H100-80GB: "2.40", A800-80GB: "1.10"}
//!   currency: EUR                 # default: USD
//!   asOf: 2026-11                 # shown beside every cost
//! observedSpeeds:                 # of earlier runs, for the predicted time: `weighbridge machine` writes them
//!   - {accelerator: h100-sxm5-80gb, framework: Megatron, speed: 0.93, runs: 4}
//! observed:                       # a Prometheus from which the memory of running jobs is read
//!   prometheus: http://prometheus.monitoring.svc:9090
//! exemptions: {namespaces: [ci-*], users: [], groups: [], priorityClasses: []}
//! overrides: {users: [], groups: [ml-leads]}
//! placement:                      # accounts of queues, which may place pods after admission; default: Kueue's
//!   users: [system:serviceaccount:kueue-system:kueue-controller-manager]
//! accelerators:
//!   labels: [scitix.ai/gpu-type]  # further node labels whose value names an accelerator
//!   aliases: {h100nvlink80: H100-80GB}
//! workloads:                      # further kinds, with the place of their pod templates: single, roles, tasks or job
//!   - {group: train.example.com, version: v1, kind: TrainRun, plural: trainruns, training: true, roles: /spec/roles}
//! ```
//!
//! An unknown field is an error: a policy with an ignored typo would be a security hole.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use serde::Deserialize;

use crate::hardware::Catalogue;
use crate::kinds::Kinds;
use crate::kinds::further::Further;
use crate::policy::{
    Exemptions, Headroom, HostMemory, Mode, Observed, ObservedSpeed, Overrides, Placement, Policy, Prices,
    Rules, Unknown, Unrecognised,
};
use crate::units::Decimal;

/// The supported version of the file.
const API_VERSION: &str = "config.weighbridge.dev/v1alpha1";
/// The longest file. A `ConfigMap` cannot be larger.
pub(super) const LONGEST: usize = 1 << 20;

/// The fields of the file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct File {
    api_version: String,
    kind: String,
    mode: Option<Mode>,
    deny_at: Option<f64>,
    warn_at: Option<f64>,
    headroom: Option<String>,
    host_memory: Option<HostMemory>,
    unknown: Option<Unknown>,
    unrecognised: Option<Unrecognised>,
    mfu_percent: Option<Decimal>,
    exemptions: Option<Exemptions>,
    overrides: Option<Overrides>,
    placement: Option<Placement>,
    #[serde(default)]
    workloads: Vec<Further>,
    #[serde(default)]
    accelerators: Accelerators,
    prices: Option<PriceList>,
    observed_speeds: Option<Vec<ObservedSpeed>>,
    observed: Option<Observed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PriceList {
    per_gpu_hour: BTreeMap<String, Decimal>,
    currency: Option<String>,
    as_of: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Accelerators {
    labels: Vec<String>,
    aliases: BTreeMap<String, String>,
}

/// Parses the text of a file.
pub(super) fn read(text: &str) -> Result<File> {
    ensure!(text.len() <= LONGEST, "it is longer than 1 MiB");
    let file: File = serde_saphyr::from_str(text).map_err(|error| anyhow::anyhow!(first_line(&error)))?;
    ensure!(
        file.api_version == API_VERSION && file.kind == "Configuration",
        "apiVersion must be {API_VERSION}, and kind Configuration"
    );
    Ok(file)
}

/// The first line of the parser's error, without the excerpt.
fn first_line(error: &serde_saphyr::Error) -> String {
    let message = error.to_string();
    let line = message.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    // The parser's words for a missing list and a missing mapping.
    let line = with_nearest(line.to_owned());
    line.replace(
        "expected sequence start",
        "a list is expected here: write [a, b], or each on a line behind a dash",
    )
    .replace("expected mapping start", "keys and values are expected here")
}

/// The line with the nearest field, where the parser lists all. Without one it lists them still.
fn with_nearest(line: String) -> String {
    /// A field may have one misspelling for each of so many letters.
    const LETTERS: usize = 3;
    let Some((place, (name, fields))) = line
        .split_once("unknown field `")
        .and_then(|(place, rest)| Some((place, rest.split_once("`, expected one of ")?)))
    else {
        return line;
    };
    let compared = fields.split(", ").map(|field| field.trim_matches('`'));
    let compared = compared
        .map(|field| (strsim::damerau_levenshtein(&name.to_lowercase(), &field.to_lowercase()), field));
    let slips = name.chars().count() / LETTERS;
    match compared.filter(|(wrong, _)| *wrong <= slips).min() {
        Some((_, nearest)) => format!("{place}unknown field `{name}`; did you mean {nearest}?"),
        None => line,
    }
}

impl File {
    /// The base policy with the fields of the file.
    pub(super) fn over(self, base: &Policy) -> Result<Policy> {
        let mut rules = Rules {
            deny_at: self.deny_at.unwrap_or(base.rules.deny_at),
            warn_at: self.warn_at.unwrap_or(base.rules.warn_at),
            headroom: match &self.headroom {
                Some(text) => headroom(text)?,
                None => base.rules.headroom,
            },
            host_memory: self.host_memory.unwrap_or(base.rules.host_memory),
            mfu_percent: match self.mfu_percent {
                Some(percent) => Some(percentage("mfuPercent", percent)?),
                None => base.rules.mfu_percent,
            },
            prices: base.rules.prices.clone(),
            observed_speeds: base.rules.observed_speeds.clone(),
        };
        thresholds(&rules)?;
        let kinds = if self.workloads == base.kinds.named() {
            base.kinds.clone()
        } else {
            Arc::new(Kinds::with(self.workloads).map_err(anyhow::Error::msg)?)
        };
        let Accelerators { labels, aliases } = self.accelerators;
        let catalogue = if labels.is_empty() && aliases.is_empty() {
            base.catalogue.clone()
        } else {
            let extended = base.catalogue.extended(&aliases, labels);
            Arc::new(extended.map_err(|problem| anyhow::anyhow!("accelerators: {problem}"))?)
        };
        if let Some(list) = self.prices {
            rules.prices = prices(list, &catalogue)?;
        }
        if let Some(list) = self.observed_speeds {
            rules.observed_speeds = observed_speeds(list, &catalogue)?;
        }
        let observed = self.observed.or_else(|| base.observed.clone());
        if let Some(observed) = &observed {
            observed.check().map_err(|problem| anyhow::anyhow!("observed.{problem}"))?;
        }
        Ok(Policy {
            mode: self.mode.unwrap_or(base.mode),
            unknown: self.unknown.unwrap_or(base.unknown),
            unrecognised: self.unrecognised.unwrap_or(base.unrecognised),
            rules,
            exemptions: self.exemptions.unwrap_or_else(|| base.exemptions.clone()),
            overrides: self.overrides.unwrap_or_else(|| base.overrides.clone()),
            placement: self.placement.unwrap_or_else(|| base.placement.clone()),
            catalogue,
            history: base.history,
            observed,
            kinds,
            version: base.version,
        })
    }
}

/// The speeds with the catalogue's keys.
fn observed_speeds(list: Vec<ObservedSpeed>, catalogue: &Catalogue) -> Result<Vec<ObservedSpeed>> {
    list.into_iter()
        .map(|entry| {
            let found = catalogue.find(&entry.accelerator);
            let Some(accelerator) = found else {
                bail!("observedSpeeds: {} is not in the catalogue of accelerators", entry.accelerator);
            };
            ensure!(
                (0.05..=20.0).contains(&entry.speed),
                "observedSpeeds: the speed of {} is {}, and must be between 0.05 and 20",
                entry.accelerator,
                entry.speed
            );
            Ok(ObservedSpeed { accelerator: accelerator.key.clone(), ..entry })
        })
        .collect()
}

/// The prices, by the keys of the catalogue.
fn prices(list: PriceList, catalogue: &Catalogue) -> Result<Prices> {
    let code = |currency: &String| currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_uppercase());
    ensure!(
        list.currency.as_ref().is_none_or(code),
        "prices.currency must be three capital letters, like EUR"
    );
    let short = |date: &String| date.chars().count() <= 32 && !date.chars().any(char::is_control);
    ensure!(list.as_of.as_ref().is_none_or(short), "prices.asOf must be a date, like 2026-11-30");
    let mut per_gpu_hour = BTreeMap::new();
    for (name, price) in list.per_gpu_hour {
        let Some(accelerator) = catalogue.find(&name) else {
            let nearest = catalogue.nearest(&name).join(", ");
            bail!("prices.perGpuHour.{name}: this accelerator is not known; similar names are {nearest}")
        };
        per_gpu_hour.insert(accelerator.key.clone(), price);
    }
    Ok(Prices { per_gpu_hour, currency: list.currency, as_of: list.as_of })
}

fn thresholds(rules: &Rules) -> Result<()> {
    let possible = |probability: f64| probability > 0.0 && probability <= 1.0;
    for (field, probability) in [("denyAt", rules.deny_at), ("warnAt", rules.warn_at)] {
        ensure!(possible(probability), "{field}: {probability} must be a probability over 0 and at most 1");
    }
    let (warn_at, deny_at) = (rules.warn_at, rules.deny_at);
    ensure!(warn_at <= deny_at, "warnAt: {warn_at} must be at most denyAt, which is {deny_at}");
    Ok(())
}

fn headroom(text: &str) -> Result<Headroom> {
    let Some(headroom) = Headroom::parse(text) else {
        bail!("headroom: {text} must be an amount like 2Gi, or a share below 100 % like 5%")
    };
    Ok(headroom)
}

fn percentage(field: &str, percent: Decimal) -> Result<Decimal> {
    let possible = percent.micros > 0 && percent.as_f64() <= 100.0;
    ensure!(possible, "{field}: {percent} must be a share over 0 and at most 100");
    Ok(percent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bytes;

    fn policy(body: &str) -> Result<Policy> {
        let text = format!("apiVersion: {API_VERSION}\nkind: Configuration\n{body}");
        read(&text)?.over(&Policy::default())
    }

    fn refused(body: &str) -> String {
        format!("{:#}", policy(body).unwrap_err())
    }

    #[test]
    fn a_misspelt_field_has_its_nearest_one() {
        for (body, nearest) in [
            ("unkown: Deny\n", "unknown field `unkown`; did you mean unknown?"),
            ("denyat: 0.9\n", "did you mean denyAt?"),
            ("overrides: {group: []}\n", "did you mean groups?"),
            ("zebra: 1\n", "expected one of apiVersion"),
        ] {
            assert!(refused(body).contains(nearest), "{body}: {}", refused(body));
        }
    }

    #[test]
    fn a_field_that_is_left_out_keeps_the_base_value() {
        let policy = policy("").unwrap();
        assert_eq!((policy.mode, policy.unknown), (Mode::Enforce, Unknown::Warn));
        assert_eq!(policy.rules, Rules::default());
        assert_eq!(policy.exemptions, Exemptions::default());
        assert_eq!(policy.placement, Placement::default());
    }

    #[test]
    fn every_field_is_read() {
        let policy = policy(
            "mode: warn\ndenyAt: 0.95\nwarnAt: 0.3\nheadroom: 2Gi\nhostMemory: enforce\nunknown: Deny\nunrecognised: Warn\nmfuPercent: 38.5\n\
             exemptions: {namespaces: [ci-*], priorityClasses: [system]}\noverrides: {groups: [ml-leads]}\n\
             placement: {users: [queue], groups: [queues]}\n\
             accelerators: {labels: [scitix.ai/gpu-type], aliases: {h100nvlink80: H100-80GB}}\n\
             prices: {perGpuHour: {h100nvlink80: 2.40}, currency: EUR, asOf: 2026-11}\n",
        )
        .unwrap();
        assert_eq!((policy.mode, policy.unknown), (Mode::Warn, Unknown::Deny));
        assert_eq!(policy.unrecognised, Unrecognised::Warn);
        assert_eq!(policy.rules.host_memory, HostMemory::Enforce);
        assert_eq!((policy.rules.deny_at, policy.rules.warn_at), (0.95, 0.3));
        assert_eq!(policy.rules.headroom, Headroom::Bytes(Bytes::from_mib(2048)));
        assert_eq!(policy.rules.mfu_percent.map(|mfu| mfu.to_string()).as_deref(), Some("38.5"));
        assert_eq!(policy.exemptions.namespaces, ["ci-*"]);
        assert_eq!(policy.overrides.groups, ["ml-leads"]);
        assert_eq!(
            policy.placement,
            Placement { users: vec!["queue".into()], groups: vec!["queues".into()] }
        );
        assert_eq!(policy.catalogue.find("h100nvlink80").map(|a| a.name.as_str()), Some("H100-80GB"));
        let prices = &policy.rules.prices;
        assert_eq!(
            prices.per_gpu_hour.get("h100-sxm5-80gb").map(ToString::to_string).as_deref(),
            Some("2.4")
        );
        assert_eq!((prices.currency.as_deref(), prices.as_of.as_deref()), (Some("EUR"), Some("2026-11")));
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_rule() {
        for (body, message) in [
            ("mood: warn", "mood"),
            ("mode: block", "expected one of enforce, warn, audit, off"),
            ("exemptions: {users: admin}", "a list is expected here"),
            ("denyAt: 90", "denyAt: 90 must be a probability"),
            ("warnAt: 0.95", "warnAt: 0.95 must be at most denyAt"),
            ("headroom: lots", "headroom: lots must be an amount like 2Gi"),
            ("headroom: 100%", "below 100 %"),
            ("hostMemory: deny", "expected one of audit, warn, enforce"),
            ("mfuPercent: 0", "mfuPercent: 0 must be a share over 0"),
            ("exemptions: {everybody: []}", "everybody"),
            ("accelerators: {aliases: {x: H999}}", "aliases.x: unknown accelerator H999"),
            ("accelerators: {aliases: {H100-80GB: A100-80GB}}", "aliases.H100-80GB"),
            ("prices: {perGpuHour: {H999: 1}}", "prices.perGpuHour.H999: this accelerator is not known"),
            ("prices: {perGpuHour: {}, currency: euro}", "prices.currency must be three capital letters"),
            ("mode: warn\nmode: audit", "duplicate"),
            (
                "observed: {prometheus: prometheus:9090}",
                "observed.prometheus: prometheus:9090 must be an address",
            ),
            ("observed: {prometheus: http://a:b@prometheus}", "without a user"),
            (
                "observed: {prometheus: http://a, tokenFile: /t}",
                "observed.tokenFile: a token is sent over https only",
            ),
            (
                "observed: {prometheus: http://a, everyMinutes: 0}",
                "observed.everyMinutes: 0 must be a number from 1",
            ),
            (
                "observed: {prometheus: http://a, metrics: [{name: a-b, unit: MiB}]}",
                "a-b is no name of a metric",
            ),
            ("observed: {prometheus: http://a, metrics: [{name: a, unit: MB}]}", "MB"),
            ("observed: {prometheus: http://a, matchers: {\"a}\": b}}", "a} is no name of a label"),
            ("workloads: [{group: a.b, version: v1, kind: X, plural: xs}]", "workloads[0] (X): give one of"),
        ] {
            let complaint = refused(body);
            assert!(complaint.contains(message), "{body}: {complaint}");
        }
        let other = read("apiVersion: config.weighbridge.dev/v2\nkind: Configuration\n").unwrap_err();
        assert!(other.to_string().contains("apiVersion must be config.weighbridge.dev/v1alpha1"));
    }

    #[test]
    fn the_file_in_the_documentation_is_valid() {
        let page = include_str!("../../../docs/configure.md");
        let shown = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let policy = read(shown).unwrap().over(&Policy::default()).unwrap();
        assert_eq!((policy.mode, policy.unknown), (Mode::Warn, Unknown::Warn));
        assert_eq!(policy.observed.map(|observed| observed.metrics.len()), Some(4));
        assert_eq!(policy.exemptions.priority_classes, ["system-cluster-critical"]);
    }
}
