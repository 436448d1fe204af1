//! What a pod offers its training besides accelerators: memory, shared memory, disks.
//!
//! The container that asks for most accelerators is the one that trains. A limit of the pod holds for all its containers, so
//! the smaller of the two counts.

mod memory;
mod volumes;

use serde_json::Value;

pub use memory::{Amount, Class};
pub use volumes::{Mount, SharedMemory, Store};

use super::requests::asked;
use crate::surroundings::Documents;

/// The most containers, volumes and mounts that are read.
const MOST: usize = 256;

/// What a pod offers the container that trains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The container's name.
    pub container: String,
    /// The limit of its memory.
    pub memory: Option<Amount>,
    /// The request of its memory.
    pub requested: Option<Amount>,
    /// How soon the kubelet evicts the pod.
    pub class: Class,
    /// The limit of its local disk.
    pub disk: Option<Amount>,
    /// What it has at /dev/shm.
    pub shared_memory: SharedMemory,
    /// The volumes that it sees, by path.
    pub mounts: Vec<Mount>,
}

impl Host {
    /// Reads a pod template. `resource` names the accelerators.
    pub fn of(
        template: &Value,
        path: &str,
        resource: &str,
        documents: &Documents,
        namespace: &str,
    ) -> Option<Self> {
        let list = template.pointer("/spec/containers")?.as_array()?;
        let containers = list.iter().enumerate().take(MOST);
        let (number, container) = containers.rev().max_by_key(|(_, container)| asked(container, resource))?;
        let place = format!("{}containers[{number}]", within(path));
        let mounts = volumes::mounts(template, container, documents, namespace);
        let memory = memory::limit(template, container, &place, "memory");
        Some(Self {
            container: container.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
            requested: memory::request(template, container, &place, "memory"),
            class: memory::class(template),
            disk: memory::limit(template, container, &place, "ephemeral-storage"),
            shared_memory: volumes::shared_memory(template, &mounts),
            memory,
            mounts,
        })
    }

    /// The volume that holds a path of the container.
    pub fn mount_of(&self, path: &str) -> Option<&Mount> {
        let holds = |mount: &&Mount| {
            let at = mount.path.trim_end_matches('/');
            path == at || path.strip_prefix(at).is_some_and(|rest| rest.starts_with('/'))
        };
        self.mounts.iter().filter(holds).max_by_key(|mount| mount.path.len())
    }
}

/// The path of a template's spec: `spec.template.spec.`.
fn within(path: &str) -> String {
    if path.is_empty() { "spec.".to_owned() } else { format!("{path}.spec.") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::units::Bytes;

    fn host(spec: &Value) -> Host {
        let template = json!({ "spec": spec });
        Host::of(&template, "spec.template", "nvidia.com/gpu", &Documents::default(), "").unwrap()
    }

    #[test]
    fn the_container_with_the_accelerators_is_the_one_that_trains() {
        let host = host(&json!({"containers": [
            {"name": "sidecar", "resources": {"limits": {"memory": "1Gi"}}},
            {"name": "trainer", "resources": {"limits": {"nvidia.com/gpu": 8, "memory": "400Gi"}}},
        ]}));
        assert_eq!(host.container, "trainer");
        let limit = host.memory.unwrap();
        assert_eq!(limit.bytes, Bytes::from_mib(400 << 10));
        assert_eq!(limit.source, "spec.template.spec.containers[1].resources.limits.memory");
    }

    #[test]
    fn a_limit_of_the_pod_holds_for_its_containers() {
        let host = host(&json!({
            "resources": {"limits": {"memory": "100Gi"}},
            "containers": [{"resources": {"limits": {"nvidia.com/gpu": 8, "memory": "400Gi"}}}],
        }));
        assert_eq!(host.memory.unwrap().bytes, Bytes::from_mib(100 << 10));
    }

    #[test]
    fn a_path_is_in_the_volume_with_the_longest_path_before_it() {
        let host = host(&json!({
            "containers": [{"volumeMounts": [
                {"name": "data", "mountPath": "/data"}, {"name": "out", "mountPath": "/data/out/"},
            ]}],
            "volumes": [{"name": "data", "hostPath": {"path": "/x"}}, {"name": "out", "emptyDir": {"sizeLimit": "50Gi"}}],
        }));
        let named = |path: &str| host.mount_of(path).map(|mount| mount.volume.as_str());
        assert_eq!(named("/data/out/checkpoints"), Some("out"));
        assert_eq!(named("/data/outside"), Some("data"));
        assert_eq!(named("/database"), None);
        assert_eq!(host.mount_of("/data/out").unwrap().size, Some(Bytes::from_mib(50 << 10)));
    }
}
