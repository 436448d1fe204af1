//! Rules over several fields of the spec. The apiserver checks them when an object is written.
//!
//! A rule refuses only a contradiction. A field that is not given may still come from the workload, so no rule
//! requires a field. Every message states the requirement.

use serde_json::{Value, json};

use crate::job::{Group, field};

/// A rule in the Common Expression Language. It is true for a valid object.
struct Validation {
    /// The group of fields that is `self`.
    at: Group,
    rule: &'static str,
    message: &'static str,
}

const VALIDATIONS: &[Validation] = &[
    Validation {
        at: field::SPEC,
        rule: "!has(oldSelf.workloadRef) || (has(self.workloadRef) && self.workloadRef == oldSelf.workloadRef)",
        message: "workloadRef must not be changed or removed once it is set",
    },
    Validation {
        at: field::SPEC,
        rule: "!has(self.model) || !has(self.model.layers) || !has(self.parallelism) || \
               (has(self.parallelism.firstStageLayers) ? self.parallelism.firstStageLayers : 0) + \
               (has(self.parallelism.lastStageLayers) ? self.parallelism.lastStageLayers : 0) <= self.model.layers",
        message: "parallelism.firstStageLayers and lastStageLayers together must be at most model.layers",
    },
    Validation {
        at: field::SPEC,
        rule: "!has(self.model) || !has(self.model.experts) || !has(self.parallelism) || \
               !has(self.parallelism.expert) || self.model.experts % self.parallelism.expert == 0",
        message: "model.experts must be a multiple of parallelism.expert",
    },
    Validation {
        at: field::SPEC,
        rule: "!has(self.recompute) || self.recompute != 'None' || \
               (!has(self.recomputeLayers) && !has(self.recomputeModules))",
        message: "recomputeLayers and recomputeModules must not be given when recompute is None",
    },
    Validation {
        at: field::MODEL,
        rule: "!has(self.attentionHeads) || !has(self.keyValueHeads) || \
               self.attentionHeads % self.keyValueHeads == 0",
        message: "attentionHeads must be a multiple of keyValueHeads",
    },
    Validation {
        at: field::MODEL,
        rule: "!has(self.attentionHeads) || !has(self.hiddenSize) || has(self.headSize) || \
               has(self.latentAttention) || has(self.name) || self.hiddenSize % self.attentionHeads == 0",
        message: "hiddenSize must be a multiple of attentionHeads where headSize is not given",
    },
    Validation {
        at: field::MODEL,
        rule: "!has(self.experts) || !has(self.expertsPerToken) || self.expertsPerToken <= self.experts",
        message: "expertsPerToken must be at most experts",
    },
    Validation {
        at: field::MODEL,
        rule: "!has(self.vocabSize) || !has(self.paddedVocabSize) || self.vocabSize <= self.paddedVocabSize",
        message: "paddedVocabSize must be at least vocabSize",
    },
    Validation {
        at: field::MODEL,
        rule: "!has(self.hiddenDropout) || double(self.hiddenDropout) <= 100.0",
        message: "hiddenDropout must be at most 100, since it is in percent",
    },
    Validation {
        at: field::MODEL,
        rule: "!has(self.attentionDropout) || double(self.attentionDropout) <= 100.0",
        message: "attentionDropout must be at most 100, since it is in percent",
    },
    Validation {
        at: field::PARALLELISM,
        rule: "!has(self.pipeline) || self.pipeline > 1 || \
               (!has(self.firstStageLayers) && !has(self.lastStageLayers))",
        message: "firstStageLayers and lastStageLayers must not be given when pipeline is 1",
    },
    Validation {
        at: field::PARALLELISM,
        rule: "!has(self.pipeline) || self.pipeline > 1 || !has(self.virtualPipeline) || \
               self.virtualPipeline == 1",
        message: "virtualPipeline must be 1 when pipeline is 1",
    },
    Validation {
        at: field::PARALLELISM,
        rule: "!has(self.sharding) || self.sharding != 'None' || !has(self.shardingDegree) || \
               self.shardingDegree == 1",
        message: "shardingDegree must not be given when sharding is None",
    },
    Validation {
        at: field::BATCH,
        rule: "!has(self.globalBatchSize) || !has(self.microBatchSize) || \
               self.globalBatchSize % self.microBatchSize == 0",
        message: "globalBatchSize must be a multiple of microBatchSize",
    },
    Validation {
        at: field::BATCH,
        rule: "!has(self.sequenceLength) || !has(self.typicalSequenceLength) || \
               self.typicalSequenceLength <= self.sequenceLength",
        message: "typicalSequenceLength must be at most sequenceLength",
    },
    Validation {
        at: field::FINETUNING,
        rule: "!has(self.method) || self.method != 'Full' || \
               (!has(self.rank) && !has(self.targets) && !has(self.dropout))",
        message: "rank, targets and dropout must not be given when method is Full",
    },
    Validation {
        at: field::FINETUNING,
        rule: "!has(self.dropout) || double(self.dropout) <= 100.0",
        message: "dropout must be at most 100, since it is in percent",
    },
    Validation {
        at: field::DATASET,
        rule: "has(self.tokens) || !has(self.steps) || !has(self.epochs)",
        message: "epochs must not be given with steps alone: steps counts all epochs",
    },
    Validation {
        at: field::EFFICIENCY,
        rule: "!has(self.mfuPercent) || (double(self.mfuPercent) > 0.0 && double(self.mfuPercent) <= 100.0)",
        message: "mfuPercent must be over 0 and at most 100",
    },
    Validation {
        at: field::EFFICIENCY,
        rule: "!has(self.goodputPercent) || \
               (double(self.goodputPercent) > 0.0 && double(self.goodputPercent) <= 100.0)",
        message: "goodputPercent must be over 0 and at most 100",
    },
    Validation {
        at: field::PRICE,
        rule: "!has(self.currency) || self.currency.matches('^[A-Z]{3}$')",
        message: "currency must be three capital letters, like USD",
    },
];

/// Adds each rule to the schema of its object. The error is the path of a rule without an object.
pub(super) fn add_to(schema: &mut Value) -> Result<(), &'static str> {
    for validation in VALIDATIONS {
        let mut at = schema.pointer_mut("/properties/spec");
        for name in validation.at.path().split('.').filter(|name| !name.is_empty()) {
            at = at.and_then(|s| s.get_mut("properties")).and_then(|p| p.get_mut(name));
        }
        let object = at.and_then(Value::as_object_mut).ok_or(validation.at.path())?;
        let rules = object.entry("x-kubernetes-validations").or_insert(json!([]));
        if let Some(rules) = rules.as_array_mut() {
            rules.push(json!({"rule": validation.rule, "message": validation.message}));
        }
    }
    Ok(())
}
