//! The objects of a document: lists are flattened. A document without kind and version is something else, and one that has
//! only one of the two is an error.

use serde_json::{Map, Value};

use super::Unreadable;
use crate::report::Place;

/// Whether a document is no Kubernetes object: a mapping with neither a kind nor a version, such as a workflow.
pub(super) fn is_something_else(document: &Value) -> bool {
    let mapping = document.as_object();
    mapping.is_some_and(|mapping| !mapping.contains_key("apiVersion") && !mapping.contains_key("kind"))
}

/// The objects of a document: itself, or the items of a `List` and of typed lists like `JobList`, in their order.
pub(super) fn flatten(place: &Place, document: Value) -> Vec<Result<Value, Unreadable>> {
    let mut objects = Vec::new();
    // Lists may hold lists. A stack is safe: the manifest decides how deep they are.
    let mut waiting = vec![document];
    while let Some(value) = waiting.pop() {
        match object(value) {
            Ok(mut object) => match items(&mut object) {
                Some(items) => waiting.extend(items.into_iter().rev()),
                None if object.get("kind").is_some_and(|kind| kind == "List") => {
                    let problem = "is a List whose items are not a list; write a list below items".to_owned();
                    objects.push(Err(Unreadable { place: place.clone(), problem }));
                }
                None => objects.push(Ok(Value::Object(object))),
            },
            Err(problem) => objects.push(Err(Unreadable { place: place.clone(), problem })),
        }
    }
    objects
}

/// An object with the two keys that identify its kind.
fn object(value: Value) -> Result<Map<String, Value>, String> {
    let Value::Object(object) = value else {
        return Err("is not a mapping; a Kubernetes object has apiVersion, kind and metadata".to_owned());
    };
    for key in ["apiVersion", "kind"] {
        match object.get(key) {
            Some(Value::String(text)) if !text.is_empty() => {}
            Some(_) => return Err(format!("{key} is not a string; write it as a string")),
            None => {
                return Err(format!(
                    "has no {key}, so it is not a Kubernetes object; add it, or remove the document"
                ));
            }
        }
    }
    Ok(object)
}

/// The items, if the object is a list.
fn items(object: &mut Map<String, Value>) -> Option<Vec<Value>> {
    let kind = object.get("kind")?.as_str()?.strip_suffix("List")?.to_owned();
    let api_version = object.get("apiVersion")?.clone();
    match object.get_mut("items")? {
        Value::Array(items) => {
            let mut items = std::mem::take(items);
            // The apiserver omits kind and version in the items of typed lists.
            for item in items.iter_mut().filter_map(Value::as_object_mut).filter(|_| !kind.is_empty()) {
                item.entry("apiVersion").or_insert_with(|| api_version.clone());
                item.entry("kind").or_insert_with(|| kind.clone().into());
            }
            Some(items)
        }
        // Go writes an empty list as null.
        Value::Null => Some(Vec::new()),
        _ => None,
    }
}
