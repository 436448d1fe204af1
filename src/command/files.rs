//! The files that a container can read, as far as they are known: keys of mounted ConfigMaps, and files that a script
//! writes before it starts the training.
//!
//! ```text
//! volumes[].configMap | volumes[].projected.sources[].configMap ─► volumeMounts[] (mountPath, subPath) ─► path ─► text
//! ```
//!
//! Without `items` every key of a ConfigMap is a file of its name. With `items` only the listed keys are files, at
//! their paths. Of any other volume (an emptyDir, a claim, a Secret) only those files are known that an init container puts
//! there ([`prepared`](super::prepared)).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::command::Branch;
use crate::job::{Gap, Source};
use crate::printable::printable;
use crate::surroundings::Surroundings;

/// The most mounts, volumes and files that are read.
const MAX_MOUNTS: usize = 256;
const MAX_VOLUMES: usize = 256;
const MAX_FILES: usize = 512;
/// The most bytes of all files together. One ConfigMap has a mebibyte at most.
const MAX_BYTES: usize = 4 << 20;

/// Files by their absolute paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    by_path: BTreeMap<String, File>,
    /// The working directory, if it is known.
    directory: Option<String>,
    /// The mounts of volumes, each with the ConfigMap that fills it, if one does and ConfigMaps are read.
    mounts: Arc<[(String, Option<String>)]>,
    /// Whether some files are left out.
    may_have_more: bool,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    /// Its text.
    pub(crate) text: Arc<str>,
    /// The source of the text, for provenance: `ConfigMap training-config key config.yaml`.
    pub(crate) source: Source,
    /// The branches that write it. Outside of them its text is not known.
    pub(crate) branches: Vec<Branch>,
}

impl File {
    /// Whether the file has this text in these branches.
    pub(crate) fn is_certain_in(&self, branches: &[Branch]) -> bool {
        branches.starts_with(&self.branches)
    }
}

impl Files {
    /// The files that a container of a pod template finds in its mounts.
    pub(crate) fn of(template: &Value, container: &Value, around: &Surroundings, namespace: &str) -> Self {
        let mut files = Self {
            may_have_more: list(container, "/volumeMounts").nth(MAX_MOUNTS).is_some()
                || list(template, "/spec/volumes").nth(MAX_VOLUMES).is_some(),
            ..Self::default()
        };
        let (mut mounts, mut bytes) = (Vec::new(), 0usize);
        for mount in list(container, "/volumeMounts").take(MAX_MOUNTS) {
            let (Some(volume), Some(at)) = (text(mount, "name"), text(mount, "mountPath")) else { continue };
            let named = |candidate: &&Value| text(candidate, "name") == Some(volume);
            let Some(volume) = list(template, "/spec/volumes").take(MAX_VOLUMES).find(named) else {
                continue;
            };
            let part = text(mount, "subPath").map(clean).filter(|part| !part.is_empty());
            let filled_by = sources(volume).find_map(|source| text(source, "name"));
            let filled_by = filled_by.filter(|_| around.reads.config_maps);
            mounts.push((format!("/{}", clean(at)), filled_by.map(|name| printable(name, 80))));
            for source in sources(volume) {
                let is_full = bytes > MAX_BYTES || files.by_path.len() >= MAX_FILES;
                let keys = if is_full { Vec::new() } else { keys(source, around, namespace) };
                files.may_have_more |= is_full;
                for (path, file) in keys {
                    let Some(path) = mounted(at, part.as_deref(), &path) else { continue };
                    bytes = bytes.saturating_add(file.text.len());
                    if bytes > MAX_BYTES || files.by_path.len() >= MAX_FILES {
                        files.may_have_more = true;
                        break;
                    }
                    files.by_path.insert(path, file);
                }
            }
        }
        for (path, text) in around.files.iter() {
            let source = Source::Given { path: printable(path, 80) };
            files.by_path.insert(path.clone(), File { text: text.clone(), source, branches: Vec::new() });
        }
        files.mounts = mounts.into();
        files
    }

    /// Why a file that a command starts is not known: its ConfigMap is absent, or has no such key, or there are too
    /// many files. None if there is no such reason.
    pub(crate) fn missing(&self, path: &str) -> Option<Gap> {
        if self.get(path).is_some() {
            return None;
        }
        let within = |at: &str| {
            let rest = path.strip_prefix(at.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // The innermost of nested mounts counts.
        let mount = self.mounts.iter().filter(|(at, _)| within(at)).max_by_key(|(at, _)| at.len());
        let absent = mount.and_then(|(_, filled_by)| filled_by.as_ref());
        let absent = absent.map(|name| Gap::Absent(format!("ConfigMap {name}")));
        let more = || (self.may_have_more && path.starts_with('/')).then_some(Gap::Files);
        absent.or_else(more)
    }

    /// Adds a file.
    #[cfg(test)]
    pub(crate) fn add(&mut self, path: &str, text: Arc<str>, source: Source) {
        self.add_in(path, text, source, &[]);
    }

    /// Adds a file that is written in branches.
    pub(crate) fn add_in(&mut self, path: &str, text: Arc<str>, source: Source, branches: &[Branch]) {
        self.by_path.insert(path.to_owned(), File { text, source, branches: branches.to_vec() });
    }

    /// Whether one of these words names a file that is not certain in these branches.
    pub(crate) fn any_uncertain_in<'w>(
        &self,
        branches: &[Branch],
        mut words: impl Iterator<Item = &'w str>,
    ) -> bool {
        let is_open = |file: &File| !file.is_certain_in(branches);
        let names_one = |word: &str| {
            let value = word.split_once('=').map_or(word, |(_, value)| value);
            self.meant(value).or_else(|| self.meant(word)).is_some_and(is_open)
        };
        self.by_path.values().any(is_open) && words.any(names_one)
    }

    /// Drops the files that are not certain in these branches.
    pub(crate) fn certain_in(mut self, branches: &[Branch]) -> Self {
        self.by_path.retain(|_, file| file.is_certain_in(branches));
        self
    }

    /// Whether a ConfigMap fills the mount at this path, and ConfigMaps are read.
    pub(crate) fn is_config_map(&self, at: &str) -> bool {
        self.mounts.iter().any(|(mount, filled_by)| mount == at && filled_by.is_some())
    }

    /// All files by path.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &File)> {
        self.by_path.iter()
    }

    /// The files at a path, or in a folder, or under `folder/*`, each with its path after a copy. A target may be a
    /// file or a folder, so both paths are given.
    pub(crate) fn copies(&self, from: &str, to: &str) -> Vec<(String, File)> {
        let to = to.trim_end_matches('/');
        let from = from.trim_end_matches('*').trim_end_matches('/');
        let name = from.rsplit('/').next().unwrap_or_default();
        if let Some(file) = self.get(from) {
            return vec![(to.to_owned(), file.clone()), (format!("{to}/{name}"), file.clone())];
        }
        let within = self.by_path.iter().filter_map(|(path, file)| {
            let rest = path.strip_prefix(from)?.strip_prefix('/')?;
            Some([(format!("{to}/{rest}"), file.clone()), (format!("{to}/{name}/{rest}"), file.clone())])
        });
        within.flatten().collect()
    }

    /// Drops a file.
    pub(crate) fn remove(&mut self, path: &str) {
        self.by_path.remove(path);
    }

    /// The same files, seen from a working directory.
    pub(crate) fn seen_from(&self, directory: Option<&str>) -> Self {
        Self { directory: directory.map(str::to_owned), ..self.clone() }
    }

    /// The file at a path.
    pub(crate) fn get(&self, path: &str) -> Option<&File> {
        self.by_path.get(path).or_else(|| self.by_path.get(&absolute(self.directory.as_deref(), path)))
    }

    /// The file that a program means by a path: the file at that path, or, for a relative path, the only file that
    /// ends in it.
    pub(crate) fn meant(&self, path: &str) -> Option<&File> {
        if let Some(file) = self.get(path) {
            return Some(file);
        }
        let plain = plain(path);
        if plain.is_empty() || path.starts_with('/') {
            return None;
        }
        let ends = |known: &str| known.strip_suffix(&plain).is_some_and(|folder| folder.ends_with('/'));
        let mut ending = self.by_path.iter().filter(|(known, _)| known.as_str() == path || ends(known));
        match (ending.next(), ending.next()) {
            (Some((_, file)), None) => Some(file),
            _ => None,
        }
    }
}

pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

/// Makes a path absolute, if the working directory is known, and leaves out `.` and the folders that `..` leaves.
pub(crate) fn absolute(directory: Option<&str>, path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let path = match directory {
        Some(directory) if !path.starts_with('/') => format!("{}/{path}", directory.trim_end_matches('/')),
        _ => path.to_owned(),
    };
    if path.starts_with('/') && has_dots(&path) { format!("/{}", plain(&path)) } else { path }
}

fn has_dots(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "." | ".."))
}

/// A path without `.` and without the folders that `..` leaves.
fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The ConfigMaps of a volume.
fn sources(volume: &Value) -> impl Iterator<Item = &Value> {
    let projected = list(volume, "/projected/sources").take(MAX_VOLUMES);
    volume.get("configMap").into_iter().chain(projected.filter_map(|source| source.get("configMap")))
}

/// The files that a ConfigMap puts into a volume, by their paths in it.
fn keys(source: &Value, around: &Surroundings, namespace: &str) -> Vec<(String, File)> {
    let Some(name) = text(source, "name") else { return Vec::new() };
    let Some(data) = around.config_maps.get(namespace, name) else { return Vec::new() };
    let file = |key: &str, text: &Arc<str>| File {
        text: text.clone(),
        source: Source::ConfigMap { name: printable(name, 80), key: printable(key, 80) },
        branches: Vec::new(),
    };
    match source.get("items").and_then(Value::as_array).filter(|items| !items.is_empty()) {
        Some(items) => {
            let items = items.iter().take(MAX_FILES + 1).filter_map(|item| {
                let (key, path) = (text(item, "key")?, text(item, "path")?);
                Some((clean(path), file(key, data.get(key)?)))
            });
            items.collect()
        }
        None => data.iter().take(MAX_FILES + 1).map(|(key, text)| (key.clone(), file(key, text))).collect(),
    }
}

/// The absolute path of a volume's file, if the mount shows it.
fn mounted(at: &str, part: Option<&str>, path: &str) -> Option<String> {
    let at = format!("/{}", clean(at));
    let within = match part {
        None => path,
        // `subPath` is a file: it lies at the mount's own path.
        Some(part) if part == path => return Some(at),
        Some(part) => path.strip_prefix(part)?.strip_prefix('/')?,
    };
    Some(format!("{}/{within}", at.trim_end_matches('/')))
}

/// A path without empty parts and dots.
pub(crate) fn clean(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::surroundings::ConfigMaps;

    #[expect(clippy::needless_pass_by_value, reason = "json! makes values")]
    fn paths(volumes: Value, mounts: Value) -> Vec<(String, String, String)> {
        let data = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, text)| ((*key).to_owned(), Arc::from(*text))).collect()
        };
        let mut maps = ConfigMaps::default();
        maps.add("team", "train", data(&[("config.yaml", "a: 1"), ("run.sh", "torchrun x.py")]));
        maps.add("team", "other", data(&[("ds.json", "{}")]));
        maps.add("elsewhere", "train", data(&[("config.yaml", "b: 2")]));
        let (template, container) = (json!({"spec": {"volumes": volumes}}), json!({"volumeMounts": mounts}));
        let around = Surroundings { config_maps: Arc::new(maps), ..Surroundings::default() };
        let files = Files::of(&template, &container, &around, "team").by_path;
        files.into_iter().map(|(path, file)| (path, file.text.to_string(), file.source.to_string())).collect()
    }

    fn file(path: &str, text: &str, source: &str) -> (String, String, String) {
        (path.to_owned(), text.to_owned(), source.to_owned())
    }

    #[test]
    fn every_key_is_a_file_under_the_mount() {
        let volumes = json!([{"name": "v", "configMap": {"name": "train"}}, {"name": "w", "emptyDir": {}}]);
        let mounts = json!([{"name": "v", "mountPath": "/etc/train/"}, {"name": "w", "mountPath": "/tmp"}]);
        assert_eq!(
            paths(volumes, mounts),
            [
                file("/etc/train/config.yaml", "a: 1", "ConfigMap train key config.yaml"),
                file("/etc/train/run.sh", "torchrun x.py", "ConfigMap train key run.sh"),
            ]
        );
    }

    #[test]
    fn items_and_sub_paths_choose_files_and_name_them() {
        let volumes = json!([
            {"name": "v", "configMap": {"name": "train", "items": [
                {"key": "config.yaml", "path": "conf/run.yaml"}, {"key": "absent", "path": "x"},
            ]}},
            {"name": "all", "configMap": {"name": "train"}},
        ]);
        let mounts = json!([
            {"name": "v", "mountPath": "/a"},
            {"name": "v", "mountPath": "/b", "subPath": "conf"},
            {"name": "all", "mountPath": "/work/start.sh", "subPath": "run.sh"},
        ]);
        let source = "ConfigMap train key config.yaml";
        assert_eq!(
            paths(volumes, mounts),
            [
                file("/a/conf/run.yaml", "a: 1", source),
                file("/b/run.yaml", "a: 1", source),
                file("/work/start.sh", "torchrun x.py", "ConfigMap train key run.sh"),
            ]
        );
    }

    #[test]
    fn projected_volumes_join_config_maps_and_secrets_stay_closed() {
        let volumes = json!([{"name": "v", "projected": {"sources": [
            {"configMap": {"name": "other"}}, {"secret": {"name": "train"}}, {"configMap": {"name": "nowhere"}},
        ]}}, {"name": "s", "secret": {"secretName": "train"}}]);
        let mounts =
            json!([{"name": "v", "mountPath": "/"}, {"name": "s", "mountPath": "/s"}, {"mountPath": 1}]);
        assert_eq!(paths(volumes, mounts), [file("/ds.json", "{}", "ConfigMap other key ds.json")]);
    }
}
