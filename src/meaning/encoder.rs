//! The encoder of multilingual-e5-small: pieces → one vector. Twelve layers of attention and feed-forward with
//! normalisation after each, the mean over all pieces, length one (Devlin et al. 2019; Wang et al. 2024).
//! Knows arithmetic; neither texts nor what vectors are compared for.

use super::ModelError;
use super::file::{Reader, Shape, block_bytes, open_blocks};
use super::kernel::{Isa, Matrix, Quantised, Work};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

/// Width of one attention head; the loops below are written for it.
pub const HEAD: usize = 32;
/// 1.5 · 2²³: a number of this size has no bits left for fractions.
const WHOLE: f32 = 12_582_912.0;
/// Numbers summed side by side, so that sums become wide instructions.
const LANES: usize = 16;

#[derive(Debug)]
struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

#[derive(Debug)]
struct Layer {
    query: Matrix,
    key: Matrix,
    value: Matrix,
    mixed: Matrix,
    mixed_norm: Norm,
    inner: Matrix,
    outer: Matrix,
    outer_norm: Norm,
}

/// The encoder's weights.
#[derive(Debug)]
pub struct Encoder {
    width: usize,
    inner: usize,
    n_pieces: usize,
    epsilon: f32,
    words: Vec<u8>,
    places: Vec<f32>,
    kind: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

impl Encoder {
    /// The rest of the model file.
    pub fn read<R: Read>(file: &mut Reader<R>, shape: &Shape) -> Result<Self, ModelError> {
        let (width, inner) = (shape.width, shape.inner);
        let words = file.blocks(shape.n_pieces * width)?;
        let places = file.f16s(shape.max_tokens * width)?;
        let kind = file.f32s(width)?;
        let norm = read_norm(file, width)?;
        let layers =
            (0..shape.n_layers).map(|_| Layer::read(file, width, inner)).collect::<Result<_, _>>()?;
        let (n_pieces, epsilon) = (shape.n_pieces, shape.epsilon);
        Ok(Self { width, inner, n_pieces, epsilon, words, places, kind, norm, layers })
    }

    /// A text may have so many pieces.
    pub fn max_pieces(&self) -> usize {
        self.places.len() / self.width
    }

    /// The vector of a text cut into pieces; at most as many as there are places. Given up between two layers once
    /// `given_up` is set.
    pub fn encode(&self, isa: Isa, pieces: &[u32], given_up: &AtomicBool) -> Option<Vec<f32>> {
        isa.run(Pass { encoder: self, isa, pieces, given_up })
    }

    #[inline(always)]
    fn begin(&self, pieces: &[u32]) -> Vec<f32> {
        let bytes = block_bytes(self.width);
        let mut rows = vec![0.0; pieces.len() * self.width];
        for ((row, piece), place) in
            rows.chunks_exact_mut(self.width).zip(pieces).zip(self.places.chunks_exact(self.width))
        {
            let piece = (*piece as usize).min(self.n_pieces - 1);
            open_blocks(&self.words[piece * bytes..(piece + 1) * bytes], row);
            for ((x, place), kind) in row.iter_mut().zip(place).zip(&self.kind) {
                *x += place + kind;
            }
        }
        normalise(&mut rows, None, &self.norm, self.epsilon);
        rows
    }
}

impl Layer {
    fn read<R: Read>(file: &mut Reader<R>, width: usize, inner: usize) -> Result<Self, ModelError> {
        let mut matrix = |n_out: usize, n_in: usize| {
            let mut rows = vec![0.0; n_out * n_in];
            open_blocks(&file.blocks(rows.len())?, &mut rows);
            let bias = file.f32s(n_out)?;
            Matrix::pack(&rows, n_out, n_in, bias).ok_or(ModelError::Damaged("矩阵尺寸不对"))
        };
        let (query, key, value) = (matrix(width, width)?, matrix(width, width)?, matrix(width, width)?);
        let mixed = matrix(width, width)?;
        let (inner, outer) = (matrix(inner, width)?, matrix(width, inner)?);
        let (mixed_norm, outer_norm) = (read_norm(file, width)?, read_norm(file, width)?);
        Ok(Self { query, key, value, mixed, mixed_norm, inner, outer, outer_norm })
    }
}

fn read_norm<R: Read>(file: &mut Reader<R>, width: usize) -> Result<Norm, ModelError> {
    Ok(Norm { weight: file.f32s(width)?, bias: file.f32s(width)? })
}

/// One text through all layers.
struct Pass<'e> {
    encoder: &'e Encoder,
    isa: Isa,
    pieces: &'e [u32],
    given_up: &'e AtomicBool,
}

impl Work for Pass<'_> {
    type Output = Option<Vec<f32>>;

    #[inline(always)]
    fn run(self) -> Option<Vec<f32>> {
        let Self { encoder: e, isa, pieces, given_up } = self;
        let pieces = &pieces[..pieces.len().min(e.max_pieces())];
        let mut x = e.begin(pieces);
        let n = x.len();
        let (mut query, mut key, mut value) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let (mut mixed, mut change) = (vec![0.0; n], vec![0.0; n]);
        let mut inner = vec![0.0; pieces.len() * e.inner];
        let mut quantised = Quantised::default();
        for layer in &e.layers {
            if given_up.load(Ordering::Relaxed) {
                return None;
            }
            quantised.set(&x, e.width);
            layer.query.times(isa, &quantised, &mut query);
            layer.key.times(isa, &quantised, &mut key);
            layer.value.times(isa, &quantised, &mut value);
            attend(&query, &key, &value, e.width, &mut mixed);
            quantised.set(&mixed, e.width);
            layer.mixed.times(isa, &quantised, &mut change);
            normalise(&mut x, Some(&change), &layer.mixed_norm, e.epsilon);
            quantised.set(&x, e.width);
            layer.inner.times(isa, &quantised, &mut inner);
            inner.iter_mut().for_each(|x| *x = gelu(*x));
            quantised.set(&inner, e.inner);
            layer.outer.times(isa, &quantised, &mut change);
            normalise(&mut x, Some(&change), &layer.outer_norm, e.epsilon);
        }
        Some(mean_of_length_one(&x, e.width))
    }
}

#[inline(always)]
fn mean_of_length_one(rows: &[f32], width: usize) -> Vec<f32> {
    let mut mean = vec![0.0; width];
    for row in rows.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    let length = mean.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
    mean.iter_mut().for_each(|x| *x /= length);
    mean
}

/// Every piece looks at every piece, in each head. The keys are turned so that a whole block of them is multiplied at
/// once and no sum runs across the lanes.
#[inline(always)]
fn attend(query: &[f32], key: &[f32], value: &[f32], width: usize, out: &mut [f32]) {
    const BLOCK: usize = 2 * LANES;
    let n = query.len() / width;
    let n_padded = n.next_multiple_of(BLOCK);
    let scale = 1.0 / (HEAD as f32).sqrt();
    let (mut shares, mut turned) = (vec![0.0_f32; n_padded], vec![0.0_f32; HEAD * n_padded]);
    for head in (0..width).step_by(HEAD) {
        for (j, row) in key.chunks_exact(width).enumerate() {
            for (d, k) in row[head..][..HEAD].iter().enumerate() {
                turned[d * n_padded + j] = *k;
            }
        }
        for i in 0..n {
            let q = &query[i * width + head..][..HEAD];
            for (block, shares) in shares.chunks_exact_mut(BLOCK).enumerate() {
                let mut sums = [0.0_f32; BLOCK];
                for (q, keys) in q.iter().zip(turned.chunks_exact(n_padded)) {
                    let keys = &keys[block * BLOCK..][..BLOCK];
                    sums.iter_mut().zip(keys).for_each(|(sum, k)| *sum += q * k);
                }
                shares.iter_mut().zip(sums).for_each(|(share, sum)| *share = sum * scale);
            }
            shares[n..].fill(f32::MIN);
            let largest = lanes(
                &shares,
                f32::MIN,
                |share| share,
                |most, share| if share > most { share } else { most },
            );
            shares.iter_mut().for_each(|share| *share = exp(*share - largest));
            shares[n..].fill(0.0);
            let inverse = 1.0 / lanes(&shares, 0.0, |share| share, |sum, share| sum + share);
            let mut sum = [0.0_f32; HEAD];
            for (share, v) in shares.iter().zip(value.chunks_exact(width)) {
                let share = share * inverse;
                sum.iter_mut().zip(&v[head..][..HEAD]).for_each(|(sum, v)| *sum += share * v);
            }
            out[i * width + head..][..HEAD].copy_from_slice(&sum);
        }
    }
}

/// Adds `change`, then brings each row to mean 0 and variance 1, then to the learned ones.
#[inline(always)]
fn normalise(rows: &mut [f32], change: Option<&[f32]>, norm: &Norm, epsilon: f32) {
    let width = norm.weight.len();
    for (i, row) in rows.chunks_exact_mut(width).enumerate() {
        if let Some(change) = change {
            row.iter_mut().zip(&change[i * width..(i + 1) * width]).for_each(|(x, c)| *x += c);
        }
        let mean = lanes(row, 0.0, |x| x, |sum, x| sum + x) / width as f32;
        let variance = lanes(row, 0.0, |x| (x - mean) * (x - mean), |sum, x| sum + x) / width as f32;
        let inverse = 1.0 / (variance + epsilon).sqrt();
        for ((x, weight), bias) in row.iter_mut().zip(&norm.weight).zip(&norm.bias) {
            *x = (*x - mean) * inverse * weight + bias;
        }
    }
}

/// All numbers of a row, a multiple of [`LANES`], brought together: lane by lane, then the lanes two by two, because a
/// sum in order would wait for each addition.
#[inline(always)]
fn lanes(row: &[f32], start: f32, of: impl Fn(f32) -> f32, with: impl Fn(f32, f32) -> f32) -> f32 {
    let mut all = [start; LANES];
    for chunk in row.chunks_exact(LANES) {
        all.iter_mut().zip(chunk).for_each(|(lane, x)| *lane = with(*lane, of(*x)));
    }
    let eight: [f32; 8] = std::array::from_fn(|n| with(all[n], all[n + 8]));
    let four: [f32; 4] = std::array::from_fn(|n| with(eight[n], eight[n + 4]));
    with(with(four[0], four[2]), with(four[1], four[3]))
}

/// x · Φ(x); the error function after Abramowitz and Stegun 7.1.28, which is wrong by less than 3e-7 and needs no exp.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    const A: [f32; 6] =
        [0.070_523_08, 0.042_282_01, 0.009_270_527, 0.000_152_014_3, 0.000_276_567_2, 0.000_043_063_8];
    let z = (x * std::f32::consts::FRAC_1_SQRT_2).abs().min(5.0);
    let p = 1.0 + z * (A[0] + z * (A[1] + z * (A[2] + z * (A[3] + z * (A[4] + z * A[5])))));
    let p = p * p;
    let p = p * p;
    let p = p * p;
    let p = p * p;
    0.5 * x * (1.0 + (1.0 - 1.0 / p).copysign(x))
}

/// e^x for x ≤ 0, wrong by about 2e-6 of it: 2 to the whole part by the exponent's bits, to the rest by a polynomial.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const C: [f32; 6] =
        [std::f32::consts::LN_2, 0.240_226_5, 0.055_504_11, 0.009_618_13, 0.001_333_36, 0.000_154_6];
    let y = x.max(-80.0) * std::f32::consts::LOG2_E;
    let whole = y.floor();
    let rest = y - whole;
    let p = 1.0 + rest * (C[0] + rest * (C[1] + rest * (C[2] + rest * (C[3] + rest * (C[4] + rest * C[5])))));
    // The lowest bits of the sum are the whole part (a cast would take the numbers one by one); the rest falls off.
    f32::from_bits((whole + WHOLE).to_bits().wrapping_add(127) << 23) * p
}

#[cfg(test)]
mod tests {
    use super::{exp, gelu};

    #[test]
    fn the_approximations_are_close() {
        for n in -400..=0 {
            let x = n as f32 / 10.0;
            assert!((exp(x) - x.exp()).abs() <= 1e-5 * x.exp().max(1e-30), "{x}");
        }
        // Φ(1) = 0.841345, Φ(-2) = 0.022750
        assert!((gelu(1.0) - 0.841_345).abs() < 1e-5);
        assert!((gelu(-2.0) + 0.045_500).abs() < 1e-5);
        assert!(gelu(-9.0).abs() < 1e-5 && (gelu(9.0) - 9.0).abs() < 1e-5);
    }
}
