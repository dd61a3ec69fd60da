//! Many vectors side by side: cosines of one against all, and a file that keeps them by the hash of their text, so that a
//! start does not compute them anew. Knows bytes and products; not which text belongs to what.

use super::Model;
use super::kernel::{Isa, Matrix, Quantised};
use rustc_hash::{FxHashMap, FxHashSet};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Rows of the matrix come in such groups.
const GROUP: usize = 16;

/// So many vectors are packed at a time: what is packed from is four times as large.
const AT_A_TIME: usize = 32 * GROUP;

/// Vectors of length one, in eight bits.
#[derive(Debug, Default)]
pub struct Vectors {
    matrices: Vec<Matrix>,
    n: usize,
    n_padded: usize,
}

impl Vectors {
    /// From the vectors; all of one width.
    pub fn new(vectors: &[Coarse]) -> Self {
        let width = vectors.first().map_or(0, |vector| vector.bytes.len());
        let mut rows = Vec::new();
        let mut pack = |vectors: &[Coarse]| {
            let n_padded = vectors.len().next_multiple_of(GROUP);
            rows.clear();
            rows.extend(vectors.iter().flat_map(Coarse::numbers));
            rows.resize(n_padded * width, 0.0);
            Matrix::pack(&rows, n_padded, width, vec![0.0; n_padded])
        };
        // Nothing is packed where the vectors have no width, and nothing is near then.
        let matrices = vectors.chunks(AT_A_TIME).map_while(&mut pack).collect();
        Self { matrices, n: vectors.len(), n_padded: vectors.len().next_multiple_of(GROUP) }
    }

    /// The cosine of this vector with each; wrong by less than 0.01.
    pub fn cosines(&self, isa: Isa, vector: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; self.n_padded];
        let mut row = Quantised::default();
        row.set(vector, vector.len());
        for (matrix, out) in self.matrices.iter().zip(out.chunks_mut(AT_A_TIME)) {
            matrix.times(isa, &row, out);
        }
        out.truncate(self.n);
        out
    }
}

/// A vector as it is kept: eight bits a number, and what they are multiplied with. Empty where it could not be computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coarse {
    scale: f32,
    bytes: Box<[i8]>,
}

impl Coarse {
    /// Of a vector.
    pub fn of(vector: &[f32]) -> Self {
        let largest = vector.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        Self { scale, bytes: vector.iter().map(|x| (x / scale).round() as i8).collect() }
    }

    /// Its numbers.
    pub fn numbers(&self) -> impl Iterator<Item = f32> {
        self.bytes.iter().map(|byte| f32::from(*byte) * self.scale)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

const MAGIC: &[u8; 4] = b"XQV1";
const KEY: usize = 16;

type Key = [u8; KEY];

/// The vectors that were computed before, by model, text and number of pieces looked at. Only those asked for are kept, so
/// the file is no larger than what it is for.
#[derive(Debug)]
pub struct VectorCache {
    file: Option<PathBuf>,
    fingerprint: [u8; 32],
    vectors: FxHashMap<Key, Coarse>,
    wanted: FxHashSet<Key>,
    /// Something was computed, or something in the file is not wanted any more.
    is_new: bool,
}

impl VectorCache {
    /// What is left in the file of this model's vectors; nothing where there is no file, or not one of ours.
    pub fn open(file: Option<&Path>, model: &Model) -> Self {
        let mut cache = Self {
            file: file.map(Path::to_owned),
            fingerprint: model.fingerprint,
            vectors: FxHashMap::default(),
            wanted: FxHashSet::default(),
            is_new: false,
        };
        let bytes = file.and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
        cache.vectors = cache.read(&bytes).unwrap_or_default();
        cache
    }

    fn read(&self, bytes: &[u8]) -> Option<FxHashMap<Key, Coarse>> {
        let (head, rest) = bytes.split_at_checked(4 + 32 + 4)?;
        let width = u32::from_le_bytes(head[36..].try_into().ok()?) as usize;
        if &head[..4] != MAGIC || head[4..36] != self.fingerprint || !(1..=4_096).contains(&width) {
            return None;
        }
        // The last bytes are the hash of the rest: a file cut short by a power failure is not believed.
        let (records, sum) = rest.split_at_checked(rest.len().checked_sub(32)?)?;
        if Sha256::digest(records).as_slice() != sum {
            return None;
        }
        let record = |record: &[u8]| {
            let (key, rest) = record.split_at(KEY);
            let scale = f32::from_le_bytes(rest[..4].try_into().ok()?);
            let bytes = rest[4..].iter().map(|byte| *byte as i8).collect();
            Some((key.try_into().ok()?, Coarse { scale, bytes }))
        };
        records.chunks_exact(KEY + 4 + width).map(record).collect()
    }

    /// The vectors of these texts, each looked at up to so many pieces: from the cache, else computed by `n_threads`.
    pub fn embed(&mut self, model: &Model, texts: &[(String, usize)], n_threads: usize) -> Vec<Coarse> {
        let keys: Vec<Key> = texts.iter().map(|(text, most)| key(text, *most)).collect();
        let is_missing = |n: &usize| self.wanted.insert(keys[*n]) && !self.vectors.contains_key(&keys[*n]);
        let missing: Vec<usize> = (0..texts.len()).filter(is_missing).collect();
        let part = missing.len().div_ceil(n_threads.max(1)).max(1);
        let computed: Vec<(Key, Coarse)> = std::thread::scope(|scope| {
            let keys = &keys;
            let work = |part: &[usize]| -> Vec<(Key, Coarse)> {
                part.iter()
                    .map(|n| (keys[*n], Coarse::of(&model.embed_up_to(&texts[*n].0, texts[*n].1))))
                    .collect()
            };
            let threads: Vec<_> = missing.chunks(part).map(|part| scope.spawn(move || work(part))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
        });
        self.is_new |= !computed.is_empty();
        self.vectors.extend(computed);
        keys.iter().map(|key| self.vectors.get(key).cloned().unwrap_or_default()).collect()
    }

    /// Writes the file, if there is something new; at once or not at all. Of two processes that write, one wins.
    pub fn save(&mut self) -> std::io::Result<()> {
        let n_before = self.vectors.len();
        self.vectors.retain(|key, _| self.wanted.contains(key));
        self.is_new |= self.vectors.len() != n_before;
        let Some(file) = self.file.as_ref().filter(|_| self.is_new) else { return Ok(()) };
        let width = self.vectors.values().next().map_or(1, |vector| vector.bytes.len());
        let mut records = Vec::with_capacity(self.vectors.len() * (KEY + 4 + width));
        for (key, vector) in &self.vectors {
            records.extend_from_slice(key);
            records.extend_from_slice(&vector.scale.to_le_bytes());
            records.extend(vector.bytes.iter().map(|byte| *byte as u8));
        }
        let fresh = file.with_extension(format!("new{}", std::process::id()));
        let mut out = std::fs::File::create(&fresh)?;
        out.write_all(MAGIC)?;
        out.write_all(&self.fingerprint)?;
        out.write_all(&(width as u32).to_le_bytes())?;
        out.write_all(&records)?;
        out.write_all(&Sha256::digest(&records))?;
        out.sync_data()?;
        std::fs::rename(&fresh, file)?;
        self.is_new = false;
        Ok(())
    }
}

fn key(text: &str, most: usize) -> Key {
    let mut hash = Sha256::new();
    hash.update((most as u64).to_le_bytes());
    hash.update(text.as_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    let mut key = [0; KEY];
    key.copy_from_slice(&hash[..KEY]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        Model::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("model/zh-e5-small.q4")).unwrap()
    }

    #[test]
    fn cosines_are_close_for_every_set_of_instructions() {
        let vector = |seed: usize| {
            let v: Vec<f32> = (0..64).map(|k| ((seed * 31 + k * 17) % 29) as f32 - 14.0).collect();
            let length = v.iter().map(|x| x * x).sum::<f32>().sqrt();
            v.iter().map(|x| x / length).collect::<Vec<f32>>()
        };
        let all: Vec<Vec<f32>> = (0..21).map(vector).collect();
        let vectors = Vectors::new(&all.iter().map(|vector| Coarse::of(vector)).collect::<Vec<_>>());
        for isa in Isa::available() {
            let cosines = vectors.cosines(isa, &all[5]);
            assert_eq!(cosines.len(), 21);
            for (cosine, other) in cosines.iter().zip(&all) {
                let exact: f32 = other.iter().zip(&all[5]).map(|(a, b)| a * b).sum();
                assert!((cosine - exact).abs() < 0.01, "{cosine} for {exact}");
            }
        }
        assert!(Vectors::new(&[]).cosines(Isa::best(), &all[0]).is_empty());
    }

    #[test]
    fn what_was_computed_is_kept_and_what_is_broken_is_not_believed() {
        let (model, dir) = (model(), tempfile::tempdir().unwrap());
        let file = dir.path().join("vectors.bin");
        let texts = vec![("房租能免吗".to_owned(), 64), ("社保".to_owned(), 64), ("社保".to_owned(), 64)];
        let mut cache = VectorCache::open(Some(&file), &model);
        let computed = cache.embed(&model, &texts, 2);
        assert_eq!(computed[1], computed[2]);
        cache.save().unwrap();
        let mut again = VectorCache::open(Some(&file), &model);
        assert_eq!(again.vectors.len(), 2);
        assert_eq!(again.embed(&model, &texts, 2), computed);
        again.embed(&model, &texts[..1], 1);
        again.save().unwrap();
        assert_eq!(VectorCache::open(Some(&file), &model).vectors.len(), 2, "both were wanted");
        let mut fewer = VectorCache::open(Some(&file), &model);
        fewer.embed(&model, &texts[..1], 1);
        fewer.save().unwrap();
        assert_eq!(VectorCache::open(Some(&file), &model).vectors.len(), 1, "what nobody wants is dropped");
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[80] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        assert!(VectorCache::open(Some(&file), &model).vectors.is_empty());
        std::fs::write(&file, b"XQV1").unwrap();
        assert!(VectorCache::open(Some(&file), &model).vectors.is_empty());
    }
}
