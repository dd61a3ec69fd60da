//! What is measured of a question and a document, as numbers a learned model weighs. Each has a name that the console
//! and `xinqi ask` show. Knows what they are called and how they are scaled.

/// How many there are.
pub const N: usize = 28;

/// Their names in the weights file, in order.
pub const NAMES: [&str; N] = [
    "coverage",
    "presence",
    "likeness",
    "sound",
    "cosine",
    "cosine_z",
    "whole",
    "gap_coverage",
    "gap_presence",
    "gap_likeness",
    "gap_cosine",
    "gap_whole",
    "coverage_z",
    "place",
    "number",
    "pattern",
    "length",
    "rare",
    "passage",
    "gap_passage",
    "coverage_length",
    "cosine_length",
    "whole_length",
    "presence_length",
    "likeness_length",
    "coverage_z_length",
    "cosine_z_length",
    "rare_length",
];

/// The signals as people know them: a name, and which features belong to it.
pub const SIGNALS: [(&str, &[usize]); 6] = [
    ("字词", &[0, 1, 2, 7, 8, 9, 12, 17, 20, 23, 24, 25, 27]),
    ("语义", &[4, 5, 6, 10, 11, 18, 19, 21, 22, 26]),
    ("读音", &[3]),
    ("正则", &[15]),
    ("地名数字", &[13, 14]),
    ("篇幅", &[16]),
];

/// Where the pattern stands.
pub const PATTERN: usize = 15;

/// One question and one document.
pub type Features = [f32; N];

/// Cosines of this model lie close together around this.
const USUAL_COSINE: f32 = 0.85;

/// A cosine spread out to about −1 … 1.
pub fn spread(cosine: f32) -> f32 {
    (cosine - USUAL_COSINE) * 8.0
}

/// How far a value stands out among all, in tenths of their deviation.
pub fn standing(value: f32, mean: f32, deviation: f32) -> f32 {
    ((value - mean) / (deviation + 1e-6) / 10.0).clamp(-1.0, 2.0)
}

/// Mean and deviation.
pub fn moments(values: &[f32]) -> (f32, f32) {
    let n = values.len().max(1) as f32;
    let mean = values.iter().sum::<f32>() / n;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>() / n;
    (mean, variance.sqrt())
}
