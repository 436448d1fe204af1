//! Objects with one key have one judgement. Every manifest of the tree is changed at every place, a value at a time. Where the
//! key stays as it was, the judgement must stay as it was too.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use weighbridge::job::{Ask, Quoting};
use weighbridge::judge::{JudgementKey, judge};
use weighbridge::kinds::Kinds;
use weighbridge::policy::World;
use weighbridge::surroundings::Surroundings;

/// The manifests that can be read, with the documents of each.
fn manifests() -> Vec<(PathBuf, Vec<Value>)> {
    let files = ["tests/cases", "tests/manifests", "examples"].into_iter().flat_map(|folder| {
        let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path())
    });
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")).collect();
    files.sort();
    let documents = |path: PathBuf| {
        let documents = serde_saphyr::from_multiple::<Value>(&fs::read_to_string(&path).unwrap()).ok()?;
        Some((path, documents))
    };
    files.into_iter().filter_map(documents).collect()
}

/// The pointers of all values of an object.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    let mut below = |key: &str, value: &Value| {
        let at = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        pointers(value, &at, all);
        all.push(at);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| below(key, value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| below(&at.to_string(), value));
        }
        _ => {}
    }
}

/// An object that the apiserver has stored: with an identity, a status, and the labels that a controller derives.
fn stored(mut object: Value) -> Value {
    let identity = [
        ("uid", "1f3a"),
        ("resourceVersion", "7"),
        ("generation", "2"),
        ("creationTimestamp", "2026-01-01T00:00:00Z"),
        ("selfLink", "/apis"),
        ("generateName", "job-"),
        ("finalizers", "[]"),
        ("managedFields", "[]"),
    ];
    for (field, value) in identity {
        object["metadata"][field] = value.into();
    }
    if object.pointer("/spec/template/spec").is_some() {
        for label in ["controller-uid", "job-name", "batch.kubernetes.io/controller-uid"] {
            object["spec"]["template"]["metadata"]["labels"][label] = "1f3a".into();
        }
    }
    object["status"] =
        serde_json::json!({"active": 1, "conditions": [{"type": "Running", "status": "True"}]});
    object
}

#[test]
fn a_change_that_leaves_the_key_leaves_the_judgement() {
    let (mut changed, mut equal) = (0, 0);
    for (path, documents) in manifests() {
        let around = Surroundings::of(&documents, Kinds::built_in());
        let ask = Ask { quoting: Quoting::Everything, ..Ask::default() };
        let judged = |object: &Value| format!("{:?}", judge(object, &around, &World::built_in(), &ask));
        for object in documents.iter().filter(|object| object.is_object()) {
            let object = stored(object.clone());
            let (key, judgement) = (JudgementKey::of(&[], &object), judged(&object));
            let mut all = Vec::new();
            pointers(&object, "", &mut all);
            for pointer in all {
                let mut other = object.clone();
                *other.pointer_mut(&pointer).unwrap() = "another".into();
                changed += 1;
                if JudgementKey::of(&[], &other) == key {
                    equal += 1;
                    assert_eq!(judged(&other), judgement, "{}: {pointer}", path.display());
                }
            }
        }
    }
    assert!(equal > 300 && changed > 2 * equal, "{equal} of {changed} changes leave the key");
}
