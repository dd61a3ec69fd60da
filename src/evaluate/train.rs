//! The learned weights, made anew: a linear ranking by softmax over each question's documents (full-batch gradient descent,
//! Adam, Kingma and Ba 2015), then a logistic judgement on the first (Newton's method). Both begin at zero: the same
//! data give the same weights. Knows sums; not where the examples come from.

use crate::matching::{Beside, Features, Judge, Kind, Lead, N_FEATURES, N_JUDGED, judged};

/// A question, what was measured of its candidates, and which of them are right.
#[derive(Clone, Debug)]
pub struct Example {
    /// Of each candidate.
    pub features: Vec<Features>,
    /// The nearest of what is known to have no answer.
    pub beside: Beside,
    /// Which answer; `None` where nobody knows, and nothing is learned of that one.
    pub right: Vec<Option<bool>>,
    /// How long the question is, in characters.
    pub n_chars: usize,
    /// How much it counts.
    pub weight: f32,
    /// How much a right one among the first three counts where the first is wrong: in open sets several documents answer
    /// and one is named.
    pub nearly: f64,
}

const N_ROUNDS: usize = 4_000;
const STEP: f32 = 0.03;
const KEEP: (f32, f32) = (0.9, 0.999);
const JUDGE_DECAY: f64 = 1e-4;

/// Descends for so many weights.
struct Adam<const M: usize> {
    mean: [f32; M],
    square: [f32; M],
    n: i32,
}

impl<const M: usize> Adam<M> {
    fn new() -> Self {
        Self { mean: [0.0; M], square: [0.0; M], n: 0 }
    }

    fn step(&mut self, weights: &mut [f32; M], gradient: &[f32; M]) {
        self.n += 1;
        let fade = 1.0 - self.n as f32 / (N_ROUNDS as f32 * 1.05);
        for k in 0..M {
            self.mean[k] = KEEP.0 * self.mean[k] + (1.0 - KEEP.0) * gradient[k];
            self.square[k] = KEEP.1 * self.square[k] + (1.0 - KEEP.1) * gradient[k] * gradient[k];
            let mean = self.mean[k] / (1.0 - KEEP.0.powi(self.n));
            let square = self.square[k] / (1.0 - KEEP.1.powi(self.n));
            weights[k] -= STEP * fade * mean / (square.sqrt() + 1e-8);
        }
    }
}

fn dot<const M: usize>(a: &[f32; M], b: &[f32; M]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The weights that put right candidates before wrong ones and tell how likely the first are right.
pub fn fit(examples: &[Example], kind: Kind) -> Judge {
    let rank = fit_rank(examples, rank_decay(kind));
    Judge { rank, judge: fit_judge(examples, &rank) }
}

/// How much weights are held back. Long texts have features that agree less with one another, and enough questions: held
/// back a hundred times less, they order better (law-answers and policy; tried from 0 to 5e-3 on both halves of the sets).
fn rank_decay(kind: Kind) -> f32 {
    match kind {
        Kind::Answer | Kind::Document => 1e-6,
        _ => 1e-4,
    }
}

fn fit_rank(examples: &[Example], decay: f32) -> [f32; N_FEATURES] {
    let with_right: Vec<&Example> = examples.iter().filter(|e| e.right.contains(&Some(true))).collect();
    let total: f32 = with_right.iter().map(|e| e.weight).sum::<f32>().max(1e-9);
    let (mut weights, mut adam) = ([0.0; N_FEATURES], Adam::new());
    for _ in 0..N_ROUNDS {
        let mut gradient: [f32; N_FEATURES] = weights.map(|w| 2.0 * decay * w);
        for example in &with_right {
            let scores: Vec<f32> = example.features.iter().map(|f| dot(&weights, f)).collect();
            let most = scores.iter().copied().fold(f32::MIN, f32::max);
            let shares: Vec<f32> = scores.iter().map(|score| (score - most).exp()).collect();
            let all: f32 = shares.iter().sum();
            let is_right = |n: usize| example.right[n] == Some(true);
            let right: f32 = shares.iter().enumerate().filter(|(n, _)| is_right(*n)).map(|(_, s)| s).sum();
            for (n, (share, features)) in shares.iter().zip(&example.features).enumerate() {
                let wanted = if is_right(n) { share / right.max(1e-12) } else { 0.0 };
                let pull = (share / all - wanted) * example.weight / total;
                gradient.iter_mut().zip(features).for_each(|(g, f)| *g += pull * f);
            }
        }
        adam.step(&mut weights, &gradient);
    }
    weights
}

fn fit_judge(examples: &[Example], rank: &[f32; N_FEATURES]) -> [f32; N_JUDGED] {
    let mut samples = Vec::new();
    for example in examples {
        let mut order: Vec<(f32, usize)> =
            example.features.iter().enumerate().map(|(n, f)| (dot(rank, f), n)).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let ranked = order.iter().map(|(rank, n)| (*rank, &example.features[*n]));
        let Some(lead) = Lead::of(ranked, example.n_chars, &example.beside) else { continue };
        let n = order[0].1;
        let Some(right) = example.right[n] else { continue };
        let among = order.iter().take(3).any(|(_, n)| example.right[*n] == Some(true));
        let target = if right { 1.0 } else { f64::from(u8::from(among)) * example.nearly };
        samples.push((judged(&lead, &example.features[n]), target, example.weight));
    }
    logistic(&samples)
}

/// Logistic regression by Newton's method; the decay keeps it from running away where the samples are separable.
fn logistic(samples: &[([f32; N_JUDGED], f64, f32)]) -> [f32; N_JUDGED] {
    const N_NEWTON: usize = 25;
    let total: f64 = samples.iter().map(|(_, _, weight)| f64::from(*weight)).sum::<f64>().max(1e-9);
    let mut weights = [0.0_f64; N_JUDGED];
    for _ in 0..N_NEWTON {
        let mut gradient = weights.map(|w| 2.0 * JUDGE_DECAY * w);
        let mut curvature = [[0.0_f64; N_JUDGED]; N_JUDGED];
        for (k, row) in curvature.iter_mut().enumerate() {
            row[k] = 2.0 * JUDGE_DECAY;
        }
        for (features, target, weight) in samples {
            let x = features.map(f64::from);
            let z: f64 = weights.iter().zip(&x).map(|(w, x)| w * x).sum();
            let p = 1.0 / (1.0 + (-z).exp());
            let weight = f64::from(*weight) / total;
            let (pull, bend) = ((p - target) * weight, p * (1.0 - p) * weight);
            for k in 0..N_JUDGED {
                gradient[k] += pull * x[k];
                curvature[k].iter_mut().zip(&x).for_each(|(c, other)| *c += bend * x[k] * other);
            }
        }
        let step = solve(curvature, gradient);
        // A step too long at the beginning is shortened; near the end it is Newton's own.
        let longest = step.iter().fold(0.0_f64, |most, s| most.max(s.abs()));
        let scale = (3.0 / longest.max(1e-12)).min(1.0);
        weights.iter_mut().zip(step).for_each(|(w, s)| *w -= scale * s);
    }
    weights.map(|w| w as f32)
}

/// The solution of a system of linear equations (Gauss, with pivots).
fn solve<const M: usize>(mut a: [[f64; M]; M], mut b: [f64; M]) -> [f64; M] {
    for k in 0..M {
        let pivot = (k..M).max_by(|i, j| a[*i][k].abs().total_cmp(&a[*j][k].abs())).unwrap_or(k);
        a.swap(k, pivot);
        b.swap(k, pivot);
        let head = if a[k][k].abs() < 1e-15 { 1e-15 } else { a[k][k] };
        for row in k + 1..M {
            let factor = a[row][k] / head;
            let above = a[k];
            a[row].iter_mut().zip(above).skip(k).for_each(|(x, y)| *x -= factor * y);
            b[row] -= factor * b[k];
        }
    }
    for k in (0..M).rev() {
        let known: f64 = (k + 1..M).map(|l| a[k][l] * b[l]).sum();
        b[k] = (b[k] - known) / if a[k][k].abs() < 1e-15 { 1e-15 } else { a[k][k] };
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(right: [f32; 2], wrong: [f32; 2]) -> Example {
        let features = |[a, b]: [f32; 2]| {
            std::array::from_fn(|n| {
                if n == 0 {
                    a
                } else if n == 1 {
                    b
                } else {
                    0.0
                }
            })
        };
        Example {
            features: vec![features(wrong), features(right)],
            beside: Beside::default(),
            right: vec![Some(false), Some(true)],
            n_chars: 10,
            weight: 1.0,
            nearly: 0.0,
        }
    }

    #[test]
    fn a_system_of_equations_is_solved() {
        assert_eq!(solve([[0.0, 2.0], [4.0, 1.0]], [6.0, 7.0]), [1.0, 3.0]);
    }

    #[test]
    fn what_tells_right_from_wrong_is_found_and_the_same_every_time() {
        let examples: Vec<Example> = (0..40).map(|n| example([0.8, n as f32 / 40.0], [0.3, 0.5])).collect();
        let (first, again) = (fit(&examples, Kind::Entry), fit(&examples, Kind::Entry));
        assert_eq!(first, again);
        assert!(first.rank[0] > 2.0 && first.rank[0] > 3.0 * first.rank[1].abs());
    }
}
