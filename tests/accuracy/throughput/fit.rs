//! The fit of the coefficients in `data/time.toml`.
//!
//! ```text
//! least   Σ rows w·2·(√(1 + (r/0.1)²) − 1)  +  0.6²·Σ coefficients ((ln c − ln prior) / σ)²
//! r       ln predicted − ln measured tokens per second
//! w       min(n, 4 + √n) / n for an origin of n rows, so that no origin outweighs the others; a quarter of it with experts
//! ```
//!
//! The steps are those of Gauss and Newton, halved until they help. Coefficients are logarithms: one per term, with
//! `Term`'s prior; one per generation, around the rates of measured kernels, σ 0.1, or 0.25 if they are guesses; one per accelerator, around zero, σ 0.06;
//! one per framework, around zero, σ 0.08. Rows with an unknown division of the work are excluded.

use std::collections::BTreeMap;

use weighbridge::estimate::assume::Device;
use weighbridge::estimate::estimate;
use weighbridge::estimate::time::{COUNT, Coefficients, Generation, Term, Terms, Work, framework_name, step};
use weighbridge::hardware::Accelerator;

use super::rows::Row;

const SCALE: f64 = 0.1;
const STRICTNESS: f64 = 0.6 * 0.6;

/// A row with its counted work.
pub(crate) struct Sample {
    pub(crate) work: Work,
    pub(crate) measured: f64,
    pub(crate) weight: f64,
    generation: usize,
    accelerator: usize,
    framework: Option<usize>,
}

/// The meaning of the coefficients' positions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) generations: Vec<String>,
    pub(crate) accelerators: Vec<String>,
    pub(crate) frameworks: Vec<String>,
    middle: Vec<f64>,
    spread: Vec<f64>,
}

/// A generation's position among the coefficients.
pub(crate) fn of_generation(index: usize) -> usize {
    COUNT + index
}

impl Names {
    pub(crate) fn accelerator(&self, index: usize) -> usize {
        COUNT + self.generations.len() + index
    }
    pub(crate) fn framework(&self, index: usize) -> usize {
        COUNT + self.generations.len() + self.accelerators.len() + index
    }
}

fn position(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}

/// Counts the rows.
pub(crate) fn samples(rows: &[Row]) -> (Vec<Sample>, Names) {
    let coefficients = Coefficients::builtin();
    let mut names = Names::default();
    let mut of_origin: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, row) in rows.iter().enumerate().filter(|(index, row)| is_fitted_on(row, *index)) {
        *of_origin.entry(&row.origin).or_default() += 1;
    }
    for generation in coefficients.generations() {
        names.generations.push(generation.name.clone());
    }
    let samples =
        rows.iter()
            .map(|row| {
                let generation = coefficients.generation(row.accelerator);
                let device = Device { bf16: row.accelerator.computes_in_bf16() };
                let estimate = estimate(&row.job, device).unwrap_or_else(|e| panic!("{}: {e}", row.name));
                let sustained = coefficients.sustained(row.accelerator);
                let work = Work::of(&row.job, estimate.running(), row.accelerator, generation, sustained)
                    .unwrap_or_else(|| panic!("{}: the accelerator has no rate", row.name));
                // Rows with experts vary most. They must not decide the time of a dense model.
                let n = of_origin.get(row.origin.as_str()).map_or(1.0, |n| *n as f64);
                let weight = n.min(4.0 + n.sqrt()) / n * if work.experts { 0.25 } else { 1.0 };
                Sample {
                    work,
                    measured: row.measured.ln(),
                    weight,
                    generation: position(&mut names.generations, &generation.name),
                    accelerator: position(&mut names.accelerators, &row.accelerator.key),
                    framework: row.job.framework.map(|framework| {
                        position(&mut names.frameworks, &framework_name(framework, generation))
                    }),
                }
            })
            .collect();
    for term in Term::ALL {
        let (middle, spread) = term.prior();
        names.middle.push(middle.ln());
        names.spread.push(spread);
    }
    for generation in coefficients.generations() {
        names.middle.push(0.0);
        names.spread.push(if generation.guessed { 0.25 } else { 0.1 });
    }
    for _ in &names.accelerators {
        names.middle.push(0.0);
        names.spread.push(0.06);
    }
    for _ in &names.frameworks {
        names.middle.push(0.0);
        names.spread.push(0.08);
    }
    (samples, names)
}

/// One of eight one-node rows of vTrain, which differ little.
const ONE_IN: usize = 8;

/// Whether the coefficients are fitted on a row.
pub(crate) fn is_fitted_on(row: &Row, index: usize) -> bool {
    row.laid_out && (row.source != "vtrain-s" || index.is_multiple_of(ONE_IN))
}

/// The samples that coefficients are fitted on.
pub(crate) fn fitted_on<'a>(rows: &'a [Row], samples: &'a [Sample]) -> impl Iterator<Item = &'a Sample> {
    let chosen = rows.iter().zip(samples).enumerate();
    chosen.filter(|(index, (row, _))| is_fitted_on(row, *index)).map(|(_, (_, sample))| sample)
}

/// The coefficients' logarithms.
pub(crate) type Fitted = Vec<f64>;

fn terms(fitted: &[f64]) -> Terms {
    let mut terms = [1.0; COUNT];
    for (slot, value) in terms.iter_mut().zip(fitted) {
        *slot = value.exp();
    }
    terms
}

/// The terms, and the rate of an accelerator's products relative to that of kernels.
pub(crate) fn of_accelerator(
    names: &Names,
    fitted: &[f64],
    accelerator: &Accelerator,
    generation: &Generation,
) -> (Terms, f64) {
    let at = |known: &[String], name: &str| known.iter().position(|known| known == name);
    // A generation without accelerators of its own takes the rates of kernels, as in the program.
    let other = generation.accelerators.is_empty();
    let usual =
        at(&names.generations, &generation.name).filter(|_| !other).map_or(0.0, |i| fitted[of_generation(i)]);
    let own = at(&names.accelerators, &accelerator.key).map_or(0.0, |i| fitted[names.accelerator(i)]);
    (terms(fitted), (usual + own).exp())
}

/// ln tokens per second.
pub(crate) fn predict(sample: &Sample, names: &Names, fitted: &[f64]) -> f64 {
    predict_with(sample, names, fitted, &terms(fitted), 0.0)
}

fn predict_with(sample: &Sample, names: &Names, fitted: &[f64], terms: &Terms, more: f64) -> f64 {
    let efficiency = fitted[of_generation(sample.generation)] + fitted[names.accelerator(sample.accelerator)];
    let own = sample.framework.map_or(0.0, |framework| fitted[names.framework(framework)]);
    let step = step(&sample.work, terms, (efficiency + more).exp());
    (sample.work.tokens / step.seconds).ln() + own
}

/// Terms that count although they have no seconds of their own.
const FACTORS: &[Term] = &[
    Term::Launch,
    Term::Experts,
    Term::Imbalance,
    Term::ZeroThree,
    Term::ShardsExposed,
    Term::ShardsExposedHost,
    Term::GradientsExposed,
    Term::Step,
    Term::StepSharded,
    Term::Bubble,
    Term::Scale,
    Term::Fp8,
    Term::Fp8Hopper,
    Term::Fp8Blackwell,
    Term::Fp4,
];

/// The coefficients that best fit the chosen samples, from a start.
pub(crate) fn fit(samples: &[&Sample], names: &Names, start: Option<&Fitted>, rounds: usize) -> Fitted {
    let mut fitted = start.cloned().unwrap_or_else(|| names.middle.clone());
    let mut loss = objective(samples, names, &fitted);
    for _ in 0..rounds {
        let (matrix, gradient) = normal_equations(samples, names, &fitted);
        let step = solve(matrix, gradient);
        let mut length = 1.0;
        let before = loss;
        for _ in 0..8 {
            let next: Fitted = fitted.iter().zip(&step).map(|(value, step)| value - length * step).collect();
            let tried = objective(samples, names, &next);
            if tried < loss {
                (fitted, loss) = (next, tried);
                break;
            }
            length /= 2.0;
        }
        if before - loss < 1e-4 * before {
            break;
        }
    }
    fitted
}

fn objective(samples: &[&Sample], names: &Names, fitted: &[f64]) -> f64 {
    let terms = terms(fitted);
    let of_rows: f64 = samples
        .iter()
        .map(|sample| {
            let z = (predict_with(sample, names, fitted, &terms, 0.0) - sample.measured) / SCALE;
            sample.weight * 2.0 * (z.hypot(1.0) - 1.0)
        })
        .sum();
    let of_priors: f64 = fitted
        .iter()
        .zip(names.middle.iter().zip(&names.spread))
        .map(|(value, (middle, spread))| ((value - middle) / spread).powi(2))
        .sum();
    of_rows + STRICTNESS * of_priors
}

fn normal_equations(samples: &[&Sample], names: &Names, fitted: &[f64]) -> (Vec<Vec<f64>>, Vec<f64>) {
    const STEP: f64 = 1e-4;
    let size = fitted.len();
    let mut matrix = vec![vec![0.0; size]; size];
    let mut gradient = vec![0.0; size];
    let at = terms(fitted);
    for sample in samples {
        let here = predict_with(sample, names, fitted, &at, 0.0);
        let mut slopes: Vec<(usize, f64)> = Vec::with_capacity(COUNT + 3);
        for (index, term) in Term::ALL.iter().enumerate() {
            if sample.work.terms[index] <= 0.0 && !FACTORS.contains(term) {
                continue;
            }
            let mut moved = at;
            moved[index] *= STEP.exp();
            slopes.push((index, (predict_with(sample, names, fitted, &moved, 0.0) - here) / STEP));
        }
        let efficiency = (predict_with(sample, names, fitted, &at, STEP) - here) / STEP;
        slopes.push((of_generation(sample.generation), efficiency));
        slopes.push((names.accelerator(sample.accelerator), efficiency));
        slopes.extend(sample.framework.map(|framework| (names.framework(framework), 1.0)));
        let residual = here - sample.measured;
        let weight = sample.weight / (residual / SCALE).hypot(1.0) / (SCALE * SCALE);
        for (i, slope) in &slopes {
            gradient[*i] += weight * slope * residual;
            for (j, other) in &slopes {
                matrix[*i][*j] += weight * slope * other;
            }
        }
    }
    for index in 0..size {
        let strict = STRICTNESS / names.spread[index].powi(2);
        matrix[index][index] += strict;
        gradient[index] += strict * (fitted[index] - names.middle[index]);
    }
    (matrix, gradient)
}

/// Gauss's elimination of a symmetric, positive system.
pub(crate) fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for pivot in 0..size {
        let row = matrix[pivot].clone();
        for below in pivot + 1..size {
            let factor = matrix[below][pivot] / row[pivot];
            if factor != 0.0 {
                for column in pivot..size {
                    matrix[below][column] -= factor * row[column];
                }
                right[below] -= factor * right[pivot];
            }
        }
    }
    for pivot in (0..size).rev() {
        let known: f64 = (pivot + 1..size).map(|column| matrix[pivot][column] * right[column]).sum();
        right[pivot] = (right[pivot] - known) / matrix[pivot][pivot];
    }
    right
}
