//! The other objects that a workload refers to: ConfigMaps of its pods' files and variables, claims of devices, a runtime.
//!
//! A reading sees only these ConfigMaps, so every other object that gives a value is in this list. They have the names
//! that the request uses. A ConfigMap that only a runtime names stays unnamed.

use serde_json::Value;

use crate::job::Hidden;
use crate::kinds::PodGroup;
use crate::printable::printable;
use crate::surroundings::{CONFIG_MAP, ConfigMaps, Surroundings};

/// The most references that are followed. The rest is not read.
const MAX_FOLLOWED: usize = 4_096;
/// The longest name of an object in a message.
const LONGEST_NAME: usize = 40;
/// The longest name that is compared. Readers cut names at the same length.
const LONGEST_COMPARED: usize = 80;
/// The most objects that are named.
const MAX_NAMED: usize = 64;

/// The other objects that a workload refers to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Others {
    /// The namespace in which it refers to them.
    namespace: String,
    /// The runtimes that completed it, as the request names them.
    runtimes: Vec<String>,
    /// ConfigMaps and claims that its pods refer to.
    objects: Vec<Reference>,
}

/// A reference to another object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reference {
    kind: &'static str,
    name: String,
    /// The key of a ConfigMap, if the reference names one.
    key: Option<String>,
}

impl Reference {
    /// Its name in messages: `ConfigMap train key model`.
    fn shown(&self) -> String {
        let name = printable(&self.name, LONGEST_NAME);
        match &self.key {
            Some(key) => format!("{} {name} key {}", self.kind, printable(key, LONGEST_NAME)),
            None => format!("{} {name}", self.kind),
        }
    }

    fn is_in(&self, around: &Surroundings, namespace: &str) -> bool {
        match self.kind {
            CONFIG_MAP => around.config_maps.get(namespace, &self.name).is_some(),
            kind => around.documents.get(kind, namespace, &self.name).is_some(),
        }
    }
}

impl Others {
    /// Whether at least one of them exists.
    pub(super) fn are_in(&self, around: &Surroundings) -> bool {
        let is_there = |reference: &Reference| reference.is_in(around, &self.namespace);
        !self.runtimes.is_empty() || self.objects.iter().any(is_there)
    }

    /// The ConfigMaps that it refers to.
    pub(super) fn config_maps(&self, around: &Surroundings) -> ConfigMaps {
        let mut config_maps = ConfigMaps::default();
        for reference in self.objects.iter().filter(|reference| reference.kind == CONFIG_MAP) {
            if let Some(data) = around.config_maps.share(&self.namespace, &reference.name) {
                config_maps.put(&self.namespace, &reference.name, data);
            }
        }
        config_maps
    }

    /// With the names that appear in a reading without the others: these names are in the request.
    pub(super) fn named_as(self, own: Self) -> Self {
        Self { objects: own.objects, ..self }
    }

    /// The names that stand for their values when those are hidden. Only objects that exist have one.
    pub(super) fn hidden_among(&self, around: &Surroundings) -> Hidden {
        let there = self.objects.iter().filter(|reference| reference.is_in(around, &self.namespace));
        let mut objects = self.runtimes.clone();
        for shown in there.map(Reference::shown).take(MAX_NAMED) {
            if !objects.contains(&shown) {
                objects.push(shown);
            }
        }
        let maps = self.objects.iter().filter(|reference| reference.kind == CONFIG_MAP);
        let config_maps = maps.map(|reference| printable(&reference.name, LONGEST_COMPARED)).collect();
        let named = self.objects.iter();
        let named = named.map(|r| format!("{} {}", r.kind, printable(&r.name, LONGEST_COMPARED))).collect();
        Hidden { objects, config_maps, named }
    }

    fn refer(&mut self, kind: &'static str, name: Option<&str>, key: Option<&str>) {
        let Some(name) = name.filter(|_| self.objects.len() < MAX_FOLLOWED) else { return };
        self.objects.push(Reference { kind, name: name.to_owned(), key: key.map(str::to_owned) });
    }
}

/// The other objects that groups of pods refer to, and the runtimes that completed their object.
pub(super) fn of(groups: &[PodGroup<'_>], runtimes: Vec<String>, namespace: &str) -> Others {
    let mut others = Others { namespace: namespace.to_owned(), runtimes, objects: Vec::new() };
    for group in groups {
        for claim in list(group.template, "/spec/resourceClaims") {
            others.refer("ResourceClaimTemplate", text(claim, "/resourceClaimTemplateName"), None);
            others.refer("ResourceClaim", text(claim, "/resourceClaimName"), None);
        }
        for volume in list(group.template, "/spec/volumes") {
            for source in std::iter::once(volume).chain(list(volume, "/projected/sources")) {
                others.refer(CONFIG_MAP, text(source, "/configMap/name"), None);
            }
        }
        let containers = ["/spec/initContainers", "/spec/containers"];
        for container in containers.iter().flat_map(|at| list(group.template, at)) {
            for source in list(container, "/envFrom") {
                others.refer(CONFIG_MAP, text(source, "/configMapRef/name"), None);
            }
            for variable in list(container, "/env") {
                let of_map = |field: &str| text(variable, &format!("/valueFrom/configMapKeyRef/{field}"));
                if variable.get("valueFrom").is_some() {
                    others.refer(CONFIG_MAP, of_map("name"), of_map("key"));
                }
            }
        }
    }
    others
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}
