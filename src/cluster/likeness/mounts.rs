//! The ConfigMaps that a container mounts.

use serde_json::Value;

use super::trainer::Pod;
use super::{LIMIT, hash, hash_of_text, operators};

/// A ConfigMap that a container mounts, by hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    path: u64,
    /// The hash of the path, the ConfigMap's name and the mounted keys.
    source_hash: u64,
    /// Whether operators mount their own ConfigMaps at this path.
    by_operators: bool,
}

/// The ConfigMaps that a container mounts, and their texts.
pub(super) fn of<'a>(container: &Value, pod: &Pod<'a>) -> (Vec<Mount>, Vec<&'a str>) {
    let volumes = pod.template.pointer("/spec/volumes").and_then(Value::as_array);
    let (mut found, mut texts) = (Vec::new(), Vec::new());
    for mount in container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten().take(LIMIT) {
        let named = |volume: &&Value| volume.get("name").is_some() && volume.get("name") == mount.get("name");
        let Some(volume) = volumes.into_iter().flatten().find(named) else { continue };
        let projected = volume.pointer("/projected/sources").and_then(Value::as_array).into_iter().flatten();
        let path = mount.get("mountPath").and_then(Value::as_str).unwrap_or_default().trim_end_matches('/');
        let by_operators = operators::mount_at(path);
        for source in std::iter::once(volume).chain(projected).filter_map(|source| source.get("configMap")) {
            if found.len() >= LIMIT {
                return (found, texts);
            }
            let source_hash = hash(&[
                Some(&Value::from(path)),
                mount.get("subPath"),
                mount.get("subPathExpr"),
                source.get("name"),
                source.get("items"),
            ]);
            found.push(Mount { path: hash_of_text(path), source_hash, by_operators });
            let name = source.get("name").and_then(Value::as_str).unwrap_or_default();
            let data = pod.config_maps.get(pod.namespace, name);
            texts.extend(data.into_iter().flat_map(|data| data.values()).map(|text| &**text));
        }
    }
    (found, texts)
}

/// Whether the child mounts no other ConfigMaps. Operators may mount theirs at paths that the owner does not use.
pub(super) fn include(own: &[Mount], child: &[Mount]) -> bool {
    child.iter().all(|mount| {
        let mut own_mounts = own.iter().filter(|own| own.path == mount.path).peekable();
        (mount.by_operators && own_mounts.peek().is_none())
            || own_mounts.any(|own| own.source_hash == mount.source_hash)
    })
}
