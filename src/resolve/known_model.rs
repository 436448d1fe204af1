//! The dimensions of a model with a known name.
//!
//! Dimensions that the job gives win. If the given size is far from the known one, the job trains another model. Then
//! no dimension is taken.

use crate::job::{AnyField, Group, Provenance, Source, field};
use crate::model::known::Known;
use crate::units::Count;

/// Dimensions that depend on a model's hidden size.
const WIDTHS: &[AnyField] = &[
    field::model::ATTENTION_HEADS.erased(),
    field::model::KEY_VALUE_HEADS.erased(),
    field::model::HEAD_SIZE.erased(),
    field::model::FFN_HIDDEN_SIZE.erased(),
    field::model::EXPERT_FFN_HIDDEN_SIZE.erased(),
    field::model::SHARED_EXPERT_FFN_HIDDEN_SIZE.erased(),
    field::model::EXPERT_LATENT_SIZE.erased(),
    field::model::TOWER_PARAMETERS.erased(),
    field::model::PROJECTION_PARAMETERS.erased(),
    field::model::FURTHER_PARAMETERS.erased(),
];

/// Groups of such dimensions.
const GROUPS: &[Group] = &[
    field::model::GLOBAL_ATTENTION,
    field::model::LATENT_ATTENTION,
    field::model::LINEAR_ATTENTION,
    field::model::STATE_SPACE,
];

/// Takes the dimensions of a known model, unless they contradict the given size.
pub(super) fn fill(provenance: &mut Provenance, model: &Known, warnings: &mut Vec<String>) {
    /// Within this difference, a size is the model's own size, rounded. "8x7B" of Mixtral and the like are names, not
    /// sizes.
    const ROUNDED: f64 = 0.15;
    /// Up to this number, contradictions are named one by one. If there are more, the job trains another model.
    const FEW: usize = 2;
    let dimensions = [field::model::LAYERS, field::model::HIDDEN_SIZE].map(|field| provenance.knows(field));
    if let (Some(given), [false, false]) = (provenance.number(field::model::PARAMETERS), dimensions) {
        let own = model.count();
        if (given as f64 / own as f64 - 1.0).abs() > ROUNDED {
            let (given, own) = (Count(given).short(), Count(own).short());
            warnings.push(format!(
                "{} has {own} parameters, not {given}: only the given size is used",
                model.name
            ));
            return;
        }
    }
    let source = Source::Model(model.name.clone());
    let width = provenance.number(field::model::HIDDEN_SIZE);
    let another_width = width.is_some_and(|width| model.model.hidden_size.map(u64::from) != Some(width));
    let fields: Vec<_> = model.fields();
    let contradicted = fields.iter().filter(|(field, value)| provenance.contradicts(*field, value)).count();
    if contradicted > FEW {
        warnings.push(format!(
            "{contradicted} dimensions that are given are not {}'s: those given are used",
            model.name
        ));
    }
    for (field, value) in fields {
        // Dimensions that depend on the model's own width do not hold for another width.
        let is_width = WIDTHS.contains(&field) || GROUPS.iter().any(|group| group.has(field));
        let belongs = !another_width || !is_width;
        if belongs && (contradicted <= FEW || !provenance.knows(field)) {
            provenance.offer(field, value, source.clone());
        }
    }
}
