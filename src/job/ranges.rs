//! Whether a value lies in its field's range. This checks values that the apiserver's schema has not checked: those of files
//! that `check` reads, of the `training` annotation, and of commands.
//!
//! A field's range is in its declaration. A count (`70B`) has no upper bound there, and is at least 1 here.

use serde_json::Value;

use super::grammar::LONGEST_LISTED;
use super::handle::{AnyField, Range};
use crate::units::Decimal;

/// What is wrong with a field's value, and what to write.
pub(crate) fn out_of_range(field: AnyField, value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => of_number(field, number.as_u64()?),
        Value::Array(items) => of_names(field, items)
            .or_else(|| items.iter().find_map(|number| of_number(field, number.as_u64()?))),
        Value::String(text) => of_percentage(field, text),
        _ => None,
    }
}

fn of_number(field: AnyField, number: u64) -> Option<String> {
    let (least, most) = match field.range() {
        Range::Whole { least, most } => (least, Some(most)),
        Range::Any | Range::Quantity | Range::Names { .. } | Range::Percent { .. } => (1, None),
    };
    if number >= least && most.is_none_or(|most| number <= most) {
        return None;
    }
    let to = most.map(|most| format!(" to {most}")).unwrap_or_default();
    Some(format!("{number} is out of range: write a number from {least}{to}, or leave it out"))
}

fn of_names(field: AnyField, names: &[Value]) -> Option<String> {
    let Range::Names { most } = field.range() else { return None };
    let longest = names.iter().filter_map(Value::as_str).map(|name| name.chars().count()).max();
    if names.len() as u64 > most {
        return Some(format!("{} names are too many: write at most {most}", names.len()));
    }
    longest
        .filter(|longest| *longest > LONGEST_LISTED)
        .map(|longest| format!("a name of {longest} characters is too long: write at most {LONGEST_LISTED}"))
}

fn of_percentage(field: AnyField, text: &str) -> Option<String> {
    const WHOLE: u64 = 100_000_000;
    let Range::Percent { zero } = field.range() else { return None };
    let micros = Decimal::parse(text).ok()?.micros;
    let fits = micros <= WHOLE && (zero || micros > 0);
    let from = if zero { "from 0" } else { "over 0, up" };
    (!fits).then(|| format!("{text} is out of range: write a percentage {from} to 100, or leave it out"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::field;
    use crate::job::grammar::Grammar;
    use crate::job::handle::Member;
    use crate::job::keys::KEYS;

    const DEFINITION: &str = include_str!("../../crds/weighbridge.dev_trainingestimates.yaml");

    /// Every whole number of the spec's schema with its range.
    fn of_schema() -> Vec<(String, u64, u64)> {
        fn walk(schema: &Value, path: &str, found: &mut Vec<(String, u64, u64)>) {
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let bound = |key: &str| field.get(key).and_then(Value::as_u64);
                match (bound("minimum"), bound("maximum")) {
                    (Some(least), Some(most)) => found.push((path.clone(), least, most)),
                    _ => assert_ne!(field["type"], "integer", "{path} has no range"),
                }
                walk(field, &path, found);
            }
        }
        let documents: Vec<Value> = serde_saphyr::from_multiple(DEFINITION).unwrap();
        let definition = documents.iter().find(|document| document["kind"] == "CustomResourceDefinition");
        let version = &definition.unwrap()["spec"]["versions"][0];
        let mut found = Vec::new();
        walk(&version["schema"]["openAPIV3Schema"]["properties"]["spec"], "", &mut found);
        found.sort();
        found
    }

    #[test]
    fn every_range_is_the_schemas() {
        for (path, least, most) in of_schema() {
            let field = field::find(&path).and_then(Member::field).unwrap();
            assert_eq!(field.range(), Range::Whole { least, most }, "{path}");
        }
    }

    #[test]
    fn the_bound_of_every_list_of_names_is_the_schemas() {
        let documents: Vec<Value> = serde_saphyr::from_multiple(DEFINITION).unwrap();
        let definition = documents.iter().find(|document| document["kind"] == "CustomResourceDefinition");
        let version = &definition.unwrap()["spec"]["versions"][0];
        let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let lists = field::SPEC.fields().into_iter().filter_map(|field| match field.range() {
            Range::Names { most } => Some((field, most)),
            _ => None,
        });
        let mut count = 0;
        for (field, most) in lists {
            let pointer = format!("/properties/{}", field.path().replace('.', "/properties/"));
            let schema = spec.pointer(&pointer).unwrap();
            assert_eq!(
                (&schema["maxItems"], &schema["items"]["maxLength"]),
                (&most.into(), &LONGEST_LISTED.into())
            );
            let names = |number: u64| Value::from(vec!["q_proj"; usize::try_from(number).unwrap()]);
            assert_eq!(out_of_range(field, &names(most)), None);
            assert!(out_of_range(field, &names(most + 1)).is_some(), "{field}");
            assert!(out_of_range(field, &vec!["x".repeat(LONGEST_LISTED + 1)].into()).is_some(), "{field}");
            count += 1;
        }
        assert_eq!(count, 3);
    }

    #[test]
    fn an_annotations_range_is_its_fields() {
        for key in KEYS.iter() {
            if let Grammar::Whole { least, most } = key.grammar {
                let field = key.sets.field().unwrap();
                assert!(out_of_range(field, &least.into()).is_none(), "{}", key.name);
                assert!(least == 0 || out_of_range(field, &(least - 1).into()).is_some(), "{}", key.name);
                assert!(out_of_range(field, &most.into()).is_none(), "{}", key.name);
                assert!(out_of_range(field, &(most + 1).into()).is_some(), "{}", key.name);
            }
        }
    }

    #[test]
    fn a_number_out_of_its_range_is_told_the_range() {
        assert_eq!(
            out_of_range(field::model::HEAD_SIZE.erased(), &4_000_000_000_u64.into()).unwrap(),
            "4000000000 is out of range: write a number from 1 to 65536, or leave it out"
        );
        assert_eq!(
            out_of_range(field::model::PARAMETERS.erased(), &0.into()).unwrap(),
            "0 is out of range: write a number from 1, or leave it out"
        );
        assert!(out_of_range(field::model::DENSE_LAYERS.erased(), &serde_json::json!([0, 10_001])).is_some());
        assert!(out_of_range(field::latent_attention::QUERY_RANK.erased(), &0.into()).is_none());
        assert!(out_of_range(field::model::NAME.erased(), &"x".into()).is_none());
    }

    #[test]
    fn a_percentage_is_at_most_the_whole() {
        assert_eq!(
            out_of_range(field::efficiency::MFU_PERCENT.erased(), &"100.5".into()).unwrap(),
            "100.5 is out of range: write a percentage over 0, up to 100, or leave it out"
        );
        assert!(out_of_range(field::efficiency::GOODPUT_PERCENT.erased(), &"0".into()).is_some());
        assert!(out_of_range(field::finetuning::DROPOUT.erased(), &"0".into()).is_none());
        assert!(out_of_range(field::finetuning::DROPOUT.erased(), &"101".into()).is_some());
    }
}
