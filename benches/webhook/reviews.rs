//! The reviews that are sent, as an apiserver writes them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

/// Stands in an object for a number that no other review has.
pub(crate) const NUMBER: &str = "#########";

/// A review, around the number.
pub(crate) struct Review {
    before: Vec<u8>,
    after: Vec<u8>,
    next: AtomicU64,
    /// Whether each review has another number, so that no cache knows its object.
    differs: bool,
}

impl Review {
    /// A review of the creation of this object.
    pub(crate) fn new(namespace: &str, resource: &str, object: &Value) -> Self {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = json!({"group": group, "version": version, "kind": object["kind"]});
        let resource = json!({"group": group, "version": version, "resource": resource});
        let text = json!({
            "kind": "AdmissionReview",
            "apiVersion": "admission.k8s.io/v1",
            "request": {
                "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
                "kind": kind,
                "resource": resource,
                "requestKind": kind,
                "requestResource": resource,
                "name": object["metadata"]["name"],
                "namespace": namespace,
                "operation": "CREATE",
                "userInfo": {"username": "alice", "groups": ["research", "system:authenticated"]},
                "object": with_what_the_apiserver_adds(object, namespace),
                "oldObject": null,
                "dryRun": false,
                "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "kubectl"},
            },
        })
        .to_string();
        let (before, after) = text.split_once(NUMBER).unwrap_or((&text, ""));
        let next = AtomicU64::new(100_000_000);
        Self { before: before.into(), after: after.into(), next, differs: true }
    }

    /// The same object in every review.
    pub(crate) fn repeated(self) -> Self {
        Self { differs: false, ..self }
    }

    pub(crate) fn length(&self) -> usize {
        self.before.len() + NUMBER.len() + self.after.len()
    }

    /// Adds the next review to the bytes.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        let number = self.next.fetch_add(u64::from(self.differs), Ordering::Relaxed);
        bytes.extend(&self.before);
        bytes.extend(number.to_string().as_bytes());
        bytes.extend(&self.after);
    }
}

/// The object with an identity, and with the owners of its fields.
fn with_what_the_apiserver_adds(object: &Value, namespace: &str) -> Value {
    let mut object = object.clone();
    let fields = object["spec"].as_object().into_iter().flatten();
    let fields: serde_json::Map<String, Value> =
        fields.map(|(name, _)| (format!("f:{name}"), json!({".": {}, "f:a": {}, "f:b": {}}))).collect();
    let metadata = &mut object["metadata"];
    metadata["namespace"] = json!(namespace);
    metadata["uid"] = json!("0f0b3a3c-5d6b-4b8e-9d5e-3f6f2b3a4c5d");
    metadata["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    metadata["generation"] = json!(1);
    metadata["managedFields"] = json!([{
        "manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "v1",
        "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields},
    }]);
    object
}

/// A pod as the apiserver stores it, that serves a model on one GPU.
pub(crate) fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "server", "labels": {"app": "server"}, "annotations": {"number": NUMBER}},
        "spec": {
            "containers": [{
                "name": "server",
                "image": "registry.example/server:1",
                "command": ["vllm", "serve", "meta-llama/Llama-3.1-8B", "--max-model-len", "8192"],
                "ports": [{"containerPort": 8000, "protocol": "TCP"}],
                "env": [{"name": "HF_HOME", "value": "/models"}, {"name": "NUMBER", "value": "1"}],
                "resources": {"limits": {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "1"},
                              "requests": {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "1"}},
                "readinessProbe": {"httpGet": {"path": "/health", "port": 8000, "scheme": "HTTP"},
                                   "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1},
                "volumeMounts": [
                    {"name": "models", "mountPath": "/models"},
                    {"name": "token", "readOnly": true,
                     "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
                ],
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
            "volumes": [
                {"name": "models", "persistentVolumeClaim": {"claimName": "models"}},
                {"name": "token", "projected": {"sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                ], "defaultMode": 420}},
            ],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default",
            "serviceAccount": "default",
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "schedulerName": "default-scheduler",
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                 "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
                 "tolerationSeconds": 300},
                {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            ],
            "priority": 0,
            "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority",
        },
        "status": {"phase": "Pending", "qosClass": "Guaranteed"},
    })
}

/// An object with a number in an annotation that is hashed, and that no rule reads.
pub(crate) fn numbered(mut object: Value) -> Value {
    object["metadata"]["annotations"]["number"] = json!(NUMBER);
    object
}
