//! What is measured of a question and a document, as numbers a learned model weighs. Each has a name that the weights file
//! uses; `xinqi ask` shows them added up by signal. Knows what they are called and how they are scaled.

/// Declares the features: a constant for the place of each, and their names in that order.
macro_rules! features {
    ($($(#[$doc:meta])* $place:ident = $name:literal;)*) => {
        #[expect(non_camel_case_types, clippy::upper_case_acronyms, reason = "only counts the places of the constants")]
        enum Place { $($place),* }
        $($(#[$doc])* pub const $place: usize = Place::$place as usize;)*
        /// Their names in the weights file, in order.
        pub const NAMES: [&str; [$($place),*].len()] = [$($name),*];
    };
}

features! {
    /// BM25 over all fields, as a share of the most there could be.
    COVERAGE = "coverage";
    /// Rarity of the question's grams that are there at all, as a share of all of them.
    PRESENCE = "presence";
    /// The same with rarity squared.
    RARE = "rare";
    /// Dice to the nearest phrasing, or to the whole.
    LIKENESS = "likeness";
    /// How far the coverage stands out among all documents.
    COVERAGE_Z = "coverage_z";
    /// Dice over pairs of syllables to the nearest phrasing.
    SOUND = "sound";
    /// Cosine to the nearest phrasing or passage.
    COSINE = "cosine";
    /// How far it stands out among all documents.
    COSINE_Z = "cosine_z";
    /// Cosine to the nearest passage of a document that has phrasings.
    PASSAGE = "passage";
    /// Cosine to the document as a whole.
    WHOLE = "whole";
    /// Cosine to the title of a document without phrasings.
    TITLE = "title";
    /// What of the question a document without phrasings says within one stretch.
    STRETCH = "stretch";
    /// The longest run of characters it shares with the question.
    RUN = "run";
    /// Cosine through the lens to the nearest phrasing.
    TUNED = "tuned";
    /// Of all phrasings near through the lens, gaps' among them, how much is this document's: 0–1.
    SHARE = "share";
    /// The logarithm of that share, from −1 (next to nothing) to 0 (all).
    SHARE_LOG = "share_log";
    /// Mean cosine through the lens to the document's three nearest phrasings: one alone may be near by chance.
    SUPPORT = "support";
    /// Cosine through the lens to a document without phrasings as a whole.
    TUNED_WHOLE = "tuned_whole";
    /// 1 a place the question names is in the document, −1 it is not, 0 the question names none.
    PLACE = "place";
    /// The same for figures.
    NUMBER = "number";
    /// One of the document's patterns matches.
    PATTERN = "pattern";
    /// Logarithm of the document's length.
    LENGTH = "length";
    /// Products with the length: signals tell other things of a long text than of a short one.
    COVERAGE_LENGTH = "coverage_length";
    /// See [`COVERAGE_LENGTH`].
    PRESENCE_LENGTH = "presence_length";
    /// See [`COVERAGE_LENGTH`].
    RARE_LENGTH = "rare_length";
    /// See [`COVERAGE_LENGTH`].
    LIKENESS_LENGTH = "likeness_length";
    /// See [`COVERAGE_LENGTH`].
    COVERAGE_Z_LENGTH = "coverage_z_length";
    /// See [`COVERAGE_LENGTH`].
    COSINE_LENGTH = "cosine_length";
    /// See [`COVERAGE_LENGTH`].
    COSINE_Z_LENGTH = "cosine_z_length";
    /// See [`COVERAGE_LENGTH`].
    WHOLE_LENGTH = "whole_length";
}

/// How many there are.
pub const N: usize = NAMES.len();

/// One question and one document.
pub type Features = [f32; N];

/// Each product, and what it is a product of with the length.
pub const PRODUCTS: [(usize, usize); 8] = [
    (COVERAGE_LENGTH, COVERAGE),
    (PRESENCE_LENGTH, PRESENCE),
    (RARE_LENGTH, RARE),
    (LIKENESS_LENGTH, LIKENESS),
    (COVERAGE_Z_LENGTH, COVERAGE_Z),
    (COSINE_LENGTH, COSINE),
    (COSINE_Z_LENGTH, COSINE_Z),
    (WHOLE_LENGTH, WHOLE),
];

/// The signals as people know them: a name, and which features belong to it.
pub const SIGNALS: [(&str, &[usize]); 6] = [
    (
        "字词",
        &[
            COVERAGE,
            PRESENCE,
            RARE,
            LIKENESS,
            COVERAGE_Z,
            STRETCH,
            RUN,
            COVERAGE_LENGTH,
            PRESENCE_LENGTH,
            RARE_LENGTH,
            LIKENESS_LENGTH,
            COVERAGE_Z_LENGTH,
        ],
    ),
    (
        "语义",
        &[
            COSINE,
            COSINE_Z,
            PASSAGE,
            WHOLE,
            TITLE,
            TUNED,
            SHARE,
            SHARE_LOG,
            SUPPORT,
            TUNED_WHOLE,
            COSINE_LENGTH,
            COSINE_Z_LENGTH,
            WHOLE_LENGTH,
        ],
    ),
    ("读音", &[SOUND]),
    ("正则", &[PATTERN]),
    ("地名数字", &[PLACE, NUMBER]),
    ("篇幅", &[LENGTH]),
];

/// Cosines of this model lie close together around this.
const USUAL_COSINE: f32 = 0.85;

/// A cosine spread out to about −1 … 1.
pub fn spread(cosine: f32) -> f32 {
    (cosine - USUAL_COSINE) * 8.0
}

/// How far a value stands out among all, in tenths of their deviation.
pub fn standing(value: f32, (mean, deviation): (f32, f32)) -> f32 {
    ((value - mean) / (deviation + 1e-6) / 10.0).clamp(-1.0, 2.0)
}

/// Mean and deviation.
pub fn moments(values: &[f32]) -> (f32, f32) {
    let n = values.len().max(1) as f32;
    let mean = values.iter().sum::<f32>() / n;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>() / n;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::{N, SIGNALS};

    #[test]
    fn every_feature_belongs_to_one_signal() {
        let mut all: Vec<usize> = SIGNALS.iter().flat_map(|(_, features)| features.iter().copied()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..N).collect::<Vec<_>>());
    }
}
