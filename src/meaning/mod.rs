//! What a text means, as a vector: a small sentence model read and computed here, so that a question finds its answer
//! when the two share no words. Knows texts and vectors; nothing of entries or answers.

mod encoder;
mod file;
mod kernel;
mod lens;
mod tokens;
mod vectors;

pub use kernel::Isa;
pub use lens::Lens;
pub use vectors::{Coarse, VectorCache, Vectors};

use encoder::Encoder;
use file::Reader;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tokens::Tokens;

/// Of a text so many pieces are looked at: about a hundred characters, in which every question has been asked.
pub const MAX_PIECES: usize = 64;
/// The longest pieces; most have one to three characters.
const MAX_PIECE_CHARS: usize = 16;
/// More is no model file of ours.
const MAX_FILE: u64 = 256 << 20;

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// It cannot be read.
    #[error("语义模型读不了（{0}）")]
    Missing(String),
    /// It is not what it should be.
    #[error("语义模型已损坏：{0}")]
    Damaged(&'static str),
    /// It is whole, but what was learned here was learned on another.
    #[error("语义模型不是本程序配套的那一个")]
    Strange,
}

/// The sentence model.
#[derive(Debug)]
pub struct Model {
    tokens: Tokens,
    encoder: Encoder,
    isa: Isa,
    /// Names the model's bytes; vectors of another model are of no use.
    pub fingerprint: [u8; 32],
}

impl Model {
    /// Reads a model file and the file beside it with its SHA-256 (`….sha256`), which it has to match.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let missing = |what: &Path, error: std::io::Error| {
            ModelError::Missing(format!(
                "{}：{error}",
                what.file_name().unwrap_or_default().to_string_lossy()
            ))
        };
        let size = std::fs::metadata(path).map_err(|error| missing(path, error))?.len();
        if size > MAX_FILE {
            return Err(ModelError::Damaged("文件太大"));
        }
        let file = File::open(path).map_err(|error| missing(path, error))?;
        let sum = path.with_extension("sha256");
        let expected = std::fs::read_to_string(&sum).map_err(|error| missing(&sum, error))?;
        let model = Self::parse(BufReader::new(file), size, Isa::best())?;
        let found: String = model.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
        if expected.split_whitespace().next() != Some(found.as_str()) {
            return Err(ModelError::Damaged("校验和不符"));
        }
        Ok(model)
    }

    /// The same, and only the model whose vectors the weights built in were learned on.
    pub fn load_matching(path: &Path) -> Result<Self, ModelError> {
        let model = Self::load(path)?;
        if Lens::of_entries().fits(&model) { Ok(model) } else { Err(ModelError::Strange) }
    }

    /// From a file of so many bytes, for this set of instructions.
    fn parse(from: impl Read, size: u64, isa: Isa) -> Result<Self, ModelError> {
        let mut file = Reader::new(from, size);
        let shape = file.shape()?;
        let (pieces, scores) = file.pieces(shape.n_pieces)?;
        let tokens = Tokens::new(&shape, pieces, scores, file.normaliser()?);
        let encoder = Encoder::read(&mut file, &shape)?;
        Ok(Self { tokens, encoder, isa, fingerprint: file.finish()? })
    }

    /// The same model computed with other instructions.
    pub fn with(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// With which instructions it is computed.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The vector of a text, of length one.
    pub fn embed(&self, text: &str) -> Vec<f32> {
        self.embed_up_to(text, MAX_PIECES)
    }

    /// The same, looking at more or fewer pieces.
    pub fn embed_up_to(&self, text: &str, most: usize) -> Vec<f32> {
        // What nobody gives up is always there.
        self.encoder.encode(self.isa, &self.cut(text, most), &AtomicBool::new(false)).unwrap_or_default()
    }

    /// The vector of a text, if nobody sets `given_up` before it is there.
    pub fn embed_unless(&self, text: &str, given_up: &AtomicBool) -> Option<Vec<f32>> {
        self.encoder.encode(self.isa, &self.cut(text, MAX_PIECES), given_up)
    }

    fn cut(&self, text: &str, most: usize) -> Vec<u32> {
        let most = most.clamp(8, self.encoder.max_pieces());
        // A piece has few characters: what lies further back cannot be among the first pieces.
        let end = text.char_indices().nth(most * MAX_PIECE_CHARS).map_or(text.len(), |(at, _)| at);
        self.tokens.cut(&text[..end], most)
    }

    /// Into how many pieces a text falls.
    pub fn n_pieces(&self, text: &str) -> usize {
        self.tokens.cut(text, usize::MAX).len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Isa, MAX_PIECES, Model, ModelError};
    use std::path::{Path, PathBuf};

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("model").join(name)
    }

    #[test]
    fn the_vectors_are_those_of_the_reference() {
        let vectors = std::fs::read_to_string(file("reference_vectors.jsonl")).unwrap();
        for isa in Isa::available() {
            let model = Model::load(&file("zh-e5-small.q4")).unwrap().with(isa);
            for line in vectors.lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let text = [line["prefix"].as_str().unwrap(), line["text"].as_str().unwrap()].concat();
                let wanted: Vec<f32> =
                    line["first16"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
                let got = model.embed_up_to(&text, usize::MAX);
                let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
                let got16 = &got[..16];
                let cosine = dot(got16, &wanted) / (dot(got16, got16) * dot(&wanted, &wanted)).sqrt();
                assert!(cosine >= 0.998, "{}: {cosine} for {text:?}", isa.name());
                assert!((dot(&got, &got) - 1.0).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn owners_words_lie_nearer_to_their_meaning_than_to_other_words() {
        let model = Model::load(&file("zh-e5-small.q4")).unwrap();
        let dot =
            |a: &str, b: &str| model.embed(a).iter().zip(model.embed(b)).map(|(a, b)| a * b).sum::<f32>();
        assert!(dot("房租能免吗", "租金减免怎么申请") > dot("房租能免吗", "房产证在哪里办"));
        assert!(model.n_pieces(&"长".repeat(5_000)) > MAX_PIECES);
        assert_eq!(model.embed(&"长".repeat(5_000)).len(), 384);
        assert_eq!(model.embed("").len(), 384);
    }

    #[test]
    fn a_missing_and_a_damaged_model_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("m.q4");
        assert!(matches!(Model::load(&copy), Err(ModelError::Missing(_))));
        let mut bytes = std::fs::read(file("zh-e5-small.q4")).unwrap();
        std::fs::copy(file("zh-e5-small.sha256"), dir.path().join("m.sha256")).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 0x10;
        std::fs::write(&copy, &bytes).unwrap();
        assert_eq!(Model::load(&copy).unwrap_err(), ModelError::Damaged("校验和不符"));
        std::fs::write(&copy, &bytes[..at]).unwrap();
        assert_eq!(Model::load(&copy).unwrap_err(), ModelError::Damaged("文件不完整"));
        std::fs::write(&copy, b"not a model at all").unwrap();
        assert!(matches!(Model::load(&copy), Err(ModelError::Damaged(_))));
    }
}
