//! The model file (ZHE5, version 1; described in model/README.md) → numbers. Every length is checked before it is believed.
//! Knows the layout; what the numbers are for is `encoder`'s and `tokens`' business.

use super::ModelError;
use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use std::io::{ErrorKind, Read};

/// Blocks of so many weights share a scale: two bytes of it, then half a byte a weight.
pub const BLOCK: usize = 32;
const BLOCK_BYTES: usize = 18;
const CUT_SHORT: ModelError = ModelError::Damaged("文件不完整");

/// The numbers at the head of the file.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Width of the hidden state.
    pub width: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Width inside the feed-forward part.
    pub inner: usize,
    /// Most tokens of a text.
    pub max_tokens: usize,
    /// Number of pieces.
    pub n_pieces: usize,
    /// Piece at the beginning, at the end, and for what no piece covers.
    pub special: [u32; 3],
    /// Added to variances.
    pub epsilon: f32,
    /// Log-probability of a character that no piece covers.
    pub unknown_score: f32,
}

/// Reads the file from front to back, a part at a time: held whole beside what is made of it, it would count twice.
pub struct Reader<R> {
    from: R,
    left: u64,
    hash: Sha256,
}

impl<R: Read> Reader<R> {
    /// At the beginning of so many bytes.
    pub fn new(from: R, size: u64) -> Self {
        Self { from, left: size, hash: Sha256::new() }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ModelError> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(CUT_SHORT)?;
        self.from.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => CUT_SHORT,
            _ => ModelError::Missing(error.to_string()),
        })?;
        self.hash.update(bytes);
        Ok(())
    }

    /// The next bytes.
    pub fn take(&mut self, n: usize) -> Result<Vec<u8>, ModelError> {
        if n as u64 > self.left {
            return Err(CUT_SHORT);
        }
        let mut bytes = vec![0; n];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// At the end: the SHA-256 of all that was read.
    pub fn finish(self) -> Result<[u8; 32], ModelError> {
        if self.left > 0 {
            return Err(ModelError::Damaged("文件末尾有多余内容"));
        }
        Ok(self.hash.finalize().into())
    }

    /// The next integer.
    pub fn u32(&mut self) -> Result<u32, ModelError> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8, ModelError> {
        let mut byte = [0];
        self.fill(&mut byte)?;
        Ok(byte[0])
    }

    /// The next numbers.
    pub fn f32s(&mut self, n: usize) -> Result<Vec<f32>, ModelError> {
        let bytes = self.take(n.checked_mul(4).ok_or(ModelError::Damaged("长度不对"))?)?;
        let number = |chunk: &[u8]| chunk.try_into().map_or(f32::NAN, f32::from_le_bytes);
        let numbers: Vec<f32> = bytes.chunks_exact(4).map(number).collect();
        if numbers.iter().all(|n| n.is_finite()) {
            Ok(numbers)
        } else {
            Err(ModelError::Damaged("含有非数"))
        }
    }

    /// The next numbers, of half precision.
    pub fn f16s(&mut self, n: usize) -> Result<Vec<f32>, ModelError> {
        let bytes = self.take(n.checked_mul(2).ok_or(ModelError::Damaged("长度不对"))?)?;
        Ok(bytes.chunks_exact(2).map(|b| half(u16::from_le_bytes([b[0], b[1]]))).collect())
    }

    /// The next weights as they lie, unopened.
    pub fn blocks(&mut self, n: usize) -> Result<Vec<u8>, ModelError> {
        if !n.is_multiple_of(BLOCK) {
            return Err(ModelError::Damaged("权重个数不是整块"));
        }
        self.take((n / BLOCK).checked_mul(BLOCK_BYTES).ok_or(ModelError::Damaged("长度不对"))?)
    }

    /// The head of the file.
    pub fn shape(&mut self) -> Result<Shape, ModelError> {
        if self.take(4)? != *b"ZHE5" || self.u32()? != 1 {
            return Err(ModelError::Damaged("不是本程序认识的模型文件"));
        }
        let mut size = [0_usize; 6];
        for (n, most) in size.iter_mut().zip([4_096, 64, 64, 16_384, 4_096, 1 << 20]) {
            *n = self.u32()? as usize;
            if !(1..=most).contains(n) {
                return Err(ModelError::Damaged("模型尺寸超出范围"));
            }
        }
        let special = [self.u32()?, self.u32()?, self.u32()?];
        let numbers = self.f32s(2)?;
        let [width, n_layers, n_heads, inner, max_tokens, n_pieces] = size;
        let shape = Shape {
            width,
            n_layers,
            inner,
            max_tokens,
            n_pieces,
            special,
            epsilon: numbers[0],
            unknown_score: numbers[1],
        };
        let fits = width == n_heads * super::encoder::HEAD
            && special.iter().all(|piece| (*piece as usize) < n_pieces)
            && max_tokens > 8;
        if fits { Ok(shape) } else { Err(ModelError::Damaged("模型尺寸不合本程序")) }
    }

    /// The pieces' bytes, in their order, and the log-probability of each.
    pub fn pieces(&mut self, n: usize) -> Result<(Vec<Vec<u8>>, Vec<f32>), ModelError> {
        let mut pieces = Vec::new();
        for _ in 0..n {
            let length = usize::from(self.u8()?);
            pieces.push(self.take(length)?);
        }
        Ok((pieces, self.f32s(n)?))
    }

    /// What each character is replaced by before it is cut into pieces.
    pub fn normaliser(&mut self) -> Result<FxHashMap<char, Vec<char>>, ModelError> {
        let n = self.u32()?;
        let mut table = FxHashMap::default();
        for _ in 0..n {
            let from = char::from_u32(self.u32()?);
            let length = self.u8()?;
            let mut to = Vec::with_capacity(usize::from(length));
            for _ in 0..length {
                to.extend(char::from_u32(self.u32()?));
            }
            if let Some(from) = from {
                table.insert(from, to);
            }
        }
        Ok(table)
    }
}

/// Opens blocks of 4-bit weights: in each, the scale and then the low and the high halves of sixteen bytes.
#[inline(always)]
pub fn open_blocks(blocks: &[u8], out: &mut [f32]) {
    for (block, out) in blocks.chunks_exact(BLOCK_BYTES).zip(out.chunks_exact_mut(BLOCK)) {
        let scale = half(u16::from_le_bytes([block[0], block[1]]));
        let (low, high) = out.split_at_mut(BLOCK / 2);
        for ((byte, low), high) in block[2..].iter().zip(low).zip(high) {
            *low = f32::from(i16::from(byte & 15) - 8) * scale;
            *high = f32::from(i16::from(byte >> 4) - 8) * scale;
        }
    }
}

/// How many bytes so many weights take.
pub const fn block_bytes(n: usize) -> usize {
    n / BLOCK * BLOCK_BYTES
}

/// A number of half precision (IEEE 754 binary16).
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10) & 31, u32::from(bits) & 1023);
    match exponent {
        0 => f32::from_bits(sign | (fraction as f32 * 2.0_f32.powi(-24)).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, half, open_blocks};

    #[test]
    fn half_precision_is_read_exactly() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 2.0_f32.powi(-24)),
            (0x0000, 0.0),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(half(bits), value);
        }
    }

    #[test]
    fn a_block_holds_thirty_two_weights_around_zero() {
        let mut block = vec![0x00, 0x3c];
        block.extend([0x80; 16]);
        let mut out = [9.0; 32];
        open_blocks(&block, &mut out);
        assert_eq!((out[0], out[31]), (-8.0, 0.0));
    }

    proptest::proptest! {
        #[test]
        fn no_file_brings_the_reader_down(bytes: Vec<u8>) {
            let whole = [b"ZHE5\x01\0\0\0".as_slice(), &bytes].concat();
            for file in [&bytes, &whole] {
                let mut reader = Reader::new(file.as_slice(), file.len() as u64);
                if let Ok(shape) = reader.shape() {
                    let _ = reader.pieces(shape.n_pieces).and_then(|_| reader.normaliser());
                }
            }
        }
    }
}
