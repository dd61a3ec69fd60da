//! A lens on the model's vectors: what they have in common taken away, then a learned matrix (a linear metric, trained as
//! neighbourhood components: Goldberger et al. 2004). Through it phrasings of one matter lie closer together than the model
//! alone sees them. Made by `xinqi train`. Knows a matrix; not what it was learned from.

use super::Model;
use super::kernel::{Isa, Matrix, Quantised};
use std::sync::{Arc, LazyLock};

const MAGIC: &[u8; 4] = b"XQL1";
const HEAD: usize = 4 + 32 + 4;

static ENTRIES: LazyLock<Arc<Lens>> = LazyLock::new(|| built_in(include_bytes!("../../model/lens.bin")));
static LINES: LazyLock<Arc<Lens>> = LazyLock::new(|| built_in(include_bytes!("../../model/lens-lines.bin")));
static DOCUMENTS: LazyLock<Arc<Lens>> =
    LazyLock::new(|| built_in(include_bytes!("../../model/lens-documents.bin")));

fn built_in(file: &[u8]) -> Arc<Lens> {
    Arc::new(Lens::read(file).expect("a test reads the files that are built in"))
}

/// The lens, for the vectors of one model.
#[derive(Debug)]
pub struct Lens {
    fingerprint: [u8; 32],
    mean: Vec<f32>,
    /// What it adds to a vector, so that its small numbers keep their digits in eight bits.
    change: Matrix,
}

impl Lens {
    /// The one for the phrasings of entries that this program was built with.
    pub fn of_entries() -> &'static Arc<Self> {
        &ENTRIES
    }

    /// The one for single short texts.
    pub fn of_lines() -> &'static Arc<Self> {
        &LINES
    }

    /// The one for long texts with titles.
    pub fn of_documents() -> &'static Arc<Self> {
        &DOCUMENTS
    }

    /// From what was learned: `mean` is taken from each vector, and `change` (row by row, one for each number that comes
    /// out) is what the matrix differs by from doing nothing. As it will be read from its file, so that nobody measures
    /// with finer numbers than are kept.
    pub fn learned(fingerprint: [u8; 32], mean: &[f32], change: &[f32]) -> (Self, Vec<u8>) {
        let largest = change.iter().fold(0.0_f32, |most, x| most.max(x.abs())).max(1e-9);
        let step = largest / 127.0;
        let mut file = Vec::with_capacity(HEAD + 4 * mean.len() + 4 + change.len());
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&fingerprint);
        file.extend_from_slice(&(mean.len() as u32).to_le_bytes());
        mean.iter().for_each(|x| file.extend_from_slice(&x.to_le_bytes()));
        file.extend_from_slice(&step.to_le_bytes());
        file.extend(change.iter().map(|x| (x / step).round() as i8 as u8));
        let lens = Self::read(&file).expect("it was written just above");
        (lens, file)
    }

    /// From the bytes of its file; `None` where they are not of that shape.
    fn read(file: &[u8]) -> Option<Self> {
        let (head, rest) = file.split_at_checked(HEAD)?;
        let width = u32::from_le_bytes(head[36..].try_into().ok()?) as usize;
        if &head[..4] != MAGIC || !(1..=4_096).contains(&width) || rest.len() != 4 * width + 4 + width * width
        {
            return None;
        }
        let float =
            |bytes: &[u8]| bytes.try_into().map(f32::from_le_bytes).ok().filter(|x: &f32| x.is_finite());
        let mean: Vec<f32> = rest[..4 * width].chunks_exact(4).map(float).collect::<Option<_>>()?;
        let step = float(&rest[4 * width..][..4])?;
        let rows: Vec<f32> = rest[4 * width + 4..].iter().map(|byte| f32::from(*byte as i8) * step).collect();
        let change = Matrix::pack(&rows, width, width, vec![0.0; width])?;
        Some(Self { fingerprint: head[4..36].try_into().ok()?, mean, change })
    }

    /// Whether it was learned on this model's vectors.
    pub fn fits(&self, model: &Model) -> bool {
        self.fingerprint == model.fingerprint
    }

    /// The vector as seen through it, of length one.
    pub fn through(&self, isa: Isa, vector: &[f32]) -> Vec<f32> {
        let mut centred: Vec<f32> = vector.iter().zip(&self.mean).map(|(x, mean)| x - mean).collect();
        centred.resize(self.mean.len(), 0.0);
        let mut row = Quantised::default();
        row.set(&centred, centred.len());
        let mut out = vec![0.0; self.mean.len()];
        self.change.times(isa, &row, &mut out);
        out.iter_mut().zip(&centred).for_each(|(x, own)| *x += own);
        let length = out.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
        out.iter_mut().for_each(|x| *x /= length);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_shipped_lenses_are_for_the_shipped_model() {
        let model = Model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("model/zh-e5-small.q4")).unwrap();
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let [a, b, c] = ["房租能免吗", "租金减免怎么申请", "工伤认定要多久"].map(|text| model.embed(text));
        for lens in [Lens::of_entries(), Lens::of_lines(), Lens::of_documents()] {
            assert!(lens.fits(&model));
            let [a, b, c] = [&a, &b, &c].map(|vector| lens.through(Isa::best(), vector));
            assert!((close(&a, &a) - 1.0).abs() < 1e-4);
            assert!(close(&a, &b) > close(&a, &c) + 0.2);
        }
    }

    #[test]
    fn what_is_learned_is_read_again_and_nothing_else_is() {
        let mut change = vec![0.0; 64 * 64];
        change[1] = 0.5;
        let mean: Vec<f32> = (0..64).map(|n| n as f32 / 640.0).collect();
        let (lens, file) = Lens::learned([7; 32], &mean, &change);
        let mut vector = mean.clone();
        vector[1] += 1.0;
        // The first number that comes out takes half of the second that goes in.
        for isa in Isa::available() {
            let seen = lens.through(isa, &vector);
            assert!((seen[0] / seen[1] - 0.5).abs() < 0.02, "{seen:?}");
        }
        assert!(Lens::read(&file).is_some());
        assert!(Lens::read(&file[1..]).is_none() && Lens::read(b"").is_none());
    }
}
