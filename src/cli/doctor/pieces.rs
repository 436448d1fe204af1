//! The parts of an installation, one check each: apiserver, definition, replicas, lease.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::{Api, Client};

use super::installation::Installation;
use super::{Finding, Findings, because};
use crate::api;

/// The oldest minor version of Kubernetes with stable matchConditions.
const OLDEST: u32 = 30;

/// Whether the apiserver answers, and is new enough.
pub(super) async fn apiserver(client: &Client) -> Findings {
    let version = match client.apiserver_version().await {
        Ok(version) => version,
        Err(error) => {
            let what = format!("the apiserver does not answer: {}", because(&error));
            return vec![Finding::Wrong(what, "check --kubeconfig, and the network".into())];
        }
    };
    let minor: u32 = version.minor.trim_end_matches('+').parse().unwrap_or_default();
    let name = version.git_version;
    vec![if minor >= OLDEST {
        Finding::Well(format!("the apiserver answers, {name}"))
    } else {
        let what = format!("the apiserver is {name}, older than 1.{OLDEST}");
        Finding::Wrong(what, "matchConditions are not stable in this version: upgrade Kubernetes".into())
    }]
}

/// Whether the definition exists, is served, and is this program's.
pub(super) async fn definition(client: &Client) -> Findings {
    const NAME: &str = "trainingestimates.weighbridge.dev";
    let apply = || "weighbridge crds | kubectl apply --server-side -f -, or helm upgrade".to_owned();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let found = match definitions.get_opt(NAME).await {
        Ok(Some(found)) => found,
        Ok(None) => return vec![Finding::Wrong(format!("the CRD {NAME} does not exist"), apply())],
        Err(error) => return vec![Finding::Note(format!("the CRD cannot be read: {}", because(&error)))],
    };
    let conditions = found.status.unwrap_or_default().conditions.unwrap_or_default();
    let established = conditions.iter().any(|c| c.type_ == "Established" && c.status == "True");
    let own = api::definition::definition().ok().map(|own| own.spec.versions);
    // The apiserver adds defaults, so only the schemas are compared.
    let schema = |versions: &[k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionVersion]| {
        versions.iter().map(|version| serde_json::to_value(&version.schema).ok()).collect::<Vec<_>>()
    };
    let same = own.is_some_and(|own| schema(&own) == schema(&found.spec.versions));
    vec![match (established, same) {
        (false, _) => Finding::Wrong(format!("the CRD {NAME} is not established"), apply()),
        (true, false) => {
            Finding::Wrong(format!("the CRD {NAME} is from another version of weighbridge"), apply())
        }
        (true, true) => Finding::Well(format!("the CRD {NAME} is from this version")),
    }]
}

/// Whether the Service has ready replicas.
pub(super) async fn replicas(client: &Client, installation: &Installation) -> Findings {
    if let Some(url) = &installation.url {
        let what =
            format!("the apiserver calls {url}: the process runs outside of the cluster, without a Service");
        return vec![Finding::Note(what)];
    }
    let Installation { namespace, service, .. } = installation;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let named = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
    let slices = match slices.list(&named).await {
        Ok(slices) => slices.items,
        Err(error) => {
            return vec![Finding::Note(format!("the replicas cannot be read: {}", because(&error)))];
        }
    };
    let endpoints: Vec<_> =
        slices.into_iter().flat_map(|slice| slice.endpoints.unwrap_or_default()).collect();
    let ready = endpoints.iter().filter(|endpoint| {
        endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
    });
    vec![match (ready.count(), endpoints.len()) {
        (0, _) => Finding::Wrong(
            format!("no replica of the Service {namespace}/{service} is ready"),
            format!("kubectl -n {namespace} get pods; /readyz of a pod names the closed gates"),
        ),
        (1, all) => {
            Finding::Note(format!("1 of {all} replicas is ready: while it restarts, no job is judged"))
        }
        (ready, all) => Finding::Well(format!("{ready} of {all} replicas are ready")),
    }]
}

/// Whether a replica writes estimates.
pub(super) async fn leader(client: &Client, installation: &Installation) -> Findings {
    let Installation { namespace, lease, .. } = installation;
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let spec = match leases.get_opt(lease).await {
        Ok(Some(found)) => found.spec.unwrap_or_default(),
        Ok(None) => {
            let what = format!("no replica holds the Lease {namespace}/{lease}: no estimates are written");
            return vec![Finding::Wrong(
                what,
                "check that a replica is ready, and that it may create leases".into(),
            )];
        }
        Err(error) => return vec![Finding::Note(format!("the lease cannot be read: {}", because(&error)))],
    };
    let seconds = i64::from(spec.lease_duration_seconds.unwrap_or_default());
    let renewed = spec.renew_time.map_or(0, |time| time.0.as_second());
    let age = Timestamp::now().as_second() - renewed;
    vec![match spec.holder_identity.filter(|holder| !holder.is_empty()) {
        Some(holder) if age <= seconds.max(1) * 2 => {
            Finding::Well(format!("{holder} leads and writes estimates"))
        }
        _ => Finding::Wrong(
            format!(
                "no replica has renewed the Lease {namespace}/{lease} for {age} s: no estimates are written"
            ),
            format!("kubectl -n {namespace} logs -l app.kubernetes.io/name=weighbridge"),
        ),
    }]
}
