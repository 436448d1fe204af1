//! The volumes of the container that trains, and its /dev/shm.
//!
//! A volume's size is known if the pod gives it (`emptyDir.sizeLimit`, `ephemeral.volumeClaimTemplate`), or if the claim is among
//! the documents. A claim's size is `status.capacity.storage`, else what it requests.

use serde_json::Value;

use super::MOST;
use super::memory::quantity;
use crate::surroundings::{Documents, VOLUME_CLAIM};
use crate::units::Bytes;

const SHARED_MEMORY: &str = "/dev/shm";

/// What a container has at /dev/shm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedMemory {
    /// The container runtime's own: 64 MiB.
    Unmounted,
    /// A volume in memory of at most this size.
    Sized(Bytes),
    /// A volume in memory without a size: bounded by the pod's memory.
    Unsized,
    /// The node's own, or a volume that is not known.
    Others,
}

/// Where a volume's data lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In memory.
    Memory,
    /// On the node's local disk, among the pod's own files.
    Local,
    /// Elsewhere: a claim, a path of the node, a network file system.
    Elsewhere,
}

/// A volume that the container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its path in the container.
    pub path: String,
    /// Its name in the pod.
    pub volume: String,
    /// Where its data lies.
    pub store: Store,
    /// Its size, if that is known.
    pub size: Option<Bytes>,
    /// Whether another object gives the size.
    pub elsewhere: bool,
    /// How messages name it: `the claim checkpoints`.
    pub named: String,
}

/// The volumes that a container sees.
pub(super) fn mounts(
    template: &Value,
    container: &Value,
    documents: &Documents,
    namespace: &str,
) -> Vec<Mount> {
    let list = |owner: &Value, pointer: &str| -> Vec<Value> {
        owner
            .pointer(pointer)
            .and_then(Value::as_array)
            .map(|list| list.iter().take(MOST).cloned().collect())
            .unwrap_or_default()
    };
    let volumes = list(template, "/spec/volumes");
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let mount = |mount: &Value| {
        let (path, volume) = (text(mount, "mountPath")?, text(mount, "name")?);
        let declared = volumes.iter().find(|declared| text(declared, "name").as_deref() == Some(&volume));
        let (store, size, named) = declared.map_or_else(
            || (Store::Elsewhere, None, format!("the volume {volume}")),
            |declared| of_volume(declared, &volume, documents, namespace),
        );
        let elsewhere = size.is_some() && declared.is_some_and(|d| d.pointer(CLAIM).is_some());
        Some(Mount { path, volume, store, size, elsewhere, named })
    };
    list(container, "/volumeMounts").iter().filter_map(mount).collect()
}

fn of_volume(
    declared: &Value,
    volume: &str,
    documents: &Documents,
    namespace: &str,
) -> (Store, Option<Bytes>, String) {
    let named = format!("the volume {volume}");
    if let Some(empty) = declared.get("emptyDir") {
        let in_memory = empty.get("medium").and_then(Value::as_str) == Some("Memory");
        let store = if in_memory { Store::Memory } else { Store::Local };
        return (store, empty.get("sizeLimit").and_then(quantity), named);
    }
    if let Some(template) = declared.pointer("/ephemeral/volumeClaimTemplate") {
        return (Store::Elsewhere, template.pointer(REQUESTED).and_then(quantity), named);
    }
    if let Some(claim) = declared.pointer(CLAIM).and_then(Value::as_str) {
        let object = documents.get(VOLUME_CLAIM, namespace, claim);
        let size = object.and_then(|object| {
            let bound = object.pointer("/status/capacity/storage").and_then(quantity);
            bound.or_else(|| object.pointer(REQUESTED).and_then(quantity))
        });
        return (Store::Elsewhere, size, format!("the claim {claim}"));
    }
    (Store::Elsewhere, None, named)
}

const CLAIM: &str = "/persistentVolumeClaim/claimName";
const REQUESTED: &str = "/spec/resources/requests/storage";

/// What the container has at /dev/shm.
pub(super) fn shared_memory(template: &Value, mounts: &[Mount]) -> SharedMemory {
    if template.pointer("/spec/hostIPC").and_then(Value::as_bool) == Some(true) {
        return SharedMemory::Others;
    }
    let at = |mount: &&Mount| mount.path.trim_end_matches('/') == SHARED_MEMORY;
    match mounts.iter().find(at).map(|mount| (mount.store, mount.size)) {
        None => SharedMemory::Unmounted,
        Some((Store::Memory, Some(size))) => SharedMemory::Sized(size),
        Some((Store::Memory, None)) => SharedMemory::Unsized,
        Some((Store::Local | Store::Elsewhere, _)) => SharedMemory::Others,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn at(volume: &Value, more: &Value) -> SharedMemory {
        let mut template = json!({"spec": {"volumes": [volume], "containers": [{}]}});
        template["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let container = json!({"volumeMounts": [{"name": "dshm", "mountPath": "/dev/shm/"}]});
        let mounts = mounts(&template, &container, &Documents::default(), "");
        shared_memory(&template, &mounts)
    }

    #[test]
    fn shared_memory_is_what_is_mounted_there() {
        let none = json!({});
        let in_memory = |more: Value| {
            let mut empty = json!({"medium": "Memory"});
            empty.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"name": "dshm", "emptyDir": empty})
        };
        let eight = SharedMemory::Sized(Bytes::from_mib(8 << 10));
        assert_eq!(at(&in_memory(json!({"sizeLimit": "8Gi"})), &none), eight);
        assert_eq!(at(&in_memory(json!({})), &none), SharedMemory::Unsized);
        assert_eq!(
            at(&json!({"name": "dshm", "hostPath": {"path": "/dev/shm"}}), &none),
            SharedMemory::Others
        );
        assert_eq!(at(&in_memory(json!({})), &json!({"hostIPC": true})), SharedMemory::Others);
        assert_eq!(shared_memory(&json!({}), &[]), SharedMemory::Unmounted);
    }

    #[test]
    fn a_claim_has_the_size_that_it_got_or_that_it_asks_for() {
        let size = |claim: Value| {
            let mut documents = Documents::default();
            documents.add("PersistentVolumeClaim", "ml", "checkpoints", Arc::new(claim));
            let template = json!({"spec": {"volumes": [
                {"name": "out", "persistentVolumeClaim": {"claimName": "checkpoints"}},
            ]}});
            let container = json!({"volumeMounts": [{"name": "out", "mountPath": "/out"}]});
            mounts(&template, &container, &documents, "ml").first().and_then(|mount| mount.size)
        };
        let asks = json!({"spec": {"resources": {"requests": {"storage": "200Gi"}}}});
        let got = json!({
            "spec": {"resources": {"requests": {"storage": "200Gi"}}},
            "status": {"capacity": {"storage": "256Gi"}},
        });
        assert_eq!(size(asks), Some(Bytes::from_mib(200 << 10)));
        assert_eq!(size(got), Some(Bytes::from_mib(256 << 10)));
        assert_eq!(size(json!({})), None);
    }
}
