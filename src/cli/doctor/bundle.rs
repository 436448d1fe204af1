//! The webhook configuration: an entry for every kind, and the CAs of the entries with their end.

use k8s_openapi::api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration};
use kube::{Api, Client};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use time::OffsetDateTime;

use super::installation::Installation;
use super::{Finding, Findings, because};
use crate::kinds::{Kind, Kinds};

/// With fewer days left, an administrator should look.
const FEW_DAYS: i64 = 14;

pub(super) async fn configuration(client: &Client, installation: &Installation) -> Findings {
    let name = installation.configuration.as_str();
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let entries = match configurations.get_opt(name).await {
        Ok(Some(found)) => found.webhooks.unwrap_or_default(),
        Ok(None) => {
            let what = format!("the ValidatingWebhookConfiguration {name} does not exist: no job is judged");
            return vec![Finding::Wrong(
                what,
                "helm upgrade renders it; or choose another with --configuration-name".into(),
            )];
        }
        Err(error) => {
            return vec![Finding::Note(format!("the configuration cannot be read: {}", because(&error)))];
        }
    };
    let mut findings = vec![kinds(name, &entries)];
    findings.extend(policies(&entries));
    findings.push(trusted(name, &entries, installation.files));
    findings
}

fn kinds(name: &str, entries: &[ValidatingWebhook]) -> Finding {
    let covered = |kind: &&Kind| {
        entries.iter().flat_map(|entry| entry.rules.iter().flatten()).any(|rule| {
            rule.api_groups.iter().flatten().any(|group| group == kind.group)
                && rule.resources.iter().flatten().any(|resource| resource == kind.plural)
        })
    };
    let kinds = Kinds::built_in();
    let missing: Vec<_> = kinds.all().filter(|kind| !covered(kind)).map(|kind| kind.kind).collect();
    if missing.is_empty() {
        Finding::Well(format!(
            "the configuration {name} has an entry for each of {} kinds",
            kinds.all().count()
        ))
    } else {
        let what = format!("the configuration {name} has no entry for {}", missing.join(", "));
        Finding::Wrong(what, "it is from another version of weighbridge: run helm upgrade".into())
    }
}

fn policies(entries: &[ValidatingWebhook]) -> Option<Finding> {
    let closed = entries.iter().filter(|entry| entry.failure_policy.as_deref() == Some("Fail")).count();
    (closed > 0).then(|| {
        let what = format!(
            "{closed} entries have failurePolicy Fail: while no replica answers, objects of their kinds are denied"
        );
        Finding::Note(what)
    })
}

fn trusted(name: &str, entries: &[ValidatingWebhook], files: bool) -> Finding {
    let bundles: Vec<&[u8]> = entries
        .iter()
        .map(|entry| {
            entry.client_config.ca_bundle.as_ref().map(|bytes| bytes.0.as_slice()).unwrap_or_default()
        })
        .collect();
    let empty = bundles.iter().filter(|bundle| bundle.is_empty()).count();
    if empty > 0 {
        let what = format!("{empty} of {} entries of {name} trust no CA", entries.len());
        let advice = if files {
            "cert-manager's cainjector writes it: check its logs, and that the Certificate is ready"
        } else {
            "a ready replica repairs them; with --tls-mode files another program must"
        };
        return Finding::Wrong(what, advice.into());
    }
    let shortest = bundles.iter().map(|bundle| longest_lived(bundle)).min().flatten();
    match shortest.map(|until| (until - OffsetDateTime::now_utc()).whole_days()) {
        None => Finding::Wrong(
            format!("the caBundle of {name} has no readable certificate"),
            if files {
                "check the Secret that it is read from"
            } else {
                "empty it: a ready replica repairs it"
            }
            .into(),
        ),
        Some(days) if days < FEW_DAYS => Finding::Wrong(
            format!("the entries of {name} trust a CA that is valid for only {days} more days"),
            if files {
                "the program that maintains the certificate should have renewed it: check its logs"
            } else {
                "the CA should have rotated: check the logs of a replica"
            }
            .into(),
        ),
        Some(days) => {
            Finding::Well(format!("the entries of {name} trust a CA that is valid for {days} days"))
        }
    }
}

/// When the last certificate of the bundle ends.
fn longest_lived(bundle: &[u8]) -> Option<OffsetDateTime> {
    let certificates = CertificateDer::pem_slice_iter(bundle).filter_map(Result::ok);
    certificates
        .filter_map(|certificate| {
            let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).ok()?;
            Some(parsed.validity().not_after.to_datetime())
        })
        .max()
}
