//! Files that init containers put into a volume which a later container shares.
//!
//! ```text
//! init container: cp /config/train.py /work/   ─► volume work ─► container: /work/train.py
//! ```
//!
//! Only files that an init container writes for certain count: not in a branch, and with a text that is known. If a part
//! of its command is not read, its files are not known.
//!
//! Many charts flatten folders into the keys of a ConfigMap, and unfold them in a loop: the key `data--prepare.py` becomes
//! the file `data/prepare.py`. A loop over `ls` cannot be followed. So if the script names both folders, changes no file,
//! and no copy was read, each key is taken to be copied, under its own name and under the unfolded one.

use std::cell::LazyCell;
use std::collections::BTreeSet;

use serde_json::Value;

use super::environment::Environment;
use super::files::{File, Files, clean, list, text};
use super::run::{Budget, Run, Start};
use crate::kinds::PodGroup;
use crate::surroundings::Surroundings;

/// The most init containers of a pod that are read.
const MOST_INIT: usize = 8;
/// The most files of a pod that are kept.
const MOST_FILES: usize = 256;
/// What a file costs of the budget, in bytes.
const A_FILE: usize = 64;
/// Programs that change a file in its place.
const CHANGES: &[&str] = &["sed -i", "envsubst", "patch ", "perl -", "yq ", "jq "];

/// A file of a volume: the volume's name, the path in it, and the file.
pub(super) type Prepared = (String, String, File);

/// The files that the init containers of a pod put into its volumes.
pub(super) fn prepared(
    group: &PodGroup<'_>,
    budget: &mut Budget,
    around: &Surroundings,
    namespace: &str,
) -> Vec<Prepared> {
    let containers = list(group.template, "/spec/initContainers");
    let mut all = Vec::new();
    let shared = LazyCell::new(|| {
        let later = list(group.template, "/spec/containers");
        later.take(MOST_FILES).flat_map(mounts).map(|mount| mount.volume).collect::<BTreeSet<_>>()
    });
    let shares = |spec: &&Value| mounts(spec).any(|mount| shared.contains(mount.volume));
    for spec in containers.take(MOST_INIT).filter(shares) {
        if !budget.bytes(A_FILE) {
            break;
        }
        let before = Files::of(group.template, spec, around, namespace);
        if !budget.bytes(A_FILE * before.iter().count()) {
            break;
        }
        let mut files = before.clone();
        for mount in mounts(spec) {
            for (path, file) in of_volume(&all, mount) {
                files.add_in(&path, file.text, file.source, &[]);
            }
        }
        let environment = Environment::of(spec, around, namespace);
        let directory = spec.get("workingDir").and_then(Value::as_str).map(str::to_owned);
        let gaps = budget.gaps();
        let mut run = Run::new("init container", files, budget);
        run.container(spec, &Start::of(&environment, directory));
        let after = run.files;
        if budget.gaps() > gaps {
            continue;
        }
        for mount in mounts(spec).filter(|mount| !before.is_config_map(mount.at)) {
            let within = |(path, file): (&String, &File)| {
                let rest = relative(path, mount.at)?;
                let is_new = before.get(path).is_none_or(|known| known != file);
                (is_new && file.branches.is_empty())
                    .then(|| (mount.volume.to_owned(), rest.to_owned(), file.clone()))
            };
            let written: Vec<Prepared> = after.iter().filter_map(within).collect();
            let taken = if written.is_empty() { unfolded(spec, mount, &before) } else { written };
            all.extend(taken);
        }
        all.truncate(MOST_FILES);
    }
    all
}

/// Adds the prepared files to those that a container finds in its mounts.
pub(super) fn add(files: &mut Files, prepared: &[Prepared], container: &Value) {
    for mount in mounts(container) {
        for (path, file) in of_volume(prepared, mount) {
            files.add_in(&path, file.text, file.source, &[]);
        }
    }
}

/// A mount of a whole volume.
#[derive(Clone, Copy)]
struct Mount<'a> {
    volume: &'a str,
    /// Without a slash at its end.
    at: &'a str,
}

fn mounts(container: &Value) -> impl Iterator<Item = Mount<'_>> {
    let mounts = list(container, "/volumeMounts").take(MOST_FILES);
    mounts.filter(|mount| mount.get("subPath").is_none()).filter_map(|mount| {
        let at = text(mount, "mountPath")?.trim_end_matches('/');
        Some(Mount { volume: text(mount, "name")?, at }).filter(|mount| !mount.at.is_empty())
    })
}

/// A path seen from a folder.
fn relative<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    path.strip_prefix(folder)?.strip_prefix('/')
}

/// The prepared files of a mounted volume, by their paths in the container. A later one replaces an earlier one.
fn of_volume(prepared: &[Prepared], mount: Mount<'_>) -> Vec<(String, File)> {
    let own = prepared.iter().filter(|(volume, ..)| volume == mount.volume);
    own.map(|(_, path, file)| (format!("{}/{}", mount.at, clean(path)), file.clone())).collect()
}

/// The keys of a ConfigMap as a loop unfolds them into this mount.
fn unfolded(spec: &Value, mount: Mount<'_>, files: &Files) -> Vec<Prepared> {
    let words = list(spec, "/command").chain(list(spec, "/args"));
    let script: String = words.filter_map(Value::as_str).collect::<Vec<_>>().join("\n");
    let copies = script.contains("cp ") && !CHANGES.iter().any(|change| script.contains(change));
    if !copies || !script.contains(mount.at) {
        return Vec::new();
    }
    let sources = mounts(spec).filter(|source| files.is_config_map(source.at) && script.contains(source.at));
    let keys = sources.flat_map(|source| {
        files.iter().filter_map(move |(path, file)| Some((relative(path, source.at)?, file)))
    });
    let of_key = |(key, file): (&str, &File)| {
        let file = |path: String| (mount.volume.to_owned(), path, file.clone());
        let unfolded = key.replace("--", "/");
        let plain = (unfolded != key).then(|| file(key.to_owned()));
        plain.into_iter().chain([file(unfolded)]).collect::<Vec<_>>()
    };
    keys.flat_map(of_key).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::surroundings::{ConfigMaps, Reads};

    /// The files that a container finds at `/work`, behind an init container with this script.
    fn found(script: &str) -> Vec<(String, String)> {
        let mut maps = ConfigMaps::default();
        let data = [("data--prepare.py", "prepare"), ("train.py", "train")];
        maps.add("", "scripts", data.map(|(key, text)| (key.to_owned(), Arc::from(text))).into());
        let reads = Reads { config_maps: true, ..Reads::default() };
        let around = Surroundings { config_maps: Arc::new(maps), reads, ..Surroundings::default() };
        let mount = |name: &str, at: &str| json!({"name": name, "mountPath": at});
        let container = json!({"name": "m", "volumeMounts": [mount("work", "/work/")]});
        let template = json!({"spec": {
            "initContainers": [{
                "name": "i", "command": ["sh", "-c", script],
                "volumeMounts": [mount("scripts", "/flat"), mount("work", "/out")],
            }],
            "containers": [container],
            "volumes": [{"name": "scripts", "configMap": {"name": "scripts"}}, {"name": "work", "emptyDir": {}}],
        }});
        let group = PodGroup { role: "", template: &template, path: String::new(), replicas: Some(1) };
        let prepared = prepared(&group, &mut Budget::of_preparations(), &around, "");
        let mut files = Files::of(&template, &container, &around, "");
        add(&mut files, &prepared, &container);
        files.iter().map(|(path, file)| (path.clone(), file.text.to_string())).collect()
    }

    fn file(path: &str, text: &str) -> (String, String) {
        (path.to_owned(), text.to_owned())
    }

    #[test]
    fn a_copied_and_a_written_file_are_found_in_the_shared_volume() {
        assert_eq!(
            found("cp /flat/train.py /out/run.py"),
            [file("/work/run.py", "train"), file("/work/run.py/train.py", "train")]
        );
        assert_eq!(found("echo 'a: 1' > /out/config.yaml"), [file("/work/config.yaml", "a: 1\n")]);
    }

    #[test]
    fn a_loop_over_the_keys_unfolds_them() {
        let script = "for f in $(ls /flat); do cp /flat/$f /out/$(echo $f | sed 's/--/\\//g'); done";
        assert_eq!(
            found(script),
            [
                file("/work/data--prepare.py", "prepare"),
                file("/work/data/prepare.py", "prepare"),
                file("/work/train.py", "train"),
            ]
        );
    }

    #[test]
    fn a_file_that_is_changed_or_written_in_a_branch_is_not_known() {
        for script in [
            "for f in $(ls /flat); do sed -i s/a/b/ /flat/$f; cp /flat/$f /out/$f; done",
            "for f in $(ls /flat); do cp /flat/$f /elsewhere; done",
            "git clone https://example.com/code /out",
            "if [ -n \"$A\" ]; then echo a > /out/train.py; else echo b > /out/train.py; fi",
        ] {
            assert_eq!(found(script), [], "{script}");
        }
    }
}
