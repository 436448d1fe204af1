//! The ConfigMaps that the pods of a template take files or variables from.

use std::collections::BTreeSet;

use serde_json::Value;

/// Certificates that every namespace has. No training reads them.
pub const IN_EVERY_NAMESPACE: &[&str] =
    &["kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"];

/// The names of the ConfigMaps that a pod template mounts, or takes variables from.
pub fn of_template(template: &Value) -> BTreeSet<&str> {
    let list = |value: &'_ Value, pointer: &str| -> Vec<usize> {
        let length = value.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len);
        (0..length).collect()
    };
    let mut pointers = Vec::new();
    for volume in list(template, "/spec/volumes") {
        let volume = format!("/spec/volumes/{volume}");
        let sources = format!("{volume}/projected/sources");
        pointers.extend(
            list(template, &sources).iter().map(|source| format!("{sources}/{source}/configMap/name")),
        );
        pointers.push(format!("{volume}/configMap/name"));
    }
    for containers in ["/spec/containers", "/spec/initContainers"] {
        for container in list(template, containers) {
            let (from, env) =
                (format!("{containers}/{container}/envFrom"), format!("{containers}/{container}/env"));
            pointers.extend(list(template, &from).iter().map(|n| format!("{from}/{n}/configMapRef/name")));
            pointers.extend(
                list(template, &env).iter().map(|n| format!("{env}/{n}/valueFrom/configMapKeyRef/name")),
            );
        }
    }
    let names = pointers.iter().filter_map(|pointer| template.pointer(pointer)?.as_str());
    names.filter(|name| !IN_EVERY_NAMESPACE.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mounts_and_variables_name_config_maps() {
        let template = json!({"spec": {
            "volumes": [
                {"configMap": {"name": "mounted"}},
                {"projected": {"sources": [{"configMap": {"name": "projected"}}, {"configMap": {"name": "kube-root-ca.crt"}}]}},
                {"emptyDir": {}},
            ],
            "containers": [{
                "envFrom": [{"configMapRef": {"name": "all"}}, {"secretRef": {"name": "secret"}}],
                "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "one", "key": "a"}}}],
            }],
        }});
        assert_eq!(of_template(&template), ["all", "mounted", "one", "projected"].into());
        assert_eq!(of_template(&json!({"spec": {"volumes": 7}})), [].into());
    }
}
