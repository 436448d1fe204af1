//! The proof: a server-side dry run of a job that must run out of memory.

use axum::http::{HeaderMap, Request, StatusCode};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::installation::is_ours;
use super::{Finding, Findings, because};
use crate::policy::mode::MODE_LABEL;

pub(super) async fn tried(client: &Client, namespace: &str) -> Findings {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let label = match namespaces.get_metadata_opt(namespace).await {
        Ok(Some(found)) => found.labels().get(MODE_LABEL).cloned(),
        Ok(None) => {
            let what = format!("the namespace {namespace} does not exist");
            return vec![Finding::Wrong(what, "choose another with --try-in".into())];
        }
        Err(error) => return vec![Finding::Note(format!("{namespace} cannot be read: {}", because(&error)))],
    };
    let answer = match created(client, namespace).await {
        Ok(answer) => answer,
        Err(error) => return vec![Finding::Note(format!("the dry run of a job failed: {error:#}"))],
    };
    vec![judge(&answer, namespace, label.as_deref())]
}

/// The apiserver's answer.
struct Answer {
    status: StatusCode,
    message: String,
    warnings: Vec<String>,
}

fn judge(answer: &Answer, namespace: &str, label: Option<&str>) -> Finding {
    let ours = |text: &str| text.contains("needs ") && text.contains(" GiB per GPU");
    let warned = answer.warnings.iter().any(|warning| ours(warning));
    match answer.status {
        StatusCode::FORBIDDEN if ours(&answer.message) => {
            Finding::Well(format!("a job that must run out of memory is denied in {namespace}"))
        }
        status if status.is_success() && warned => {
            Finding::Well(format!("a job that must run out of memory gets a warning in {namespace}, whose mode is warn"))
        }
        status if status.is_success() => match label {
            Some(mode @ ("off" | "audit")) => Finding::Note(format!(
                "the dry run shows nothing in {namespace}, whose mode is {mode}: choose another namespace with --try-in"
            )),
            _ => Finding::Wrong(
                format!("a job that must run out of memory is admitted in {namespace} without a warning"),
                "the webhook was not called or did not answer (failurePolicy Ignore), or the policy exempts you or \
                 {namespace}: see apiserver_admission_webhook_fail_open_count"
                    .replace("{namespace}", namespace),
            ),
        },
        _ if neighbour(&answer.message).is_some() => Finding::Note(format!(
            "another webhook, {}, answers the dry run in {namespace}, so it shows nothing: {}",
            neighbour(&answer.message).unwrap_or_default(),
            answer.message
        )),
        StatusCode::FORBIDDEN => Finding::Note(format!("you may not create jobs in {namespace}: {}", answer.message)),
        _ => Finding::Wrong(
            format!("the apiserver gets no answer from the webhook: {}", answer.message),
            "check that the control plane reaches the Service (firewall, hostNetwork), and the Service's port".into(),
        ),
    }
}

/// The webhook that refused or failed, if it is not ours. The apiserver quotes its name.
fn neighbour(message: &str) -> Option<&str> {
    let (_, rest) = ["failed calling webhook \"", "admission webhook \""]
        .iter()
        .find_map(|told| message.split_once(told))?;
    let (name, _) = rest.split_once('"')?;
    (!is_ours(name)).then_some(name)
}

/// A request of our own, for the client drops warnings.
async fn created(client: &Client, namespace: &str) -> anyhow::Result<Answer> {
    let uri = format!("/apis/batch/v1/namespaces/{namespace}/jobs?dryRun=All");
    let request = Request::post(uri)
        .header("content-type", "application/json")
        .body(kube::client::Body::from(job().to_string().into_bytes()))?;
    let response = client.send(request).await?;
    let (parts, body) = response.into_parts();
    let bytes = body.collect_bytes().await?;
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let message = body.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Answer { status: parts.status, message, warnings: warnings(&parts.headers) })
}

fn warnings(headers: &HeaderMap) -> Vec<String> {
    headers.get_all("warning").iter().filter_map(|value| Some(value.to_str().ok()?.to_owned())).collect()
}

/// Seventy billion parameters, fully trained on one GPU.
fn job() -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "generateName": "weighbridge-doctor-",
            "annotations": {"weighbridge.dev/parameters": "70B", "weighbridge.dev/method": "full", "weighbridge.dev/gpu-type": "A100-80GB"},
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
        judge(&Answer { status, message: message.into(), warnings }, "default", label)
    }

    #[test]
    fn the_apiservers_answer_shows_the_fault() {
        let needs = "needs 900.0 GiB per GPU (at least 800.0), an A100-80GB offers 79.1 GiB";
        assert!(matches!(found(403, needs, &[], None), Finding::Well(_)));
        assert!(matches!(found(201, "", &[needs], Some("warn")), Finding::Well(_)));
        assert!(matches!(found(201, "", &[], Some("off")), Finding::Note(_)));
        assert!(matches!(found(201, "", &[], None), Finding::Wrong(..)));
        assert!(matches!(found(403, "user bob cannot create jobs", &[], None), Finding::Note(_)));
        let failed = found(500, "failed calling webhook: connection refused", &[], None);
        assert!(matches!(failed, Finding::Wrong(what, _) if what.contains("connection refused")));
        let ours = "failed calling webhook \"job.weighbridge.dev\": connection refused";
        assert!(matches!(found(500, ours, &[], None), Finding::Wrong(..)));
    }

    #[test]
    fn the_fault_of_another_webhook_is_not_ours() {
        for (status, message) in [
            (500, "Internal error occurred: failed calling webhook \"validate.kyverno.svc-fail\": EOF"),
            (403, "admission webhook \"validation.gatekeeper.sh\" denied the request: no team label"),
            (400, "admission webhook \"validation.gatekeeper.sh\" denied the request: no team label"),
        ] {
            let note = found(status, message, &[], None);
            assert!(matches!(&note, Finding::Note(what) if what.contains("another webhook")), "{note:?}");
        }
    }
}
