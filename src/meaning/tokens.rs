//! A text cut into the pieces the model knows: SentencePiece's unigram way, the likeliest of all cuts. Knows pieces and
//! their log-probabilities, not what they mean.

use super::file::Shape;
use rustc_hash::FxHashMap;

/// SentencePiece's mark for a space, also put before the first word.
const SPACE: char = '\u{2581}';
/// The first pieces are the special ones; no text becomes them.
const N_SPECIAL: usize = 4;

/// Cuts texts into pieces.
#[derive(Debug)]
pub struct Tokens {
    pieces: FxHashMap<Box<[u8]>, u32>,
    scores: Vec<f32>,
    longest: usize,
    replaced: FxHashMap<char, Vec<char>>,
    special: [u32; 3],
    unknown_score: f32,
}

impl Tokens {
    /// From what the model file says.
    pub fn new(
        shape: &Shape,
        pieces: Vec<Vec<u8>>,
        scores: Vec<f32>,
        replaced: FxHashMap<char, Vec<char>>,
    ) -> Self {
        let longest = pieces.iter().map(Vec::len).max().unwrap_or(0);
        let pieces = pieces.into_iter().enumerate().skip(N_SPECIAL);
        let pieces = pieces.map(|(n, piece)| (piece.into_boxed_slice(), n as u32)).collect();
        Self { pieces, scores, longest, replaced, special: shape.special, unknown_score: shape.unknown_score }
    }

    /// The pieces of a text between the beginning's and the end's, at most `most` in all.
    pub fn cut(&self, text: &str, most: usize) -> Vec<u32> {
        let text = self.normalised(text);
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let n = ends.len() - 1;
        // For each place between characters: the best score of a cut up to there, its last piece and where that begins.
        let mut best = vec![(f32::NEG_INFINITY, 0_u32, 0_usize); n + 1];
        best[0].0 = 0.0;
        let [start, end, unknown] = self.special;
        for from in 0..n {
            let score = best[from].0;
            for to in from + 1..=n {
                let piece = &text.as_bytes()[ends[from]..ends[to]];
                if piece.len() > self.longest {
                    break;
                }
                if let Some(id) = self.pieces.get(piece) {
                    let score = score + self.scores[*id as usize];
                    if score > best[to].0 {
                        best[to] = (score, *id, from);
                    }
                }
            }
            let score = score + self.unknown_score;
            if score > best[from + 1].0 {
                best[from + 1] = (score, unknown, from);
            }
        }
        let mut ids = vec![end];
        let mut at = n;
        while at > 0 {
            ids.push(best[at].1);
            at = best[at].2;
        }
        ids.push(start);
        ids.reverse();
        if ids.len() > most {
            ids.truncate(most - 1);
            ids.push(end);
        }
        ids
    }

    /// Characters replaced, runs of spaces made one mark, a mark before the first word.
    fn normalised(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + SPACE.len_utf8());
        out.push(SPACE);
        let mut after_space = true;
        let mut push = |c: char| {
            if c != ' ' {
                out.push(c);
            } else if !after_space {
                out.push(SPACE);
            }
            after_space = c == ' ';
        };
        for c in text.chars() {
            match self.replaced.get(&c) {
                None => push(c),
                Some(to) => to.iter().for_each(|c| push(*c)),
            }
        }
        out
    }
}
