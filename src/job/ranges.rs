//! The range of every number of the spec, for what the apiserver's schema has not checked: files that `check` reads, the
//! `training` annotation, and what a command says.
//!
//! The ranges are those of the schema: a test compares the two field by field. A count (`70B`) has no upper bound there
//! and is at least 1 here.

use serde_json::Value;

use crate::units::Decimal;

/// The fields that are whole numbers: the least and the most.
const RANGES: &[(&str, u64, u64)] = &[
    ("accelerator.count", 1, 10_000_000),
    ("accelerator.perNode", 1, 1_024),
    ("batch.globalBatchSize", 1, 2_147_483_647),
    ("batch.microBatchSize", 1, 1_048_576),
    ("batch.sequenceLength", 1, 134_217_728),
    ("batch.typicalSequenceLength", 1, 134_217_728),
    ("dataset.epochs", 1, 1_000_000),
    ("dataset.steps", 1, 1_000_000_000_000),
    ("finetuning.rank", 1, 65_536),
    ("model.attentionHeads", 1, 65_536),
    ("model.denseLayers", 0, 10_000),
    ("model.expertFfnHiddenSize", 1, 4_194_304),
    ("model.experts", 1, 65_536),
    ("model.expertsPerToken", 1, 65_536),
    ("model.ffnHiddenSize", 1, 4_194_304),
    ("model.headSize", 1, 65_536),
    ("model.hiddenSize", 1, 1_048_576),
    ("model.keyValueHeads", 1, 65_536),
    ("model.latentAttention.keyValueRank", 1, 1_048_576),
    ("model.latentAttention.nopeHeadSize", 1, 65_536),
    ("model.latentAttention.queryRank", 0, 1_048_576),
    ("model.latentAttention.ropeHeadSize", 0, 65_536),
    ("model.latentAttention.valueHeadSize", 1, 65_536),
    ("model.layers", 1, 10_000),
    ("model.maxPositions", 1, 134_217_728),
    ("model.multiTokenPredictionLayers", 0, 100),
    ("model.paddedVocabSize", 1, 16_777_216),
    ("model.sharedExperts", 0, 65_536),
    ("model.vocabSize", 1, 16_777_216),
    ("parallelism.context", 1, 65_536),
    ("parallelism.data", 1, 10_000_000),
    ("parallelism.expert", 1, 65_536),
    ("parallelism.expertTensor", 1, 65_536),
    ("parallelism.firstStageLayers", 0, 10_000),
    ("parallelism.lastStageLayers", 0, 10_000),
    ("parallelism.pipeline", 1, 65_536),
    ("parallelism.shardingDegree", 1, 10_000_000),
    ("parallelism.tensor", 1, 65_536),
    ("parallelism.virtualPipeline", 1, 1_024),
    ("recomputeLayers", 0, 10_000),
];

/// The fields that are percentages, and whether they may be none.
const PERCENTAGES: &[(&str, bool)] = &[
    ("efficiency.goodputPercent", false),
    ("efficiency.mfuPercent", false),
    ("finetuning.dropout", true),
    ("model.attentionDropout", true),
    ("model.hiddenDropout", true),
];

/// What is wrong with a field's value, and what to write.
pub(crate) fn out_of_range(field: &str, value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => of_number(field, number.as_u64()?),
        Value::Array(numbers) => numbers.iter().find_map(|number| of_number(field, number.as_u64()?)),
        Value::String(text) => of_percentage(field, text),
        _ => None,
    }
}

fn of_number(field: &str, number: u64) -> Option<String> {
    let range = RANGES.iter().find(|(known, ..)| *known == field);
    let (least, most) = range.map_or((1, None), |(_, least, most)| (*least, Some(*most)));
    if number >= least && most.is_none_or(|most| number <= most) {
        return None;
    }
    let to = most.map(|most| format!(" to {most}")).unwrap_or_default();
    Some(format!("{number} is out of range: write a number from {least}{to}, or leave it out"))
}

fn of_percentage(field: &str, text: &str) -> Option<String> {
    const WHOLE: u64 = 100_000_000;
    let (_, may_be_none) = PERCENTAGES.iter().find(|(known, _)| *known == field)?;
    let micros = Decimal::parse(text).ok()?.micros;
    let fits = micros <= WHOLE && (*may_be_none || micros > 0);
    let from = if *may_be_none { "from 0" } else { "over 0, up" };
    (!fits).then(|| format!("{text} is out of range: write a percentage {from} to 100, or leave it out"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::grammar::Grammar;
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
        let own: Vec<_> =
            RANGES.iter().map(|(field, least, most)| ((*field).to_owned(), *least, *most)).collect();
        assert_eq!(own, of_schema());
    }

    #[test]
    fn an_annotations_range_is_its_fields() {
        for key in KEYS {
            if let Grammar::Whole { most } = key.grammar {
                assert!(out_of_range(key.field, &most.into()).is_none(), "{}", key.name);
                assert!(out_of_range(key.field, &(most + 1).into()).is_some(), "{}", key.name);
            }
        }
    }

    #[test]
    fn a_number_out_of_its_range_is_told_the_range() {
        assert_eq!(
            out_of_range("model.headSize", &4_000_000_000_u64.into()).unwrap(),
            "4000000000 is out of range: write a number from 1 to 65536, or leave it out"
        );
        assert_eq!(
            out_of_range("model.parameters", &0.into()).unwrap(),
            "0 is out of range: write a number from 1, or leave it out"
        );
        assert!(out_of_range("model.denseLayers", &serde_json::json!([0, 10_001])).is_some());
        assert!(out_of_range("model.latentAttention.queryRank", &0.into()).is_none());
        assert!(out_of_range("model.name", &"x".into()).is_none());
    }

    #[test]
    fn a_percentage_is_at_most_the_whole() {
        assert_eq!(
            out_of_range("efficiency.mfuPercent", &"100.5".into()).unwrap(),
            "100.5 is out of range: write a percentage over 0, up to 100, or leave it out"
        );
        assert!(out_of_range("efficiency.goodputPercent", &"0".into()).is_some());
        assert!(out_of_range("finetuning.dropout", &"0".into()).is_none());
        assert!(out_of_range("finetuning.dropout", &"101".into()).is_some());
    }
}
