//! Products of int8 matrices on whatever the processor offers. The only file with `unsafe`; knows lanes and layouts, not
//! what is multiplied.
//!
//! Why it is sound. (1) Each function with a `target_feature` is reached only through [`Isa`], whose one constructor asks
//! the processor first. (2) Pointers are read and written only inside slices whose lengths [`Matrix::times`] asserts on
//! entry, at offsets below `n_in · n_out`, `rows · n_in` and `rows · n_out`. (3) Loads and stores are the unaligned ones.
#![expect(unsafe_code, reason = "processor intrinsics; the argument stands at the head of this file")]

/// Outputs computed together; the number of rows of every matrix is a multiple of it.
const LANES: usize = 16;
/// Inputs multiplied in one instruction; the width of every matrix is a multiple of it.
const DEPTH: usize = 4;
/// Weights stay within ±63, so that two products of a byte and a weight never overflow 16 bits (255 · 63 · 2 = 32,130).
const MAX_WEIGHT: f32 = 63.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

/// A set of instructions this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Kind);

impl Isa {
    /// All that work here, the fastest first. The last one works everywhere.
    pub fn available() -> Vec<Self> {
        let mut kinds = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vnni");
            if avx2 && avx512 {
                kinds.push(Kind::Avx512Vnni);
            }
            if avx2 {
                kinds.push(Kind::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            kinds.push(Kind::Neon);
        }
        kinds.push(Kind::Portable);
        kinds.into_iter().map(Self).collect()
    }

    /// The fastest that works here.
    pub fn best() -> Self {
        Self::available().first().copied().unwrap_or(Self(Kind::Portable))
    }

    /// Its name, for the log and the bench.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni => "AVX-512 VNNI",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "AVX2",
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => "NEON",
            Kind::Portable => "portable",
        }
    }

    /// Does the work compiled for these instructions: plain loops in it become wide ones, as far as they are inlined.
    pub fn run<W: Work>(self, work: W) -> W::Output {
        match self.0 {
            // SAFETY: (1) of the file's argument.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni => unsafe { run_avx512(work) },
            // SAFETY: (1).
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { run_avx2(work) },
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => work.run(),
            Kind::Portable => work.run(),
        }
    }
}

/// Work that is worth compiling for each set of instructions. Its `run` has to be `#[inline(always)]`.
pub trait Work {
    /// What comes of it.
    type Output;
    /// Does it.
    fn run(self) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512vl,avx512dq")]
fn run_avx512<W: Work>(work: W) -> W::Output {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<W: Work>(work: W) -> W::Output {
    work.run()
}

/// A matrix of weights in 8 bits, with a scale for each row.
#[derive(Debug)]
pub struct Matrix {
    n_out: usize,
    n_in: usize,
    /// Groups of [`LANES`] rows; in a group, for each four inputs, the four weights of each row.
    packed: Vec<i8>,
    scale: Vec<f32>,
    /// Of each row, what the inputs' offset of 128 adds to its sum.
    offset: Vec<i32>,
    bias: Vec<f32>,
}

/// Calls the tile of each size, the largest first, until every row of every group has been done.
#[cfg(target_arch = "x86_64")]
macro_rules! in_tiles {
    ($self:ident, $rows:ident, $out:ident, $tile:ident, [$($n:literal),*]) => {
        for group in 0..$self.n_out / LANES {
            let mut first = 0;
            $(while $rows.scales.len() - first >= $n {
                $self.$tile::<$n>(group, first, $rows, $out);
                first += $n;
            })*
        }
    };
}

/// Rows of activations as bytes with an offset of 128, each row with its scale.
#[derive(Debug, Default)]
pub struct Quantised {
    bytes: Vec<u8>,
    scales: Vec<f32>,
}

impl Quantised {
    /// Takes rows of `width` numbers in place of what was there.
    #[inline(always)]
    pub fn set(&mut self, rows: &[f32], width: usize) {
        self.bytes.resize(rows.len(), 0);
        self.scales.clear();
        for (row, bytes) in rows.chunks_exact(width).zip(self.bytes.chunks_exact_mut(width)) {
            let mut largest = [0.0_f32; LANES];
            for chunk in row.chunks_exact(LANES) {
                for (most, value) in largest.iter_mut().zip(chunk) {
                    *most = most.max(value.abs());
                }
            }
            let largest = largest.iter().fold(0.0_f32, |a, b| a.max(*b));
            let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
            let inverse = 1.0 / scale;
            for (byte, value) in bytes.iter_mut().zip(row) {
                // `max` and `min` give the bound where the value is no number; `clamp` would not.
                #[expect(clippy::manual_clamp, reason = "see above")]
                let shifted = (value * inverse + 128.5).max(0.0).min(255.0);
                // SAFETY: by these bounds it is a number between 0 and 255. The checked cast would take the numbers one by one.
                *byte = unsafe { shifted.to_int_unchecked::<i32>() } as u8;
            }
            self.scales.push(scale);
        }
    }
}

impl Matrix {
    /// From rows of `n_in` numbers each. `None` where the shape does not suit the lanes.
    pub fn pack(rows: &[f32], n_out: usize, n_in: usize, bias: Vec<f32>) -> Option<Self> {
        let fits = n_out.is_multiple_of(LANES) && n_in.is_multiple_of(LANES) && bias.len() == n_out;
        if !fits || rows.len() != n_out * n_in || rows.is_empty() {
            return None;
        }
        let (mut packed, mut scales, mut offsets) = (vec![0_i8; n_out * n_in], Vec::new(), Vec::new());
        for (o, row) in rows.chunks_exact(n_in).enumerate() {
            let largest = row.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
            let scale = if largest > 0.0 { largest / MAX_WEIGHT } else { 1.0 };
            let (group, lane) = (o / LANES, o % LANES);
            let mut sum = 0_i32;
            for (k, value) in row.iter().enumerate() {
                let weight = (value / scale).round().clamp(-MAX_WEIGHT, MAX_WEIGHT) as i8;
                sum += i32::from(weight);
                let at = group * LANES * n_in + (k / DEPTH) * LANES * DEPTH + lane * DEPTH + k % DEPTH;
                packed[at] = weight;
            }
            scales.push(scale);
            offsets.push(128 * sum);
        }
        Some(Self { n_out, n_in, packed, scale: scales, offset: offsets, bias })
    }

    /// Rows out: bias + weights · each row in.
    pub fn times(&self, isa: Isa, rows: &Quantised, out: &mut [f32]) {
        let n_rows = rows.scales.len();
        assert_eq!(rows.bytes.len(), n_rows * self.n_in);
        assert_eq!(out.len(), n_rows * self.n_out);
        assert_eq!(self.packed.len(), self.n_out * self.n_in);
        assert!(
            self.scale.len() == self.n_out
                && self.offset.len() == self.n_out
                && self.bias.len() == self.n_out
        );
        match isa.0 {
            // SAFETY: (1), (2) and (3) of the file's argument; the lengths were asserted above.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Vnni => unsafe { self.times_avx512(rows, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { self.times_avx2(rows, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Kind::Neon => unsafe { self.times_neon(rows, out) },
            Kind::Portable => self.times_portable(rows, out),
        }
    }

    fn times_portable(&self, rows: &Quantised, out: &mut [f32]) {
        for (group, weights) in self.packed.chunks_exact(LANES * self.n_in).enumerate() {
            for (i, (row, scale)) in rows.bytes.chunks_exact(self.n_in).zip(&rows.scales).enumerate() {
                let mut sums = [0_i32; LANES];
                for (four, block) in row.chunks_exact(DEPTH).zip(weights.chunks_exact(LANES * DEPTH)) {
                    for (sum, weights) in sums.iter_mut().zip(block.chunks_exact(DEPTH)) {
                        for (byte, weight) in four.iter().zip(weights) {
                            *sum += i32::from(*byte) * i32::from(*weight);
                        }
                    }
                }
                for (lane, sum) in sums.iter().enumerate() {
                    let o = group * LANES + lane;
                    out[i * self.n_out + o] =
                        (sum - self.offset[o]) as f32 * self.scale[o] * scale + self.bias[o];
                }
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn times_avx512(&self, rows: &Quantised, out: &mut [f32]) {
        // SAFETY: `in_tiles` names only groups of the matrix and runs of rows that are there.
        unsafe { in_tiles!(self, rows, out, tile_avx512, [8, 7, 6, 5, 4, 3, 2, 1]) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    #[inline]
    unsafe fn tile_avx512<const N: usize>(
        &self,
        group: usize,
        first: usize,
        rows: &Quantised,
        out: &mut [f32],
    ) {
        use std::arch::x86_64::*;
        // SAFETY: the caller keeps `group` below n_out / LANES and `first + N` at most at the number of rows.
        unsafe {
            let weights = self.packed.as_ptr().add(group * LANES * self.n_in);
            let inputs: [*const i32; N] =
                std::array::from_fn(|j| rows.bytes.as_ptr().add((first + j) * self.n_in).cast());
            let mut sums = [_mm512_setzero_si512(); N];
            for k in 0..self.n_in / DEPTH {
                let weights = _mm512_loadu_si512(weights.add(k * LANES * DEPTH).cast());
                for (sum, input) in sums.iter_mut().zip(inputs) {
                    let four = _mm512_set1_epi32(input.add(k).read_unaligned());
                    *sum = _mm512_dpbusd_epi32(*sum, four, weights);
                }
            }
            let scale = _mm512_loadu_ps(self.scale.as_ptr().add(group * LANES));
            let offset = _mm512_loadu_si512(self.offset.as_ptr().add(group * LANES).cast());
            let bias = _mm512_loadu_ps(self.bias.as_ptr().add(group * LANES));
            for (j, sum) in sums.into_iter().enumerate() {
                let value = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum, offset));
                let scale = _mm512_mul_ps(scale, _mm512_set1_ps(rows.scales[first + j]));
                let value = _mm512_fmadd_ps(value, scale, bias);
                _mm512_storeu_ps(out.as_mut_ptr().add((first + j) * self.n_out + group * LANES), value);
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn times_avx2(&self, rows: &Quantised, out: &mut [f32]) {
        // SAFETY: as in `times_avx512`.
        unsafe { in_tiles!(self, rows, out, tile_avx2, [4, 3, 2, 1]) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    unsafe fn tile_avx2<const N: usize>(
        &self,
        group: usize,
        first: usize,
        rows: &Quantised,
        out: &mut [f32],
    ) {
        use std::arch::x86_64::*;
        // SAFETY: as in `tile_avx512`; half a group is eight lanes.
        unsafe {
            let weights = self.packed.as_ptr().add(group * LANES * self.n_in);
            let inputs: [*const i32; N] =
                std::array::from_fn(|j| rows.bytes.as_ptr().add((first + j) * self.n_in).cast());
            let ones = _mm256_set1_epi16(1);
            let mut sums = [[_mm256_setzero_si256(); 2]; N];
            for k in 0..self.n_in / DEPTH {
                let at = weights.add(k * LANES * DEPTH);
                let halves = [_mm256_loadu_si256(at.cast()), _mm256_loadu_si256(at.add(32).cast())];
                for (sum, input) in sums.iter_mut().zip(inputs) {
                    let four = _mm256_set1_epi32(input.add(k).read_unaligned());
                    for (sum, weights) in sum.iter_mut().zip(halves) {
                        let pairs = _mm256_maddubs_epi16(four, weights);
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs, ones));
                    }
                }
            }
            for (j, sums) in sums.into_iter().enumerate() {
                for (half, sum) in sums.into_iter().enumerate() {
                    let o = group * LANES + half * 8;
                    let offset = _mm256_loadu_si256(self.offset.as_ptr().add(o).cast());
                    let value = _mm256_cvtepi32_ps(_mm256_sub_epi32(sum, offset));
                    let scale = _mm256_loadu_ps(self.scale.as_ptr().add(o));
                    let scale = _mm256_mul_ps(scale, _mm256_set1_ps(rows.scales[first + j]));
                    let bias = _mm256_loadu_ps(self.bias.as_ptr().add(o));
                    let value = _mm256_fmadd_ps(value, scale, bias);
                    _mm256_storeu_ps(out.as_mut_ptr().add((first + j) * self.n_out + o), value);
                }
            }
        }
    }

    #[cfg(target_arch = "aarch64")]
    #[target_feature(enable = "neon")]
    unsafe fn times_neon(&self, rows: &Quantised, out: &mut [f32]) {
        use std::arch::aarch64::*;
        // SAFETY: every group, row and block of four inputs below lies inside the slices asserted by `times`.
        unsafe {
            for group in 0..self.n_out / LANES {
                let weights = self.packed.as_ptr().add(group * LANES * self.n_in);
                for (i, scale) in rows.scales.iter().enumerate() {
                    let input: *const i32 = rows.bytes.as_ptr().add(i * self.n_in).cast();
                    let mut sums = [vdupq_n_s32(0); 4];
                    for k in 0..self.n_in / DEPTH {
                        // The offset of 128 is taken off by flipping the sign bit; the products then fit 16 bits.
                        let four = vreinterpretq_s8_s32(vdupq_n_s32(input.add(k).read_unaligned()));
                        let four = veorq_s8(four, vdupq_n_s8(-128));
                        for (quarter, sum) in sums.iter_mut().enumerate() {
                            let w = vld1q_s8(weights.add(k * LANES * DEPTH + quarter * 16));
                            let low = vpaddlq_s16(vmull_s8(vget_low_s8(four), vget_low_s8(w)));
                            let high = vpaddlq_s16(vmull_high_s8(four, w));
                            *sum = vaddq_s32(*sum, vpaddq_s32(low, high));
                        }
                    }
                    for (quarter, sum) in sums.into_iter().enumerate() {
                        let o = group * LANES + quarter * 4;
                        let scale = vmulq_n_f32(vld1q_f32(self.scale.as_ptr().add(o)), *scale);
                        let bias = vld1q_f32(self.bias.as_ptr().add(o));
                        let value = vfmaq_f32(bias, vcvtq_f32_s32(sum), scale);
                        vst1q_f32(out.as_mut_ptr().add(i * self.n_out + o), value);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Isa, Matrix, Quantised};

    /// Numbers that look random and are always the same.
    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn every_set_of_instructions_gives_the_product() {
        let (n_in, n_out) = (64, 48);
        for n_rows in 1..=17 {
            let (weights, inputs) = (numbers(n_in * n_out, 7), numbers(n_in * n_rows, n_rows as u32));
            let bias = numbers(n_out, 3);
            let matrix = Matrix::pack(&weights, n_out, n_in, bias.clone()).unwrap();
            let mut rows = Quantised::default();
            rows.set(&inputs, n_in);
            for isa in Isa::available() {
                let mut out = vec![0.0; n_rows * n_out];
                matrix.times(isa, &rows, &mut out);
                for (i, row) in inputs.chunks_exact(n_in).enumerate() {
                    for (o, weights) in weights.chunks_exact(n_in).enumerate() {
                        let exact: f32 = row.iter().zip(weights).map(|(a, b)| a * b).sum::<f32>() + bias[o];
                        let got = out[i * n_out + o];
                        assert!((got - exact).abs() < 0.15, "{}: {got} for {exact}", isa.name());
                    }
                }
            }
        }
    }

    #[test]
    fn all_sets_of_instructions_agree_to_the_last_digits() {
        let (n_in, n_out, n_rows) = (384, 32, 9);
        let matrix = Matrix::pack(&numbers(n_in * n_out, 1), n_out, n_in, numbers(n_out, 2)).unwrap();
        let mut rows = Quantised::default();
        // The largest numbers there are, where sixteen bits could overflow.
        rows.set(&vec![1.0; n_in * n_rows], n_in);
        let product = |isa| {
            let mut out = vec![0.0; n_rows * n_out];
            matrix.times(isa, &rows, &mut out);
            out
        };
        let all: Vec<Vec<f32>> = Isa::available().into_iter().map(product).collect();
        for other in &all[1..] {
            assert!(all[0].iter().zip(other).all(|(a, b)| (a - b).abs() <= 1e-4 * a.abs().max(1.0)));
        }
    }

    #[test]
    fn a_shape_that_does_not_fit_the_lanes_is_refused() {
        assert!(Matrix::pack(&numbers(15 * 16, 1), 15, 16, vec![0.0; 15]).is_none());
        assert!(Matrix::pack(&numbers(16 * 18, 1), 16, 18, vec![0.0; 16]).is_none());
        assert!(Matrix::pack(&[], 0, 0, Vec::new()).is_none());
        assert!(Matrix::pack(&numbers(16, 1), 16, 16, vec![0.0; 16]).is_none());
    }
}
