//! The installation to examine: its configuration, and what that says about the rest.
//!
//! The chart names everything by the release. So the configuration is searched by its entries, whose names end in
//! `.weighbridge.dev`, and its Service gives the namespace and the other names. Arguments beat what is found.
//!
//! | the configuration | means |
//! | --- | --- |
//! | has the annotation `cert-manager.io/inject-ca-from` | cert-manager writes the caBundle, and the replicas have no CA of their own |
//! | calls a URL | the process runs outside of the cluster (`serve --webhook-url`), and has no Service |

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};

use super::{Arguments, Finding, because};
use crate::config::TlsMode;

/// The name that the manifests and the chart give everything by default.
const DEFAULT: &str = "weighbridge";
/// The end of the names of our entries.
const ENTRY: &str = ".weighbridge.dev";
const INJECTED: &str = "cert-manager.io/inject-ca-from";

/// Where the parts of the installation are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installation {
    pub(super) configuration: String,
    pub(super) namespace: String,
    pub(super) service: String,
    pub(super) lease: String,
    pub(super) ca_secret: String,
    /// The URL that the apiserver calls instead of a Service.
    pub(super) url: Option<String>,
    /// Whether another program maintains certificate and caBundle.
    pub(super) files: bool,
}

/// Finds the installation. The finding tells why it may be another one.
pub(super) async fn find(client: &Client, arguments: &Arguments) -> (Installation, Option<Finding>) {
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let (found, doubt) = match &arguments.configuration_name {
        Some(name) => (configurations.get_opt(name).await.ok().flatten(), None),
        None => match configurations.list(&ListParams::default()).await {
            Ok(all) => only(all.items),
            Err(error) => (None, Some(format!("the configurations cannot be listed: {}", because(&error)))),
        },
    };
    (of(found.as_ref(), arguments), doubt.map(Finding::Note))
}

/// Whether an entry is ours.
pub(super) fn is_ours(entry: &str) -> bool {
    entry.ends_with(ENTRY)
}

fn only(
    all: Vec<ValidatingWebhookConfiguration>,
) -> (Option<ValidatingWebhookConfiguration>, Option<String>) {
    let has_ours = |configuration: &ValidatingWebhookConfiguration| {
        configuration.webhooks.iter().flatten().any(|entry| is_ours(&entry.name))
    };
    let mut ours: Vec<_> = all.into_iter().filter(has_ours).collect();
    let names: Vec<_> = ours.iter().map(kube::ResourceExt::name_any).collect();
    let first = names.iter().position(|name| name == DEFAULT).unwrap_or(0);
    let doubt = (ours.len() > 1).then(|| {
        let count = names.len();
        let name = names.get(first).map_or(DEFAULT, String::as_str);
        format!(
            "{count} installations ({}): this is about {name}; choose with --configuration-name",
            names.join(", ")
        )
    });
    ((!ours.is_empty()).then(|| ours.swap_remove(first)), doubt)
}

fn of(found: Option<&ValidatingWebhookConfiguration>, arguments: &Arguments) -> Installation {
    let calls = found.and_then(|found| found.webhooks.as_ref()?.first()).map(|entry| &entry.client_config);
    let service = calls.and_then(|calls| calls.service.as_ref());
    let given = |given: &Option<String>, found: Option<&String>, otherwise: &str| {
        given.clone().or_else(|| found.cloned()).unwrap_or_else(|| otherwise.to_owned())
    };
    let name = found.map(kube::ResourceExt::name_any);
    let configuration = given(&arguments.configuration_name, name.as_ref(), DEFAULT);
    let own = service.map(|service| &service.name);
    let service_name = given(&arguments.service, own, &configuration);
    Installation {
        namespace: given(&arguments.namespace, service.map(|service| &service.namespace), DEFAULT),
        lease: given(&arguments.lease, own, if own.is_some() { &service_name } else { DEFAULT }),
        ca_secret: arguments.ca_secret.clone().unwrap_or_else(|| format!("{service_name}-ca")),
        service: service_name,
        configuration,
        url: calls.and_then(|calls| calls.url.clone()),
        files: arguments.tls_mode == Some(TlsMode::Files)
            || found.is_some_and(|found| found.annotations().contains_key(INJECTED)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Parser)]
    struct Doctor {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(typed: &[&str]) -> Arguments {
        Doctor::try_parse_from([&["doctor"], typed].concat()).unwrap().arguments
    }

    fn configuration(name: &str, calls: &Value, annotations: &Value) -> ValidatingWebhookConfiguration {
        serde_json::from_value(json!({
            "metadata": {"name": name, "annotations": annotations},
            "webhooks": [{
                "name": "job.weighbridge.dev", "clientConfig": calls, "sideEffects": "None", "admissionReviewVersions": ["v1"],
            }],
        }))
        .unwrap()
    }

    #[test]
    fn a_release_of_another_name_is_found_by_its_entries() {
        let service = json!({"service": {"name": "ml-weighbridge", "namespace": "ml"}});
        let ours = configuration("ml-weighbridge", &service, &json!({}));
        let other: ValidatingWebhookConfiguration =
            serde_json::from_value(json!({"metadata": {"name": "kyverno"}, "webhooks": []})).unwrap();
        let (found, doubt) = only(vec![other, ours.clone()]);
        assert_eq!(doubt, None);
        let installation = of(found.as_ref(), &arguments(&[]));
        let Installation { namespace, service, lease, ca_secret, url, files, .. } = installation;
        assert_eq!(
            (namespace.as_str(), service.as_str(), lease.as_str()),
            ("ml", "ml-weighbridge", "ml-weighbridge")
        );
        assert_eq!((ca_secret.as_str(), url, files), ("ml-weighbridge-ca", None, false));
        let named = of(found.as_ref(), &arguments(&["--namespace", "n", "--service", "s", "--lease", "l"]));
        assert_eq!((named.namespace.as_str(), named.service.as_str(), named.lease.as_str()), ("n", "s", "l"));

        let (_, doubt) = only(vec![ours.clone(), ours]);
        assert!(doubt.is_some_and(|doubt| doubt.starts_with("2 installations")));
    }

    #[test]
    fn the_configuration_tells_of_cert_manager_and_of_a_process_outside() {
        let service = json!({"service": {"name": "weighbridge", "namespace": "weighbridge"}});
        let injected = configuration("weighbridge", &service, &json!({INJECTED: "weighbridge/weighbridge"}));
        assert!(of(Some(&injected), &arguments(&[])).files);
        assert!(of(None, &arguments(&["--tls-mode", "files"])).files);
        let url = "https://10.0.0.1:9443/validate";
        let outside = configuration("weighbridge", &json!({"url": url}), &json!({}));
        assert_eq!(of(Some(&outside), &arguments(&[])).url.as_deref(), Some(url));
    }
}
