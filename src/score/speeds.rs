//! The speed of a cluster's own runs, relative to the prediction, by accelerator and framework.

use super::Scored;
use crate::hardware::Catalogue;
use crate::job::Framework;
use crate::policy::ObservedSpeed;

/// The entries of a policy for the runs with a measured speed. A run without an accelerator of the catalogue, or without a
/// framework, has none.
pub fn observed(runs: &[Scored], catalogue: &Catalogue) -> Vec<ObservedSpeed> {
    let mut groups: Vec<(String, Framework, Vec<f64>)> = Vec::new();
    for run in runs {
        let accelerator = run.accelerator.as_deref().and_then(|name| catalogue.find(name));
        if let (Some(accelerator), Some(framework), Some(speed)) =
            (accelerator, run.framework, run.tokens_per_second_per_gpu)
        {
            let ratio = (speed.measured / speed.estimated).ln();
            let known = groups.iter_mut().find(|group| group.0 == accelerator.key && group.1 == framework);
            match known {
                Some((_, _, ratios)) => ratios.push(ratio),
                None => groups.push((accelerator.key.clone(), framework, vec![ratio])),
            }
        }
    }
    let mean = |ratios: &[f64]| (ratios.iter().sum::<f64>() / ratios.len().max(1) as f64).exp();
    groups
        .into_iter()
        .map(|(accelerator, framework, ratios)| ObservedSpeed {
            accelerator,
            framework,
            speed: (mean(&ratios) * 1000.0).round() / 1000.0,
            runs: u32::try_from(ratios.len()).unwrap_or(u32::MAX),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::World;
    use crate::score::{Run, score};

    /// Two runs at half and at twice the predicted speed are as fast as predicted; a run without a framework does not count.
    #[test]
    fn runs_of_one_accelerator_and_framework_are_one_entry() {
        let line = |framework: &str, speed: f64| {
            let line = format!(
                r#"{{"source": "a", "tokensPerSecondPerGpu": {speed}, "spec": {{"model": {{"name": "llama-2-7b"}},
                    {framework} "accelerator": {{"type": "A100-80GB", "count": 8}}, "parallelism": {{"tensor": 1}},
                    "batch": {{"microBatchSize": 1, "globalBatchSize": 64, "sequenceLength": 4096}}}}}}"#
            );
            score(&Run::parse(&line).unwrap(), &World::built_in())
        };
        let megatron = r#""framework": "Megatron","#;
        let predicted = line(megatron, 1.0).tokens_per_second_per_gpu.unwrap().estimated;
        let runs = [line(megatron, predicted / 2.0), line(megatron, predicted * 2.0), line("", predicted)];
        let entries = observed(&runs, Catalogue::builtin());
        let expected = ObservedSpeed {
            accelerator: "a100-sxm4-80gb".into(),
            framework: Framework::Megatron,
            speed: 1.0,
            runs: 2,
        };
        assert_eq!(entries, [expected]);
    }
}
