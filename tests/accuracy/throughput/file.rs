//! The fitted part of `data/time.toml`, as text.

use std::fmt::Write;

use weighbridge::estimate::time::Term;

use super::fit;
use super::rows;

/// The fitted part of the file.
pub fn fitted() -> String {
    let rows = rows::rows();
    let (samples, names) = fit::samples(&rows);
    let used: Vec<&fit::Sample> = fit::fitted_on(&rows, &samples).collect();
    let fitted = fit::fit(&used, &names, None, 40);
    let mut text = String::new();
    let mut table = |name: &str, entries: &mut dyn Iterator<Item = (&str, f64)>| {
        let _ = writeln!(text, "\n[{name}]");
        for (key, value) in entries {
            let _ = writeln!(text, "{key} = {value:.4}");
        }
    };
    table("terms", &mut Term::ALL.iter().zip(&fitted).map(|(term, value)| (term.name(), value.exp())));
    let of = |names: &'_ [String], at: &dyn Fn(usize) -> usize| -> Vec<(String, f64)> {
        names.iter().enumerate().map(|(i, name)| (name.clone(), fitted[at(i)])).collect()
    };
    let generations = of(&names.generations, &|i| names.generation(i));
    let known: Vec<_> = generations.iter().filter(|(name, _)| name != "other").collect();
    table("efficiency", &mut known.iter().map(|(name, value)| (name.as_str(), value.exp())));
    let accelerators = of(&names.accelerators, &|i| names.accelerator(i));
    table("accelerators", &mut accelerators.iter().map(|(name, value)| (name.as_str(), *value)));
    let frameworks = of(&names.frameworks, &|i| names.framework(i));
    table("frameworks", &mut frameworks.iter().map(|(name, value)| (name.as_str(), *value)));
    text
}
