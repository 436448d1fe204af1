//! The proof: a job that must run out of memory, by a server-side dry run.

use axum::http::{HeaderMap, Request, StatusCode};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::{Finding, Findings, because};
use crate::policy::mode::MODE_LABEL;

pub(super) async fn tried(client: &Client, namespace: &str) -> Findings {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let label = match namespaces.get_metadata_opt(namespace).await {
        Ok(Some(found)) => found.labels().get(MODE_LABEL).cloned(),
        Ok(None) => {
            let what = format!("the namespace {namespace} is not there");
            return vec![Finding::Wrong(what, "--try-in names another".into())];
        }
        Err(error) => return vec![Finding::Note(format!("{namespace} cannot be read: {}", because(&error)))],
    };
    let said = match created(client, namespace).await {
        Ok(said) => said,
        Err(error) => return vec![Finding::Note(format!("a job cannot be tried: {error:#}"))],
    };
    vec![judged(&said, namespace, label.as_deref())]
}

/// What the apiserver said.
struct Said {
    status: StatusCode,
    message: String,
    warnings: Vec<String>,
}

fn judged(said: &Said, namespace: &str, label: Option<&str>) -> Finding {
    let ours = |text: &str| text.contains("needs ") && text.contains(" GiB per GPU");
    let warned = said.warnings.iter().any(|warning| ours(warning));
    match said.status {
        StatusCode::FORBIDDEN if ours(&said.message) => {
            Finding::Well(format!("a job that must run out of memory is refused in {namespace}"))
        }
        status if status.is_success() && warned => {
            Finding::Well(format!("a job that must run out of memory is warned about in {namespace}, whose mode is warn"))
        }
        status if status.is_success() => match label {
            Some(mode @ ("off" | "audit")) => Finding::Note(format!(
                "nothing can be seen from {namespace}, whose mode is {mode}: --try-in names another namespace"
            )),
            _ => Finding::Wrong(
                format!("a job that must run out of memory is admitted in {namespace} without a word"),
                "the webhook was not asked or did not answer (failurePolicy Ignore), or the policy exempts you or \
                 {namespace}: see apiserver_admission_webhook_fail_open_count"
                    .replace("{namespace}", namespace),
            ),
        },
        StatusCode::FORBIDDEN => Finding::Note(format!("you may not create jobs in {namespace}: {}", said.message)),
        _ => Finding::Wrong(
            format!("the apiserver does not get an answer: {}", said.message),
            "is the Service reached from the control plane (firewall, hostNetwork), and is its port right?".into(),
        ),
    }
}

/// By a request of our own: the client keeps no warnings.
async fn created(client: &Client, namespace: &str) -> anyhow::Result<Said> {
    let uri = format!("/apis/batch/v1/namespaces/{namespace}/jobs?dryRun=All");
    let request = Request::post(uri)
        .header("content-type", "application/json")
        .body(kube::client::Body::from(job().to_string().into_bytes()))?;
    let response = client.send(request).await?;
    let (parts, body) = response.into_parts();
    let bytes = body.collect_bytes().await?;
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let message = body.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Said { status: parts.status, message, warnings: warnings(&parts.headers) })
}

fn warnings(headers: &HeaderMap) -> Vec<String> {
    headers.get_all("warning").iter().filter_map(|value| Some(value.to_str().ok()?.to_owned())).collect()
}

/// Seventy billion parameters, trained whole on one GPU.
fn job() -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": "weighbridge-doctor-",
            "annotations": {"weighbridge.dev/parameters": "70B", "weighbridge.dev/gpu-type": "A100-80GB"},
        },
        "spec": {"template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "none", "image": "none", "resources": {"limits": {"nvidia.com/gpu": "1"}},
            }],
        }}},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(status: u16, message: &str, warnings: &[&str], label: Option<&str>) -> Finding {
        let warnings = warnings.iter().map(|warning| (*warning).to_owned()).collect();
        let status = StatusCode::from_u16(status).unwrap();
        judged(&Said { status, message: message.into(), warnings }, "default", label)
    }

    #[test]
    fn what_the_apiserver_says_shows_where_it_fails() {
        let needs = "needs 900.0 GiB per GPU (at least 800.0), an A100-80GB offers 79.1 GiB";
        assert!(matches!(found(403, needs, &[], None), Finding::Well(_)));
        assert!(matches!(found(201, "", &[needs], Some("warn")), Finding::Well(_)));
        assert!(matches!(found(201, "", &[], Some("off")), Finding::Note(_)));
        assert!(matches!(found(201, "", &[], None), Finding::Wrong(..)));
        assert!(matches!(found(403, "user bob cannot create jobs", &[], None), Finding::Note(_)));
        let failed = found(500, "failed calling webhook: connection refused", &[], None);
        assert!(matches!(failed, Finding::Wrong(what, _) if what.contains("connection refused")));
    }
}
