//! The lens, learned: the linear map under which phrasings of one matter are one another's neighbours (neighbourhood
//! components: Goldberger, Roweis, Hinton and Salakhutdinov 2004), by gradient descent in batches (Adam, Kingma and Ba
//! 2015). Begins at doing nothing, stops early and draws its batches from a fixed seed: the same data give the same lens.
//! Knows sums; not where the phrasings come from.

use crate::matching::SHARPNESS;
use crate::meaning::{Lens, Model};
use ndarray::{Array1, Array2, Axis, ShapeBuilder};

/// A phrasing's vector, and what it belongs to.
pub type Sample<'v> = (&'v [f32], usize);

/// What was learned: see [`crate::meaning::Lens::learned`].
pub struct Learned {
    /// The mean of all vectors.
    mean: Vec<f32>,
    /// What the map differs by from doing nothing, row by row.
    change: Vec<f32>,
}

impl Learned {
    /// The lens, and its file.
    pub fn lens(&self, model: &Model) -> (Lens, Vec<u8>) {
        Lens::learned(model.fingerprint, &self.mean, &self.change)
    }
}

/// What is asked in training is asked through a lens that was learned from the others: a share of them each.
pub const N_FOLDS: usize = 3;

/// What was learned from all, and from all but one fold each.
pub struct Lenses {
    /// From all.
    pub whole: Learned,
    /// Without the first, the second …
    pub folds: Vec<Learned>,
}

/// Learns all of them at once; `fit` is told which fold to leave out.
pub fn of_folds(fit: impl Fn(Option<usize>) -> Learned + Sync) -> Lenses {
    let fit = &fit;
    std::thread::scope(|scope| {
        let whole = scope.spawn(move || fit(None));
        let folds: Vec<_> = (0..N_FOLDS).map(|fold| scope.spawn(move || fit(Some(fold)))).collect();
        let done = |thread: std::thread::ScopedJoinHandle<'_, Learned>| {
            thread.join().expect("a panic there has been reported")
        };
        Lenses { folds: folds.into_iter().map(done).collect(), whole: done(whole) }
    })
}

// Tried: 150 to 600 rounds, steps of 0.0001 to 0.001, decays of 0.0001 to 0.01, sharpness of 10 to 30. Longer steps learn the
// phrasings by heart; among the rest the suite's test half moves by a hundredth.
const N_ROUNDS: usize = 300;
/// What a small set has in common with what was learned before is kept with fewer.
const N_ROUNDS_REFINED: usize = 200;
const BATCH: usize = 512;
const STEP: f32 = 3e-4;
const DECAY: f32 = 1e-3;
const KEEP: (f32, f32) = (0.9, 0.999);
/// A cosine that no real one undercuts, for what is left out of account.
const NEVER: f32 = -1e9;

/// The map for these vectors; all of one width.
pub fn fit(samples: &[Sample<'_>]) -> Learned {
    descend(samples, None, N_ROUNDS)
}

/// The map for these, from one learned for others and not far from it.
pub fn refine(before: &Learned, samples: &[Sample<'_>]) -> Learned {
    descend(samples, Some(before), N_ROUNDS_REFINED)
}

fn descend(samples: &[Sample<'_>], before: Option<&Learned>, n_rounds: usize) -> Learned {
    let width = samples.first().map_or(0, |(vector, _)| vector.len());
    let mut x = Array2::<f32>::zeros((samples.len(), width));
    for (mut row, (vector, _)) in x.rows_mut().into_iter().zip(samples) {
        row.iter_mut().zip(*vector).for_each(|(to, from)| *to = *from);
    }
    let mean = match before {
        Some(before) => Array1::from(before.mean.clone()),
        None => x.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(width)),
    };
    x -= &mean;
    normalise(&mut x);
    let owner: Vec<usize> = samples.iter().map(|(_, owner)| *owner).collect();
    let identity = Array2::<f32>::eye(width);
    let mut start = identity.clone();
    if let Some(before) = before {
        // A row for each number that comes out, here a column.
        let change = Array2::from_shape_vec((width, width).f(), before.change.clone());
        start += &change.expect("it was learned for vectors as wide as these");
    }
    let mut map = start.clone();
    let (mut first, mut second) = (Array2::<f32>::zeros(map.dim()), Array2::<f32>::zeros(map.dim()));
    let mut draw = Draw(0x5eed);
    for round in 1..=n_rounds {
        let batch = draw.some(samples.len(), BATCH);
        let mut gradient = gradient(&x, &map, &owner, &batch);
        gradient.scaled_add(2.0 * DECAY, &(&map - &start));
        let n = round as i32;
        let fade = 1.0 - round as f32 / (n_rounds as f32 * 1.05);
        let (unfirst, unsecond) = (1.0 - KEEP.0.powi(n), 1.0 - KEEP.1.powi(n));
        ndarray::Zip::from(&mut map).and(&mut first).and(&mut second).and(&gradient).for_each(
            |w, m, v, g| {
                *m = KEEP.0 * *m + (1.0 - KEEP.0) * g;
                *v = KEEP.1 * *v + (1.0 - KEEP.1) * g * g;
                *w -= STEP * fade * (*m / unfirst) / ((*v / unsecond).sqrt() + 1e-8);
            },
        );
    }
    // A vector goes in as a row; the lens wants a row for each number that comes out.
    let change = (map - identity).reversed_axes();
    Learned { mean: mean.to_vec(), change: change.iter().copied().collect() }
}

/// Of the batch's mean loss: how unlikely its samples' neighbours are of their own.
fn gradient(x: &Array2<f32>, map: &Array2<f32>, owner: &[usize], batch: &[usize]) -> Array2<f32> {
    let mut seen = x.dot(map);
    let lengths = normalise(&mut seen);
    let asked = seen.select(Axis(0), batch);
    let mut pull = asked.dot(&seen.t());
    let mut n_with_own = 0;
    for (mut row, at) in pull.rows_mut().into_iter().zip(batch) {
        row.iter_mut().for_each(|cosine| *cosine *= SHARPNESS_TRAINED);
        row[*at] = NEVER;
        let most = row.iter().copied().fold(NEVER, f32::max);
        row.iter_mut().for_each(|logit| *logit = (*logit - most).exp());
        let is_own = |n: usize| owner[n] == owner[*at] && n != *at;
        let all: f32 = row.sum();
        let own: f32 = row.iter().enumerate().filter(|(n, _)| is_own(*n)).map(|(_, share)| share).sum();
        if own <= 0.0 {
            row.fill(0.0);
            continue;
        }
        n_with_own += 1;
        for (n, share) in row.iter_mut().enumerate() {
            *share = *share / all - if is_own(n) { *share / own } else { 0.0 };
        }
    }
    pull *= SHARPNESS_TRAINED / (n_with_own.max(1) as f32);
    let mut pulled = pull.t().dot(&asked);
    for (row, at) in pull.dot(&seen).rows().into_iter().zip(batch) {
        pulled.row_mut(*at).scaled_add(1.0, &row);
    }
    for ((mut row, seen), length) in pulled.rows_mut().into_iter().zip(seen.rows()).zip(lengths) {
        // Along the vector itself nothing changes: it is made length one again.
        let along = row.dot(&seen);
        row.scaled_add(-along, &seen);
        row /= length;
    }
    x.t().dot(&pulled)
}

/// A little softer than where it is used, so that more than the very nearest teach.
const SHARPNESS_TRAINED: f32 = 0.8 * SHARPNESS;

/// Makes every row length one; tells how long they were.
fn normalise(rows: &mut Array2<f32>) -> Vec<f32> {
    let mut lengths = Vec::with_capacity(rows.nrows());
    for mut row in rows.rows_mut() {
        let length = row.dot(&row).sqrt().max(1e-9);
        row /= length;
        lengths.push(length);
    }
    lengths
}

/// Draws numbers that look random (SplitMix64, Steele, Lea and Flood 2014).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// So many different ones of `0..n`, or all.
    fn some(&mut self, n: usize, most: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        let most = most.min(n);
        for at in 0..most {
            let other = at + (self.next() % (n - at) as u64) as usize;
            all.swap(at, other);
        }
        all.truncate(most);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four matters in sixteen dimensions, told apart by two of them; the rest is noise, louder than the signal.
    fn samples() -> Vec<(Vec<f32>, usize)> {
        let mut draw = Draw(7);
        let mut noise = move || (draw.next() % 2_000) as f32 / 1_000.0 - 1.0;
        (0..160)
            .map(|n| {
                let mut vector: Vec<f32> = (0..16).map(|_| 0.6 * noise()).collect();
                vector[0] += if n % 2 == 0 { 0.8 } else { -0.8 };
                vector[1] += if n % 4 < 2 { 0.8 } else { -0.8 };
                (vector, n % 4)
            })
            .collect()
    }

    fn n_own_neighbours(rows: &Array2<f32>, owner: &[usize]) -> usize {
        let near = rows.dot(&rows.t());
        let nearest = |at: usize| {
            (0..owner.len()).filter(|n| *n != at).max_by(|a, b| near[[at, *a]].total_cmp(&near[[at, *b]]))
        };
        (0..owner.len()).filter(|at| nearest(*at).is_some_and(|n| owner[n] == owner[*at])).count()
    }

    #[test]
    fn what_belongs_together_comes_together_and_the_same_every_time() {
        let samples = samples();
        let given: Vec<Sample<'_>> =
            samples.iter().map(|(vector, owner)| (vector.as_slice(), *owner)).collect();
        let (learned, again) = (fit(&given), fit(&given));
        assert_eq!(learned.change, again.change);
        let owner: Vec<usize> = samples.iter().map(|(_, owner)| *owner).collect();
        let rows = |change: &[f32]| {
            let map =
                Array2::eye(16) + Array2::from_shape_vec((16, 16), change.to_vec()).unwrap().reversed_axes();
            let mut rows = Array2::zeros((samples.len(), 16));
            for (mut row, (vector, _)) in rows.rows_mut().into_iter().zip(&samples) {
                row.iter_mut().zip(vector).zip(&learned.mean).for_each(|((to, x), mean)| *to = x - mean);
            }
            let mut rows = rows.dot(&map);
            normalise(&mut rows);
            rows
        };
        let (before, after) =
            (n_own_neighbours(&rows(&[0.0; 256]), &owner), n_own_neighbours(&rows(&learned.change), &owner));
        assert!(after > before, "{after} of 160 have a neighbour of their own, {before} had");
    }

    #[test]
    fn the_gradient_is_the_slope() {
        let samples = samples();
        let mut x = Array2::zeros((samples.len(), 16));
        for (mut row, (vector, _)) in x.rows_mut().into_iter().zip(&samples) {
            row.iter_mut().zip(vector).for_each(|(to, from)| *to = *from);
        }
        normalise(&mut x);
        let owner: Vec<usize> = samples.iter().map(|(_, owner)| *owner).collect();
        let batch: Vec<usize> = (0..40).collect();
        let loss = |map: &Array2<f32>| {
            let mut seen = x.dot(map);
            normalise(&mut seen);
            let of = |at: usize| {
                let weight = |n: usize| f64::from(SHARPNESS_TRAINED * seen.row(at).dot(&seen.row(n))).exp();
                let all: f64 = (0..owner.len()).filter(|n| *n != at).map(weight).sum();
                let own: f64 =
                    (0..owner.len()).filter(|n| *n != at && owner[*n] == owner[at]).map(weight).sum();
                -(own / all).ln()
            };
            batch.iter().map(|at| of(*at)).sum::<f64>() / batch.len() as f64
        };
        let map = Array2::<f32>::eye(16);
        let gradient = gradient(&x, &map, &owner, &batch);
        for at in [[0, 0], [3, 5], [1, 0], [9, 14]] {
            let (mut up, mut down) = (map.clone(), map.clone());
            (up[at], down[at]) = (up[at] + 0.01, down[at] - 0.01);
            let slope = (loss(&up) - loss(&down)) / 0.02;
            assert!(
                (slope - f64::from(gradient[at])).abs() < 0.02 * slope.abs() + 0.02,
                "{slope} {}",
                gradient[at]
            );
        }
    }
}
