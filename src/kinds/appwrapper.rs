//! workload.codeflare.dev/v1beta2 AppWrapper: other objects, in a list of components.
//!
//! Each component is read as an object of its own kind. A wrapper in a wrapper is not read. A wrapper is for training
//! if one of its components is.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::kinds::pods::MAX_GROUPS;
use crate::kinds::{BLANK, Completed, Entrypoint, Kind, Makes, PodGroup, Pods, built_in};
use crate::surroundings::Surroundings;

pub(crate) const KIND: Kind = Kind {
    group: "workload.codeflare.dev",
    versions: &["v1beta2"],
    kind: "AppWrapper",
    plural: "appwrappers",
    slug: "appwrapper",
    makes: Makes::Every,
    suspend: Some("/spec/suspend"),
    placements: &["/spec/components"],
    pods: Pods::Own(pod_groups),
    lists: &["/spec/components"],
    inner: Some(inner),
    complete: Some(complete),
    entrypoint: Some(entrypoint),
    model: Some(model),
    ..BLANK
};

/// The objects of the components, each with its kind and its path.
fn components(object: &Value) -> impl Iterator<Item = (&Value, &'static Kind, String)> {
    let components = object.pointer("/spec/components").and_then(Value::as_array).into_iter().flatten();
    components.take(MAX_GROUPS).enumerate().filter_map(|(number, component)| {
        let inner = component.get("template")?;
        let kind = built_in(inner).filter(|kind| kind.slug != KIND.slug)?;
        Some((inner, kind, format!("spec.components[{number}].template")))
    })
}

fn pod_groups(object: &Value) -> Vec<PodGroup<'_>> {
    let groups = components(object).flat_map(|(inner, kind, at)| {
        kind.pod_groups(inner).into_iter().map(move |group| {
            // A pod is its own template.
            let path = if group.path.is_empty() { at.clone() } else { format!("{at}.{}", group.path) };
            PodGroup { path, ..group }
        })
    });
    groups.take(MAX_GROUPS).collect()
}

fn inner(object: &Value) -> Vec<(&Value, String)> {
    let inner = components(object).flat_map(|(inner, kind, at)| {
        let within = kind.inner_objects(inner).into_iter().map({
            let at = at.clone();
            move |(object, path)| (object, format!("{at}.{path}"))
        });
        std::iter::once((inner, at)).chain(within.collect::<Vec<_>>())
    });
    inner.take(MAX_GROUPS).collect()
}

fn complete(object: &Value, around: &Surroundings) -> Completed<'static> {
    let mut whole = object.clone();
    let mut made_by = Completed::by_itself(Cow::Owned(Value::Null));
    let namespace = object.pointer("/metadata/namespace").cloned();
    let components = whole.pointer_mut("/spec/components").and_then(Value::as_array_mut);
    for component in components.into_iter().flatten().take(MAX_GROUPS) {
        let Some(inner) = component.get_mut("template") else { continue };
        let Some(complete) = built_in(inner).and_then(|kind| kind.complete) else { continue };
        if std::ptr::fn_addr_eq(complete, self::complete as fn(&Value, &Surroundings) -> Completed<'static>) {
            continue;
        }
        // Its controller makes the objects in the wrapper's own namespace.
        if let (Some(namespace), Some(metadata)) = (
            &namespace,
            inner.as_object_mut().map(|fields| fields.entry("metadata").or_insert_with(|| json!({}))),
        ) && let Some(metadata) = metadata.as_object_mut()
        {
            metadata.insert("namespace".into(), namespace.clone());
        }
        let made = complete(inner, around);
        *inner = made.object.into_owned();
        made_by.by.extend(made.by);
        made_by.absent = made_by.absent.or(made.absent);
        made_by.is_cut |= made.is_cut;
    }
    Completed { object: Cow::Owned(whole), ..made_by }
}

fn entrypoint(object: &Value) -> Option<Entrypoint<'_>> {
    components(object).find_map(|(inner, kind, _)| kind.entrypoint.and_then(|entrypoint| entrypoint(inner)))
}

fn model(object: &Value) -> Option<(String, &'static str)> {
    components(object).find_map(|(inner, kind, _)| kind.model.and_then(|model| model(inner)))
}
