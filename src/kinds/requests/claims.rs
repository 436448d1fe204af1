//! Accelerators that pods claim (dynamic resource allocation): `resourceClaims` of the pod, which name claims or
//! templates of claims.
//!
//! A claim may be for a network card, so only device classes of accelerators count. The selectors name the product,
//! or the profile of a partition, in quotes; their other conditions are not read. Of alternatives the first is
//! judged, for the scheduler prefers it. Sources: kubernetes/api resource/v1; NVIDIA/k8s-dra-driver-gpu.

use serde_json::Value;

use crate::hardware::resources::{Resource, ResourceKind};
use crate::hardware::{Catalogue, Vendor, partition};
use crate::job::Gap;
use crate::printable::printable;
use crate::surroundings::{Documents, Surroundings};

/// The most claims, and the most requests, that are read.
const MAX: usize = 64;
/// The kinds that a pod may refer to.
const TEMPLATE: &str = "ResourceClaimTemplate";
const CLAIM: &str = "ResourceClaim";

/// Device classes of accelerators.
const CLASSES: &[(&str, Vendor)] = &[
    ("gpu.nvidia.com", Vendor::NVIDIA),
    ("mig.nvidia.com", Vendor::NVIDIA),
    ("vfio.gpu.nvidia.com", Vendor::NVIDIA),
    ("gpu.amd.com", Vendor::AMD),
    ("gpu.intel.com", Vendor::Intel),
    ("gaudi.intel.com", Vendor::Habana),
    ("tpu.google.com", Vendor::Google),
];

/// The accelerators that a pod of a template claims: the class, the device, and how many. If there are several
/// classes, the one with most devices.
pub(crate) fn of<'c>(
    template: &Value,
    documents: &Documents,
    namespace: &str,
    catalogue: &'c Catalogue,
) -> Option<(String, Resource<'c>, u64)> {
    let claims = template.pointer("/spec/resourceClaims").and_then(Value::as_array)?;
    let found = claims.iter().take(MAX).flat_map(|claim| {
        let document =
            named(claim).and_then(|(kind, name)| Some((kind, documents.get(kind, namespace, name)?)));
        let requests = document.and_then(|(kind, document)| {
            document.pointer(if kind == TEMPLATE {
                "/spec/spec/devices/requests"
            } else {
                "/spec/devices/requests"
            })
        });
        let requests = requests.and_then(Value::as_array).into_iter().flatten().take(MAX);
        requests.filter_map(|request| device(request, catalogue)).collect::<Vec<_>>()
    });
    found.max_by_key(|(_, _, count)| *count)
}

/// Why some of a pod's claims are not read: there are too many, or one is absent.
pub(crate) fn gap(template: &Value, around: &Surroundings, namespace: &str) -> Option<Gap> {
    let claims = template.pointer("/spec/resourceClaims").and_then(Value::as_array)?;
    let absent = claims.iter().take(MAX).find_map(|claim| {
        let (kind, name) = named(claim)?;
        let is_absent = around.reads.claims && around.documents.get(kind, namespace, name).is_none();
        is_absent.then(|| Gap::Absent(format!("{kind} {}", printable(name, 80))))
    });
    absent.or_else(|| (claims.len() > MAX).then_some(Gap::Claims))
}

/// The kind and the name of the object that a pod's claim refers to.
fn named(claim: &Value) -> Option<(&'static str, &str)> {
    let name = |field: &str| claim.get(field).and_then(Value::as_str);
    let template = name("resourceClaimTemplateName").map(|name| (TEMPLATE, name));
    template.or_else(|| Some((CLAIM, name("resourceClaimName")?)))
}

fn device<'c>(request: &Value, catalogue: &'c Catalogue) -> Option<(String, Resource<'c>, u64)> {
    // v1 and v1beta2 nest these fields; v1beta1 has them in the request itself.
    let exact = request.get("exactly").or_else(|| request.pointer("/firstAvailable/0")).unwrap_or(request);
    let class = exact.get("deviceClassName")?.as_str()?;
    let (_, vendor) = CLASSES.iter().find(|(known, _)| *known == class)?;
    if exact.get("allocationMode").and_then(Value::as_str) == Some("All") {
        return None;
    }
    let count = exact.get("count").and_then(Value::as_u64).unwrap_or(1);
    let selectors = exact.get("selectors").and_then(Value::as_array).into_iter().flatten().take(MAX);
    let expressions: Vec<&str> = selectors.filter_map(|s| s.pointer("/cel/expression")?.as_str()).collect();
    let quoted =
        |attribute: &str| expressions.iter().flat_map(|e| quoted_after(e, attribute)).collect::<Vec<_>>();
    let profile = quoted(".profile").into_iter().find_map(|profile| partition::anywhere(catalogue, &profile));
    let products = quoted(".productName");
    let accelerator = match products.as_slice() {
        // One product, and no negation: this product is asked for.
        [product] if !expressions.iter().any(|e| e.contains('!')) => {
            let plain = product.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            catalogue.find(plain).or_else(|| catalogue.find(&plain.replace(' ', "-")))
        }
        _ => None,
    };
    let kind = profile.map_or(ResourceKind::Whole, ResourceKind::Partition);
    Some((class.to_owned(), Resource { vendor: *vendor, kind, accelerator }, count))
}

/// The quoted text after each mention of an attribute.
fn quoted_after(expression: &str, attribute: &str) -> Vec<String> {
    let behind =
        expression.match_indices(attribute).filter_map(|(at, found)| expression.get(at + found.len()..));
    let literal = |text: &str| {
        let begin = text.find(['\'', '"'])?;
        let quote = text.get(begin..=begin)?;
        let rest = text.get(begin + 1..)?;
        rest.split(quote).next().map(str::to_owned)
    };
    behind.take(MAX).filter_map(literal).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "json! makes values")]
    fn claimed(request: Value) -> Option<(String, ResourceKind, Option<String>, u64)> {
        let mut documents = Documents::default();
        let template = json!({"spec": {"spec": {"devices": {"requests": [request]}}}});
        documents.add("ResourceClaimTemplate", "team", "t", template.into());
        let pod = json!({"spec": {"resourceClaims": [
            {"name": "a", "resourceClaimTemplateName": "t"}, {"name": "b", "resourceClaimName": "absent"},
        ]}});
        let (class, what, count) = of(&pod, &documents, "team", Catalogue::builtin())?;
        Some((class, what.kind, what.accelerator.map(|a| a.name.clone()), count))
    }

    #[test]
    fn only_claims_of_accelerators_count() {
        let gpu = json!({"name": "gpu", "exactly": {"deviceClassName": "gpu.nvidia.com", "count": 8}});
        assert_eq!(claimed(gpu), Some(("gpu.nvidia.com".into(), ResourceKind::Whole, None, 8)));
        let old = json!({"name": "gpu", "deviceClassName": "gpu.nvidia.com"});
        assert_eq!(claimed(old).map(|found| found.3), Some(1));
        let first = json!({"firstAvailable": [{"deviceClassName": "gpu.nvidia.com", "count": 2}]});
        assert_eq!(claimed(first).map(|found| found.3), Some(2));
        assert_eq!(claimed(json!({"exactly": {"deviceClassName": "netdev.google.com", "count": 2}})), None);
        assert_eq!(
            claimed(json!({"exactly": {"deviceClassName": "gpu.nvidia.com", "allocationMode": "All"}})),
            None
        );
    }

    #[test]
    fn selectors_name_the_product_or_the_profile() {
        let with = |class: &str, expression: &str| {
            let selectors = json!([{"cel": {"expression": expression}}]);
            claimed(json!({"exactly": {"deviceClassName": class, "selectors": selectors}})).unwrap()
        };
        let product = |expression: &str| with("gpu.nvidia.com", expression).2;
        let h100 = "device.attributes['gpu.nvidia.com'].productName == 'NVIDIA H100 80GB HBM3'";
        assert_eq!(product(h100).as_deref(), Some("H100-80GB"));
        let h200 = "device.attributes['gpu.nvidia.com'].productName.lowerAscii().matches('^.*h200.*$')";
        assert_eq!(product(h200).as_deref(), Some("H200-141GB"));
        assert_eq!(product("!(device.attributes['gpu.nvidia.com'].productName == 'Tesla T4')"), None);
        let profile = with("mig.nvidia.com", "device.attributes['gpu.nvidia.com'].profile == '1g.10gb'");
        let ResourceKind::Partition(slice) = profile.1 else { panic!("{profile:?}") };
        assert_eq!(slice.profile, "1g.10gb");
    }
}
