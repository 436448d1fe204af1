//! Fingerprints over the manifests in the shapes of public ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use weighbridge::hardware::Catalogue;
use weighbridge::kinds::Kinds;
use weighbridge::learn::fingerprint::fingerprint;
use weighbridge::surroundings::Surroundings;

/// Every object of a known kind in the manifests and cases of the tests and in the examples, with the place where it stands.
fn workloads() -> Vec<(String, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["tests/manifests", "tests/cases", "examples"] {
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, document) in text.split("\n---").enumerate() {
            let Ok(object) = serde_saphyr::from_str::<Value>(document) else { continue };
            if Kinds::built_in().of(&object).is_some() {
                found.push((format!("{} {number}", file.display()), object));
            }
        }
    }
    found
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml") {
            files.push(path);
        }
    }
}

fn hash(object: &Value) -> Option<String> {
    let kind = Kinds::built_in().of(object).unwrap();
    fingerprint(kind, object, Some("h100"), &Surroundings::default(), Catalogue::builtin())
}

#[test]
fn a_workload_of_another_name_is_a_run_of_the_same_job() {
    let all = workloads();
    let known: Vec<_> =
        all.iter().filter_map(|(place, object)| Some((place, object, hash(object)?))).collect();
    assert!(known.len() > 20, "{} of {} have a fingerprint", known.len(), all.len());
    for (place, object, before) in &known {
        let mut renamed = (*object).clone();
        renamed["metadata"] = json!({
            "name": "another", "namespace": object["metadata"]["namespace"],
            "annotations": object["metadata"]["annotations"], "labels": {"run": "2"}, "uid": "u",
        });
        renamed["status"] = json!({"startTime": "2026-01-01T00:00:00Z"});
        assert_eq!(hash(&renamed).as_ref(), Some(before), "{place}");
    }
}

#[test]
fn different_jobs_seldom_share_a_fingerprint() {
    let mut by_hash: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (place, object) in workloads() {
        if let Some(hash) = hash(&object) {
            by_hash.entry(hash).or_default().push(place);
        }
    }
    let shared: Vec<_> = by_hash.values().filter(|places| places.len() > 1).collect();
    assert!(shared.len() * 20 < by_hash.len(), "{} of {}: {shared:#?}", shared.len(), by_hash.len());
}
